use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A plan that has something in every field.
fn full() -> ProxmoxActionPlan {
    let hash = format!("sha256:{}", "a".repeat(64));
    let long = "has a linked clone of shared:9000/base-9000-disk-0.qcow2 as its boot disk and would not boot";
    serde_json::from_value(json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
        "metadata": {"name": "delete-base", "namespace": "home"},
        "spec": {
            "environment": "lab", "action": "delete_guest", "target": "qemu/9000", "reason": "nobody uses it",
            "requestedBy": "requester@example.test", "notAfter": "2999-01-01T00:00:00Z",
        },
        "status": {
            "phase": "AwaitingApproval", "reason": "ApprovalsMissing", "message": "waits for one more",
            "planHash": hash, "risk": "critical", "riskReasons": ["critical: the disks are gone for good"],
            "policy": {"preset": "strict", "name": "house", "revision": "r1", "decisions": [
                {"by": "rule storage-people", "what": "needs 1 approval of storage"}]},
            "provenance": {"repository": "https://git.example.test/infra.git", "file": "plans/base.yaml",
                "commit": "c0ffee", "author": "A U Thor", "signer": "requester@example.test", "key": "SHA256:k",
                "verdict": "Verified"},
            "approvals": {"required": 2, "progress": "1/2", "granted": [
                {"name": "first", "uid": "u", "approved_by": "approver@example.test", "groups": ["platform"]}],
                "groups": [{"group": "storage", "count": 1}], "missing": ["1 of group storage"],
                "refused": [{"name": "second", "approved_by": "other@example.test", "reason": "OtherPlanHash"}],
                "proof": "an approval is the approver's own"},
            "preview": {
                "summary": "deletes the guest", "calls": [{"method": "DELETE", "path": "/nodes/pve1/qemu/9000",
                    "params": {"purge": "1", "note": "x force=1"}}],
                "meets": {"node": "pve1"}, "changes": [{"what": "guest", "from": "there"}],
                "blastRadius": {"hits": [{"subject": "qemu/101", "effect": long}], "omitted": 3,
                    "unknown": ["replication: no right to see it"]},
                "afterwards": ["pve1 has 8 GiB free"], "warnings": ["it has no backup"],
                "privileges": {"beyond": ["Sys.Modify on /"]}, "omitted": 2,
                "undo": {"how": "can't be undone", "plan": {"action": "restore_guest", "target": "qemu/9000"}},
            },
        },
    }))
    .unwrap()
}

fn with_reason(reason: &str) -> ProxmoxActionPlan {
    let mut plan = full();
    plan.spec.reason = reason.to_owned();
    plan
}

fn labels(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.get(2..12)).map(str::trim).filter(|label| !label.is_empty()).collect()
}

#[test]
fn everything_that_matters_is_there() {
    let text = plan(&full()).lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for piece in [
        "Plan home/delete-base: AwaitingApproval",
        "delete_guest on qemu/9000 in lab",
        "requester@example.test",
        "nobody uses it",
        "2999-01-01T00:00:00Z",
        "critical: the disks are gone for good",
        "DELETE /nodes/pve1/qemu/9000 note=\"x force=1\" purge=1",
        "guest: there -> (nothing)",
        "boot disk and would not boot",
        "and 3 more",
        "replication: no right to see it",
        "it has no backup",
        "and 2 lines more",
        "can't be undone",
        "restore_guest qemu/9000",
        "Sys.Modify on /",
        "house, preset strict, revision r1",
        "rule storage-people: needs 1 approval of storage",
        "commit c0ffee",
        "signed by requester@example.test",
        "approver@example.test (first) for platform",
        "other@example.test (second): OtherPlanHash",
        "1 of group storage",
        "an approval is the approver's own",
        &format!("sha256:{}", "a".repeat(64)),
        "ApprovalsMissing: waits for one more",
    ] {
        assert!(text.contains(piece), "{piece} is not in\n{text}");
    }
}

