//! What the model asks of a state.

use proxmox_agent::{
    api::Phase,
    core::lifecycle::{State, report},
};

use crate::setting::{MOMENT, SETTLED_AFTER, moment};

#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) phase: Phase,
    pub(crate) reason: String,
    pub(crate) attempt: u8,
    pub(crate) nonce: Option<u8>,
    /// When its intent was drafted, by the node's clock.
    pub(crate) drafted_at: u8,
    /// Until then the next step depends on the time.
    pub(crate) open_until: u8,
    /// The number of the call whose task it follows; none of ours has `STRANGE`.
    pub(crate) task: Option<u8>,
    pub(crate) planned_for: Option<u8>,
    /// The attempt that people have to decide about.
    pub(crate) question: Option<u8>,
}

/// The number of a task that is not this plan's.
pub(crate) const STRANGE: u8 = 0xee;

pub(crate) fn sight(state: &State, is_slow: bool) -> Sight {
    let intent = state.intent();
    let (drafted_at, open_until) = times(state, is_slow);
    let reason = report(state, None, Some(1), None, moment(0)).reason;
    Sight {
        phase: state.phase(),
        reason,
        attempt: intent.map_or(0, |intent| u8::try_from(intent.attempt).unwrap()),
        nonce: intent.map(|intent| intent.nonce.parse().unwrap()),
        drafted_at,
        open_until,
        task: state.upid().map(|upid| u8::from_str_radix(&upid.as_str()[10..18], 16).unwrap()),
        planned_for: state
            .judged()
            .map(|judged| judged.fingerprint["digest"].parse().expect("as the setting judges it")),
        question: state.question().map(|question| u8::try_from(question.attempt).unwrap()),
    }
}

/// When its intent was drafted, and until when time matters to what was drafted.
fn times(state: &State, is_slow: bool) -> (u8, u8) {
    let of = |at: jiff::Timestamp| {
        let seconds = at.duration_since(moment(0)).as_secs();
        u8::try_from((seconds + MOMENT - 1) / MOMENT).unwrap()
    };
    match state {
        State::Confirmed { draft, .. } => {
            let drafted_at = of(draft.node_time);
            (drafted_at, drafted_at + u8::from(is_slow) * SETTLED_AFTER)
        }
        State::Dispatching(sending) => {
            let drafted_at = of(sending.intent.node_time.0);
            (drafted_at, of(sending.intent.settles_at.0).max(drafted_at + SETTLED_AFTER))
        }
        _ => (0, 0),
    }
}
