//! What came of a case, held against what was expected.

use std::collections::BTreeSet;

use proxmox_agent::{
    catalog::Call,
    pve::sim::{LedgerEntry, Outcome},
};
use serde_json::{Value, json};

use crate::{
    book::{Case, Sends, given},
    pattern::{fits, fits_text},
    play::Played,
    worlds::difference,
};

/// Everything that is another way than expected. A success has to end well, and its case to spell the call out.
pub(crate) fn surprises(case: &Case, played: &Played, is_success: bool) -> Vec<String> {
    let mut surprises = played.oddities.clone();
    if !fits_text(&case.ends, &played.ends) {
        surprises.push(format!("ends: {} {}", json!(played.ends), played.message));
    }
    if is_success && !["done", "task: OK"].contains(&played.ends.as_str()) {
        surprises.push("is no success".to_owned());
    }
    let leaves = difference(&played.before, &played.after);
    if !fits(&given(&case.leaves), &leaves) {
        surprises.push(format!("leaves: {leaves}"));
    }
    surprises.extend(sent_once(played));
    let (call, with) = call_of(played);
    let as_written = |sends: &Sends| fits_text(&sends.call, &call) && fits(&given(&sends.with), &with);
    if !case.sends.as_ref().map_or(!is_success, as_written) {
        surprises.push(format!("sends: {}", json!({"call": call, "with": with})));
    }
    surprises
}

/// The method and path, and the parameters.
fn call_of(played: &Played) -> (String, Value) {
    let Some(entry) = played.ledger.first() else { return (String::new(), json!({})) };
    (format!("{} {}", entry.method, entry.path), json!(entry.params))
}

/// Nothing for a denial; else the one call, as it was judged.
fn sent_once(played: &Played) -> Option<String> {
    let Some(dispatch) = &played.dispatch else {
        return (!played.ledger.is_empty()).then(|| format!("sends although denied: {:?}", played.ledger));
    };
    let [entry] = played.ledger.as_slice() else {
        return Some(format!("sends {} calls: {:?}", played.ledger.len(), played.ledger));
    };
    let call = &dispatch.call;
    let is_same =
        entry.method == call.method.as_str() && entry.path == decoded(&call.path) && carries(entry, call);
    let ends_with = |word: &str| played.ends.starts_with(word);
    let accepted = !["not sent", "refused", "half-way"].iter().any(|word| ends_with(word));
    let as_told = ends_with("unknown") || (entry.outcome == Outcome::Executed) == accepted;
    (!is_same || !as_told).then(|| format!("what arrived is not what was judged: {call} {entry:?}"))
}

/// The simulation writes paths down as they are meant.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        decoded.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        decoded.push_str(&part[2..]);
    }
    decoded
}

/// The same parameters with the same values; the simulation writes no secret down.
fn carries(entry: &LedgerEntry, call: &Call) -> bool {
    let sent: BTreeSet<&String> = call.params.keys().chain(call.secrets.keys()).collect();
    let arrived: BTreeSet<&String> = entry.params.keys().collect();
    let is_same =
        |(name, value): (&String, &String)| value == "<hidden>" || call.params.get(name) == Some(value);
    sent == arrived && entry.params.iter().all(is_same)
}
