//! What became of a call: its task, its guest, the task list.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Intent, Phase, ProxmoxActionPlan},
    catalog::Target,
    controllers::{
        Error,
        scene::{ENVIRONMENT_NOT_FOUND, Scene},
    },
    core::{
        lifecycle::{self, Event, Rivals},
        observe::World,
        request::Request,
        settling,
        task::{TaskState, Upid},
        traces::{self, Announced, traces},
    },
    ports::{Hypervisor, HypervisorError, Hypervisors, Store},
};

use super::Look;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// The scene of a plan that is in flight already. If its environment is gone and so will be the plan, nobody is left
    /// who could say how it ended.
    async fn scene_in_flight(&mut self) -> Result<Result<&Scene<H::Connection>, Event>, Error> {
        let is_deleted = self.plan.metadata.deletion_timestamp.is_some() || self.is_gone;
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
        if let Ok(TaskState::Stopped { .. }) = looked {
            self.keep_log(&upid).await;
        }
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
        let since = intent.node_time.0.saturating_add(-settling::MARGIN).unwrap_or(Timestamp::MIN);
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
        let (Some(intent), Some(judged)) = (self.state.intent().cloned(), self.state.judged().cloned())
        else {
            return Ok(Event::Woken);
        };
        let looked = match self.scene_in_flight().await? {
            Ok(scene) => time_and_world(&scene.hypervisor, &intent, &request).await,
            Err(event) => return Ok(event),
        };
        let uid = self.plan.uid().unwrap_or_default();
        Ok(match looked {
            Ok((now, world)) => {
                let announced =
                    Announced { request: &request, judged: &judged, intent: &intent, uid: &uid, now };
                Event::Traces(traces(&announced, &world))
            }
            Err(error) => self.unavailable(error),
        })
    }

    /// What the other plans for the same target have done or may have done, and earlier attempts of this one.
    async fn rivals(&self) -> Result<Rivals, Error> {
        let own = self.plan.uid();
        let of_others =
            |plan: ProxmoxActionPlan| Some(plan).filter(|plan| plan.uid() != own).and_then(attempted);
        let others =
            self.ports.store.plans_for(&self.key.namespace, &self.plan.spec.target, of_others).await?;
        let mut rivals = Rivals::default();
        for attempt in self.state.earlier() {
            rivals.add(&attempt.intent, attempt.upid.as_deref());
        }
        for theirs in others {
            rivals.tasks.extend(theirs.tasks);
            rivals.unanswered.extend(theirs.unanswered);
        }
        Ok(rivals)
    }
}

/// What a plan has done or may have done, if anything.
fn attempted(plan: ProxmoxActionPlan) -> Option<Rivals> {
    let status = plan.status?;
    let mut rivals = Rivals::default();
    for attempt in &status.earlier {
        rivals.add(&attempt.intent, attempt.upid.as_deref());
    }
    // One that was found done by its target has a task somewhere that nobody has put on record.
    let may_have_one = matches!(status.phase, Phase::Dispatching | Phase::Indeterminate | Phase::Succeeded);
    if let Some(intent) = status.intent.filter(|_| may_have_one || status.upid.is_some()) {
        rivals.add(&intent, status.upid.as_deref());
    }
    Some(rivals).filter(|rivals| *rivals != Rivals::default())
}

/// The clock is read first: whatever the list lacks has not begun by then. What has no task is in no list.
async fn time_and_tasks<H: Hypervisor>(
    hypervisor: &H,
    intent: &Intent,
    since: Timestamp,
) -> Result<(Timestamp, Vec<Upid>), HypervisorError> {
    let node_time = time(hypervisor, intent).await?;
    if intent.task_types.is_empty() {
        return Ok((node_time, vec![]));
    }
    Ok((node_time, hypervisor.tasks_since(&intent.node, &intent.task_id, since).await?))
}

async fn time_and_world<H: Hypervisor>(
    hypervisor: &H,
    intent: &Intent,
    request: &Request,
) -> Result<(Timestamp, World), HypervisorError> {
    let world = hypervisor.look(&traces::query(request), &traces::places(request)).await?;
    Ok((time(hypervisor, intent).await?, world))
}

/// The clock of the node that was to carry it out. If no task of it is looked for, any other node of the cluster will do:
/// the call may have switched it off.
async fn time<H: Hypervisor>(hypervisor: &H, intent: &Intent) -> Result<Timestamp, HypervisorError> {
    let told = hypervisor.node_time(&intent.node).await;
    let (Err(_), true) = (&told, intent.task_types.is_empty()) else { return told };
    let nodes = hypervisor.nodes().await?;
    match nodes.iter().find(|node| node.online && node.name != intent.node) {
        Some(node) => hypervisor.node_time(&node.name).await,
        None => told,
    }
}
