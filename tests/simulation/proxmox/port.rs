//! The way to the Proxmox: the engine's port, and what goes wrong on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use proxmox_agent::{
    api::ProxmoxEnvironment,
    catalog::{Call, GuestRef, Method, Reading, Target},
    core::{
        ha::HaGuest,
        observe::{Found, InventoryRow, NodeRow, Query, Readout, World},
        task::{Sent, TaskLog, TaskState, Upid},
    },
    ports::{Departure, Hypervisor, HypervisorError, Hypervisors, Key},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use super::{
    Cluster,
    guests::{Done, Entry, Looked, No, reference},
};
use crate::{dice::Dice, history::History, weather::Weather};

/// What the environment says.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// One replica's way to the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) cluster: Arc<Mutex<Cluster>>,
    pub(crate) dice: Dice,
    pub(crate) weather: Arc<Weather>,
    pub(crate) history: History,
    pub(crate) who: String,
    pub(crate) token: String,
    /// A planted error: a call whose answer is lost is sent again.
    pub(crate) repeats: bool,
}

/// What becomes of a call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    NoConnection,
    Lost,
    AnswerLost,
    /// It arrives when the answer is no longer waited for, as late as a node that passes it on may be.
    Late,
    /// 595: nobody was reached behind the one that was asked, or not the second time.
    NotPassedOn,
    /// 596: it was reached, and what it said is lost.
    PassedOnAndBroken,
    /// The worker could not be started.
    NoWorker,
}

impl Line {
    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.settle(self.history.elapsed());
        cluster
    }

    /// Waits for an answer, which may be none.
    async fn ask(&self, what: &str) -> Result<MutexGuard<'_, Cluster>, HypervisorError> {
        tokio::time::sleep(self.dice.millis(2..40)).await;
        if self.weather.strikes(&self.dice, self.weather.reads) {
            self.history.fault("Proxmox read fails");
            let pause = if self.dice.permille(500) { REQUEST_TIMEOUT } else { Duration::from_millis(5) };
            tokio::time::sleep(pause).await;
            return Err(HypervisorError { message: format!("failed to {what}: 595 No route to host") });
        }
        Ok(self.cluster())
    }

    fn fate(&self) -> Fate {
        if !self.weather.strikes(&self.dice, self.weather.calls) {
            return Fate::Fine;
        }
        let (fate, kind) = *self.dice.one_of(&[
            (Fate::NoConnection, "call not sent"),
            (Fate::Lost, "call lost"),
            (Fate::AnswerLost, "call's answer lost"),
            (Fate::AnswerLost, "call's answer lost"),
            (Fate::Late, "call late"),
            (Fate::Late, "call late"),
            (Fate::NotPassedOn, "call 595"),
            (Fate::PassedOnAndBroken, "call 596"),
            (Fate::NoWorker, "call without a worker"),
        ]);
        self.history.fault(kind);
        fate
    }

    /// What has left arrives, whatever becomes of whoever sent it.
    fn hand_over(&self, call: &Call, fate: Fate) -> oneshot::Receiver<Result<Done, No>> {
        let (tell, told) = oneshot::channel();
        let (line, call, left_at) = (self.clone(), call.clone(), self.history.elapsed());
        tokio::spawn(async move {
            let way = if fate == Fate::Late { 2_000..35_000 } else { 1..60 };
            tokio::time::sleep(line.dice.millis(way)).await;
            if fate == Fate::Lost || fate == Fate::NotPassedOn && !line.was_passed_on_before(&call) {
                return;
            }
            let answer = line.arrive(&call, left_at, fate);
            tokio::time::sleep(line.dice.millis(1..60)).await;
            if [Fate::Fine, Fate::NoWorker].contains(&fate) {
                let _ = tell.send(answer);
            }
        });
        told
    }

    /// Proxies repeat what counts as harmless to repeat, and tell of the second time alone.
    fn was_passed_on_before(&self, call: &Call) -> bool {
        call.method != Method::Post && self.dice.permille(500)
    }

    fn arrive(&self, call: &Call, left_at: Duration, fate: Fate) -> Result<Done, No> {
        let at = self.history.elapsed();
        let seconds = self.history.now().as_second();
        let mut cluster = self.cluster();
        let answer = match fate {
            Fate::NoWorker => Err((500, "got no worker upid - start worker failed".to_owned())),
            _ => cluster.carry_out(call, &self.token, seconds, at, &self.dice),
        };
        self.history.note(
            "proxmox",
            format!("{call} {:?} of {} left at {left_at:?}: {answer:?}", call.params, self.who),
        );
        let entry =
            Entry { at, left_at, by: self.who.clone(), call: call.clone(), done: answer.clone().ok() };
        cluster.ledger.push(entry);
        answer
    }

    async fn send_once(&self, call: &Call) -> Sent {
        let fate = self.fate();
        self.history.note(&self.who, format!("sends {call} {:?}: {fate:?}", call.params));
        if fate == Fate::NoConnection {
            tokio::time::sleep(self.dice.millis(1..2_000)).await;
            return Sent::NotSent { why: "no connection came about: refused".to_owned() };
        }
        let told = tokio::time::timeout(REQUEST_TIMEOUT, self.hand_over(call, fate)).await;
        match told {
            Ok(Ok(Ok(Done::Task(upid)))) => Sent::Task(upid.parse().unwrap()),
            Ok(Ok(Ok(Done::AtOnce))) => Sent::Done,
            Ok(Ok(Err((status, message)))) => Sent::Refused { status, message },
            Ok(Err(_)) if fate == Fate::NotPassedOn && call.method == Method::Post => {
                Sent::NotSent { why: "Proxmox could not pass it on: HTTP 595 No route to host".to_owned() }
            }
            Ok(Err(_)) => Sent::Unknown { why: format!("{fate:?}") },
            Err(_) => Sent::Unknown { why: "timed out".to_owned() },
        }
    }
}