#[test]
fn what_matters_most_comes_first() {
    let text = plan(&full());
    let labels = labels(&text);
    let at = |label: &str| labels.iter().position(|found| *found == label).unwrap();
    let order = ["asks", "risk", "call", "hits", "warning", "undo", "meets", "policy", "approvals", "now"];
    assert!(order.is_sorted_by_key(|label| at(label)), "{labels:?}");
}

/// A plan of whose last attempt nobody knows what became.
fn in_doubt() -> ProxmoxActionPlan {
    let mut plan = full();
    let status = plan.status.as_mut().unwrap();
    status.phase = crate::api::Phase::Indeterminate;
    status.reason = "NoTaskFound".into();
    let doubt = json!({
        "reason": "NoTaskFound", "known": ["attempt 2: it was announced", "no answer to it is on record"],
        "look": [{"what": "its tasks", "command": "pvesh get /nodes/pve1/tasks --source all --vmid 9000 --since 1795222260"}],
        "next": [{"what": "send it again", "command": "kubectl approve delete-base -n home --attempt 2"}],
    });
    status.doubt = Some(serde_json::from_value(doubt).unwrap());
    plan
}

#[test]
fn a_command_can_be_copied_from_one_line() {
    let text = plan(&in_doubt());
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for line in [
        "pvesh get /nodes/pve1/tasks --source all --vmid 9000 --since 1795222260",
        "kubectl approve delete-base -n home --attempt 2",
    ] {
        assert!(lines.contains(&line), "`{line}` is no line of\n{text}");
    }
    assert!(
        text.contains("known      no answer to it is on record") && text.contains(IT_ASKS.split_at(40).0),
        "{text}"
    );
}

#[test]
fn what_has_become_of_the_question_is_told_beside_what_is_known() {
    let mut left = in_doubt();
    let status = left.status.as_mut().unwrap();
    (status.reason, status.message) = ("LeftAsItIs".into(), "bob decided to leave it".into());
    let text = plan(&left);
    assert!(
        text.contains("LeftAsItIs: bob decided") && text.contains("no answer to it is on record"),
        "{text}"
    );
}

#[test]
fn it_fits_on_a_terminal_of_80_columns() {
    for line in plan(&full()).lines() {
        assert!(columns_of(line) <= 80, "{line}");
    }
}

#[test]
fn a_reason_can_not_paint_over_the_risk() {
    let text = plan(&with_reason("harmless\u{1b}[2K\rrisk low\n  risk       low"));
    assert!(!text.contains('\u{1b}') && !text.contains('\r'));
    assert_eq!(labels(&text).iter().filter(|label| **label == "risk").count(), 1, "{text}");
}

#[test]
fn a_reason_can_not_be_read_backwards() {
    let text = plan(&with_reason("delete the \u{202e}tset\u{202c} guest"));
    assert!(text.contains("delete the <U+202E>tset<U+202C> guest"), "{text}");
}

#[test]
fn colours_add_nothing_but_colours() {
    let coloured = plan_on(Look { coloured: true, ..Look::PLAIN }, &full());
    let codes = regex::Regex::new("\u{1b}\\[[0-9;]+m").unwrap();
    assert!(coloured.contains("\u{1b}[1;31mcritical\u{1b}[0m"), "{coloured:?}");
    let plain = codes.replace_all(&coloured, "");
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed.join("\n"), plan(&full()));
}

proptest! {
    #[test]
    fn whatever_is_written_begins_no_line_and_adds_no_label(reason in any::<String>()) {
        let (honest, shown) = (plan(&with_reason("x")), plan(&with_reason(&format!("x{reason}"))));
        prop_assert_eq!(labels(&honest), labels(&shown));
        for line in shown.lines().skip(1) {
            prop_assert!(line.is_empty() || line.starts_with("  "), "{line}");
            prop_assert!(columns_of(line) <= 80, "{line}");
        }
    }
}
