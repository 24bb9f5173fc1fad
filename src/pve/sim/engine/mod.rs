//! What moves the world: time, tasks, and the state that requests act on.
mod call;
mod clock;
mod happening;
mod node;
mod sdn;
mod state;
mod task;
mod tasks;
mod upid;

pub(super) use call::Call;
pub(super) use clock::Clock;
pub(super) use happening::Happening;
pub(super) use state::State;
pub(super) use task::{NewTask, Run, Task};
pub(super) use upid::Upid;
