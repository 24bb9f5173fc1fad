//! How the command ends, as scripts see it.

use std::process::ExitCode;

use crate::{
    cli::{choice::NotWaiting, render::printable},
    store::kube::told,
};

pub(super) const CODES: &str = "\
Exit codes:
  0  done
  1  an error: no answer, nothing of that name, something unexpected
  2  wrong usage
  3  not confirmed: nothing was created
  4  not allowed: you lack the right, or the API server refused
  5  the plan does not wait for approval, or has changed since it was shown";

/// Wrong usage never comes this far: it ends with 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    NotConfirmed = 3,
    NotAllowed = 4,
    NotWaiting = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the command ends before it is done.
#[derive(Debug)]
pub(super) struct Stopped {
    exit: Exit,
    why: String,
}

impl Stopped {
    pub(super) fn new(exit: Exit, why: impl Into<String>) -> Self {
        Self { exit, why: why.into() }
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::new(Exit::Failed, why)
    }

    /// What the API server, or the way to it, says to something that was tried.
    pub(super) fn by_server(tried: &str, error: &kube::Error) -> Self {
        let exit = match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 401 | 403 | 422) => Exit::NotAllowed,
            _ => Exit::Failed,
        };
        let hint = match error {
            kube::Error::Api(_) => "",
            _ => ". Is the API server of this context up? See: kubectl cluster-info",
        };
        Self::new(exit, format!("failed to {tried}: {}{hint}", told(error)))
    }

    /// Says why, on one line.
    pub(super) fn report(&self) -> Exit {
        eprintln!("error: {}", printable(&self.why));
        self.exit
    }
}

impl From<NotWaiting> for Stopped {
    fn from(error: NotWaiting) -> Self {
        Self::new(Exit::NotWaiting, error.to_string())
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::failed(format!("failed to write what there is to read: {error}"))
    }
}
