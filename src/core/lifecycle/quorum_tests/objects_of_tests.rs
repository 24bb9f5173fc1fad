//! What people wrote and what is seen, as the core is given it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{
    super::tests::noon,
    law_of_tests::{Needed, Verdict},
    world_of_tests::{Place, Said},
};
use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlanSpec, Source},
    core::{
        judge::{Judgement, Unjudged},
        observe::{self, BackupJob, Guest, Seen},
        request::{self, Request, normalise},
        testing::{guest, world_of},
    },
};

pub(super) fn at(milliseconds: i64) -> Timestamp {
    noon() + SignedDuration::from_millis(milliseconds)
}

/// As an API server dates objects.
pub(super) fn dated(milliseconds: i64) -> Option<Time> {
    Some(Time(Timestamp::from_second(at(milliseconds).as_second()).unwrap()))
}

pub(super) fn person(number: usize) -> String {
    format!("person-{number}")
}

pub(super) fn approval(said: &Said) -> ProxmoxActionApproval {
    let spec = json!({
        "planRef": {"name": if said.is_for_this_name { "p" } else { "q" }, "uid": said.plan_uid},
        "planHash": said.plan_hash,
        "decision": if said.word.denies { "Deny" } else { "Approve" },
        "approved_by": person(said.word.by),
        "approverGroups": said.word.groups,
        "environment": if said.is_for_this_environment { "home" } else { "cloud" },
        "risk": said.risk,
        "expiresAt": said.word.expires.map(|seconds| (dated(said.at).unwrap().0 + SignedDuration::from_secs(seconds)).to_string()),
        "attempt": said.names_an_attempt.then_some(1),
    });
    let mut approval =
        ProxmoxActionApproval::new(&format!("of-{}", said.uid), serde_json::from_value(spec).unwrap());
    approval.spec.source = said.word.git.map(|_| Source::Git);
    approval.metadata.creation_timestamp = dated(said.at);
    approval.metadata.uid = Some(said.uid.clone());
    approval.metadata.deletion_timestamp = said.is_going.then(|| dated(said.at).unwrap());
    approval
}

pub(super) fn spec(action: &str, requested_by: String) -> ProxmoxActionPlanSpec {
    let params = if action == "delete_snapshot" { json!({"snapshot": "before"}) } else { json!({}) };
    ProxmoxActionPlanSpec { requested_by, ..request::tests::spec(action, "qemu/100", params) }
}

pub(super) fn request(action: &str, requested_by: String) -> Request {
    normalise("default", &spec(action, requested_by)).unwrap()
}

/// What is seen there.
pub(super) fn met(place: &Place) -> observe::World {
    let target = Guest {
        node: format!("pve{}", place.node),
        tags: place.tags.iter().map(ToString::to_string).collect(),
        pool: place.in_pool.then(|| "vault".to_owned()),
        ..guest("qemu/100")
    };
    let job = |number| BackupJob {
        id: format!("nightly-{number}"),
        enabled: true,
        guests: vec![target.reference.vmid],
        ..BackupJob::default()
    };
    let jobs = (0..place.jobs).map(job).collect();
    observe::World { backup_jobs: Seen::Known(jobs), ..world_of(target) }
}

/// What was judged, in the words of the oracle.
pub(super) fn as_meant(judged: &Result<Judgement, Unjudged>) -> Verdict {
    match judged {
        Ok(Judgement { judged, hold, .. }) => Verdict::Needs {
            needed: Needed {
                risk: judged.risk,
                people: judged.demand.people(),
                groups: judged.demand.groups().into_iter().map(|of| (of.group, of.count)).collect(),
            },
            frozen: hold.is_some(),
        },
        Err(Unjudged::Denied(_)) => Verdict::Refused,
        Err(_) => Verdict::Broken,
    }
}
