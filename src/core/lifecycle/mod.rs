//! The life of a plan: `step(state, event) -> (state, effects)`.
//!
//! `event` names what can happen and what can be asked for, `state` what a plan can be, `step` is the one transition
//! function (`weigh` is its part about approvals, `gone` what it says of those that are lost, `recheck` the one right before dispatch, `in_flight`, `running`
//! and `handed_over` what follows it, `again` what may follow that, once more), `doubt` is what a person needs who has to decide about it,
//! `report` writes a state down as the status that people and programs read, and reads it back.

mod again;
mod doubt;
mod ending;
mod event;
mod gone;
mod handed_over;
mod in_flight;
mod recheck;
mod report;
mod running;
mod state;
mod step;
mod weigh;

pub use again::LEFT_AS_IT_IS;
pub use doubt::{Home, what_to_type};
pub use event::{AT_ONCE, Blocked, Effect, Event, IntentDraft, Rivals, Telling};
pub use recheck::goes_on_at_once;
pub use report::{Corrupt, is_under_way, judged, read, report};
pub use running::pause_between_looks;
pub use state::{Ended, Order, Outcome, Sending, Setback, State};
pub use step::step;

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
mod handed_over_tests;
#[cfg(test)]
mod in_flight_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod moving_target_tests;
#[cfg(test)]
mod quorum_tests;
#[cfg(test)]
mod recheck_tests;
#[cfg(test)]
mod running_tests;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod weigh_tests;
