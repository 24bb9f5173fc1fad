//! What must not stand anywhere, and what the API server would not take.

use super::Evidence;
use crate::{
    api::CANARY,
    promises::{Broken, Promise},
};

pub(super) fn check(evidence: &Evidence, wrong: &mut Vec<Broken>) {
    let forbidden =
        evidence.forbidden.iter().map(|what| format!("the API server forbids what was written: {what}"));
    let audited = evidence.records.iter().map(|kept| serde_json::to_string(&kept.record).unwrap());
    let stored = evidence.changes.iter().map(|change| change.stored.text.to_string());
    let logged = evidence.log.lines().map(str::to_owned);
    let everything = audited.chain(stored).chain(logged).chain(evidence.writings.iter().cloned());
    let secrets =
        everything.filter(|text| text.contains(CANARY)).map(|text| format!("a secret stands in: {text}"));
    wrong.extend(forbidden.chain(secrets).map(|how| Promise::InOrder.broken(how)));
}
