//! What environments keep of audit logs, so that nobody can shorten or rewrite one unnoticed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::AuditAnchor;

use super::Head;

/// How often an environment is written for it at most.
pub const BETWEEN_ANCHORS: SignedDuration = SignedDuration::from_secs(60);
/// As many as a status holds.
const MOST: usize = 16;

/// What an environment keeps once it has seen this head. `None` if it has seen it already.
pub fn anchored(before: &[AuditAnchor], head: &Head, now: Timestamp) -> Option<Vec<AuditAnchor>> {
    if before.iter().any(|anchor| anchor.chain == head.chain && anchor.hash == head.hash) {
        return None;
    }
    let mut anchors: Vec<AuditAnchor> =
        before.iter().filter(|anchor| anchor.chain != head.chain).cloned().collect();
    // Those that have not moved for longest go first: what was seen of them stays on record in a chain that took over.
    anchors.sort_by_key(|anchor| anchor.at.0);
    anchors.drain(..anchors.len().saturating_sub(MOST - 1));
    let Head { chain, sequence, hash } = head.clone();
    anchors.push(AuditAnchor { chain, sequence, hash, at: Time(now) });
    Some(anchors)
}

/// The furthest that anybody has seen of each chain but this one.
pub fn seen_of_others<'a>(anchors: impl IntoIterator<Item = &'a AuditAnchor>, own: &str) -> Vec<Head> {
    let mut furthest: BTreeMap<&str, &AuditAnchor> = BTreeMap::new();
    for anchor in anchors.into_iter().filter(|anchor| anchor.chain != own) {
        let known = furthest.entry(&anchor.chain).or_insert(anchor);
        if anchor.sequence > known.sequence {
            *known = anchor;
        }
    }
    let head = |anchor: &AuditAnchor| Head {
        chain: anchor.chain.clone(),
        sequence: anchor.sequence,
        hash: anchor.hash.clone(),
    };
    furthest.into_values().map(head).collect()
}
