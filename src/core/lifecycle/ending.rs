//! How a plan ends, and how people are told.

use crate::core::{audit::AuditEvent, judge::Judged};

use super::{
    doubt,
    event::{Effect, Telling},
    state::{Ended, Outcome, State},
};

pub(super) fn end(
    state: State,
    outcome: Outcome,
    reason: &str,
    message: impl Into<String>,
) -> (State, Vec<Effect>) {
    finish(state.end(outcome, reason, message))
}

/// On record before it is in the status, so that no end is ever seen that was not kept.
pub(super) fn finish(ended: Ended) -> (State, Vec<Effect>) {
    let event = if ended.outcome == Outcome::Denied { AuditEvent::Denied } else { AuditEvent::Ended };
    let warning = ended.outcome != Outcome::Succeeded;
    let effects = vec![
        Effect::Audit(event, ended.message.clone()),
        Effect::WriteStatus,
        tell(warning, &ended.outcome.phase().to_string(), &ended.message),
        Effect::Release,
    ];
    (State::Ended(Box::new(ended)), effects)
}

/// Nobody can say how it ended. What is known stays on record, and another attempt is made only if people decide so.
pub(super) fn in_doubt(mut ended: Ended, facts: &[String]) -> (State, Vec<Effect>) {
    let backing = std::mem::take(&mut ended.backing);
    ended.doubt = doubt::doubt(&ended, facts, backing.granted);
    ended.message = ended.doubt.as_ref().map_or_else(|| facts.join("; "), doubt::told);
    ended.judged = ended.judged.map(|judged| Judged { demand: judged.demand.clone().at_least(1), ..judged });
    finish(ended)
}

pub(super) fn tell(warning: bool, reason: &str, message: &str) -> Effect {
    Effect::Tell(Telling { warning, reason: reason.to_owned(), message: message.to_owned() })
}
