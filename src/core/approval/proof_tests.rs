//! What stands behind the names in approvals and plans.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{
    tests::{approval, now, on_bench},
    *,
};
use crate::{
    api::{ApprovalVerdict, PlanStatus, Provenance, ProxmoxActionPlan, Tier},
    core::{demand::Demand, provenance::Traced, signed::Evidence},
};

fn earlier(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn since(seconds_ago: i64) -> Proof {
    Proof::Admission { since: earlier(seconds_ago) }
}

fn missing() -> Proof {
    Proof::NotInForce("binding approvals is missing".into())
}

/// The groups of an approval, or why it does not count.
fn judged_under(proof: &Proof, candidate: &Candidate) -> Result<Vec<String>, &'static str> {
    on_bench(Tier::Production, proof, |bench| admit(candidate, bench))
        .map(|counted| counted.granted.groups)
        .map_err(|refusal| refusal.reason)
}

fn by_git(change: &Value, groups: &[&str], refusal: Option<Refusal>) -> Candidate {
    let mut candidate = approval("a", "me", change);
    candidate.approval.spec.source = Some(crate::api::Source::Git);
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    candidate.traced =
        Some(Traced { provenance: Provenance::default(), groups, refusal, evidence: Evidence::default() });
    candidate
}

#[test]
fn groups_count_only_as_far_as_they_are_proven() {
    let claims = approval("a", "me", &json!({"approverGroups": ["ops", "storage"]}));
    assert_eq!(judged_under(&since(1), &claims), Ok(vec!["ops".into(), "storage".into()]));
    assert_eq!(judged_under(&Proof::ApiServer, &claims), Ok(vec![]));
    let in_a_lab = on_bench(Tier::Lab, &Proof::DirectoryAccess, |bench| admit(&claims, bench)).unwrap();
    assert_eq!(in_a_lab.granted.groups, Vec::<String>::new());
    let signed = by_git(&json!({"approverGroups": ["storage"]}), &["ops"], None);
    assert_eq!(judged_under(&since(1), &signed), Ok(vec!["ops".into()]));
}

#[test]
fn whoever_claims_a_group_in_vain_is_told_so() {
    let claims = approval("a", "me", &json!({"approverGroups": ["ops", "storage"]}));
    let told = |candidate: &Candidate, proof: &Proof| {
        let all = [candidate.clone()];
        let status = PlanStatus::default();
        on_bench(Tier::Lab, proof, |bench| verdict(candidate, &all, Some(&status), bench))
    };
    for proof in [Proof::ApiServer, Proof::DirectoryAccess] {
        let verdict = told(&claims, &proof);
        assert_eq!(verdict.verdict, Some(ApprovalVerdict::Counted));
        assert!(
            verdict.message.ends_with("but for no group named ops or storage, because nothing proves that")
        );
    }
    assert!(!told(&claims, &since(1)).message.contains("group"));
    let signed = by_git(&json!({"approverGroups": ["ops", "storage"]}), &["ops"], None);
    assert!(told(&signed, &since(1)).message.contains("no group named storage,"));
}

#[test]
fn what_came_in_before_the_policies_were_known_to_be_in_force_never_counts() {
    let me = approval("a", "me", &json!({}));
    assert!(judged_under(&since(1), &me).is_ok());
    assert_eq!(judged_under(&since(0), &me), Err("NotAdmitted"), "dates are whole seconds");
    assert_eq!(judged_under(&since(-1), &me), Err("NotAdmitted"));
    assert_eq!(judged_under(&missing(), &me), Err("NotAdmitted"));
    let message = on_bench(Tier::Lab, &missing(), |bench| admit(&me, bench)).unwrap_err().message;
    assert!(message.contains("binding approvals is missing"), "{message}");
    let tally = on_bench(Tier::Lab, &since(0), |bench| tally(std::slice::from_ref(&me), bench));
    assert_eq!(tally.backing.granted, []);
    assert_eq!(tally.backing.refused[0].reason, "NotAdmitted");
}

#[test]
fn a_signature_counts_whatever_the_home_is_worth() {
    let signed = by_git(&json!({}), &[], None);
    for proof in [since(-1), missing(), Proof::ApiServer, Proof::DirectoryAccess] {
        assert_eq!(judged_under(&proof, &signed), Ok(vec![]));
    }
    assert_eq!(judged_under(&Proof::DirectoryAccess, &approval("a", "me", &json!({}))), Err("NotProven"));
}

