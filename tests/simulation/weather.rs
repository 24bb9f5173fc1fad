//! How rough it gets: which things go wrong in a run, and how often.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::dice::Dice;

/// Rates are in a thousand.
#[derive(Debug)]
pub(crate) struct Weather {
    is_rough: AtomicBool,
    /// Of requests to the API server.
    pub(crate) api: u64,
    /// Of what a watch tells.
    pub(crate) watch: u64,
    /// Of reads of Proxmox.
    pub(crate) reads: u64,
    /// Of calls that change something.
    pub(crate) calls: u64,
    /// Of tasks.
    pub(crate) tasks: u64,
    /// Of records of the audit log.
    pub(crate) audit: u64,
    /// In milliseconds, also when nothing goes wrong any more.
    pub(crate) slowest_fetch: u64,
    /// Of questions whether a replica leads.
    pub(crate) lead: u64,
}

impl Weather {
    /// Some runs are calm in most respects: there, what goes wrong is not drowned by what goes wrong as well.
    pub(crate) fn of(dice: &Dice, dice_for_the_lead: &Dice) -> Arc<Self> {
        let rate = |rates: &[u64]| *dice.one_of(rates);
        Arc::new(Self {
            is_rough: AtomicBool::new(true),
            api: rate(&[0, 5, 20, 60]),
            watch: rate(&[0, 20, 100]),
            reads: rate(&[0, 5, 30]),
            calls: rate(&[0, 200, 500]),
            tasks: rate(&[0, 100, 300]),
            audit: rate(&[0, 0, 30]),
            slowest_fetch: *dice.one_of(&[100, 100, 3_000, 20_000]),
            lead: *dice_for_the_lead.one_of(&[0, 0, 100]),
        })
    }

    /// Nothing goes wrong any more.
    pub(crate) fn clear_up(&self) {
        self.is_rough.store(false, Ordering::SeqCst);
    }

    pub(crate) fn strikes(&self, dice: &Dice, rate: u64) -> bool {
        self.is_rough.load(Ordering::SeqCst) && dice.permille(rate)
    }
}
