//! Random people, demands, approvals and orders of events, against the real `step`, the real tally and the real proof of
//! admission. The world knows the truth about who did what, and the oracle judges each call by that truth alone.

mod deeds_of_tests;
mod oracle_of_tests;
mod property_tests;
mod world_of_tests;
