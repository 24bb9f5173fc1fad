//! What became of a call: its task, its guest, the task list.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Intent, Phase},
    catalog::Target,
    controllers::{
        Error,
        scene::{ENVIRONMENT_NOT_FOUND, Scene},
    },
    core::{
        lifecycle::{self, Event, Rivals},
        observe::Query,
        task::Upid,
        traces::traces,
    },
    ports::{Hypervisor, HypervisorError, Hypervisors, Store},
};

use super::{Look, SETTLE_MARGIN};

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// The scene of a plan that is in flight already. If its environment is gone and so will be the plan, nobody is left
    /// who could say how it ended.
    async fn scene_in_flight(&mut self) -> Result<Result<&Scene<H::Connection>, Event>, Error> {
        let is_deleted = self.plan.metadata.deletion_timestamp.is_some();
        Ok(self.scene().await?.map_err(|event| match event {
            Event::Blocked(blocked) if is_deleted && blocked.reason == ENVIRONMENT_NOT_FOUND => {
                Event::Abandoned(blocked)
            }
            event => event,
        }))
    }

    pub(super) async fn look_at_task(&mut self) -> Result<Event, Error> {
        let Some(upid) = self.state.upid().cloned() else { return Ok(Event::Woken) };
        let tolerance = self.tolerance();
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => scene.hypervisor.task(&upid, tolerance).await,
            Err(event) => return Ok(event),
        };
        Ok(match looked {
            Ok(task) => Event::Task(task),
            Err(error) => self.unavailable(error),
        })
    }

    /// How old news of the task may be: those who look at tasks of one node at about the same time share what they see.
    fn tolerance(&self) -> Duration {
        let sent_at = self.state.intent().map(|intent| intent.at.0);
        let age = sent_at.map(|at| self.ports.clock.now().duration_since(at)).unwrap_or_default();
        (lifecycle::pause_between_looks(age) / 2).unsigned_abs()
    }

    pub(super) async fn look_at_ha(&mut self) -> Result<Event, Error> {
        let Target::Guest(guest) = self.request()?.target else { return Ok(Event::HaSeen(None)) };
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => scene.hypervisor.ha_guest(guest).await,
            Err(event) => return Ok(event),
        };
        Ok(match looked {
            Ok(guest) => Event::HaSeen(guest),
            Err(error) => self.unavailable(error),
        })
    }

    pub(super) async fn search_tasks(&mut self) -> Result<Event, Error> {
        let Some(intent) = self.state.intent().cloned() else { return Ok(Event::Woken) };
        let since = intent.node_time.0.saturating_add(-SETTLE_MARGIN).unwrap_or(Timestamp::MIN);
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => time_and_tasks(&scene.hypervisor, &intent, since).await,
            Err(event) => return Ok(event),
        };
        Ok(match looked {
            Ok((node_time, found)) => Event::TasksFound { found, rivals: self.rivals().await?, node_time },
            Err(error) => self.unavailable(error),
        })
    }

    pub(super) async fn look_for_traces(&mut self) -> Result<Event, Error> {
        let request = self.request()?;
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => scene.hypervisor.look(&Query::of(&request), &BTreeSet::new()).await,
            Err(event) => return Ok(event),
        };
        let uid = self.plan.uid().unwrap_or_default();
        Ok(match looked {
            Ok(world) => Event::Traces(traces(&request, &world, &uid)),
            Err(error) => self.unavailable(error),
        })
    }

    /// What the other plans for the same target have done or may have done, and earlier attempts of this one.
    async fn rivals(&self) -> Result<Rivals, Error> {
        let plans = self.ports.store.plans_for(&self.key.namespace, &self.plan.spec.target).await?;
        let mut rivals = Rivals::default();
        for attempt in self.state.earlier() {
            rivals.add(&attempt.intent, attempt.upid.as_deref());
        }
        for plan in plans.into_iter().filter(|plan| plan.uid() != self.plan.uid()) {
            let status = plan.status.unwrap_or_default();
            for attempt in &status.earlier {
                rivals.add(&attempt.intent, attempt.upid.as_deref());
            }
            let is_unanswered = matches!(status.phase, Phase::Dispatching | Phase::Indeterminate);
            if let Some(intent) = status.intent.filter(|_| is_unanswered || status.upid.is_some()) {
                rivals.add(&intent, status.upid.as_deref());
            }
        }
        Ok(rivals)
    }
}

/// The clock is read first: whatever the list lacks has not begun by then.
async fn time_and_tasks<H: Hypervisor>(
    hypervisor: &H,
    intent: &Intent,
    since: Timestamp,
) -> Result<(Timestamp, Vec<Upid>), HypervisorError> {
    let node_time = hypervisor.node_time(&intent.node).await?;
    Ok((node_time, hypervisor.tasks_since(&intent.node, &intent.task_id, since).await?))
}
