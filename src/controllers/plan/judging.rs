//! What is found out before a call is sent: the judgement, the approvals, and whether both still hold.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    api::Phase,
    catalog::{Operation, Reading},
    controllers::{
        Error,
        ground::{Gathered, Traces, gather, ground},
        scene::{Scene, blocked, readable},
    },
    core::{
        approval::{Candidate, Tally, requester_not_proven, tally},
        audit::ApprovalOnRecord,
        call::Dispatch,
        identity::of_another_kind,
        judge::{Judged, Judgement, Setting, TARGET_NOT_FOUND, Unjudged, judge},
        lifecycle::{Event, IntentDraft},
        observe::{Found, Query, Readout, rows_wanted},
        occupied::occupied,
        privileges,
        provenance::{GIT_UNAVAILABLE, Traced},
        request::{Request, normalise},
        settling::time_to_settle,
    },
    ports::{Hypervisor, HypervisorError, Hypervisors, Store},
};

use super::{
    Look,
    policy::{judgements_grow_old, policy_invalid},
};

/// As many as an intent holds.
const MOST_STORAGES: usize = 32;
/// So often in a row it is judged again because the judgement before grew old. The second time no repository is asked.
const MOST_RECHECKS: u32 = 3;

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) async fn judge(&mut self) -> Result<Event, Error> {
        let request = match normalise(&self.key.namespace, &self.plan.spec) {
            Ok(request) => request,
            Err(violations) => return Ok(Event::Invalid(violations)),
        };
        let ground = match readable(ground(self.ports, &self.plan).await)? {
            Ok(ground) => ground,
            Err(obstacle) => return Ok(Event::Blocked(obstacle.blocked)),
        };
        let denial = requester_not_proven(&self.plan, &ground.proof);
        self.proof = Some(ground.proof);
        if let Some(denial) = denial {
            return Ok(Event::Denied(denial));
        }
        let judged = match self.judge_request(&request).await? {
            Ok(judged) => Event::Judged(judged),
            Err(event) => event,
        };
        Ok(judged)
    }

    /// Judges against the world as it is right now, and keeps what would be sent, what that would be at work on, and what
    /// holds it up.
    async fn judge_request(&mut self, request: &Request) -> Result<Result<Judged, Event>, Error> {
        self.forget_old_rules();
        if let Err(event) = self.scene().await? {
            return Ok(Err(event));
        }
        if let Some(doubt) = self.doubt_its_provenance().await {
            return Ok(Err(doubt));
        }
        let Some(scene) = &self.scene else { return Ok(Err(Event::Woken)) };
        let looked = scene.hypervisor.look(&Query::of(request), &privileges::paths(request)).await;
        let world = match looked {
            Ok(world) => world,
            Err(error) => return Ok(Err(self.unavailable(error))),
        };
        let looked_at = self.ports.clock.monotonic();
        if let Err(event) = self.keep_the_rules_fresh().await? {
            return Ok(Err(event));
        }
        self.judged_at = looked_at.min(self.rules_read_at);
        if let Err(event) = self.settle_policy().await? {
            return Ok(Err(event));
        }
        let (Some(scene), Some(policy)) = (&self.scene, &self.policy) else { return Ok(Err(Event::Woken)) };
        let setting = Setting {
            plan: &self.plan,
            environment: &scene.environment,
            policy,
            now: self.ports.clock.now(),
        };
        match judge(request, &world, setting) {
            Ok(Judgement { judged, dispatch, hold }) => {
                self.occupied =
                    dispatch.as_ref().map(|call| occupied(request, call, &world)).unwrap_or_default();
                self.dispatch = dispatch;
                self.hold = hold;
                Ok(self.lacks_a_secret(request).await.map_or(Ok(judged), Err))
            }
            Err(Unjudged::Denied(denial)) => Ok(Err(Event::Denied(denial))),
            Err(Unjudged::Unruled(unusable)) => Ok(Err(policy_invalid(&unusable))),
            Err(Unjudged::NotCanonical(error)) => Err(error.into()),
        }
    }

    pub(super) fn request(&self) -> Result<Request, Error> {
        normalise(&self.key.namespace, &self.plan.spec)
            .map_err(|_| Error::NotReady("a request that was valid no longer is".to_owned()))
    }

    pub(super) async fn read(&mut self) -> Result<Event, Error> {
        let request = self.request()?;
        let Operation::Read(reading) = request.action.operation else { return Ok(Event::Woken) };
        let scene = match self.scene().await? {
            Ok(scene) => scene,
            Err(event) => return Ok(event),
        };
        Ok(match scene.hypervisor.read(reading, &Query::of(&request), rows_wanted(&request)).await {
            Ok(readout) => Event::Read(readout.result()),
            Err(error) => self.unavailable(error),
        })
    }

    pub(super) async fn gather_approvals(&mut self) -> Result<Event, Error> {
        let Some(judged) = self.state.judged() else { return Ok(Event::Approvals(Tally::default())) };
        if self.plan.metadata.deletion_timestamp.is_some() || self.is_gone {
            return Ok(Event::Deleted);
        }
        // Only what took too long a moment ago is not asked again: a repository that answers slowly would hold it up for ever.
        let known = if self.rechecks > 1 { std::mem::take(&mut self.traces) } else { Traces::default() };
        let Gathered { ground, candidates, traces } =
            match readable(gather(self.ports, &self.plan, None, known, || self.reading = None).await)? {
                Ok(gathered) => gathered,
                Err(obstacle) => {
                    self.try_again_soon();
                    return Ok(Event::Blocked(obstacle.blocked));
                }
            };
        self.traces = traces;
        self.proof = Some(ground.proof.clone());
        if let Some(denial) = requester_not_proven(&self.plan, &ground.proof) {
            return Ok(Event::Denied(denial));
        }
        let bench = ground.bench(self.ports, &self.plan, judged, self.state.question());
        let tally = tally(&candidates, bench);
        let unread = candidates.iter().find_map(|candidate| {
            let traced = candidate.traced.as_ref().filter(|traced| traced.is_unavailable())?;
            traced.refusal.as_ref().map(|refusal| refusal.message.clone())
        });
        let is_approved = matches!(self.state.phase(), Phase::Approved | Phase::Dispatching);
        let rested_on_it = is_approved && !tally.is_enough(&judged.demand);
        self.approvals = approvals(&candidates);
        self.denial = tally.denied_by.as_ref().map(|no| ApprovalOnRecord {
            granted: no.granted.clone(),
            ..self
                .approvals
                .get(&no.granted.uid)
                .cloned()
                .unwrap_or_else(|| ApprovalOnRecord::of(no.granted.clone()))
        });
        self.approvals_traced = traced(candidates);
        let Some(why) = unread else { return Ok(Event::Approvals(tally)) };
        self.try_again_soon();
        // Nobody took anything back: it is only not known whether it is there still.
        if rested_on_it && tally.denied_by.is_none() {
            return Ok(Event::Blocked(blocked(GIT_UNAVAILABLE, why)));
        }
        Ok(Event::Approvals(tally))
    }

    pub(super) async fn recheck(&mut self) -> Result<Event, Error> {
        if self.rechecks == MOST_RECHECKS {
            self.try_again_soon();
            return Ok(Event::Blocked(judgements_grow_old(MOST_RECHECKS)));
        }
        self.rechecks += 1;
        let request = self.request()?;
        let judged = match self.judge_request(&request).await? {
            Ok(judged) => judged,
            Err(event) => return Ok(self.who_has_its_number(&request, event).await),
        };
        let Some(Dispatch { call, node, task_id, task_types }) = self.dispatch.clone() else {
            return Ok(Event::Woken);
        };
        if node.is_empty() {
            let message = "no node that is online can be seen, and one has to carry it out: grant the token Sys.Audit on /";
            return Ok(self.unavailable(HypervisorError { message: message.to_owned() }));
        }
        if self.goes_on_at_once(&judged)
            && let Err(held) = self.may_go(&judged).await?
        {
            return Ok(held);
        }
        let nonce = self.ports.clock.nonce();
        let Some(Scene { hypervisor, environment, .. }) = &self.scene else { return Ok(Event::Woken) };
        let nodes = match hypervisor.nodes().await {
            Ok(nodes) => nodes,
            Err(error) => return Ok(self.unavailable(error)),
        };
        let settle = time_to_settle(&environment.spec, &nodes, &node);
        let sender = hypervisor.token_id();
        let drafted_at = self.ports.clock.now();
        let node_time = match hypervisor.node_time(&node).await {
            Ok(node_time) => node_time,
            Err(error) => return Ok(self.unavailable(error)),
        };
        // Approvals end by the clock that dates them, or by ours if that is ahead.
        self.steady.is_at_least(self.ports.store.time(&self.key.namespace).await?);
        let draft = IntentDraft {
            nonce,
            node,
            storages: self.occupied.storages.iter().take(MOST_STORAGES).cloned().collect(),
            task_id,
            task_types,
            sender,
            node_time,
            drafted_at,
            judged_at: self.judged_at(),
            digest: call.params.get("digest").cloned(),
            settle,
        };
        Ok(Event::Rechecked { judged, draft: Box::new(draft) })
    }

    /// By the clock that has been set meanwhile.
    fn judged_at(&self) -> Timestamp {
        let clock = &self.ports.clock;
        let age = clock.monotonic().saturating_sub(self.judged_at);
        clock.now().saturating_sub(age).unwrap_or(Timestamp::MIN)
    }

    /// A guest that is gone may have left its number to one of another kind.
    async fn who_has_its_number(&mut self, request: &Request, event: Event) -> Event {
        let (Event::Denied(denial), Some(gone), Some(scene)) = (&event, request.target.guest(), &self.scene)
        else {
            return event;
        };
        if denial.reason != TARGET_NOT_FOUND {
            return event;
        }
        match scene.hypervisor.read(Reading::Inventory, &Query::inventory(), u32::MAX).await {
            Ok(Readout { found: Found::Inventory(_, all), .. }) => {
                of_another_kind(gone, &all).map_or(event, Event::Denied)
            }
            Ok(_) => event,
            Err(error) => self.unavailable(error),
        }
    }
}

/// What they say, by their uid.
fn approvals(candidates: &[Candidate]) -> BTreeMap<String, ApprovalOnRecord> {
    let read = candidates.iter().map(|candidate| ApprovalOnRecord::from(&candidate.approval));
    read.map(|approval| (approval.granted.uid.clone(), approval)).collect()
}

/// Where approvals come from, by their uid.
fn traced(candidates: Vec<Candidate>) -> BTreeMap<String, Traced> {
    let known = candidates
        .into_iter()
        .filter_map(|candidate| Some((candidate.approval.metadata.uid?, candidate.traced?)));
    known.collect()
}
