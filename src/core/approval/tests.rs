use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    api::{ApprovalProgress, Phase, PlanStatus},
    core::{demand::Demand, lifecycle::tests::judged},
};

pub(super) const UID: &str = "11111111-1111-1111-1111-111111111111";

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn plan() -> ObjectMeta {
    ObjectMeta { name: Some("p".into()), uid: Some(UID.into()), ..Default::default() }
}

pub(super) fn approval(name: &str, by: &str, change: &serde_json::Value) -> Candidate {
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

pub(super) fn on_bench<T>(tier: Tier, proof: &Proof, look: impl FnOnce(Bench<'_>) -> T) -> T {
    let (plan, judged) = (plan(), judged(1));
    look(Bench {
        plan: &plan,
        requested_by: "agent",
        environment: "home",
        tier,
        judged: &judged,
        question: None,
        proof,
        now: now(),
    })
}

fn admitted(approval: &Candidate) -> Result<Counted, &'static str> {
    on_bench(Tier::Production, &Proof::ApiServer, |bench| admit(approval, bench))
        .map_err(|refusal| refusal.reason)
}

#[test]
fn an_approval_that_fits_counts_for_a_day() {
    let counted = admitted(&approval("a", "me", &json!({}))).unwrap();
    assert_eq!(counted.until, now() + SignedDuration::from_hours(24));
    let until = |end: Timestamp| {
        admitted(&approval("a", "me", &json!({"expiresAt": end.to_string()}))).map(|counted| counted.until)
    };
    let in_a_week = now() + SignedDuration::from_hours(7 * 24);
    assert_eq!(until(in_a_week), Ok(in_a_week));
    let in_ten_years = now() + SignedDuration::from_hours(3650 * 24);
    assert_eq!(until(in_ten_years), Ok(now() + LONGEST_LIFETIME), "nobody remembers for so long");
}

#[test]
fn an_approval_that_has_ended_counts_no_more_whether_it_names_its_end_or_not() {
    let came_in = now() - SignedDuration::from_hours(24);
    let dated = |change: &serde_json::Value| {
        let mut approval = approval("a", "me", change);
        approval.approval.metadata.creation_timestamp = Some(Time(came_in));
        admitted(&approval).map(|counted| counted.until)
    };
    assert_eq!(dated(&json!({})).unwrap_err(), "Expired");
    assert_eq!(dated(&json!({"decision": "Deny"})).unwrap_err(), "Expired");
    let end = |seconds| json!({"expiresAt": (now() + SignedDuration::from_secs(seconds)).to_string()});
    assert_eq!(dated(&end(0)).unwrap_err(), "Expired");
    assert_eq!(dated(&end(1)), Ok(now() + SignedDuration::from_secs(1)));
}

#[test]
fn an_approval_that_ends_before_it_came_in_never_counts_however_the_clocks_go() {
    let mut early =
        approval("a", "me", &json!({"expiresAt": (now() + SignedDuration::from_secs(60)).to_string()}));
    early.approval.metadata.creation_timestamp = Some(Time(now() + SignedDuration::from_secs(60)));
    assert_eq!(admitted(&early).unwrap_err(), "Expired");
}

#[test]
fn names_are_compared_letter_by_letter_as_kubernetes_does() {
    assert_eq!(admitted(&approval("a", "agent", &json!({}))).unwrap_err(), "OwnPlan");
    assert!(admitted(&approval("a", "Agent", &json!({}))).is_ok());
    let all = [approval("a", "ann", &json!({})), approval("b", "Ann", &json!({}))];
    let tally = on_bench(Tier::Lab, &Proof::ApiServer, |bench| tally(&all, bench));
    assert_eq!(tally.backing.granted.len(), 2);
}

#[test]
fn a_plan_stands_until_the_first_of_its_approvals_ends() {
    let until = |name: &str, by: &str, seconds| {
        let end = now() + SignedDuration::from_secs(seconds);
        approval(name, by, &json!({"expiresAt": end.to_string()}))
    };
    let all = [until("a", "me", 60), until("b", "you", 20), until("c", "they", 40), until("d", "they", 5)];
    let tally = on_bench(Tier::Lab, &Proof::ApiServer, |bench| tally(&all, bench));
    assert_eq!(tally.stands_until, Some(now() + SignedDuration::from_secs(20)), "d adds nothing");
}

#[test]
fn why_an_approval_does_not_count_stands_on_its_plan_the_newest_last() {
    let late = |candidate: &Candidate, seconds| {
        let mut later = candidate.clone();
        later.approval.metadata.creation_timestamp = Some(Time(now() + SignedDuration::from_secs(seconds)));
        later
    };
    let wrong = approval("a-wrong", "me", &json!({"risk": "low"}));
    let own = approval("b-own", "agent", &json!({}));
    let first = approval("c-first", "you", &json!({}));
    let again = approval("d-again", "you", &json!({}));
    let all = [late(&wrong, 3), late(&own, 1), first, late(&again, 2)];
    let backing = on_bench(Tier::Lab, &Proof::ApiServer, |bench| tally(&all, bench)).backing;
    let told: Vec<_> = backing.refused.iter().map(|one| (one.name.as_str(), one.reason.as_str())).collect();
    assert_eq!(told, [("b-own", "OwnPlan"), ("d-again", "ApprovedAlready"), ("a-wrong", "OtherRisk")]);
    assert_eq!(backing.granted.len(), 1);
}

#[test]
fn a_crowd_of_approvals_fits_into_the_status() {
    let wrong = |n: usize| approval(&format!("w{n:02}"), "me", &json!({"risk": "low"}));
    let good = |n: usize| approval(&format!("g{n:02}"), &format!("person-{n}"), &json!({}));
    let all: Vec<_> = (0..20).map(wrong).chain((0..20).map(good)).collect();
    on_bench(Tier::Lab, &Proof::ApiServer, |bench| {
        let backing = tally(&all, bench).backing;
        assert_eq!((backing.granted.len(), backing.refused.len()), (16, 16));
        assert_eq!(told_in(&all[39], &all, Phase::AwaitingApproval, bench).reason, "EnoughOthers");
    });
}

#[test]
fn an_approval_that_goes_while_another_is_looked_into_does_not_count_and_one_that_comes_waits() {
    let (stays, goes) = (approval("a", "me", &json!({})), approval("b", "you", &json!({})));
    let (comes, no) =
        (approval("c", "they", &json!({})), approval("d", "they", &json!({"decision": "Deny"})));
    let mut made_anew = goes.approval.clone();
    made_anew.metadata.uid = Some("another".into());
    let now = [&stays.approval, &made_anew, &comes.approval, &no.approval].map(Clone::clone).to_vec();
    assert_eq!(still_there(vec![stays.clone(), goes], now), [stays, no]);
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
        (json!({"source": "git"}), "GitNotConfigured"),
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
        on_bench(Tier::Production, &Proof::DirectoryAccess, |bench| admit(&approval, bench))
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
    let approvals = Some(ApprovalProgress { granted, ..Default::default() });
    let status = PlanStatus { phase, approvals, ..Default::default() };
    on_bench(Tier::Lab, &Proof::ApiServer, |bench| verdict(approval, all, Some(&status), bench))
}

fn told_in(approval: &Candidate, all: &[Candidate], phase: Phase, bench: Bench<'_>) -> Verdict {
    let status = PlanStatus { phase, ..Default::default() };
    verdict(approval, all, Some(&status), bench)
}

#[test]
fn an_answer_stays_when_its_plan_moves_on_and_asks_for_no_alarm() {
    let (mine, late) = (approval("mine", "me", &json!({})), approval("late", "you", &json!({})));
    let all = [mine.clone(), late.clone()];
    let before = told(&mine, &all, Phase::AwaitingApproval);
    assert!(before.until.is_some());
    for phase in [Phase::Dispatching, Phase::Running, Phase::Succeeded] {
        let after = told(&mine, &all, phase);
        assert_eq!((after.verdict, &after.message, after.until), (before.verdict, &before.message, None));
        assert_eq!(told(&late, &all, phase).reason, "TooLate");
    }
}

fn about(question: Question, approval: &Candidate) -> Result<Counted, &'static str> {
    on_bench(Tier::Lab, &Proof::ApiServer, |bench| {
        admit(approval, Bench { question: Some(question), ..bench }).map_err(|refusal| refusal.reason)
    })
}

