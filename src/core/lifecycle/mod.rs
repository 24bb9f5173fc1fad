//! The life of a plan: `step(state, event) -> (state, effects)`.
//!
//! `event` names what can happen and what can be asked for, `state` what a plan can be, `step` is the one transition
//! function, `report` writes a state down as the status that people and programs read, and reads it back.

mod ending;
mod event;
mod in_flight;
mod report;
mod state;
mod step;

pub use event::{Blocked, Effect, Event, IntentDraft, Rivals, Telling};
pub use in_flight::pause_between_looks;
pub use report::{Corrupt, judged, read, report};
pub use state::{Ended, Order, Outcome, Sending, State};
pub use step::step;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod tests;
