//! What a person reads who has to find out what became of an attempt.

use super::{
    tests::{UPID, draft, judged, noon, order, sent, upid},
    *,
};
use crate::{
    api::{Doubt, PlanStatus, PreviewedCall, ProxmoxActionPlan, ProxmoxActionPlanSpec},
    core::{
        approval::{Proof, Tally},
        judge::Judged,
        task::{Sent, TaskState},
        traces::Traces,
    },
};

fn status(state: &State) -> PlanStatus {
    report(state, None, Some(1), Some(&Proof::ApiServer), noon())
}

fn unclear() -> PlanStatus {
    let mut judged: Judged = judged(0);
    judged.preview.calls = vec![PreviewedCall {
        method: "POST".into(),
        path: "/nodes/pve1/qemu/100/status/start".into(),
        params: Default::default(),
    }];
    let draft = IntentDraft { digest: Some("d1".into()), ..draft() };
    let confirmed = State::Confirmed { judged, backing: Default::default(), draft, before: None };
    let (state, _) = step(&order(), confirmed, Event::Approvals(Tally::default()), noon());
    status(&step(&order(), state, Event::Traces(Traces::Unclear("nothing tells".into())), noon()).0)
}

fn commands(doubt: &Doubt) -> Vec<&str> {
    doubt.look.iter().map(|hint| hint.command.as_str()).collect()
}

#[test]
fn it_is_told_what_was_sent_when_where_by_whom_and_what_came_of_it() {
    let doubt = unclear().doubt.unwrap();
    let known = doubt.known.join("\n");
    for part in [
        "attempt 1: POST /nodes/pve1/qemu/100/status/start was announced at 2026-11-21T00:51:10Z",
        "on node pve1, by token agent@pve!operator, for the configuration of digest d1",
        "no answer to it is on record",
        "node pve1 lists no task of agent@pve!operator",
        "nothing tells",
    ] {
        assert!(known.contains(part), "`{part}` is missing in: {known}");
    }
    assert_eq!(
        commands(&doubt),
        [
            "pvesh get /nodes/pve1/tasks --source all --vmid 100 --since 1795222260 --limit 500",
            "pvesh get /nodes/pve1/qemu/100/status/current",
            "pvesh get /nodes/pve1/qemu/100/config",
        ]
    );
}

#[test]
fn an_answer_that_tells_nothing_is_told_as_it_came_and_not_as_missing() {
    let why = "the answer (HTTP 502 Bad Gateway) does not tell whether it was carried out";
    let (state, effects) =
        step(&order(), sent(&order()).0, Event::Sent(Sent::Unknown { why: why.into() }), noon());
    assert!(effects.contains(&Effect::WriteStatus));
    let under_way = status(&state);
    assert!(under_way.message.contains(why), "{}", under_way.message);
    // Whatever stands in the way meanwhile, and whoever goes on with it.
    let blocked = Event::Blocked(Blocked { reason: "ProxmoxUnavailable".into(), message: "down".into() });
    let (state, _) = step(&order(), read(Some(&under_way)).unwrap(), blocked, noon());
    let again = read(Some(&status(&state))).unwrap();
    let (state, _) = step(&order(), again, Event::Traces(Traces::Unclear("nothing tells".into())), noon());
    let known = status(&state).doubt.unwrap().known;
    assert_eq!(known[1], why, "{known:?}");
}

#[test]
fn a_task_that_is_known_is_named_where_its_log_is() {
    let (state, _) = step(&order(), sent(&order()).0, Event::Sent(Sent::Task(upid())), noon());
    let status = status(&step(&order(), state, Event::Task(TaskState::Vanished), noon()).0);
    let doubt = status.doubt.unwrap();
    assert!(doubt.known[0].contains(UPID), "{:?}", doubt.known);
    assert_eq!(commands(&doubt)[0], format!("pvesh get /nodes/pve1/tasks/{UPID}/log"));
}

#[test]
fn what_to_type_is_what_is_typed_in_that_home() {
    let mut plan = ProxmoxActionPlan::new("p", ProxmoxActionPlanSpec::default());
    plan.metadata.namespace = Some("home".into());
    let typed = |status: &PlanStatus, home| -> Vec<String> {
        let next = what_to_type(&plan, status, &home);
        next.into_iter().map(|hint| hint.command).filter(|command| !command.is_empty()).collect()
    };
    let status = unclear();
    let kubectl = "kubectl approve p -n home --attempt 1";
    assert_eq!(typed(&status, Home::Cluster), [kubectl.to_owned(), format!("{kubectl} --deny")]);
    let directory = Home::Directory("--dir /srv/plans".to_owned());
    assert_eq!(
        typed(&status, directory)[0],
        "proxmox-agent approve p --dir /srv/plans -n home --attempt 1 --by YOU"
    );
    let left = PlanStatus { reason: LEFT_AS_IT_IS.into(), ..status.clone() };
    assert_eq!(typed(&left, Home::Cluster), Vec::<String>::new());
    let given_up = PlanStatus { reason: "NotSentAgain".into(), ..status };
    assert_eq!(typed(&given_up, Home::Cluster), [format!("{kubectl} --deny")]);
}