#[test]
fn who_decides_about_an_unknown_outcome_names_its_attempt_and_knew_of_it() {
    let second = Question { attempt: 2, since: now() };
    let naming = |attempt: i64| approval("a", "me", &json!({"attempt": attempt}));
    assert!(about(second, &naming(2)).is_ok());
    assert_eq!(about(second, &naming(1)).unwrap_err(), "OtherAttempt");
    assert_eq!(about(second, &naming(3)).unwrap_err(), "OtherAttempt");
    assert_eq!(about(second, &approval("a", "me", &json!({}))).unwrap_err(), "AttemptNotNamed");
    let later = Question { since: now() + SignedDuration::from_secs(1), ..second };
    assert_eq!(about(later, &naming(2)).unwrap_err(), "DecidedTooEarly");
    assert_eq!(about(second, &approval("a", "agent", &json!({"attempt": 2}))).unwrap_err(), "OwnPlan");
}

#[test]
fn a_no_need_not_name_the_attempt_but_one_to_another_attempt_is_none_to_this() {
    let second = Question { attempt: 2, since: now() + SignedDuration::from_secs(1) };
    let no = |change: serde_json::Value| {
        let mut spec = json!({"decision": "Deny"});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        approval("a", "me", &spec)
    };
    assert!(about(second, &no(json!({}))).is_ok());
    assert!(about(second, &no(json!({"attempt": 2}))).is_ok());
    assert_eq!(about(second, &no(json!({"attempt": 1}))).unwrap_err(), "OtherAttempt");
}