#[test]
fn what_says_to_come_by_git_counts_for_nothing_without_a_good_signature() {
    let unsigned = Refusal { reason: "Unsigned", message: "spec.source: nobody signed".into() };
    let unsigned = by_git(&json!({}), &["ops"], Some(unsigned));
    let untraced = Candidate { traced: None, ..unsigned.clone() };
    for proof in [since(1), Proof::ApiServer] {
        assert_eq!(judged_under(&proof, &unsigned), Err("Unsigned"));
        assert_eq!(judged_under(&proof, &untraced), Err("GitNotConfigured"));
    }
    let in_a_lab = |candidate| on_bench(Tier::Lab, &Proof::DirectoryAccess, |bench| admit(candidate, bench));
    assert_eq!(in_a_lab(&unsigned).unwrap_err().reason, "Unsigned");
    assert_eq!(in_a_lab(&untraced).unwrap_err().reason, "GitNotConfigured");
}

#[test]
fn a_no_stops_a_plan_whatever_is_proven_about_it_and_says_so() {
    let no = approval("a", "me", &json!({"decision": "Deny"}));
    let unsigned = Refusal { reason: "Unsigned", message: "spec.source: nobody signed".into() };
    let by_git = by_git(&json!({"decision": "Deny"}), &[], Some(unsigned));
    let denied = |candidate: &Candidate, proof: &Proof| {
        on_bench(Tier::Production, proof, |bench| tally(std::slice::from_ref(candidate), bench)).denied_by
    };
    assert_eq!(denied(&no, &since(1)).unwrap().note, None);
    for proof in [since(-1), missing(), Proof::DirectoryAccess] {
        let note = denied(&no, &proof).unwrap().note.unwrap();
        assert!(note.contains("nothing proves whose it is"), "{note}");
        assert!(denied(&by_git, &proof).is_some());
    }
}

#[test]
fn it_is_said_that_the_policies_are_not_in_force_even_if_nobody_has_to_approve() {
    let tally = on_bench(Tier::Lab, &missing(), |bench| tally(&[], bench));
    assert_eq!(tally.not_in_force.as_deref(), Some("binding approvals is missing"));
    assert!(tally.is_enough(&Demand::default()));
    assert_eq!(on_bench(Tier::Lab, &since(1), |bench| super::tally(&[], bench)).not_in_force, None);
}

fn plan(action: &str, change: &Value) -> ProxmoxActionPlan {
    let mut spec =
        json!({"environment": "home", "action": action, "target": "qemu/100", "requestedBy": "ann"});
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let mut plan = ProxmoxActionPlan::new("p", serde_json::from_value(spec).unwrap());
    plan.metadata.creation_timestamp = Some(Time(now()));
    plan
}

#[test]
fn nothing_is_changed_in_a_name_that_nobody_has_proven() {
    let delete = plan("delete_guest", &json!({}));
    let refused = |plan: &ProxmoxActionPlan, proof: &Proof| {
        requester_not_proven(plan, proof).map(|denial| denial.reason)
    };
    assert_eq!(refused(&delete, &since(1)), None);
    assert_eq!(refused(&delete, &since(0)), Some("RequesterNotProven"), "dates are whole seconds");
    assert_eq!(refused(&delete, &since(-1)), Some("RequesterNotProven"));
    let mut undated = delete.clone();
    undated.metadata.creation_timestamp = None;
    assert_eq!(refused(&undated, &since(1)), Some("RequesterNotProven"));
    for proof in [Proof::ApiServer, Proof::DirectoryAccess] {
        assert_eq!(refused(&delete, &proof), None);
    }
    assert_eq!(refused(&delete, &missing()), None, "it waits: they may be done without");
}

#[test]
fn who_only_looks_need_not_prove_who_they_are_and_git_proves_it_by_itself() {
    for harmless in [
        plan("delete_guest", &json!({"dryRun": true})),
        plan("read_inventory", &json!({})),
        plan("delete_guest", &json!({"source": "git", "notAfter": "2999-01-01T00:00:00Z"})),
    ] {
        assert_eq!(requester_not_proven(&harmless, &since(-1)), None);
    }
}
