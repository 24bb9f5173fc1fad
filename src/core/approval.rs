//! Whether an approval counts, and whether there are enough.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{
    ApprovalVerdict, Decision, GrantedApproval, Phase, PlanStatus, ProxmoxActionApproval,
    ProxmoxActionApprovalSpec, Source, Tier,
};

use super::{demand::Demand, judge::Judged, provenance::Traced};

/// How long an approval without `expiresAt` counts.
pub const DEFAULT_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// What stands behind the name in an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Since this moment the API server's admission policies force the name to be the writer's own.
    Admission { since: Timestamp },
    /// They are not in force, so nobody knows whose name it is.
    NotInForce(String),
    /// The API server let its writer create it, and the owner does without admission policies.
    ApiServer,
    /// Its writer could write to the directory.
    DirectoryAccess,
}

impl Proof {
    /// In plain words, for the status.
    pub fn described(&self) -> &'static str {
        match self {
            Self::Admission { .. } => {
                "an approval is the approver's own: admission policies force approved_by to be whoever creates it, with the right to"
            }
            Self::NotInForce(_) => {
                "an approval is worth nothing as long as the admission policies are not in force: nothing is sent"
            }
            Self::ApiServer => {
                "an approval is worth the right to create approvals on the API server: role bindings decide who has it"
            }
            Self::DirectoryAccess => {
                "an approval is worth write access to this directory: whoever can write here can approve in any name"
            }
        }
    }

    /// Production wants more than write access to a directory.
    pub fn is_enough_for(&self, tier: Tier) -> bool {
        *self != Self::DirectoryAccess || tier != Tier::Production
    }
}

/// What an approval is held against.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    pub plan: &'a ObjectMeta,
    pub requested_by: &'a str,
    pub environment: &'a str,
    pub tier: Tier,
    pub judged: &'a Judged,
    pub proof: &'a Proof,
    pub now: Timestamp,
}

/// An approval, with its origin if it came by git.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub approval: ProxmoxActionApproval,
    pub traced: Option<Traced>,
}

/// Why an approval does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, beginning with the field.
    pub message: String,
}

/// An approval that counts, until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub decision: Decision,
    pub granted: GrantedApproval,
    pub until: Timestamp,
}

/// Judges one approval.
pub fn admit(candidate: &Candidate, bench: Bench<'_>) -> Result<Counted, Refusal> {
    let approval = &candidate.approval;
    let spec = &approval.spec;
    let until =
        expiry(approval).ok_or_else(|| refuse("NotDated", "metadata.creationTimestamp: is missing"))?;
    about_this_plan(spec, bench)?;
    if spec.decision == Decision::Approve {
        of_what_is_there_now(spec, bench)?;
    }
    if until <= bench.now {
        return Err(refuse("Expired", format!("spec.expiresAt: the approval ended at {until}")));
    }
    if spec.attempt.is_some() {
        let message = "spec.attempt: is only for a plan whose outcome is unknown";
        return Err(refuse("NoAttemptToDecide", message));
    }
    if spec.decision == Decision::Approve {
        worth_a_yes(spec, bench)?;
    }
    let granted = GrantedApproval {
        name: approval.metadata.name.clone().unwrap_or_default(),
        uid: approval.metadata.uid.clone().unwrap_or_default(),
        approved_by: spec.approved_by.clone(),
        groups: vec![],
    };
    Ok(Counted { decision: spec.decision, granted, until })
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}

fn about_this_plan(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    let uid = bench.plan.uid.as_deref().unwrap_or_default();
    if bench.plan.name.as_deref() != Some(&spec.plan_ref.name) || spec.plan_ref.uid != uid {
        let message = format!(
            "spec.planRef.uid: is for another plan, {}; the plan of this name is {uid}",
            spec.plan_ref.uid
        );
        return Err(refuse("OtherPlan", message));
    }
    if spec.environment != bench.environment {
        let message =
            format!("spec.environment: is {}, the plan's is {}", spec.environment, bench.environment);
        return Err(refuse("OtherEnvironment", message));
    }
    Ok(())
}

/// A yes is one to a single judgement. A no to an earlier one is no yes to the next.
fn of_what_is_there_now(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    let plan_hash = bench.judged.plan_hash.to_string();
    if spec.plan_hash != plan_hash {
        let message = format!(
            "spec.planHash: is {}, but the plan is judged as {plan_hash} now: look at what it would do now, and approve that",
            spec.plan_hash
        );
        return Err(refuse("OtherPlanHash", message));
    }
    if spec.risk != bench.judged.risk {
        let message = format!("spec.risk: is {}, the plan's is {}", spec.risk, bench.judged.risk);
        return Err(refuse("OtherRisk", message));
    }
    Ok(())
}

