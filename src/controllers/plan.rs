//! Carries a plan through its life: asks `core::lifecycle::step` what to do next, does it, and tells it what came of it.

use std::{collections::VecDeque, time::Duration};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::{
    api::{ProxmoxActionPlan, ProxmoxEnvironment, Tier},
    catalog::{InventoryScope, Target},
    core::{
        approval::{Bench, Tally, tally},
        audit::{AuditEvent, AuditRecord},
        call::{PlanIdentity, call_for},
        judge::{Judged, Setting, Unjudged, judge, moved},
        lifecycle::{self, Effect, Event, IntentDraft, Order, State, Telling, step},
        observe::summarise,
        request::{Request, normalise},
    },
    ports::{Hypervisor, Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::{
    Error,
    scene::{Scene, blocked, resolve},
};

/// A task is watched without letting go of its plan for pauses up to this long; longer ones are left to a timer.
const SHORT_PAUSE: SignedDuration = SignedDuration::from_millis(1300);
/// What an answer may be late beyond the request's own time-out.
const SETTLE_MARGIN: SignedDuration = SignedDuration::from_secs(5);
/// When to try again after something needed was missing.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// One look at one plan.
struct Look<'a, S, H: Hypervisors> {
    ports: &'a Ports<S, H>,
    key: &'a Key,
    plan: ProxmoxActionPlan,
    state: State,
    scene: Option<Scene<H::Connection>>,
    wake_at: Option<Timestamp>,
}

/// Looks at a plan and takes it as far as it goes. Returns when to look again, if not at the next change.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(plan) = ports.store.get::<ProxmoxActionPlan>(key).await? else { return Ok(None) };
    let state = lifecycle::read(plan.status.as_ref())?;
    let order = Order::of(&plan.spec);
    let mut look = Look { ports, key, plan, state, scene: None, wake_at: None };
    let mut inbox = VecDeque::from([Event::Woken]);
    while let Some(event) = inbox.pop_front() {
        let (state, effects) = step(&order, look.state, event, ports.clock.now());
        look.state = state;
        for effect in effects {
            inbox.extend(look.perform(effect).await?);
        }
    }
    Ok(look.wake_at)
}

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    /// Does one thing, and says what came of it if it was a question.
    async fn perform(&mut self, effect: Effect) -> Result<Option<Event>, Error> {
        match effect {
            Effect::Judge => self.judge().await.map(Some),
            Effect::ReadInventory => self.read_inventory().await.map(Some),
            Effect::GatherApprovals => self.gather_approvals().await.map(Some),
            Effect::Recheck => self.recheck().await.map(Some),
            Effect::Audit(event, message) => self.audit(event, message).await.map(|()| None),
            Effect::WriteStatus => self.write_status().await.map(|()| None),
            Effect::Tell(telling) => {
                self.tell(telling).await;
                Ok(None)
            }
            Effect::Send => self.send().await.map(Some),
            Effect::LookAtTask => self.look_at_task().await.map(Some),
            Effect::SearchTasks => self.search_tasks().await.map(Some),
            Effect::Hold => self.hold().await.map(|()| None),
            Effect::Release => self.release().await.map(|()| None),
            Effect::WakeAt(moment) => Ok(self.wake_at(moment).await),
        }
    }

    // ---- resolve

    /// The scene, resolved once per look.
    async fn scene(&mut self) -> Result<Result<&Scene<H::Connection>, Event>, Error> {
        if self.scene.is_none() {
            let environment = Key::new(&self.key.namespace, &self.plan.spec.environment);
            match resolve(self.ports, &environment).await? {
                Ok(scene) => self.scene = Some(scene),
                Err(obstacle) => {
                    if !obstacle.is_watched {
                        self.try_again_soon();
                    }
                    return Ok(Err(Event::Blocked(obstacle.blocked)));
                }
            }
        }
        self.scene
            .as_ref()
            .map(Ok)
            .ok_or_else(|| Error::NotReady("the environment was not resolved".to_owned()))
    }

    /// The scene of a plan that is in flight already: nothing but the outcome counts, so a gap is waited out.
    async fn scene_in_flight(&mut self) -> Result<&Scene<H::Connection>, Error> {
        match self.scene().await? {
            Ok(scene) => Ok(scene),
            Err(Event::Blocked(missing)) => Err(Error::NotReady(missing.message)),
            Err(_) => Err(Error::NotReady("the environment can't be resolved".to_owned())),
        }
    }

    fn try_again_soon(&mut self) {
        self.wake_at = self.ports.clock.now().saturating_add(RETRY).ok();
    }

    // ---- validate and judge

    async fn judge(&mut self) -> Result<Event, Error> {
        let request = match normalise(&self.key.namespace, &self.plan.spec) {
            Ok(request) => request,
            Err(violations) => return Ok(Event::Invalid(violations)),
        };
        let judged = match self.judge_request(&request).await? {
            Ok((judged, _)) => Event::Judged(judged),
            Err(event) => event,
        };
        Ok(judged)
    }

    /// Judges against the target as it is right now. Also says on which node it was met.
    async fn judge_request(
        &mut self,
        request: &Request,
    ) -> Result<Result<(Judged, Option<String>), Event>, Error> {
        let plan_uid = self.plan.uid().unwrap_or_default();
        let scene = match self.scene().await? {
            Ok(scene) => scene,
            Err(event) => return Ok(Err(event)),
        };
        let met = match request.target {
            Target::Inventory(_) => Ok(None),
            Target::Guest(guest) => scene.hypervisor.guest(guest).await,
        };
        let met = match met {
            Ok(met) => met,
            Err(error) => {
                self.try_again_soon();
                return Ok(Err(Event::Blocked(blocked("ProxmoxUnavailable", error.message))));
            }
        };
        let setting =
            Setting { plan_uid: &plan_uid, environment: &scene.environment, policy: scene.policy.as_ref() };
        match judge(request, met.as_ref(), setting) {
            Ok(judged) => Ok(Ok((judged, met.map(|guest| guest.node)))),
            Err(Unjudged::Denied(denial)) => Ok(Err(Event::Denied(denial))),
            Err(Unjudged::NotCanonical(error)) => Err(error.into()),
        }
    }

    fn request(&self) -> Result<Request, Error> {
        normalise(&self.key.namespace, &self.plan.spec)
            .map_err(|_| Error::NotReady("a request that was valid no longer is".to_owned()))
    }

    async fn read_inventory(&mut self) -> Result<Event, Error> {
        let Target::Inventory(scope) = self.request()?.target else {
            return Ok(Event::Read(summarise(InventoryScope::All, vec![])));
        };
        let scene = match self.scene().await? {
            Ok(scene) => scene,
            Err(event) => return Ok(event),
        };
        Ok(match scene.hypervisor.inventory().await {
            Ok(rows) => Event::Read(summarise(scope, rows)),
            Err(error) => {
                self.try_again_soon();
                Event::Blocked(blocked("ProxmoxUnavailable", error.message))
            }
        })
    }

    // ---- decide

    async fn gather_approvals(&mut self) -> Result<Event, Error> {
        let Some(judged) = self.state.judged() else { return Ok(Event::Approvals(Tally::default())) };
        let environment = Key::new(&self.key.namespace, &self.plan.spec.environment);
        let environment = self.ports.store.get::<ProxmoxEnvironment>(&environment).await?;
        // Last of all, so that an approval that was revoked a moment ago does not count.
        let approvals = self.ports.store.approvals_of(self.key).await?;
        let bench = Bench {
            plan: &self.plan.metadata,
            requested_by: &self.plan.spec.requested_by,
            environment: &self.plan.spec.environment,
            tier: environment.map_or(Tier::Production, |environment| environment.spec.tier),
            judged,
            proof: self.ports.store.approval_proof(),
            now: self.ports.clock.now(),
        };
        Ok(Event::Approvals(tally(&approvals, bench)))
    }

    async fn recheck(&mut self) -> Result<Event, Error> {
        let Some(before) = self.state.judged().cloned() else { return Ok(Event::Woken) };
        let request = self.request()?;
        let (now, node) = match self.judge_request(&request).await? {
            Ok(judged) => judged,
            Err(event) => return Ok(event),
        };
        let (Some(node), Target::Guest(guest)) = (node, request.target) else { return Ok(Event::Woken) };
        let nonce = self.ports.clock.nonce();
        let hypervisor = &self.scene_in_flight().await?.hypervisor;
        let node_time = hypervisor.node_time(&node).await?;
        let sender = hypervisor.token_id();
        let draft = IntentDraft {
            nonce,
            node,
            task_id: guest.vmid.to_string(),
            task_types: request.action.task_types(guest.kind).iter().map(ToString::to_string).collect(),
            sender,
            node_time,
            settle: self.request_timeout() + SETTLE_MARGIN,
        };
        Ok(Event::Rechecked { moved: moved(&before, &now), draft })
    }

    fn request_timeout(&self) -> SignedDuration {
        let seconds = self.scene.as_ref().map_or(300, |scene| scene.environment.spec.request_timeout_seconds);
        SignedDuration::from_secs(seconds.into())
    }

    // ---- act

    /// Builds the call that was previewed and hands it over, once.
    async fn send(&mut self) -> Result<Event, Error> {
        let request = self.request()?;
        let plan_uid = self.plan.uid().unwrap_or_default();
        let (Some(intent), Some(judged)) = (self.state.intent(), self.state.judged()) else {
            return Err(Error::NotReady("there is no intent on record".to_owned()));
        };
        let identity = PlanIdentity { hash: &judged.plan_hash, uid: &plan_uid };
        let call = call_for(&request, &intent.node, identity)?
            .ok_or_else(|| Error::NotReady(format!("{} sends nothing", request.action.name)))?;
        let scene = self.scene_in_flight().await?;
        Ok(Event::Sent(scene.hypervisor.send(&call).await))
    }

    async fn look_at_task(&mut self) -> Result<Event, Error> {
        let Some(upid) = self.state.upid().cloned() else { return Ok(Event::Woken) };
        let scene = self.scene_in_flight().await?;
        Ok(Event::Task(scene.hypervisor.task(&upid).await?))
    }

    async fn search_tasks(&mut self) -> Result<Event, Error> {
        let Some(intent) = self.state.intent().cloned() else { return Ok(Event::Woken) };
        let since = intent.node_time.0.saturating_add(-SETTLE_MARGIN).unwrap_or(Timestamp::MIN);
        let scene = self.scene_in_flight().await?;
        let found = scene.hypervisor.tasks_since(&intent.node, &intent.task_id, since).await?;
        Ok(Event::TasksFound(found))
    }

    // ---- report

    async fn audit(&self, event: AuditEvent, message: String) -> Result<(), Error> {
        let judged = self.state.judged();
        let spec = &self.plan.spec;
        let record = AuditRecord {
            time: self.ports.clock.now(),
            event,
            namespace: self.key.namespace.clone(),
            plan: self.key.name.clone(),
            plan_uid: self.plan.uid().unwrap_or_default(),
            environment: spec.environment.clone(),
            action: spec.action.clone(),
            target: spec.target.chars().take(253).collect(),
            requested_by: spec.requested_by.clone(),
            request_hash: judged.map(|judged| judged.request_hash.to_string()),
            plan_hash: judged.map(|judged| judged.plan_hash.to_string()),
            approved_by: self.state.granted().iter().map(|granted| granted.approved_by.clone()).collect(),
            attempt: self.state.intent().map(|intent| intent.attempt),
            upid: self.state.upid().map(ToString::to_string),
            message,
        };
        super::append(self.ports, record).await
    }

    async fn write_status(&mut self) -> Result<(), Error> {
        let status = lifecycle::report(
            &self.state,
            self.plan.status.as_ref(),
            self.plan.metadata.generation,
            self.ports.store.approval_proof(),
            self.ports.clock.now(),
        );
        if self.plan.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.plan.status = Some(status);
        self.plan = self.ports.store.replace_status(&self.plan).await?;
        Ok(())
    }

    async fn tell(&self, telling: Telling) {
        let severity = if telling.warning { Severity::Warning } else { Severity::Normal };
        let notice = Notice { severity, reason: telling.reason, message: telling.message };
        self.ports.store.publish(&self.plan, notice).await;
    }

    async fn hold(&mut self) -> Result<(), Error> {
        self.plan = self.ports.store.hold(&self.plan).await?;
        Ok(())
    }

    async fn release(&mut self) -> Result<(), Error> {
        self.plan = self.ports.store.release(&self.plan).await?;
        Ok(())
    }

    /// Stays with a task that is about to end; leaves everything else to a timer.
    async fn wake_at(&mut self, moment: Timestamp) -> Option<Event> {
        let pause = moment.duration_since(self.ports.clock.now());
        if matches!(self.state, State::Running(..)) && pause <= SHORT_PAUSE {
            let pause = Duration::try_from(pause).unwrap_or(Duration::ZERO);
            self.ports.clock.sleep(pause).await;
            return Some(Event::Woken);
        }
        self.wake_at = Some(self.wake_at.map_or(moment, |other| other.min(moment)));
        None
    }
}
