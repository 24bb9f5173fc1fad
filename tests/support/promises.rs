//! What a campaign holds the program to, one by one. docs/reliability.md says it to people.

use std::fmt;

use super::rows::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    AtMostOnce,
    Announced,
    Approved,
    Led,
    NothingIsLost,
    NothingUntrue,
    OnRecord,
    InOrder,
    StaysUp,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) how: String,
}

impl Promise {
    pub(crate) fn broken(self, how: String) -> Broken {
        Broken { promise: self, how }
    }

    /// What is counted when it is broken.
    fn breach(self) -> &'static str {
        match self {
            Self::AtMostOnce => "plans that were carried out twice for one decision",
            Self::Announced => "changes that arrived without an intent in the audit log before",
            Self::Approved => "changes that arrived without being approved and due",
            Self::Led => "changes that left when their sender did not lead",
            Self::NothingIsLost => {
                "plans that neither end nor wait for people, once nothing goes wrong any more"
            }
            Self::NothingUntrue => "plans that say of their end what is not so",
            Self::OnRecord => "plans whose end is not in the audit log, or whose audit log does not verify",
            Self::InOrder => "phases that go back, secrets that are told, writes that the rules forbid",
            Self::StaysUp => "plans whose operator panicked or ended by itself",
        }
    }

    fn is_about_changes(self) -> bool {
        matches!(self, Self::Announced | Self::Approved | Self::Led)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)
    }
}

/// A row for each promise that this part looks at: so many plans, and changes of theirs, were held to it.
pub(crate) fn note_promises(
    part: &str,
    promises: &[Promise],
    (plans, changes): (u64, u64),
    broken: &[&Broken],
) {
    for promise in promises {
        let (tried, unit) = if promise.is_about_changes() { (changes, "changes") } else { (plans, "plans") };
        let violations = broken.iter().filter(|broken| broken.promise == *promise).count() as u64;
        Row { part, what: promise.breach(), tried, unit, violations }.note();
    }
}

/// All of them, a line each.
pub(crate) fn told(broken: &[Broken]) -> String {
    broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
