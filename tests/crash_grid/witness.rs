//! Looks, at the very moment when a change arrives at Proxmox, whether it may.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard},
};

use kube::{Api, ResourceExt, api::ListParams};
use proxmox_agent::api::{Decision, Phase, PlanStatus, ProxmoxActionApproval, ProxmoxActionPlan};

use crate::{
    audit::{announced, records},
    support::promises::{Broken, Promise},
};

pub(crate) struct Witness {
    admin: kube::Client,
    namespace: String,
    testimony: Mutex<Testimony>,
}

#[derive(Default)]
struct Testimony {
    plan: String,
    /// Where the operators keep their audit logs.
    folders: Vec<PathBuf>,
    changes: usize,
    problems: Vec<Broken>,
}

impl Witness {
    pub(crate) fn new(admin: kube::Client, namespace: &str) -> Self {
        Self { admin, namespace: namespace.to_owned(), testimony: Mutex::default() }
    }

    fn testimony(&self) -> MutexGuard<'_, Testimony> {
        self.testimony.lock().unwrap()
    }

    /// From now on every change has to be of this plan.
    pub(crate) fn watches_over(&self, plan: &str, folders: Vec<PathBuf>) {
        *self.testimony() = Testimony { plan: plan.to_owned(), folders, ..Testimony::default() };
    }

    pub(crate) fn problems(&self) -> Vec<Broken> {
        self.testimony().problems.clone()
    }

    pub(crate) async fn sees(&self, change: &str) {
        let name = {
            let mut testimony = self.testimony();
            testimony.changes += 1;
            testimony.plan.clone()
        };
        let problems = match Api::<ProxmoxActionPlan>::namespaced(self.admin.clone(), &self.namespace)
            .get(&name)
            .await
        {
            Ok(plan) => self.objections(&plan).await,
            Err(error) => vec![(Promise::Announced, format!("its plan can't be read: {error}"))],
        };
        let told = problems
            .into_iter()
            .map(|(promise, problem)| promise.broken(format!("{change} arrived, but {problem}")));
        self.testimony().problems.extend(told);
    }

    async fn objections(&self, plan: &ProxmoxActionPlan) -> Vec<(Promise, String)> {
        let status = plan.status.clone().unwrap_or_default();
        let (folders, changes) = {
            let testimony = self.testimony();
            (testimony.folders.clone(), testimony.changes)
        };
        let uid = plan.uid().unwrap();
        let announced: Vec<String> =
            folders.iter().flat_map(|folder| announced(&records(folder, &uid))).collect();
        let nonce = status.intent.as_ref().map(|intent| intent.nonce.clone()).unwrap_or_default();
        let mut problems = vec![];
        if status.phase != Phase::Dispatching {
            problems.push((Promise::Announced, format!("the plan is {}", status.phase)));
        }
        if !announced.contains(&nonce) {
            let problem = format!("intent `{nonce}` is in no audit log: {announced:?}");
            problems.push((Promise::Announced, problem));
        }
        if changes > usize::try_from(status.attempts).unwrap() {
            let problem = format!("it is number {changes} of {} attempts", status.attempts);
            problems.push((Promise::AtMostOnce, problem));
        }
        problems
            .extend(self.lacks_approvals(&uid, &status).await.map(|problem| (Promise::Approved, problem)));
        problems
    }

    async fn lacks_approvals(&self, uid: &str, status: &PlanStatus) -> Option<String> {
        let required = status.approvals.as_ref().map_or(0, |approvals| approvals.required);
        // Where the outcome of an attempt was unknown, somebody has to have decided about just that.
        let in_doubt = status.earlier.iter().rfind(|attempt| attempt.reason != "NotDone");
        let about = in_doubt.map(|attempt| attempt.intent.attempt);
        let required = if about.is_some() { required.max(1) } else { required };
        let approvals = Api::<ProxmoxActionApproval>::namespaced(self.admin.clone(), &self.namespace);
        let all = approvals.list(&ListParams::default()).await.unwrap().items;
        let counts = |approval: &&ProxmoxActionApproval| {
            let spec = &approval.spec;
            spec.plan_ref.uid == uid
                && Some(&spec.plan_hash) == status.plan_hash.as_ref()
                && spec.decision == Decision::Approve
                && spec.attempt == about
        };
        let given = all.iter().filter(counts).count();
        (given < usize::try_from(required).unwrap())
            .then(|| format!("{given} of {required} approvals are there"))
    }
}
