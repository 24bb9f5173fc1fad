//! Who is at work in each environment and who waits for a place there, in this process.
//!
//! What is on record says who is at work; this is only its memory, filled from there. Losing a place or counting one too
//! many costs time and nothing else: at most once is kept by the intent, not here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::ResourceExt;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    api::{Budgets, ProxmoxActionPlan},
    core::{
        occupied::{Occupied, occupied_by},
        places::{Busy, Claim, turn, turns},
    },
    ports::{Key, Store, StoreError},
};

/// Whoever waits asks again at least so often, though it is called when it is its turn.
pub(super) const ASK_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Who has not asked for so long does not wait any more.
const FORGOTTEN: Duration = Duration::from_secs(150);

/// The places of all environments.
pub(super) struct Places {
    environments: Mutex<HashMap<Key, Environment>>,
    calls: mpsc::UnboundedSender<Key>,
}

/// Plans whose turn it is.
pub(super) type Turns = mpsc::UnboundedReceiver<Key>;

#[derive(Default)]
struct Environment {
    /// Those who were at work before this process began are known.
    is_filled: bool,
    at_work: BTreeMap<String, AtWork>,
    waiting: BTreeMap<String, (Claim, Instant)>,
    budgets: Budgets,
}

struct AtWork {
    claim: Claim,
    /// Its intent is on record. Before that only this process knows of it.
    is_on_record: bool,
}

impl Places {
    pub(super) fn new() -> (Arc<Self>, Turns) {
        let (calls, turns) = mpsc::unbounded_channel();
        (Arc::new(Self { environments: Mutex::default(), calls }), turns)
    }

    fn environments(&self) -> MutexGuard<'_, HashMap<Key, Environment>> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a plan, or puts it in line.
    pub(super) async fn take<S: Store>(
        &self,
        store: &S,
        environment: &Key,
        claim: Claim,
        budgets: Budgets,
    ) -> Result<Result<(), Busy>, StoreError> {
        if !self.environments().entry(environment.clone()).or_default().is_filled {
            self.read_anew(store, environment).await?;
        }
        if self.try_to_take(environment, &claim, budgets).is_ok() {
            return Ok(Ok(()));
        }
        // Somebody may be gone without a word: deleted, or ended by another process.
        self.read_anew(store, environment).await?;
        Ok(self.try_to_take(environment, &claim, budgets))
    }

    fn try_to_take(&self, environment: &Key, claim: &Claim, budgets: Budgets) -> Result<(), Busy> {
        let mut environments = self.environments();
        let place = environments.entry(environment.clone()).or_default();
        place.budgets = budgets;
        let answer = turn(claim, &place.at_work(), &place.waiting(), budgets);
        match answer {
            Ok(()) => {
                place.waiting.remove(&claim.plan);
                let taken = AtWork { claim: claim.clone(), is_on_record: false };
                place.at_work.insert(claim.plan.clone(), taken);
            }
            Err(_) => {
                place.waiting.insert(claim.plan.clone(), (claim.clone(), Instant::now()));
            }
        }
        answer
    }

    async fn read_anew<S: Store>(&self, store: &S, environment: &Key) -> Result<(), StoreError> {
        let on_record = store.plans_in_flight(&environment.namespace, &environment.name).await?;
        let mut environments = self.environments();
        let place = environments.entry(environment.clone()).or_default();
        place.is_filled = true;
        let names: Vec<String> = on_record.iter().map(ResourceExt::name_any).collect();
        place.at_work.retain(|plan, held| !held.is_on_record || names.contains(plan));
        for plan in &on_record {
            place.keep(plan);
        }
        Ok(())
    }

    /// A plan that is in flight by its record is at work.
    pub(super) fn keep(&self, environment: &Key, plan: &ProxmoxActionPlan) {
        self.environments().entry(environment.clone()).or_default().keep(plan);
    }

    /// A plan is not at work, and waits only if it says so. Calls those whose turn it is now.
    pub(super) fn give_back(&self, environment: &Key, plan: &str, still_waits: bool) {
        let mut environments = self.environments();
        let Some(place) = environments.get_mut(environment) else { return };
        let left_work = place.at_work.remove(plan).is_some();
        let left_the_line = !still_waits && place.waiting.remove(plan).is_some();
        if left_work || left_the_line {
            for next in turns(&place.at_work(), &place.waiting(), place.budgets) {
                // Nobody listens when the engine is ending.
                let _ = self.calls.send(Key::new(&environment.namespace, &next));
            }
        }
    }
}

impl Environment {
    fn at_work(&self) -> Vec<Claim> {
        self.at_work.values().map(|held| held.claim.clone()).collect()
    }

