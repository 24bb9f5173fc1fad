//! Every fault switch, and what the ledger says about it.
use std::time::Duration;

use proxmox_agent::pve::sim::{Delivery, Fault, Outcome};
use reqwest::Method;
use serde_json::json;

use crate::setting::{START, Setting, data, starts};

#[tokio::test]
async fn a_lost_request_is_in_the_ledger_as_not_executed() {
    let setting = Setting::start().await;
    setting.fault(Fault::LostRequest { when: starts() });
    assert!(setting.start_guest().await.is_err());
    let entry = &setting.simulator.ledger()[0];
    assert_eq!((entry.outcome, entry.delivery), (Outcome::NotExecuted, Delivery::Lost));
    assert_eq!((entry.status, &entry.upid), (None, &None));
    assert_eq!(setting.guest_status().await, "stopped");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_lost_response_is_in_the_ledger_as_executed() {
    let setting = Setting::start().await;
    setting.fault(Fault::LostResponse { when: starts() });
    assert!(setting.start_guest().await.is_err());
    let entry = setting.simulator.ledger().remove(0);
    assert_eq!((entry.outcome, entry.delivery), (Outcome::Executed, Delivery::Lost));
    assert_eq!(entry.who, "root@pam!full");
    assert_eq!(setting.exit_of(&entry.upid.unwrap()).await, "OK");
    assert_eq!(setting.guest_status().await, "running");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_late_response_comes_after_the_client_gave_up() {
    let setting = Setting::start().await;
    setting.fault(Fault::LateResponse { when: starts(), seconds: 30.0 });
    let impatient = setting.request(Method::POST, START).timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let entry = setting.simulator.ledger().remove(0);
    assert_eq!((entry.outcome, entry.delivery), (Outcome::Executed, Delivery::Late));
    setting.simulator.stop().await;
}

#[tokio::test]
async fn proxy_errors_are_bare_and_may_or_may_not_have_executed() {
    let setting = Setting::start().await;
    for (status, executed) in [(500, false), (595, false), (596, true), (599, true)] {
        setting.fault(Fault::Answer { when: starts(), status, reason: None, executed });
        let response = setting.start_guest().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.bytes().await.unwrap().is_empty(), status != 500);
        let entry = setting.simulator.ledger().pop().unwrap();
        assert_eq!(entry.delivery, Delivery::Replaced);
        assert_eq!(entry.outcome == Outcome::Executed, executed, "{status}");
    }
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_slow_task_is_still_running_when_others_would_be_done() {
    let setting = Setting::start().await;
    setting.fault(Fault::SlowTask { types: vec!["qmstart".into()], seconds: 600.0 });
    let upid = data(setting.start_guest().await.unwrap()).await;
    let active = setting.get("/nodes/pve1/tasks?source=active").await;
    assert_eq!(active[0]["upid"], upid);
    assert_eq!(active[0]["status"], "RUNNING");
    assert_eq!(setting.get("/nodes/pve1/tasks").await, json!([]), "the archive has only what is over");
    let path = format!("/nodes/pve1/tasks/{}", upid.as_str().unwrap());
    setting.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(setting.exit_of(upid.as_str().unwrap()).await, "received interrupt");
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_task_list_may_lag_behind_the_tasks_status() {
    let setting = Setting::start().await;
    setting.fault(Fault::LaggingTaskList { seconds: 600.0 });
    let upid = data(setting.start_guest().await.unwrap()).await;
    assert_eq!(setting.exit_of(upid.as_str().unwrap()).await, "OK");
    assert_eq!(setting.get("/nodes/pve1/tasks?source=all").await, json!([]));
    setting.simulator.set_faults(Vec::new());
    assert_eq!(setting.get("/nodes/pve1/tasks?source=all").await[0]["upid"], upid);
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_task_list_may_lose_rows_for_good() {
    let setting = Setting::start().await;
    setting.fault(Fault::LossyTaskList { types: vec!["qmstart".into()] });
    let upid = data(setting.start_guest().await.unwrap()).await;
    assert_eq!(setting.exit_of(upid.as_str().unwrap()).await, "OK");
    for list in ["/nodes/pve1/tasks?source=all", "/cluster/tasks"] {
        assert_eq!(setting.get(list).await, json!([]), "{list}");
    }
    setting.simulator.stop().await;
}

#[tokio::test]
async fn a_restart_ends_running_tasks_and_connections() {
    let setting = Setting::start().await;
    setting.fault(Fault::Restart { when: starts(), executed: true });
    assert!(setting.start_guest().await.is_err());
    let entry = setting.simulator.ledger().remove(0);
    assert_eq!(entry.outcome, Outcome::Executed);
    assert_eq!(setting.exit_of(&entry.upid.unwrap()).await, "unexpected status");
    assert_eq!(setting.guest_status().await, "stopped");
    setting.simulator.stop().await;
}
