//! A plan as a person needs it, before saying yes.

use kube::ResourceExt;

use crate::api::{PlanStatus, Preview, PreviewedChange, ProxmoxActionPlan};

/// Several lines, without a trailing newline. Control characters of whoever wrote the plan don't reach the terminal.
pub(super) fn plan(plan: &ProxmoxActionPlan) -> String {
    let mut lines = Vec::new();
    let namespace = plan.namespace().unwrap_or_default();
    let phase = plan.status.as_ref().map(|status| status.phase).unwrap_or_default();
    lines.push(format!("Plan {namespace}/{}: {phase}", plan.name_any()));
    let spec = &plan.spec;
    let mut say = |label: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("  {label:<10} {}", printable(text)));
        }
    };
    say("asks", &format!("{} on {} in {}", spec.action, spec.target, spec.environment));
    say("asked by", &spec.requested_by);
    say("because", &spec.reason);
    if spec.dry_run {
        say("dry run", "nothing will be sent");
    }
    if let Some(status) = &plan.status {
        say_status(status, &mut say);
    }
    lines.join("\n")
}

fn say_status(status: &PlanStatus, say: &mut impl FnMut(&str, &str)) {
    if let Some(preview) = &status.preview {
        say("does", &preview.summary);
        for call in &preview.calls {
            let params: Vec<String> =
                call.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            say("call", &format!("{} {} {}", call.method, call.path, params.join(" ")));
        }
        say_preview(preview, say);
    }
    for reason in &status.risk_reasons {
        say("risk", reason);
    }
    if let Some(approvals) = &status.approvals {
        say("approvals", &approvals.progress);
        for granted in &approvals.granted {
            say("", &format!("{} ({})", granted.approved_by, granted.name));
        }
        say("proof", &approvals.proof);
    }
    say("planHash", status.plan_hash.as_deref().unwrap_or_default());
    say("upid", status.upid.as_deref().unwrap_or_default());
    say("now", &format!("{}: {}", status.reason, status.message));
    if let Some(result) = &status.result {
        for row in &result.rows {
            say("", row);
        }
        if result.omitted > 0 {
            say("", &format!("and {} more", result.omitted));
        }
    }
}

fn say_preview(preview: &Preview, say: &mut impl FnMut(&str, &str)) {
    for (name, value) in &preview.meets {
        say("meets", &format!("{name}: {value}"));
    }
    for PreviewedChange { what, from, to } in &preview.changes {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(nothing)".to_owned());
        say("changes", &format!("{what}: {} -> {}", shown(from), shown(to)));
    }
    for hit in &preview.blast_radius.hits {
        let detail = if hit.detail.is_empty() { String::new() } else { format!(" ({})", hit.detail) };
        say("hits", &format!("{} {}{detail}", hit.subject, hit.effect));
    }
    if preview.blast_radius.omitted > 0 {
        say("hits", &format!("and {} more", preview.blast_radius.omitted));
    }
    for why in &preview.blast_radius.unknown {
        say("unknown", why);
    }
    for line in &preview.afterwards {
        say("after", line);
    }
    for warning in &preview.warnings {
        say("warning", warning);
    }
    for privilege in &preview.privileges.beyond {
        say("token", &format!("may also do what this does not need: {privilege}"));
    }
    if preview.omitted > 0 {
        say("", &format!("and {} lines more", preview.omitted));
    }
    say("undo", &preview.undo.how);
    if let Some(plan) = &preview.undo.plan {
        let params: Vec<String> = plan.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        say("", &format!("{} {} {}", plan.action, plan.target, params.join(" ")));
    }
}

pub(super) fn printable(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ProxmoxActionPlanSpec;

    #[test]
    fn a_reason_can_not_paint_over_the_risk() {
        let spec = ProxmoxActionPlanSpec {
            reason: "harmless\u{1b}[2K\rrisk low\n  risk       low".into(),
            ..Default::default()
        };
        let text = plan(&ProxmoxActionPlan::new("p", spec));
        assert!(!text.contains('\u{1b}') && !text.contains('\r'));
        assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("risk")).count(), 0);
    }
}
