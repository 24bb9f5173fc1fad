//! What somebody else does to the simulated Proxmox, behind the operator's back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proxmox_agent::{
    catalog::{Call, Method},
    core::task::{Sent, TaskState},
    ports::Departure,
    pve::{
        ApiToken, Client, Trust,
        sim::{self, Fault, Simulator, Trigger},
        tasks,
    },
    system::{Alone, SystemClock},
};
use secrecy::SecretString;
use serde_json::Value;

use super::stage::TOKEN;

/// Who may do anything, and is not the operator.
pub(crate) const ROOT: &str = "root@pam!full";

/// As long as a change may take to leave.
pub(crate) fn at_once() -> Departure {
    Departure::within(Arc::new(SystemClock), Arc::new(Alone), Duration::from_secs(5))
}

fn client(sim: &Simulator) -> Client {
    let secret = SecretString::from(format!("{ROOT}={}", sim.tokens()[ROOT]));
    let token = ApiToken::try_from(&secret).unwrap();
    Client::new(&[sim.url()], token, &Trust::Anyone, Duration::from_secs(10)).unwrap()
}

/// Changes something and waits until it is done.
pub(crate) async fn change(sim: &Simulator, method: Method, path: &str, params: &[(&str, &str)]) {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let call = Call {
        method,
        path: path.to_owned(),
        params,
        starts_task: method != Method::Put,
        secrets: BTreeMap::new(),
    };
    let upid = match client(sim).send(&call, &BTreeMap::new(), &at_once()).await {
        Sent::Done => return,
        Sent::Task(upid) => upid,
        other => panic!("{call}: {other:?}"),
    };
    super::patience::until_async(path, async || {
        let state = tasks::task_state(&client(sim), &upid).await.unwrap();
        assert!(!matches!(&state, TaskState::Stopped { exit_status } if exit_status != "OK"), "{state:?}");
        state != TaskState::Running
    })
    .await;
}

/// Sets something in the configuration of a guest.
pub(crate) async fn put(sim: &Simulator, guest: &str, params: &[(&str, &str)]) {
    change(sim, Method::Put, &format!("/nodes/{guest}/config"), params).await;
}

/// Takes a guest out of the care of the HA manager.
pub(crate) async fn unmanage(sim: &Simulator, sid: &str) {
    let path = format!("/cluster/ha/resources/{sid}");
    let call = Call {
        method: Method::Delete,
        path,
        params: BTreeMap::new(),
        starts_task: false,
        secrets: BTreeMap::new(),
    };
    assert_eq!(client(sim).send(&call, &BTreeMap::new(), &at_once()).await, Sent::Done);
}

/// Whether a guest runs right now: `pve1/qemu/100`.
pub(crate) async fn runs(sim: &Simulator, guest: &str) -> bool {
    let current: Value = client(sim).get(&format!("/nodes/{guest}/status/current"), &[]).await.unwrap();
    current["status"] == "running"
}

/// How many of the operator's changes were carried out.
pub(crate) fn executed(sim: &Simulator) -> usize {
    sim.ledger().iter().filter(|e| e.who == TOKEN && e.outcome != sim::Outcome::NotExecuted).count()
}

/// The daemon restarts at the next request, whatever it is, and loses its running tasks.
pub(crate) fn restart(sim: &Simulator) {
    let when = Trigger { method: Some("*".to_owned()), ..Trigger::default() };
    sim.set_faults(vec![Fault::Restart { when, executed: false }]);
}
