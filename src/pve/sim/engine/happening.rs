//! What happens by itself at some moment. Nothing waits for it: whoever looks at the state next lets it happen.
use std::time::Duration;

use tokio::time::Instant;

use super::State;

pub(in crate::pve::sim) struct Happening {
    at: Instant,
    work: Box<dyn FnOnce(&mut State) + Send>,
}

impl std::fmt::Debug for Happening {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Happening").field("at", &self.at).finish_non_exhaustive()
    }
}

impl State {
    pub(in crate::pve::sim) fn happen_after(
        &mut self,
        delay: Duration,
        work: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        self.happenings.push(Happening { at: Instant::now() + delay, work: Box::new(work) });
    }

    /// When the state changes next if nobody asks for anything.
    pub(in crate::pve::sim) fn next_event_of_any_kind(&self) -> Option<Instant> {
        let tasks = self.tasks.iter().filter(|task| task.is_running()).map(|task| task.ends);
        tasks.chain(self.next_happening()).min()
    }

    /// When the next of them is due.
    pub(super) fn next_happening(&self) -> Option<Instant> {
        self.happenings.iter().map(|happening| happening.at).min()
    }

    /// Lets the earliest of them happen.
    pub(super) fn happen(&mut self) {
        let earliest = self.happenings.iter().enumerate().min_by_key(|(_, happening)| happening.at);
        if let Some(position) = earliest.map(|(position, _)| position) {
            let happening = self.happenings.remove(position);
            (happening.work)(self);
        }
    }
}