    fn waiting(&self) -> Vec<Claim> {
        let still_there = self.waiting.values().filter(|(_, asked_at)| asked_at.elapsed() < FORGOTTEN);
        still_there.map(|(claim, _)| claim.clone()).collect()
    }

    fn keep(&mut self, plan: &ProxmoxActionPlan) {
        let Some(intent) = plan.status.as_ref().and_then(|status| status.intent.as_ref()) else { return };
        let claim = claim(plan, occupied_by(intent));
        self.waiting.remove(&claim.plan);
        self.at_work.insert(claim.plan.clone(), AtWork { claim, is_on_record: true });
    }
}

/// What a plan claims.
pub(super) fn claim(plan: &ProxmoxActionPlan, occupied: Occupied) -> Claim {
    let made_at = plan.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
    Claim { plan: plan.name_any(), made_at, occupied }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{Phase, PlanStatus},
        store::directory::{DirectoryOptions, DirectoryStore},
        system::SystemClock,
    };

    /// A directory with plans for `home`, the first of them at work on pve1.
    async fn store(folder: &tempfile::TempDir, plans: &[&str]) -> DirectoryStore {
        for name in plans {
            let plan = json!({
                "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"environment": "home", "action": "start_guest", "target": "qemu/100", "requestedBy": "a"},
            });
            std::fs::write(folder.path().join(format!("{name}.yaml")), plan.to_string()).unwrap();
        }
        let options = DirectoryOptions {
            dir: folder.path().to_owned(),
            state: folder.path().join("state"),
            clock: Arc::new(SystemClock),
        };
        let store = DirectoryStore::open(options).unwrap();
        store.taken_in().await.unwrap();
        let plan = plan(&store, plans[0]).await;
        write(&store, plan, Phase::Dispatching).await;
        store
    }

    async fn plan(store: &DirectoryStore, name: &str) -> ProxmoxActionPlan {
        store.get(&Key::new("default", name)).await.unwrap().unwrap()
    }

    async fn write(store: &DirectoryStore, mut plan: ProxmoxActionPlan, phase: Phase) -> ProxmoxActionPlan {
        let intent = json!({
            "attempt": 1, "nonce": "n", "node": "pve1", "storages": ["tank"], "taskId": "100", "taskTypes": ["qmstart"],
            "sender": "a@pve!b", "nodeTime": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z",
            "settlesAt": "2026-01-01T00:00:00Z",
        });
        let intent = serde_json::from_value(intent).unwrap();
        plan.status = Some(PlanStatus { phase, attempts: 1, intent: Some(intent), ..PlanStatus::default() });
        store.replace_status(&plan).await.unwrap()
    }

    const ONE: Budgets = Budgets { tasks_per_node: 1, tasks_per_storage: 1 };

    fn on(node: &str, storage: &str) -> Occupied {
        Occupied { node: Some(node.to_owned()), storages: [storage.to_owned()].into() }
    }

    #[tokio::test]
    async fn those_who_were_at_work_before_this_process_have_their_places_from_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder, &["first", "second"]).await;
        let ((places, _turns), home) = (Places::new(), Key::new("default", "home"));
        let second = plan(&store, "second").await;
        let busy = places.take(&store, &home, claim(&second, on("pve1", "fast")), ONE).await.unwrap();
        assert!(busy.unwrap_err().message.contains("first"));
        let busy = places.take(&store, &home, claim(&second, on("pve2", "tank")), ONE).await.unwrap();
        assert!(busy.unwrap_err().message.contains("first"));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_plan_that_is_gone_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder, &["first", "second"]).await;
        let ((places, _turns), home) = (Places::new(), Key::new("default", "home"));
        let (first, second) = (plan(&store, "first").await, plan(&store, "second").await);
        places.keep(&home, &first);
        write(&store, first, Phase::Indeterminate).await;
        let taken = places.take(&store, &home, claim(&second, on("pve1", "tank")), ONE).await.unwrap();
        assert_eq!(taken, Ok(()));
    }

    #[tokio::test]
    async fn a_place_that_becomes_free_calls_the_oldest_that_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder, &["first", "second", "third"]).await;
        let ((places, mut turns), home) = (Places::new(), Key::new("default", "home"));
        for name in ["third", "second"] {
            let claim = claim(&plan(&store, name).await, on("pve1", "tank"));
            assert!(places.take(&store, &home, claim, ONE).await.unwrap().is_err());
        }
        assert!(turns.try_recv().is_err(), "nobody is called before");
        places.give_back(&home, "first", false);
        assert_eq!(turns.try_recv().unwrap().name, "second");
        assert!(turns.try_recv().is_err(), "there is only one place");
        places.give_back(&home, "second", false);
        assert_eq!(turns.try_recv().unwrap().name, "third", "who leaves the line lets the next one go");
    }
}