/// Anybody may stop a plan; letting it pass takes more.
fn worth_a_yes(spec: &ProxmoxActionApprovalSpec, bench: Bench<'_>) -> Result<(), Refusal> {
    if spec.approved_by == bench.requested_by {
        let message =
            format!("spec.approved_by: {} asked for the plan and can't approve it", spec.approved_by);
        return Err(refuse("OwnPlan", message));
    }
    if spec.source == Some(Source::Git) && *bench.proof != Proof::DirectoryAccess {
        let message =
            "spec.source: approvals by git are not accepted yet: their commit's signature is not verified";
        return Err(refuse("GitNotVerified", message));
    }
    if !bench.proof.is_enough_for(bench.tier) {
        let message = format!(
            "spec.approved_by: {}; an environment of tier production does not accept that",
            bench.proof.described()
        );
        return Err(refuse("NotProven", message));
    }
    Ok(())
}

/// Until when an approval counts. `None` if it has no date at all.
fn expiry(approval: &ProxmoxActionApproval) -> Option<Timestamp> {
    if let Some(expires_at) = &approval.spec.expires_at {
        return Some(expires_at.0);
    }
    approval.metadata.creation_timestamp.as_ref()?.0.checked_add(DEFAULT_LIFETIME).ok()
}

/// All approvals of a plan, judged together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// At most one for each approver.
    pub granted: Vec<GrantedApproval>,
    /// Who said no, if anybody did.
    pub denied_by: Option<GrantedApproval>,
    /// When the first of those granted ends.
    pub stands_until: Option<Timestamp>,
}

/// Judges all approvals of a plan. The order in which they are given does not matter.
pub fn tally(candidates: &[Candidate], bench: Bench<'_>) -> Tally {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by_key(|candidate| candidate.approval.metadata.name.clone());
    let mut tally = Tally::default();
    let mut approvers = BTreeSet::new();
    for candidate in sorted {
        if candidate.approval.metadata.deletion_timestamp.is_some() {
            continue;
        }
        match admit(candidate, bench) {
            Ok(Counted { decision: Decision::Deny, granted, .. }) => tally.denied_by = Some(granted),
            Ok(counted) if approvers.insert(counted.granted.approved_by.clone()) => {
                let until = tally.stands_until.map_or(counted.until, |other| other.min(counted.until));
                tally.stands_until = Some(until);
                tally.granted.push(counted.granted);
            }
            // Each is told on itself why it does not count.
            Ok(_) | Err(_) => {}
        }
    }
    tally.granted.truncate(16);
    tally
}

impl Tally {
    pub fn is_enough(&self, demand: &Demand) -> bool {
        self.denied_by.is_none() && self.granted.len() >= demand.people() as usize
    }
}

/// What an approval is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `None` as long as it can't be said.
    pub verdict: Option<ApprovalVerdict>,
    /// One word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Until when it counts.
    pub until: Option<Timestamp>,
}

impl Verdict {
    /// There is no answer yet.
    pub fn open(reason: &str, message: &str) -> Self {
        Self { verdict: None, reason: reason.to_owned(), message: message.to_owned(), until: None }
    }

    fn counted(until: Option<Timestamp>) -> Self {
        Self {
            verdict: Some(ApprovalVerdict::Counted),
            reason: "Counted".to_owned(),
            message: until.map_or_else(String::new, |until| format!("counts until {until}")),
            until,
        }
    }

    /// The plan can no longer be decided on.
    pub fn too_late(phase: Phase) -> Self {
        Self::refused(refuse("TooLate", format!("the plan was already {phase} when this came")))
    }

    fn refused(refusal: Refusal) -> Self {
        Self {
            verdict: Some(ApprovalVerdict::Refused),
            reason: refusal.reason.to_owned(),
            message: refusal.message,
            until: None,
        }
    }
}

