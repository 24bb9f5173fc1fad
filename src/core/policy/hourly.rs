//! How many plans of an environment may be sent within an hour.

use jiff::{SignedDuration, Timestamp};

use crate::api::{GuardMode, Risk};

use super::{
    knobs::{Layers, Set},
    ruling::Hold,
};

/// The reason of a plan that waits because enough were sent in the last hour.
pub const HOURLY_LIMIT_REACHED: &str = "HourlyLimitReached";

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A plan that was sent, or is about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub at: Timestamp,
    pub risk: Risk,
}

impl Sent {
    pub fn is_counted(self, now: Timestamp) -> bool {
        self.leaves_the_hour() > now
    }

    fn leaves_the_hour(self) -> Timestamp {
        self.at.saturating_add(HOUR).unwrap_or(Timestamp::MAX)
    }
}

/// The limits that hold for the plans of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    changes: Option<Set<u32>>,
    high_risk: Option<Set<u32>>,
    guards: GuardMode,
}

impl Limits {
    pub(super) fn of(knobs: &Layers) -> Self {
        Self {
            changes: knobs.hourly_changes(),
            high_risk: knobs.hourly_high_risk(),
            guards: knobs.guards().value,
        }
    }

    /// There is nothing to be counted.
    pub fn are_none(&self) -> bool {
        self.changes.is_none() && self.high_risk.is_none()
    }

    /// Reaching one holds plans up instead of being told.
    pub fn stop(&self) -> bool {
        self.guards == GuardMode::Stop
    }

    /// What holds up one more of this risk, after these.
    pub fn reached(&self, risk: Risk, sent: &[Sent], now: Timestamp) -> Option<Hold> {
        let high = |risk: Risk| risk >= Risk::High;
        let all = self.changes.as_ref().and_then(|limit| full(limit, "changes", sent.to_vec(), now));
        let risky = self.high_risk.as_ref().filter(|_| high(risk)).and_then(|limit| {
            let sent = sent.iter().copied().filter(|sent| high(sent.risk)).collect();
            full(limit, "changes of high risk", sent, now)
        });
        // The one that holds up for longer tells when to look again.
        all.into_iter().chain(risky).max_by_key(|hold| hold.until.unwrap_or(Timestamp::MAX))
    }
}

fn full(limit: &Set<u32>, what: &str, mut sent: Vec<Sent>, now: Timestamp) -> Option<Hold> {
    sent.retain(|sent| sent.is_counted(now));
    let allowed = limit.value as usize;
    if sent.len() < allowed {
        return None;
    }
    sent.sort_by_key(|sent| sent.at);
    let until = sent.get(sent.len() - allowed).map(|sent| sent.leaves_the_hour());
    let when = until.map_or_else(|| "until the limit is raised".to_owned(), |until| format!("until {until}"));
    let message = format!(
        "waits {when}: {} {what} were sent within the last hour, and {allowed} are allowed ({})",
        sent.len(),
        limit.by
    );
    Some(Hold { reason: HOURLY_LIMIT_REACHED, message, until })
}
