//! Whether a target is still the guest that was judged, or another one under its number.

use std::collections::BTreeMap;

use crate::catalog::GuestRef;

use super::{
    fingerprint::identity_of,
    judge::{Denial, Judged},
    observe::{Guest, InventoryRow},
};

/// What a guest keeps for as long as it lives, whatever it is called and wherever it is.
const IDENTITY: [&str; 3] = ["guest", "smbiosUuid", "macAddress"];

/// What shows that the target is another guest than the one that was judged. Nothing if it is the same.
pub fn replaced(before: &Judged, now: &Judged) -> Vec<String> {
    differences(&before.fingerprint, &now.fingerprint)
}

/// The same of a guest that was only looked at, after a call that may itself have set these facts.
pub fn replaced_by(before: &Judged, guest: &Guest, set: &[&str]) -> Vec<String> {
    let known = |facts: &BTreeMap<String, String>| {
        let mut facts = facts.clone();
        facts.retain(|fact, _| !set.contains(&fact.as_str()));
        facts
    };
    differences(&known(&before.fingerprint), &known(&identity_of(guest)))
}

fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "absent".to_owned());
    IDENTITY
        .into_iter()
        .map(|fact| (fact, before.get(fact).cloned(), now.get(fact).cloned()))
        .filter(|(_, was, is)| was != is)
        .map(|(fact, was, is)| format!("{fact}: {} -> {}", shown(was), shown(is)))
        .collect()
}

/// The guest of another kind that has the number of one that is gone.
pub fn of_another_kind(gone: GuestRef, all: &[InventoryRow]) -> Option<Denial> {
    let other = all.iter().find(|row| row.reference.vmid == gone.vmid && row.reference != gone)?;
    Some(another_guest(&format!("guest: {gone} -> {}", other.reference)))
}

pub fn another_guest(what_shows_it: &str) -> Denial {
    let message = format!(
        "the target is another guest than the one that was judged ({what_shows_it}): make a new plan if that one is meant"
    );
    Denial { reason: "TargetReplaced", message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{GuestKind, Vmid},
        core::lifecycle::tests::judged,
    };

    fn with(fact: &str, value: &str) -> Judged {
        let mut judged = judged(1);
        judged.fingerprint.insert(fact.to_owned(), value.to_owned());
        judged
    }

    #[test]
    fn a_guest_is_another_one_when_what_it_keeps_for_life_differs() {
        for fact in ["smbiosUuid", "macAddress", "guest"] {
            assert_eq!(replaced(&with(fact, "one"), &with(fact, "two")), [format!("{fact}: one -> two")]);
            assert_eq!(replaced(&with(fact, "one"), &with(fact, "one")), [""; 0]);
        }
        assert_eq!(replaced(&with("macAddress", "one"), &judged(1)), ["macAddress: one -> absent"]);
        assert_eq!(replaced(&judged(1), &with("smbiosUuid", "one")), ["smbiosUuid: absent -> one"]);
    }

    #[test]
    fn a_guest_may_be_renamed_moved_and_changed_and_is_still_itself() {
        for fact in ["name", "node", "configDigest", "environment"] {
            assert_eq!(replaced(&with(fact, "one"), &with(fact, "two")), [""; 0], "{fact}");
        }
    }

    #[test]
    fn a_number_that_a_guest_of_the_other_kind_has_now_is_told() {
        let row = |kind, number| InventoryRow {
            reference: GuestRef { kind, vmid: Vmid::new(number).unwrap() },
            node: "pve1".into(),
            name: "web".into(),
            status: "stopped".into(),
        };
        let gone = row(GuestKind::Qemu, 100).reference;
        assert_eq!(of_another_kind(gone, &[row(GuestKind::Lxc, 101)]), None);
        let denial = of_another_kind(gone, &[row(GuestKind::Lxc, 101), row(GuestKind::Lxc, 100)]).unwrap();
        assert_eq!(denial.reason, "TargetReplaced");
        assert!(denial.message.contains("qemu/100 -> lxc/100"), "{}", denial.message);
    }
}