/// Whether an approval counts among all those of its plan. The answer to one that counted stays the same when its plan
/// moves on.
pub fn verdict(
    candidate: &Candidate,
    all: &[Candidate],
    plan_status: Option<&PlanStatus>,
    bench: Bench<'_>,
) -> Verdict {
    let approval = &candidate.approval;
    let phase = plan_status.map(|status| status.phase).unwrap_or_default();
    let over = phase.is_in_flight() || phase.is_terminal();
    let granted =
        plan_status.and_then(|status| status.approvals.as_ref()).map(|progress| progress.granted.as_slice());
    if over && is_among(approval, granted.unwrap_or_default()) {
        return Verdict { until: None, ..Verdict::counted(expiry(approval)) };
    }
    match admit(candidate, bench) {
        Err(refusal) => Verdict::refused(refusal),
        Ok(counted) if counted.decision == Decision::Deny && (!over || phase == Phase::Denied) => {
            Verdict { until: Some(counted.until).filter(|_| !over), ..Verdict::counted(Some(counted.until)) }
        }
        Ok(_) if over => Verdict::too_late(phase),
        Ok(counted) if is_among(approval, &tally(all, bench).granted) => {
            Verdict::counted(Some(counted.until))
        }
        Ok(_) => {
            let message = format!("spec.approved_by: {} has approved already", approval.spec.approved_by);
            Verdict::refused(refuse("ApprovedAlready", message))
        }
    }
}