impl Hypervisors for Line {
    type Connection = Self;

    fn connect(&self, _: &ProxmoxEnvironment, token: &SecretString) -> Result<Self, HypervisorError> {
        let id = token.expose_secret().split('=').next().unwrap_or_default().to_owned();
        Ok(Self { token: id, ..self.clone() })
    }

    fn forget(&self, _: &Key) {}
}

impl Hypervisor for Line {
    fn token_id(&self) -> String {
        self.token.clone()
    }

    async fn meet(&self) -> Result<(), HypervisorError> {
        Ok(())
    }

    async fn meet_anew(&self) -> Result<Vec<String>, HypervisorError> {
        Ok(vec![])
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, HypervisorError> {
        Ok(self.ask("list the nodes").await?.nodes())
    }

    async fn version(&self) -> Result<String, HypervisorError> {
        self.ask("read the version").await.map(|_| "9.2.11".to_owned())
    }

    async fn read(&self, _: Reading, query: &Query, _: u32) -> Result<Readout, HypervisorError> {
        let cluster = self.ask("read").await?;
        let row = |vmid: &u32| {
            let guest = cluster.guest(reference(*vmid))?;
            Some(InventoryRow {
                reference: guest.reference,
                node: guest.node,
                name: guest.name,
                status: guest.status,
            })
        };
        let rows = cluster.guests.keys().filter_map(row).collect();
        let found = match query.target {
            Target::Inventory(scope) => Found::Inventory(scope, rows),
            _ => Found::Nothing,
        };
        Ok(Readout { found, unseen: vec![] })
    }

    async fn look(&self, query: &Query, _: &BTreeSet<String>) -> Result<World, HypervisorError> {
        let mut cluster = self.ask("look around").await?;
        if let Target::Guest(guest) = query.target {
            let (at, by) = (self.history.elapsed(), self.who.clone());
            cluster.looks.push(Looked { at, by, vmid: guest.vmid.number() });
        }
        Ok(cluster.world(query))
    }

    async fn node_time(&self, node: &str) -> Result<Timestamp, HypervisorError> {
        let seconds = self.ask("read the time").await?.time_on(node, self.history.now().as_second());
        Ok(Timestamp::from_second(seconds).unwrap())
    }

    async fn send(&self, call: &Call, _: &BTreeMap<String, SecretString>, departure: &Departure) -> Sent {
        if let Err(why) = departure.left() {
            return Sent::NotSent { why: why.to_owned() };
        }
        match self.send_once(call).await {
            Sent::Unknown { .. } if self.repeats => self.send_once(call).await,
            sent => sent,
        }
    }

    async fn task(&self, upid: &Upid, _: Duration) -> Result<TaskState, HypervisorError> {
        Ok(self.ask("look at a task").await?.tasks.state(upid, self.history.elapsed()))
    }

    async fn task_log(
        &self,
        _: &Upid,
        _: &BTreeMap<String, SecretString>,
    ) -> Result<TaskLog, HypervisorError> {
        drop(self.ask("read a log").await?);
        Ok(TaskLog { lines: vec!["TASK".to_owned()], before: 0 })
    }

    async fn ha_guest(&self, guest: GuestRef) -> Result<Option<HaGuest>, HypervisorError> {
        let cluster = self.ask("look at HA").await?;
        Ok(cluster.guest(guest).map(|guest| {
            let state = if guest.is_running() { "started" } else { "stopped" };
            HaGuest {
                node: guest.node,
                status: guest.status,
                state: Some(state.to_owned()),
                told: state.to_owned(),
            }
        }))
    }

    async fn tasks_since(
        &self,
        node: &str,
        id: &str,
        since: Timestamp,
    ) -> Result<Vec<Upid>, HypervisorError> {
        let cluster = self.ask("list tasks").await?;
        Ok(cluster.tasks.listed(node, id, since.as_second(), self.history.elapsed()))
    }
}
