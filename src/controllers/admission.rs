//! Since when names in plans and approvals are forced to be true: kept on record in each environment.

use crate::{
    api::{AdmissionRecord, EnvironmentStatus, ProxmoxEnvironment, Tier},
    core::{
        admission::{Admission, proof, record},
        approval::Proof,
    },
    ports::{Hypervisors, Key, Notice, Ports, Severity, Store},
};

use super::Error;

/// A status holds so much of it.
const MOST_CHARACTERS: usize = 512;

/// Brings an environment's record up to date, and tells people when it has changed.
pub(super) async fn keep_record<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    mut environment: ProxmoxEnvironment,
) -> Result<ProxmoxEnvironment, Error> {
    let before = environment.status.clone().unwrap_or_default();
    let admission = ports.store.admission().await?;
    let admitted = recorded(ports, &environment, &admission, before.admission.as_ref()).await?;
    let proof = proof(&admission, admitted.as_ref());
    let approvals = worth(&proof, environment.spec.tier);
    let status = EnvironmentStatus { approvals, admission: admitted, ..before.clone() };
    if status == before {
        return Ok(environment);
    }
    let notice = news(&before, &status, &proof);
    environment.status = Some(status);
    let environment = ports.store.replace_status(&environment).await?;
    if let Some(notice) = notice {
        ports.store.publish(&environment, notice).await;
    }
    Ok(environment)
}

/// The time is only asked for where the policies don't date themselves, and after they were read: were it known before,
/// something could have got in between.
async fn recorded<S: Store, H: Hypervisors>(
    ports: &Ports<S, H>,
    environment: &ProxmoxEnvironment,
    admission: &Admission,
    before: Option<&AdmissionRecord>,
) -> Result<Option<AdmissionRecord>, Error> {
    let Admission::Policies(policies) = admission else { return Ok(None) };
    let now = match policies.unchanged_since {
        Some(since) => since,
        None => ports.store.time(&Key::of(environment).namespace).await?,
    };
    Ok(record(policies, before, now))
}

/// What an approval is worth, in words.
fn worth(proof: &Proof, tier: Tier) -> String {
    let why = match proof {
        Proof::NotInForce(why) => format!(": {why}"),
        proof if !proof.is_enough_for(tier) => {
            "; tier production does not accept that, so nothing that needs an approval can run here"
                .to_owned()
        }
        _ => String::new(),
    };
    format!("{}{why}", proof.described()).chars().take(MOST_CHARACTERS).collect()
}

fn news(before: &EnvironmentStatus, now: &EnvironmentStatus, proof: &Proof) -> Option<Notice> {
    match proof {
        Proof::NotInForce(_) => Some(Notice {
            severity: Severity::Warning,
            reason: "AdmissionNotInForce".to_owned(),
            message: now.approvals.clone(),
        }),
        // That all is well from the beginning is no news.
        Proof::Admission { since } if !before.approvals.is_empty() => Some(Notice {
            severity: Severity::Normal,
            reason: "AdmissionInForce".to_owned(),
            message: format!("{}; what came in before {since} does not count", now.approvals),
        }),
        _ => None,
    }
}