fn is_among(approval: &ProxmoxActionApproval, granted: &[GrantedApproval]) -> bool {
    granted.iter().any(|granted| Some(&granted.uid) == approval.metadata.uid.as_ref())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::core::lifecycle::tests::judged;

    const UID: &str = "11111111-1111-1111-1111-111111111111";

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn plan() -> ObjectMeta {
        ObjectMeta { name: Some("p".into()), uid: Some(UID.into()), ..Default::default() }
    }

    fn approval(name: &str, by: &str, change: &serde_json::Value) -> Candidate {
        let mut spec = json!({
            "planRef": {"name": "p", "uid": UID}, "planHash": judged(1).plan_hash.to_string(),
            "decision": "Approve", "approved_by": by, "environment": "home", "risk": "critical",
        });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let mut approval = ProxmoxActionApproval::new(name, serde_json::from_value(spec).unwrap());
        approval.metadata.creation_timestamp = Some(Time(now()));
        approval.metadata.uid = Some(format!("uid-of-{name}"));
        Candidate { approval, traced: None }
    }

    fn on_bench<T>(tier: Tier, proof: Proof, look: impl FnOnce(Bench<'_>) -> T) -> T {
        let (plan, judged) = (plan(), judged(1));
        look(Bench {
            plan: &plan,
            requested_by: "agent",
            environment: "home",
            tier,
            judged: &judged,
            proof: &proof,
            now: now(),
        })
    }

    fn admitted(approval: &Candidate) -> Result<Counted, &'static str> {
        on_bench(Tier::Production, Proof::ApiServer, |bench| admit(approval, bench))
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn an_approval_that_fits_counts_for_a_day() {
        let counted = admitted(&approval("a", "me", &json!({}))).unwrap();
        assert_eq!(counted.until, now() + SignedDuration::from_hours(24));
        let until =
            admitted(&approval("a", "me", &json!({"expiresAt": "2999-01-01T00:00:00Z"}))).unwrap().until;
        assert_eq!(until.to_string(), "2999-01-01T00:00:00Z");
    }

    #[test]
    fn each_way_not_to_fit_has_its_own_reason() {
        let other_hash = format!("sha256:{}", "0".repeat(64));
        for (change, reason) in [
            (json!({"planRef": {"name": "p", "uid": UID.replace('1', "2")}}), "OtherPlan"),
            (json!({"planRef": {"name": "q", "uid": UID}}), "OtherPlan"),
            (json!({"planHash": other_hash}), "OtherPlanHash"),
            (json!({"environment": "cloud"}), "OtherEnvironment"),
            (json!({"risk": "high"}), "OtherRisk"),
            (json!({"expiresAt": now().to_string()}), "Expired"),
            (json!({"approved_by": "agent"}), "OwnPlan"),
            (json!({"attempt": 1}), "NoAttemptToDecide"),
            (json!({"source": "git"}), "GitNotVerified"),
        ] {
            assert_eq!(admitted(&approval("a", "me", &change)).unwrap_err(), reason);
        }
        let mut undated = approval("a", "me", &json!({}));
        undated.approval.metadata = ObjectMeta::default();
        assert_eq!(admitted(&undated).unwrap_err(), "NotDated");
    }

    #[test]
    fn production_wants_more_than_an_editor_but_anybody_may_say_no() {
        let judge = |decision: &str| {
            let approval = approval("a", "me", &json!({"decision": decision}));
            on_bench(Tier::Production, Proof::DirectoryAccess, |bench| admit(&approval, bench))
        };
        assert_eq!(judge("Approve").unwrap_err().reason, "NotProven");
        assert!(judge("Deny").is_ok());
        let own = approval("a", "agent", &json!({"decision": "Deny"}));
        assert_eq!(admitted(&own).unwrap().decision, Decision::Deny);
    }

    #[test]
    fn a_no_to_an_earlier_judgement_is_a_no_still() {
        let earlier =
            json!({"planHash": format!("sha256:{}", "0".repeat(64)), "risk": "low", "decision": "Deny"});
        assert_eq!(admitted(&approval("a", "me", &earlier)).unwrap().decision, Decision::Deny);
        let elsewhere = json!({"environment": "cloud", "decision": "Deny"});
        assert_eq!(admitted(&approval("a", "me", &elsewhere)).unwrap_err(), "OtherEnvironment");
    }

    fn told(approval: &Candidate, all: &[Candidate], phase: Phase) -> Verdict {
        let granted = vec![GrantedApproval {
            name: "mine".into(),
            uid: "uid-of-mine".into(),
            approved_by: "me".into(),
            groups: vec![],
        }];
        let approvals = Some(crate::api::ApprovalProgress { granted, ..Default::default() });
        let status = PlanStatus { phase, approvals, ..Default::default() };
        on_bench(Tier::Lab, Proof::ApiServer, |bench| verdict(approval, all, Some(&status), bench))
    }

    #[test]
    fn an_answer_stays_when_its_plan_moves_on_and_asks_for_no_alarm() {
        let (mine, late) = (approval("mine", "me", &json!({})), approval("late", "you", &json!({})));
        let all = [mine.clone(), late.clone()];
        let before = told(&mine, &all, Phase::AwaitingApproval);
        assert!(before.until.is_some());
        for phase in [Phase::Dispatching, Phase::Running, Phase::Succeeded, Phase::Indeterminate] {
            let after = told(&mine, &all, phase);
            assert_eq!((after.verdict, &after.message, after.until), (before.verdict, &before.message, None));
            assert_eq!(told(&late, &all, phase).reason, "TooLate");
        }
    }

    #[test]
    fn a_second_approval_of_the_same_person_is_told_that_it_adds_nothing() {
        let (first, second) = (approval("a", "me", &json!({})), approval("b", "me", &json!({})));
        let all = [first.clone(), second.clone()];
        assert_eq!(told(&first, &all, Phase::AwaitingApproval).reason, "Counted");
        assert_eq!(told(&second, &all, Phase::AwaitingApproval).reason, "ApprovedAlready");
    }

    #[test]
    fn a_later_approval_of_a_name_that_counted_is_another_one() {
        let mut other = approval("mine", "me", &json!({"decision": "Deny"}));
        other.approval.metadata.uid = Some("uid-of-another".into());
        assert_eq!(told(&other, &[other.clone()], Phase::Succeeded).reason, "TooLate");
    }

    proptest! {
        #[test]
        fn the_order_of_approvals_decides_nothing(
            entries in prop::collection::vec((0usize..4, any::<bool>(), any::<bool>()), 0..8),
            seed in any::<prop::sample::Index>(),
        ) {
            let all: Vec<_> = entries.iter().enumerate().map(|(n, (who, fits, denies))| {
                let decision = if *denies && n % 3 == 0 { "Deny" } else { "Approve" };
                let risk = if *fits { "critical" } else { "low" };
                approval(&format!("a{n}"), &format!("person-{who}"), &json!({"decision": decision, "risk": risk}))
            }).collect();
            let mut turned = all.clone();
            if !turned.is_empty() {
                let by = seed.index(turned.len());
                turned.rotate_left(by);
            }
            let count = |approvals: &[_]| on_bench(Tier::Lab, Proof::ApiServer, |bench| tally(approvals, bench));
            prop_assert_eq!(count(&all), count(&turned));
        }

        #[test]
        fn one_person_counts_once_and_one_no_is_enough(times in 1usize..6, denied in any::<bool>()) {
            let mut all: Vec<_> = (0..times).map(|n| approval(&format!("a{n}"), "me", &json!({}))).collect();
            if denied {
                all.push(approval("z", "you", &json!({"decision": "Deny"})));
            }
            let tally = on_bench(Tier::Lab, Proof::ApiServer, |bench| tally(&all, bench));
            prop_assert_eq!(tally.granted.len(), 1);
            prop_assert_eq!(tally.is_enough(&Demand::of(1)), !denied);
            prop_assert!(!tally.is_enough(&Demand::of(2)));
        }
    }
}
