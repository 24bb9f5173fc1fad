//! The API server, as far as the program uses it.

mod objects;
mod request;
mod rules;
mod watch;

pub(crate) use objects::{Change, Id, Objects, Refused, What};
pub(crate) use request::{Answer, Asked, CANARY};
pub(crate) use watch::{Watch, line};
