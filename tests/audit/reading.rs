//! `proxmox-agent audit` over the log of plans that were carried out.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    desk::{audit, carried_out, log},
    support::{house::House, manifests::REQUESTER},
};

fn shown(house: &House, more: &[&str]) -> Vec<Value> {
    let told = audit(&[&["show", &log(house), "-o", "json"][..], more].concat());
    assert_eq!(told.code, 0, "{told:?}");
    told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(records: &'a [Value], event: &str) -> &'a Value {
    records
        .iter()
        .find(|record| record["event"] == event)
        .unwrap_or_else(|| panic!("no {event}: {records:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_approvals_calls_outcomes_and_refused_requests_are_on_record() {
    let house = carried_out().await;
    let all = shown(&house, &[]);
    let plan = shown(&house, &["--plan", "delete", "-n", "default", "--environment", "home"]);
    assert_eq!(shown(&house, &["--open"]), Vec::<Value>::new());
    let planned = of(&plan, "planned");
    assert_eq!(planned["request"]["reason"], "it is old");
    assert_eq!(planned["actor"], serde_json::json!({"role": "requester", "name": REQUESTER}));
    assert!(planned["preview"]["summary"].is_string(), "{planned}");
    let intent = of(&plan, "intent");
    assert_eq!((&intent["decision"], &intent["attempt"]), (&"Approve".into(), &1.into()));
    let approval = &intent["approvals"][0];
    assert_eq!(
        (&approval["approved_by"], &approval["reason"]),
        (&"approver@example.test".into(), &"checked".into())
    );
    assert!(approval["uid"].is_string() && approval["expiresAt"].is_string(), "{approval}");
    let ended = of(&plan, "ended");
    assert_eq!((&ended["outcome"], &ended["task"]["exitStatus"]), (&"Succeeded".into(), &"OK".into()));
    assert!(ended["task"]["log"].as_array().unwrap().iter().any(|line| line == "TASK OK"), "{ended}");
    assert_eq!(ended["upid"], of(&plan, "sent")["upid"]);
    assert_eq!(of(&all, "denied")["plan"], "wrong");
    let refused: Vec<&Value> = all.iter().filter(|record| record["event"] == "refused").collect();
    assert_eq!(refused.len(), 1, "once, although it was looked at twice: {refused:#?}");
    assert_eq!(refused[0]["plan"], "broken");
    assert!(refused[0]["refused"]["file"].as_str().unwrap().ends_with("broken.yaml"), "{refused:#?}");
    assert!(shown(&house, &["--since", "2999-01-01T00:00:00Z"]).is_empty());
    let text = audit(&["show", &log(&house), "--plan", "delete"]).stdout;
    assert_eq!(text.lines().count(), plan.len(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_verifies_with_what_environments_kept_of_it_and_a_change_shows() {
    let house = carried_out().await;
    let folder = log(&house);
    let environment = house.state().join("objects/proxmoxenvironments/default/home.yaml");
    let anchors = environment.display().to_string();
    let fine = audit(&["verify", &folder, "--anchors", &anchors]);
    assert_eq!(fine.code, 0, "{fine:?}");
    assert_eq!(fine.stdout.lines().last(), Some("no problem found"), "{fine:?}");
    let kept = fs::read_to_string(&environment).unwrap();
    assert!(kept.contains("chain: standalone-"), "{kept}");
    assert!(house.kept().iter().any(|(_, text)| text.contains("AuditAnchored")));

    let segment = Path::new(&folder).join("00000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("it is old", "it is odd")).unwrap();
    let changed = audit(&["verify", &folder]);
    assert_eq!(changed.code, 1, "{changed:?}");
    assert!(changed.stdout.lines().nth(1).unwrap().contains("00000001.jsonl:"), "{changed:?}");

    // What was cut off leaves a log that is right in itself.
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&segment, format!("{}\n", lines[..lines.len() - 1].join("\n"))).unwrap();
    let alone = audit(&["verify", &folder]);
    let closing = "no problem found; that the end of a log is missing only shows with --anchors";
    assert_eq!((alone.code, alone.stdout.lines().last()), (0, Some(closing)), "{alone:?}");
    let cut = audit(&["verify", &folder, "--anchors", &anchors]);
    assert!(cut.code == 1 && cut.stdout.contains("is cut off"), "{cut:?}");
    assert!(cut.stdout.contains("environment default/home at "), "{cut:?}");
}
