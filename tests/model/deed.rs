//! What a step asks for, as far as the model tells it apart.

use proxmox_agent::core::{
    audit::AuditEvent,
    lifecycle::{Effect, State},
};

use crate::setting::{MOMENT, moment};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Judge,
    GatherApprovals,
    Recheck,
    AuditIntent,
    Audit,
    WriteStatus,
    /// Not after so many seconds.
    Send(i64),
    LookAtTask,
    LookAtHa,
    SearchTasks,
    LookForTraces,
    Hold,
    Release,
    /// Look again, some time.
    ComeAgain,
    /// Look again at once.
    WakeSoon,
    /// Nobody's next step depends on it.
    Tell,
}

pub(crate) fn deed(effect: &Effect, clock: u8, state: &State) -> Deed {
    match effect {
        Effect::Judge => Deed::Judge,
        Effect::GatherApprovals => Deed::GatherApprovals,
        Effect::Recheck => Deed::Recheck,
        Effect::Audit(AuditEvent::Intent, _) => Deed::AuditIntent,
        Effect::Audit(..) | Effect::AuditGone(..) => Deed::Audit,
        Effect::WriteStatus => Deed::WriteStatus,
        Effect::Send { until } => Deed::Send(until.duration_since(moment(0)).as_secs()),
        Effect::LookAtTask => Deed::LookAtTask,
        Effect::LookAtHa => Deed::LookAtHa,
        Effect::SearchTasks => Deed::SearchTasks,
        Effect::LookForTraces => Deed::LookForTraces,
        Effect::Hold => Deed::Hold,
        Effect::Release => Deed::Release,
        Effect::WakeAt(at) => wake_at(*at, clock, state),
        Effect::WakeAfter(_) => Deed::ComeAgain,
        Effect::Tell(_) => Deed::Tell,
        Effect::Read => unreachable!("the plan of the model changes something"),
    }
}

fn wake_at(at: jiff::Timestamp, clock: u8, state: &State) -> Deed {
    let pause = at.duration_since(moment(clock.into()));
    let stays = matches!(state, State::Running(..)) && pause.as_millis() <= 1300;
    let is_far = pause.as_secs() > 16 * MOMENT;
    match (stays, is_far) {
        (true, _) => Deed::WakeSoon,
        // An approval that counts for a day does not end here.
        (_, true) => Deed::Tell,
        _ => Deed::ComeAgain,
    }
}
