//! What goes into the audit log.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures::future::{self, Either};
use kube::ResourceExt;
use secrecy::SecretString;

use crate::{
    api::{Decision, GrantedApproval},
    catalog::ParamValue,
    controllers::Error,
    core::{
        audit::{Actor, ApprovalOnRecord, AuditEvent, AuditRecord, TaskOnRecord},
        lifecycle::State,
        task::{TaskLog, Upid},
    },
    ports::{Hypervisor, Hypervisors, Store},
};

use super::Look;

/// As long as a log may take that is only kept as evidence.
const PATIENCE: Duration = Duration::from_secs(5);

impl<S: Store, H: Hypervisors> Look<'_, S, H> {
    pub(super) async fn audit(&self, event: AuditEvent, message: String) -> Result<(), Error> {
        self.ports.audit.append(self.record(event, message)).await.map_err(Error::Audit)
    }

    /// What its approver said, though it does not count any more.
    pub(super) async fn audit_gone(&self, gone: GrantedApproval, message: String) -> Result<(), Error> {
        let known = self.approvals.get(&gone.uid).cloned();
        let record = AuditRecord {
            actor: Actor::approver(&gone.approved_by),
            approvals: vec![ApprovalOnRecord {
                granted: gone.clone(),
                ..known.unwrap_or_else(|| ApprovalOnRecord::of(gone))
            }],
            ..self.record(AuditEvent::ApprovalGone, message)
        };
        self.ports.audit.append(record).await.map_err(Error::Audit)
    }

    fn record(&self, event: AuditEvent, message: String) -> AuditRecord {
        let judged = self.state.judged();
        let spec = &self.plan.spec;
        let is_first = event == AuditEvent::Planned || judged.is_none();
        let is_judged_anew = matches!(event, AuditEvent::Planned | AuditEvent::Rejudged);
        let (approvals, decision) = self.decided(event);
        AuditRecord {
            namespace: self.key.namespace.clone(),
            environment: spec.environment.clone(),
            plan: self.key.name.clone(),
            plan_uid: self.plan.uid().unwrap_or_default(),
            action: spec.action.clone(),
            target: spec.target.chars().take(253).collect(),
            requested_by: spec.requested_by.clone(),
            request_hash: judged.map(|judged| judged.request_hash.to_string()),
            plan_hash: judged.map(|judged| judged.plan_hash.to_string()),
            decision,
            approvals,
            attempt: self.state.intent().map(|intent| intent.attempt),
            intent: self.state.intent().cloned(),
            call: judged.and_then(|judged| judged.preview.calls.first().cloned()),
            upid: self.state.upid().map(ToString::to_string),
            outcome: matches!(self.state, State::Ended(_)).then(|| self.state.phase()),
            task: self.task_on_record(),
            request: is_first.then(|| spec.clone()),
            preview: judged.filter(|_| is_judged_anew).map(|judged| judged.preview.clone()),
            from_git: self.came_by_git(event),
            ..AuditRecord::new(self.ports.clock.now(), event, self.actor(event), message)
        }
    }

    fn actor(&self, event: AuditEvent) -> Actor {
        match (event, &self.denial) {
            (AuditEvent::Denied, Some(denial)) => Actor::approver(&denial.granted.approved_by),
            (AuditEvent::Planned | AuditEvent::Denied, _) if self.state.intent().is_none() => {
                Actor::requester(&self.plan.spec.requested_by)
            }
            _ => {
                Actor::operator(self.state.intent().map(|intent| intent.sender.as_str()).unwrap_or_default())
            }
        }
    }

    /// The approvals that it rests on, with all that is known of them, or the one that ended it.
    fn decided(&self, event: AuditEvent) -> (Vec<ApprovalOnRecord>, Option<Decision>) {
        if let (AuditEvent::Denied, Some(denial)) = (event, &self.denial) {
            return (vec![denial.clone()], Some(Decision::Deny));
        }
        let known = |uid: &str| self.approvals.get(uid).cloned();
        let granted = self.state.granted().iter();
        let approvals: Vec<ApprovalOnRecord> = granted
            .map(|granted| ApprovalOnRecord {
                granted: granted.clone(),
                ..known(&granted.uid).unwrap_or_else(|| ApprovalOnRecord::of(granted.clone()))
            })
            .collect();
        let is_about_them = matches!(event, AuditEvent::Intent | AuditEvent::Denied);
        let decision = (!approvals.is_empty() && is_about_them).then_some(Decision::Approve);
        (approvals, decision)
    }

    fn task_on_record(&self) -> Option<TaskOnRecord> {
        let exit_status = self.state.task()?.exit_status.clone();
        Some(TaskOnRecord { exit_status, ..self.log.clone().unwrap_or_default() })
    }

    /// Reads what a task has written when it has ended: later Proxmox may have forgotten it. No outcome waits for it long.
    pub(super) async fn keep_log(&mut self, upid: &Upid) {
        let (Some(scene), Ok(request)) = (&self.scene, self.request()) else { return };
        let mut secrets: BTreeMap<String, SecretString> = BTreeMap::new();
        for (name, value) in &request.params {
            let ParamValue::Secret(from) = value else { continue };
            match self.secret(from).await {
                Ok(secret) => drop(secrets.insert(name.clone(), secret)),
                Err(error) => {
                    let why = format!("a secret that may be in it can't be taken out: {error}");
                    self.log = Some(TaskOnRecord { log_missing: Some(why), ..TaskOnRecord::default() });
                    return;
                }
            }
        }
        let reading = pin!(scene.hypervisor.task_log(upid, &secrets));
        self.log = Some(match future::select(reading, self.ports.clock.sleep(PATIENCE)).await {
            Either::Left((Ok(TaskLog { lines, before }), _)) => {
                TaskOnRecord { log: lines, lines_before: before, ..TaskOnRecord::default() }
            }
            Either::Left((Err(error), _)) => {
                TaskOnRecord { log_missing: Some(error.message), ..TaskOnRecord::default() }
            }
            Either::Right(_) => {
                let why = format!("it could not be read within {PATIENCE:?}");
                TaskOnRecord { log_missing: Some(why), ..TaskOnRecord::default() }
            }
        });
    }
}
