//! Which plans of each environment were sent within the last hour, in this process: two plans must not share the last
//! one that a limit allows, though neither of them is on record yet.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{ProxmoxActionPlan, Risk},
    core::policy::{Hold, Limits, Sent},
    ports::{Key, Store, StoreError},
};

/// By environment and by the uid of the plan. Who was sent stays here for an hour, also if its plan is deleted.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashMap<Key, BTreeMap<String, Sent>>>);

impl Slots {
    /// Counts a plan in, unless a limit is reached that stops it. Returns the limit that is reached.
    pub(super) async fn take<S: Store>(
        &self,
        store: &S,
        environment: &Key,
        plan: &ProxmoxActionPlan,
        (limits, risk): (&Limits, Risk),
        now: Timestamp,
    ) -> Result<Option<Hold>, StoreError> {
        if limits.are_none() {
            return Ok(None);
        }
        // Read first: whoever is let through after that is remembered here.
        let counted =
            |plan: ProxmoxActionPlan| Some((plan.uid()?, sent(&plan).filter(|sent| sent.is_counted(now))?));
        let on_record = store.plans_sent(&environment.namespace, &environment.name, counted).await?;
        let mut environments = self.environments();
        let known = environments.entry(environment.clone()).or_default();
        known.extend(on_record);
        known.retain(|_, sent| sent.is_counted(now));
        let own = plan.uid().unwrap_or_default();
        let others: Vec<Sent> = known.iter().filter(|(uid, _)| **uid != own).map(|(_, sent)| *sent).collect();
        let reached = limits.reached(risk, &others, now);
        if reached.is_none() || !limits.stop() {
            known.insert(own, Sent { at: now, risk });
        }
        Ok(reached)
    }

    /// A plan that was not sent after all is not counted.
    pub(super) fn give_back(&self, environment: &Key, plan: &ProxmoxActionPlan) {
        if let (Some(known), Some(uid)) = (self.environments().get_mut(environment), plan.uid()) {
            known.remove(&uid);
        }
    }

    fn environments(&self) -> MutexGuard<'_, HashMap<Key, BTreeMap<String, Sent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a plan was announced, and how risky it was then.
fn sent(plan: &ProxmoxActionPlan) -> Option<Sent> {
    let status = plan.status.as_ref()?;
    Some(Sent { at: status.intent.as_ref()?.at.0, risk: status.risk.unwrap_or(Risk::Critical) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        api::{Phase, PlanStatus, ProxmoxEnvironment},
        core::policy::Policy,
        store::directory::{DirectoryOptions, DirectoryStore},
        system::SystemClock,
    };

    struct Hour {
        _folder: tempfile::TempDir,
        store: DirectoryStore,
        slots: Slots,
        limits: Limits,
        now: Timestamp,
    }

    impl Hour {
        async fn with(plans: &[&str], knobs: serde_json::Value) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in plans {
                let plan = json!({
                    "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
                    "metadata": {"name": name, "namespace": "default"},
                    "spec": {"environment": "home", "action": "start_guest", "target": "qemu/100", "requestedBy": "a"},
                });
                std::fs::write(folder.path().join(format!("{name}.yaml")), plan.to_string()).unwrap();
            }
            let store = DirectoryStore::open(DirectoryOptions {
                dir: folder.path().to_owned(),
                state: folder.path().join("state"),
                clock: Arc::new(SystemClock),
            })
            .unwrap();
            store.taken_in().await.unwrap();
            let spec = json!({
                "endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}}, "policyKnobs": knobs,
            });
            let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
            let limits = Policy::of(None, &environment, &[]).unwrap().limits();
            Self { _folder: folder, store, slots: Slots::default(), limits, now: Timestamp::now() }
        }

        async fn plan(&self, name: &str) -> ProxmoxActionPlan {
            self.store.get(&Key::new("default", name)).await.unwrap().unwrap()
        }

        /// Whether a limit is reached.
        async fn asks(&self, name: &str, risk: Risk) -> bool {
            let plan = self.plan(name).await;
            let ask = (&self.limits, risk);
            self.slots.take(&self.store, &home(), &plan, ask, self.now).await.unwrap().is_some()
        }

        async fn was_sent(&self, name: &str, at: Timestamp) {
            let mut plan = self.plan(name).await;
            let intent = json!({
                "attempt": 1, "nonce": "n", "node": "pve1", "taskId": "100", "taskTypes": ["qmstart"], "sender": "a@pve!b",
                "nodeTime": at, "at": at, "settlesAt": at,
            });
            let intent = serde_json::from_value(intent).unwrap();
            plan.status = Some(PlanStatus {
                phase: Phase::Dispatching,
                attempts: 1,
                intent: Some(intent),
                risk: Some(Risk::High),
                ..PlanStatus::default()
            });
            self.store.replace_status(&plan).await.unwrap();
        }
    }

    fn home() -> Key {
        Key::new("default", "home")
    }

    #[tokio::test]
    async fn two_plans_do_not_share_the_last_one_that_is_allowed() {
        let hour = Hour::with(&["first", "second"], json!({"hourly": {"changes": 1}})).await;
        assert!(!hour.asks("first", Risk::Low).await);
        assert!(!hour.asks("first", Risk::Low).await, "it stands in its own way");
        assert!(hour.asks("second", Risk::Low).await, "the first is not on record yet");
        hour.slots.give_back(&home(), &hour.plan("first").await);
        assert!(!hour.asks("second", Risk::Low).await, "the first was not sent after all");
    }

    #[tokio::test]
    async fn what_was_sent_before_this_process_counts_for_an_hour() {
        let hour = Hour::with(&["old", "late", "next"], json!({"hourly": {"highRisk": 1}})).await;
        hour.was_sent("old", hour.now - jiff::SignedDuration::from_mins(61)).await;
        assert!(!hour.asks("next", Risk::High).await);
        hour.slots.give_back(&home(), &hour.plan("next").await);
        hour.was_sent("late", hour.now - jiff::SignedDuration::from_mins(59)).await;
        assert!(hour.asks("next", Risk::High).await);
        assert!(!hour.asks("next", Risk::Medium).await, "it is not limited");
    }

    #[tokio::test]
    async fn a_limit_that_only_warns_lets_everybody_pass_and_counts_them() {
        let knobs = json!({"guards": "warn", "hourly": {"changes": 1}});
        let hour = Hour::with(&["first", "second", "third"], knobs).await;
        let mut warned = Vec::new();
        for name in ["first", "second", "third"] {
            warned.push(hour.asks(name, Risk::Low).await);
        }
        assert_eq!(warned, [false, true, true]);
        assert_eq!(hour.slots.environments()[&home()].len(), 3);
    }
}
