//! A plan as a person needs it, before saying yes.

mod paper;
mod printable;

use kube::ResourceExt;

use crate::api::{
    ApprovalProgress, BlastRadius, Doubt, EarlierAttempt, Hint, PlanStatus, PolicyDecision, Preview,
    PreviewedUndo, Provenance, ProxmoxActionPlan, ProxmoxActionPlanSpec, ReadResult, RefusedApproval,
};

use paper::Paper;
pub(super) use paper::{Look, Tone};
pub(super) use printable::{columns_of, printable};

/// Several lines without colours, without a trailing newline.
pub(super) fn plan(plan: &ProxmoxActionPlan) -> String {
    plan_on(Look::PLAIN, plan)
}

/// The same as it suits a terminal. What matters most comes first; what the plan's writer wrote can't pass for
/// something else.
pub(super) fn plan_on(look: Look, plan: &ProxmoxActionPlan) -> String {
    let mut paper = Paper::new(look);
    let namespace = plan.namespace().unwrap_or_default();
    let phase = plan.status.as_ref().map(|status| status.phase).unwrap_or_default();
    paper.title(&format!("Plan {namespace}/{}: {phase}", plan.name_any()));
    request(&mut paper, &plan.spec);
    if let Some(status) = &plan.status {
        judged(&mut paper, status);
    }
    paper.text()
}

fn request(paper: &mut Paper, spec: &ProxmoxActionPlanSpec) {
    paper.say_in(
        Tone::Strong,
        "asks",
        &format!("{} on {} in {}", spec.action, spec.target, spec.environment),
    );
    paper.say("asked by", &spec.requested_by);
    paper.say("because", &spec.reason);
    if spec.dry_run {
        paper.say("dry run", "nothing will be sent");
    }
    for (label, time) in [("not before", &spec.not_before), ("not after", &spec.not_after)] {
        let shown = time.as_ref().map(|time| time.0.to_string());
        paper.say(label, &shown.unwrap_or_default());
    }
}

fn judged(paper: &mut Paper, status: &PlanStatus) {
    paper.next_group();
    risk(paper, status);
    if let Some(preview) = &status.preview {
        does(paper, preview);
        hits(paper, &preview.blast_radius);
        warnings(paper, preview);
        undo(paper, &preview.undo);
        circumstances(paper, preview);
    }
    paper.next_group();
    status.policy.as_ref().inspect(|decision| policy(paper, decision));
    status.provenance.as_ref().inspect(|found| provenance(paper, found));
    paper.next_group();
    status.approvals.as_ref().inspect(|progress| approvals(paper, progress));
    paper.say_whole("hash", status.plan_hash.as_deref().unwrap_or_default());
    paper.next_group();
    for earlier in &status.earlier {
        let EarlierAttempt { intent, reason, message, .. } = earlier;
        paper.say("earlier", &format!("attempt {}: {reason}: {message}", intent.attempt));
    }
    paper.say("upid", status.upid.as_deref().unwrap_or_default());
    if let Some(asked) = &status.doubt {
        doubt(paper, asked);
    }
    // What is known of an unknown outcome stands above, piece by piece.
    match &status.doubt {
        Some(asked) if asked.reason == status.reason => paper.say_in(Tone::Alarm, "now", IT_ASKS),
        _ if status.reason.is_empty() => {}
        _ => paper.say("now", &format!("{}: {}", status.reason, status.message)),
    }
    status.result.as_ref().inspect(|found| result(paper, found));
}

fn risk(paper: &mut Paper, status: &PlanStatus) {
    if let Some(risk) = status.risk {
        paper.say_in(risk.into(), "risk", risk.as_str());
    }
    for reason in &status.risk_reasons {
        paper.say("why", reason);
    }
}

fn does(paper: &mut Paper, preview: &Preview) {
    paper.next_group();
    paper.say("does", &preview.summary);
    for call in &preview.calls {
        let params = call.params.iter().map(|(name, value)| format!(" {name}={}", unmistakable(value)));
        paper.say("call", &format!("{} {}{}", call.method, call.path, params.collect::<String>()));
    }
    for change in &preview.changes {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
        paper.say("changes", &format!("{}: {} -> {}", change.what, shown(&change.from), shown(&change.to)));
    }
}

