//! Which looks have begun and not ended yet: what a process that is to end waits for.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::ports::{Key, Kind};

/// The looks of all controllers.
///
/// No object is looked at twice at the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks(Arc<Mutex<BTreeSet<String>>>);

/// One look, until it is dropped.
pub(super) struct Begun {
    looks: Looks,
    what: String,
}

impl Looks {
    fn begun(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin<K: Kind>(&self, key: &Key) -> Begun {
        let what = format!("{} {key}", K::kind(&()));
        self.begun().insert(what.clone());
        Begun { looks: self.clone(), what }
    }

    /// Those that have not ended, in words.
    pub(super) fn unfinished(&self) -> Vec<String> {
        self.begun().iter().cloned().collect()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.looks.begun().remove(&self.what);
    }
}

#[cfg(test)]
mod tests {
    use crate::api::{ProxmoxActionApproval, ProxmoxActionPlan};

    use super::*;

    #[test]
    fn a_look_is_unfinished_until_it_ends_and_kinds_are_told_apart() {
        let (looks, key) = (Looks::default(), Key::new("n", "a"));
        let plan = looks.begin::<ProxmoxActionPlan>(&key);
        let approval = looks.begin::<ProxmoxActionApproval>(&key);
        assert_eq!(looks.unfinished(), ["ProxmoxActionApproval n/a", "ProxmoxActionPlan n/a"]);
        drop(approval);
        assert_eq!(looks.unfinished(), ["ProxmoxActionPlan n/a"]);
        drop(plan);
        assert!(looks.unfinished().is_empty());
    }
}