#[test]
fn what_an_attempt_was_sent_on_is_not_refused_because_its_outcome_is_unknown() {
    let (mine, new) = (approval("mine", "me", &json!({})), approval("new", "you", &json!({"attempt": 1})));
    let rested_on = serde_json::from_value(json!({
        "name": "mine", "uid": "uid-of-mine", "approved_by": "me",
    }))
    .unwrap();
    let doubt = crate::api::Doubt { approvals: vec![rested_on], ..Default::default() };
    let status = PlanStatus { phase: Phase::Indeterminate, doubt: Some(doubt), ..Default::default() };
    let all = [mine.clone(), new.clone()];
    let told = |candidate: &Candidate, status: &PlanStatus| {
        on_bench(Tier::Lab, &Proof::ApiServer, |bench| {
            let question = Some(Question { attempt: 1, since: now() });
            verdict(candidate, &all, Some(status), Bench { question, ..bench })
        })
    };
    assert_eq!(
        (told(&mine, &status).reason, told(&new, &status).reason),
        ("Counted".into(), "Counted".into())
    );
    let given_up = PlanStatus { reason: "NotSentAgain".into(), message: "it has moved".into(), ..status };
    let answer = told(&new, &given_up);
    assert_eq!((answer.verdict, answer.message.as_str()), (None, "it has moved"));
}

#[test]
fn an_answer_fits_into_the_status_however_many_groups_are_named_in_vain() {
    let groups: Vec<String> = (0..32).map(|number| format!("{number:0>253}")).collect();
    let approval = approval("a", "me", &json!({"approverGroups": groups}));
    let answer = told(&approval, std::slice::from_ref(&approval), Phase::AwaitingApproval);
    assert_eq!((answer.reason.as_str(), answer.message.chars().count()), ("Counted", 4096));
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
        let count = |approvals: &[_]| on_bench(Tier::Lab, &Proof::ApiServer, |bench| tally(approvals, bench));
        prop_assert_eq!(count(&all), count(&turned));
    }

    #[test]
    fn one_person_counts_once_and_one_no_is_enough(times in 1usize..6, denied in any::<bool>()) {
        let mut all: Vec<_> = (0..times).map(|n| approval(&format!("a{n}"), "me", &json!({}))).collect();
        if denied {
            all.push(approval("z", "you", &json!({"decision": "Deny"})));
        }
        let tally = on_bench(Tier::Lab, &Proof::ApiServer, |bench| tally(&all, bench));
        prop_assert_eq!(tally.backing.granted.len(), 1);
        prop_assert_eq!(tally.is_enough(&Demand::of(1)), !denied);
        prop_assert!(!tally.is_enough(&Demand::of(2)));
    }
}
