//! Which approvals a plan rested on and lacks now, and why.

use crate::{
    api::GrantedApproval,
    core::{
        approval::{Backing, Refusal, Tally},
        audit::AuditEvent,
    },
};

use super::event::Effect;

/// An approval that the plan rested on, and what has become of it.
pub(super) struct Gone<'a> {
    approval: &'a GrantedApproval,
    why: String,
}

/// Those of `before` that are not what they were.
pub(super) fn gone<'a>(before: &'a Backing, tally: &Tally) -> Vec<Gone<'a>> {
    let gone = |approval| Some(Gone { approval, why: why(approval, tally)? });
    before.granted.iter().filter_map(gone).collect()
}

fn why(approval: &GrantedApproval, tally: &Tally) -> Option<String> {
    let still = tally.backing.granted.iter().find(|granted| granted.uid == approval.uid);
    match (still, tally.refusals.get(&approval.uid)) {
        (Some(still), _) => {
            let lost: Vec<&str> = approval
                .groups
                .iter()
                .filter(|group| !still.groups.contains(group))
                .map(String::as_str)
                .collect();
            (!lost.is_empty()).then(|| format!("no longer speaks for {}", lost.join(", ")))
        }
        (None, None) => Some("was revoked".to_owned()),
        (None, Some(refusal)) if refusal.adds_nothing() => None,
        (None, Some(refusal)) if refusal.has_ended() => Some("has ended".to_owned()),
        (None, Some(Refusal { reason, .. })) => Some(format!("is no longer proven ({reason})")),
    }
}

/// For people.
pub(super) fn in_words(gone: &[Gone<'_>]) -> String {
    if gone.is_empty() {
        return "an approval that it rested on does not count any more".to_owned();
    }
    gone.iter().map(Gone::in_words).collect::<Vec<_>>().join("; ")
}

/// A line for each, so that each names its approver.
pub(super) fn on_record(gone: &[Gone<'_>], message: &str) -> Vec<Effect> {
    if gone.is_empty() {
        return vec![Effect::Audit(AuditEvent::ApprovalGone, message.to_owned())];
    }
    gone.iter().map(|gone| Effect::AuditGone(gone.approval.clone(), gone.in_words())).collect()
}

impl Gone<'_> {
    fn in_words(&self) -> String {
        let GrantedApproval { name, approved_by, .. } = self.approval;
        format!("approval {name} of {approved_by} {}", self.why)
    }
}