/// A value with spaces in it could pass for further parameters.
fn unmistakable(value: &str) -> String {
    let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
    if is_plain { value.to_owned() } else { format!("{value:?}") }
}

fn hits(paper: &mut Paper, radius: &BlastRadius) {
    paper.next_group();
    for hit in &radius.hits {
        let detail = if hit.detail.is_empty() { String::new() } else { format!(" ({})", hit.detail) };
        paper.say_in(Tone::Caution, "hits", &format!("{} {}{detail}", hit.subject, hit.effect));
    }
    and_more(paper, "hits", radius.omitted);
    for why in &radius.unknown {
        paper.say_in(Tone::Alarm, "unknown", why);
    }
}

fn warnings(paper: &mut Paper, preview: &Preview) {
    paper.next_group();
    for warning in &preview.warnings {
        paper.say_in(Tone::Caution, "warning", warning);
    }
    for line in &preview.afterwards {
        paper.say("after", line);
    }
    if preview.omitted > 0 {
        paper.say_in(Tone::Caution, "", &format!("and {} lines more", preview.omitted));
    }
}

fn undo(paper: &mut Paper, undo: &PreviewedUndo) {
    paper.next_group();
    paper.say("undo", &undo.how);
    if let Some(plan) = &undo.plan {
        let params = plan.params.iter().map(|(name, value)| format!(" {name}={value}"));
        paper.say("", &format!("{} {}{}", plan.action, plan.target, params.collect::<String>()));
    }
}

fn circumstances(paper: &mut Paper, preview: &Preview) {
    paper.next_group();
    for (name, value) in &preview.meets {
        paper.say("meets", &format!("{name}: {value}"));
    }
    for privilege in &preview.privileges.beyond {
        paper.say("token", &format!("may also do what this does not need: {privilege}"));
    }
}

fn policy(paper: &mut Paper, decision: &PolicyDecision) {
    let name = decision.name.as_deref().map(|name| format!("{name}, ")).unwrap_or_default();
    paper.say("policy", &format!("{name}preset {}, revision {}", decision.preset, decision.revision));
    for decided in &decision.decisions {
        paper.say("", &format!("{}: {}", decided.by, decided.what));
    }
}

fn provenance(paper: &mut Paper, found: &Provenance) {
    let Provenance { repository, file, commit, author, signer, key, verdict } = found;
    let tone = if verdict == "Verified" { Tone::Plain } else { Tone::Alarm };
    paper.say_in(tone, "by git", verdict);
    paper.say("", &[repository.as_str(), file].join(" "));
    for (what, value) in [("commit", commit), ("author", author), ("signed by", signer), ("key", key)] {
        if !value.is_empty() {
            paper.say("", &format!("{what} {value}"));
        }
    }
}

fn approvals(paper: &mut Paper, progress: &ApprovalProgress) {
    paper.say("approvals", &progress.progress);
    for granted in &progress.granted {
        let groups = if granted.groups.is_empty() {
            String::new()
        } else {
            format!(" for {}", granted.groups.join(", "))
        };
        paper.say("", &format!("{} ({}){groups}", granted.approved_by, granted.name));
    }
    for RefusedApproval { name, approved_by, reason } in &progress.refused {
        paper.say_in(Tone::Caution, "refused", &format!("{approved_by} ({name}): {reason}"));
    }
    for missing in &progress.missing {
        paper.say_in(Tone::Strong, "missing", missing);
    }
    paper.say("proof", &progress.proof);
}

const IT_ASKS: &str =
    "nobody knows whether it was carried out, and nothing is sent again unless people decide so";

fn doubt(paper: &mut Paper, Doubt { reason, known, look, next, .. }: &Doubt) {
    paper.say_in(Tone::Alarm, "unknown", reason);
    for fact in known {
        paper.say("known", fact);
    }
    for (label, hints) in [("look at", look), ("next", next)] {
        paper.next_group();
        for Hint { what, command } in hints {
            paper.say(label, what);
            paper.say_whole("  ", command);
        }
    }
    paper.next_group();
}

fn result(paper: &mut Paper, result: &ReadResult) {
    for row in &result.rows {
        paper.say("", row);
    }
    and_more(paper, "", result.omitted);
}

fn and_more(paper: &mut Paper, label: &str, omitted: u32) {
    if omitted > 0 {
        paper.say(label, &format!("and {omitted} more"));
    }
}

#[cfg(test)]
mod tests;
