//! Since when the names in plans and approvals are forced by the API server's admission policies.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::AdmissionRecord;

use super::approval::Proof;

/// How long an API server may take to notice that its policies have changed. What comes in meanwhile proves nothing.
const SETTLING: SignedDuration = SignedDuration::from_secs(5);

/// What a home has to say about its admission policies, right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a directory, which has none.
    Directory,
    /// The owner does without them, and has said so.
    Waived,
    Policies(Policies),
}

/// The admission policies as they stand on the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Another one after each change, also if it was taken back.
    pub revision: String,
    /// Since when they are as they are, if they have never been changed: whoever takes a change back can't hide it.
    pub unchanged_since: Option<Timestamp>,
    /// Which of them are missing or not as they should be.
    pub problems: Vec<String>,
}

/// What a name in a plan or an approval is worth, given what is known of an environment's past.
pub fn proof(admission: &Admission, record: Option<&AdmissionRecord>) -> Proof {
    let policies = match admission {
        Admission::Directory => return Proof::DirectoryAccess,
        Admission::Waived => return Proof::ApiServer,
        Admission::Policies(policies) => policies,
    };
    if !policies.problems.is_empty() {
        return Proof::NotInForce(policies.problems.join("; "));
    }
    let on_record = record.filter(|record| record.revision == policies.revision).map(|record| record.since.0);
    match on_record.or(policies.unchanged_since) {
        Some(since) => Proof::Admission { since: since.saturating_add(SETTLING).unwrap_or(Timestamp::MAX) },
        None => Proof::NotInForce("they have changed a moment ago".to_owned()),
    }
}

/// What to remember: the moment from which they are known to stand as they are. `now` is the API server's clock.
pub fn record(
    policies: &Policies,
    before: Option<&AdmissionRecord>,
    now: Timestamp,
) -> Option<AdmissionRecord> {
    if !policies.problems.is_empty() {
        return None;
    }
    let known = before.filter(|record| record.revision == policies.revision).cloned();
    let since = policies.unchanged_since.unwrap_or(now);
    known.or_else(|| Some(AdmissionRecord { revision: policies.revision.clone(), since: Time(since) }))
}
