//! Right before dispatch, the plan is judged once more by what is there now.

use jiff::{SignedDuration, Timestamp};

use crate::core::{
    approval::Backing,
    audit::AuditEvent,
    identity::{another_guest, replaced},
    judge::{Judged, moved},
};

use super::{
    ending::{end, tell},
    event::{Effect, IntentDraft},
    state::{Order, Outcome, Setback, State},
    step::{approved, next_alarm},
};

/// A target may go back and forth between two states that are both approved. It is not run after.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// Goes on if nothing has moved. Otherwise only the new judgement counts, and nothing that was said about the old one.
pub(super) fn rechecked(
    order: &Order,
    (judged, backing): (Judged, Backing),
    now_judged: Judged,
    draft: IntentDraft,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let another = replaced(&judged, &now_judged);
    if !another.is_empty() {
        let denial = another_guest(&another.join("; "));
        return end(approved(judged, backing), Outcome::Cancelled, denial.reason, denial.message);
    }
    if is_the_same(&judged, &now_judged) {
        return (State::Confirmed { judged, backing, draft, before: None }, vec![Effect::GatherApprovals]);
    }
    let what_moved = moved(&judged, &now_judged).join("; ");
    if now_judged.demand.is_none() {
        goes_on(now_judged, draft, &what_moved)
    } else {
        taken_back(order, &judged, now_judged, &what_moved, now)
    }
}

/// Whether a plan that was judged anew goes on without anybody being asked.
pub fn goes_on_at_once(before: &Judged, now: &Judged) -> bool {
    replaced(before, now).is_empty() && (is_the_same(before, now) || now.demand.is_none())
}

/// The hash stands for whom it needs, too. But what was judged before is read out of the status, and whoever could write
/// there while nobody watched may have left the hash as it is and asked for fewer people.
pub(super) fn is_the_same(before: &Judged, now: &Judged) -> bool {
    before.plan_hash == now.plan_hash && before.risk == now.risk && before.demand.told() == now.demand.told()
}

/// Nobody has to be asked, and what will be sent was judged by what was read a moment ago.
fn goes_on(judged: Judged, draft: IntentDraft, what_moved: &str) -> (State, Vec<Effect>) {
    let message = format!(
        "judged anew, because it is no longer what was judged ({what_moved}); it needs no approval and goes on"
    );
    let effects = vec![
        Effect::Audit(AuditEvent::Rejudged, message.clone()),
        Effect::WriteStatus,
        tell(true, "TargetMoved", &message),
        Effect::GatherApprovals,
    ];
    (State::Confirmed { judged, backing: Backing::default(), draft, before: None }, effects)
}

fn taken_back(
    order: &Order,
    before: &Judged,
    judged: Judged,
    what_moved: &str,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    let message = format!(
        "judged anew, because it is no longer what was judged ({what_moved}): it waits for {}, of the new planHash {}; \
         approvals of {} no longer count. {}",
        judged.demand.missing_in_words(&[]),
        judged.plan_hash,
        before.plan_hash,
        judged.preview.summary
    );
    let mut effects = vec![
        Effect::Audit(AuditEvent::Rejudged, message.clone()),
        Effect::WriteStatus,
        tell(true, "TargetMoved", &message),
    ];
    effects.extend(next_alarm(order.not_after, now.checked_add(PAUSE).ok()).map(Effect::WakeAt));
    let setback = Setback { reason: "TargetMoved".to_owned(), message };
    (State::AwaitingApproval { judged, backing: Backing::default(), setback: Some(setback) }, effects)
}
