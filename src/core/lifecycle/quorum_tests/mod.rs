//! Random people, policies, approvals and orders of events, against the real `judge`, the real `step`, the real tally and
//! the real proof of admission. The world knows the truth about who did what and what each rule means, and the oracle
//! judges each call by that truth alone.

mod deeds_of_tests;
mod house_of_tests;
mod judging_of_tests;
mod law_of_tests;
mod looks_of_tests;
mod objects_of_tests;
mod oracle_of_tests;
mod property_tests;
mod rules_of_tests;
mod world_of_tests;
