//! The running simulation: one state, one ledger, and what happens to requests on their way.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ::http::StatusCode;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::contract::Parameters;
use super::control;
use super::engine::State;
use super::faults::{Disturbance, Executed};
use super::gate::{Answered, Asked};
use super::http::{Cutter, Lost, Request, Response, Service};
use super::ledger::{Delivery, Ledger, LedgerEntry, Outcome};
use super::routes::Routes;
use super::world::World;

pub(super) struct Simulation {
    pub(super) routes: Routes,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
    reads: Mutex<BTreeMap<String, u64>>,
    cut_connections: OnceLock<Cutter>,
    /// Told after everything that may have changed the state.
    changes: watch::Sender<()>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Simulation").finish_non_exhaustive()
    }
}

impl Simulation {
    pub(super) fn new(world: World, ledger: Ledger) -> Self {
        Self {
            routes: Routes::all(),
            state: Mutex::new(State::new(world)),
            ledger: Mutex::new(ledger),
            reads: Mutex::default(),
            cut_connections: OnceLock::new(),
            changes: watch::Sender::new(()),
        }
    }

    pub(super) fn on_restart(&self, cut: Cutter) {
        // The listener is started once, so there is never a second cutter to refuse.
        let _ = self.cut_connections.set(cut);
    }

    /// The state as it is now: whatever has ended by now has ended.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle();
        state
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each path was read.
    pub(super) fn reads(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every node goes down and comes up again: tasks are gone, guests run only if they start by themselves.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        state.crash_tasks(|_| true);
        let online: BTreeSet<String> = online_nodes(&state).cloned().collect();
        state.stop_guests(|_| true);
        state.start_guests_at_boot(|node| online.contains(node));
        drop(state);
        if let Some(cut) = self.cut_connections.get() {
            cut();
        }
    }

    /// Waits until a node is up, or until it isn't.
    pub(super) async fn wait_for_node(&self, name: &str, up: bool) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let (is_up, next) = {
                let state = self.state();
                (online_nodes(&state).any(|node| node == name), state.next_event_of_any_kind())
            };
            if is_up == up {
                return;
            }
            let changed = changes.changed();
            match next {
                Some(next) => tokio::select! {
                    _ = changed => {}
                    () = sleep_until(next) => {}
                },
                None => {
                    // The sender lives as long as the simulation, which this borrows.
                    let _ = changed.await;
                }
            }
        }
    }

    async fn handle(self: Arc<Self>, request: Request, node: Option<String>) -> Result<Response, Lost> {
        if let Some(response) = control::answer(&self, &request) {
            self.changes.send_replace(());
            return Ok(response);
        }
        let asked = match Asked::read(request, node) {
            Ok(asked) => asked,
            Err(response) => return Ok(response),
        };
        if !asked.is_mutation() {
            *self.reads().entry(asked.path()).or_default() += 1;
        }
        let disturbance = self.state().faults.meet(asked.method.as_str(), &asked.path());
        let entry = asked.is_mutation().then(|| self.receive(&asked));
        if let Some(outcome) = self.intercept(&disturbance, entry) {
            return outcome;
        }
        let answered = self.answer(&asked).await;
        self.changes.send_replace(());
        self.complete(entry, |entry| {
            entry.status = Some(answered.status);
            entry.upid.clone_from(&answered.upid);
            let accepted = StatusCode::from_u16(answered.status).is_ok_and(|status| status.is_success());
            entry.outcome = if accepted { Outcome::Executed } else { Outcome::Refused };
        });
        self.deliver(disturbance, entry, answered).await
    }

    fn receive(&self, asked: &Asked) -> u64 {
        let who = self.name_of_caller(asked);
        let time = self.state().clock.now().to_string();
        let none = Parameters::default();
        let parameters = asked.parameters.as_ref().unwrap_or(&none);
        self.ledger().receive(time, &who, asked.method.as_str(), &asked.path(), parameters)
    }

    fn complete(&self, entry: Option<u64>, complete: impl FnOnce(&mut LedgerEntry)) {
        if let Some(seq) = entry {
            self.ledger().complete(seq, complete);
        }
    }

    /// Faults that keep a request from the API.
    fn intercept(&self, disturbance: &Disturbance, entry: Option<u64>) -> Option<Result<Response, Lost>> {
        let not_executed = |delivery: Delivery| {
            self.complete(entry, |entry| {
                entry.outcome = Outcome::NotExecuted;
                entry.delivery = delivery;
            });
        };
        if disturbance.lose_request {
            not_executed(Delivery::Lost);
            return Some(Err(Lost));
        }
        if disturbance.restart == Some(Executed(false)) {
            not_executed(Delivery::Lost);
            self.restart();
            return Some(Err(Lost));
        }
        let instead = disturbance.instead.as_ref().filter(|instead| !instead.executed)?;
        not_executed(Delivery::Replaced);
        Some(Ok(substitute(instead.status, &instead.reason)))
    }

    /// Faults that keep the answer from the client.
    async fn deliver(
        &self,
        disturbance: Disturbance,
        entry: Option<u64>,
        answered: Answered,
    ) -> Result<Response, Lost> {
        let note = |delivery: Delivery| self.complete(entry, |entry| entry.delivery = delivery);
        if disturbance.restart.is_some() {
            note(Delivery::Lost);
            self.restart();
            return Err(Lost);
        }
        if disturbance.lose_response {
            note(Delivery::Lost);
            return Err(Lost);
        }
        if let Some(instead) = disturbance.instead {
            note(Delivery::Replaced);
            return Ok(substitute(instead.status, &instead.reason));
        }
        if let Some(delay) = disturbance.delay {
            note(Delivery::Late);
            tokio::time::sleep(delay).await;
        }
        Ok(answered.response)
    }
}

/// Proxmox's proxy errors are bare; other faults come with the body of an API error.
fn substitute(status: u16, reason: &str) -> Response {
    if (595..=599).contains(&status) {
        return Response::bare(status, reason);
    }
    Response::json(
        status,
        reason,
        &serde_json::json!({ "data": Value::Null, "message": format!("{reason}\n") }),
    )
}

fn online_nodes(state: &State) -> impl Iterator<Item = &String> {
    state.world.nodes.iter().filter(|(_, node)| node.online).map(|(name, _)| name)
}

/// Where requests arrive: at one node's own port, or at that of the whole cluster.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) simulation: Arc<Simulation>,
    pub(super) node: Option<String>,
}

impl Service for Front {
    /// A handler goes on when its client has gone away, as the real one does.
    async fn serve(&self, request: Request) -> Result<Response, Lost> {
        let handling = tokio::spawn(Arc::clone(&self.simulation).handle(request, self.node.clone()));
        handling.await.unwrap_or(Err(Lost))
    }
}
