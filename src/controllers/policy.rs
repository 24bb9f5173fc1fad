//! Says on a policy whether plans can be judged by it. Decides nothing about them: they find out for themselves.

use jiff::Timestamp;

use crate::{
    api::{PolicyStatus, ProxmoxPolicy, READY, RECONCILING, STALLED, set_condition},
    core::policy::{Fault, faults},
    ports::{Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::Error;

/// Looks at a policy.
pub(super) async fn reconcile<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    key: &Key,
) -> Result<Option<Timestamp>, Error> {
    let Some(policy) = ports.store.get::<ProxmoxPolicy>(key).await? else { return Ok(None) };
    let found = Found::of(&policy);
    report(ports, policy, found).await?;
    Ok(None)
}

/// What is to be said about it.
struct Found {
    usable: bool,
    reason: &'static str,
    message: String,
}

impl Found {
    fn of(policy: &ProxmoxPolicy) -> Self {
        let faults = faults(policy);
        if faults.is_empty() {
            let rules = policy.spec.rules.len();
            let message = format!("plans are judged by it; rules: {rules}");
            return Self { usable: true, reason: "Compiled", message };
        }
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        let message = format!("no plan is judged by it until this is mended: {}", told.join("; "));
        Self { usable: false, reason: "DoesNotCompile", message }
    }
}

async fn report<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut policy: ProxmoxPolicy,
    found: Found,
) -> Result<(), Error> {
    let before = policy.status.take().unwrap_or_default();
    let status = status(&before, policy.metadata.generation, &found, ports.clock.now());
    if before == status {
        return Ok(());
    }
    let is_news = told(&before) != told(&status);
    policy.status = Some(status);
    let policy = ports.store.replace_status(&policy).await?;
    if is_news {
        let severity = if found.usable { Severity::Normal } else { Severity::Warning };
        let notice = Notice { severity, reason: found.reason.to_owned(), message: found.message };
        ports.store.publish(&policy, notice).await;
    }
    Ok(())
}

fn status(before: &PolicyStatus, generation: Option<i64>, found: &Found, now: Timestamp) -> PolicyStatus {
    let mut conditions = before.conditions.clone();
    let message: String = found.message.chars().take(4096).collect();
    for (type_, holds) in [(READY, found.usable), (RECONCILING, false), (STALLED, !found.usable)] {
        set_condition(&mut conditions, type_, holds, (found.reason, &message), generation, now);
    }
    PolicyStatus { observed_generation: generation, conditions }
}

/// A new generation alone is no news.
fn told(status: &PolicyStatus) -> Vec<(&str, &str)> {
    status
        .conditions
        .iter()
        .map(|condition| (condition.reason.as_str(), condition.message.as_str()))
        .collect()
}
