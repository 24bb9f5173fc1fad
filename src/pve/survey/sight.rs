//! Whether what Proxmox shows is all there is. It leaves out what a token may not see without a word.

use std::collections::BTreeSet;

use crate::{
    core::observe::{Rights, Seen},
    pve::ReadError,
};

use super::access;

/// A right without which a list may be short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub any_of: &'static [&'static str],
    pub path: &'static str,
    /// Whether it has to hold everywhere below the path too.
    pub below: bool,
}

impl Sight {
    pub const fn at(any_of: &'static [&'static str], path: &'static str) -> Self {
        Self { any_of, path, below: false }
    }

    pub const fn below(any_of: &'static [&'static str], path: &'static str) -> Self {
        Self { any_of, path, below: true }
    }

    pub fn is_given(self, rights: &Rights) -> bool {
        self.any_of.iter().any(|privilege| match self.below {
            true => rights.holds_below(self.path, privilege),
            false => rights.holds(self.path, privilege),
        })
    }

    fn words(self) -> String {
        let below = if self.below { " and below" } else { "" };
        format!("{} on {}{below}", self.any_of.join(" or "), self.path)
    }
}

/// Why a part can't be seen whole, if it can't.
pub(super) fn hidden(what: &str, rights: &Rights, needed: &[Sight]) -> Option<String> {
    // Whether the token is shut out of something below a path is told by the list of roles alone.
    let roles = needed.iter().any(|sight| sight.below).then_some(access::SIGHT);
    let lacking: Vec<String> = needed
        .iter()
        .copied()
        .chain(roles)
        .filter(|sight| !sight.is_given(rights))
        .map(Sight::words)
        .collect();
    (!lacking.is_empty())
        .then(|| format!("{what} can't all be seen: the token lacks {}", lacking.join(" and ")))
}

/// What stands for a part that could not be read, if the rest is worth having without it. The words hold nothing that
/// changes from one look to the next.
pub(super) fn blind(what: &str, error: ReadError) -> Result<String, ReadError> {
    let why = match error {
        ReadError::Forbidden { message, .. } => message,
        ReadError::Refused { status, message, .. } => format!("Proxmox refused with {status}: {message}"),
        ReadError::BadParameters { errors, .. } => {
            let errors = errors.iter().map(|(field, problem)| format!("{field}: {problem}"));
            errors.collect::<Vec<_>>().join(", ")
        }
        error => return Err(error),
    };
    Ok(format!("{what} can't be seen: {why}"))
}

/// The same for what lies on a node, which may be down while the others answer.
pub(super) fn blind_on(node: &str, what: &str, error: ReadError) -> Result<String, ReadError> {
    match error {
        ReadError::Unreachable { .. } => Ok(format!("{what} can't be seen: node {node} does not answer")),
        error => blind(what, error),
    }
}

/// A part that is read whole or not at all.
pub(super) fn whole<T>(what: &str, read: Result<T, ReadError>) -> Result<Seen<T>, ReadError> {
    match read {
        Ok(seen) => Ok(Seen::Known(seen)),
        Err(error) => Ok(Seen::Unknown { why: blind(what, error)? }),
    }
}

/// The same for a part that one node tells.
pub(super) fn whole_on<T>(node: &str, what: &str, read: Result<T, ReadError>) -> Result<Seen<T>, ReadError> {
    match read {
        Ok(seen) => Ok(Seen::Known(seen)),
        Err(error) => Ok(Seen::Unknown { why: blind_on(node, what, error)? }),
    }
}

/// A part that is put together from many answers.
#[derive(Debug)]
pub(super) struct Gathered<T> {
    pub seen: Vec<T>,
    /// Why the rest was not seen.
    pub missing: BTreeSet<String>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { seen: vec![], missing: BTreeSet::new() }
    }
}

impl<T> Gathered<T> {
    pub fn of(parts: Vec<Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            whole.seen.extend(part.seen);
            whole.missing.extend(part.missing);
        }
        whole
    }

    /// One more answer, or why there is none.
    pub fn add(&mut self, answer: Result<impl IntoIterator<Item = T>, String>) {
        match answer {
            Ok(seen) => self.seen.extend(seen),
            Err(why) => drop(self.missing.insert(why)),
        }
    }

    pub fn into_seen(self) -> Seen<Vec<T>> {
        if self.missing.is_empty() {
            return Seen::Known(self.seen);
        }
        let why = self.missing.into_iter().collect::<Vec<_>>().join("; ");
        Seen::Partly { seen: self.seen, why }
    }
}
