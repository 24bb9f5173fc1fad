//! Notices that files have changed, without being asked.

use std::{
    path::{Path, PathBuf},
    sync::{
        Weak,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

use super::Shared;

/// Network file systems tell nothing of what others write: looking is cheap as long as nothing has changed.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// Where the kernel tells nothing at all.
const LOOK_OFTEN: Duration = Duration::from_secs(1);
/// Changes come in flocks.
const FLOCK: Duration = Duration::from_millis(20);

/// Looks whenever something may have changed, until the store is gone.
pub(super) fn keep_looking(
    root: PathBuf,
    state: PathBuf,
    shared: Weak<Shared>,
    wake: SyncSender<()>,
    woken: Receiver<()>,
) -> std::io::Result<()> {
    let run = move || {
        let watcher = watch(&root, state, wake);
        let at_least = if watcher.is_some() { LOOK_AT_LEAST_EVERY } else { LOOK_OFTEN };
        let mut pause = Duration::ZERO;
        let mut failing = false;
        loop {
            match woken.recv_timeout(pause) {
                Ok(()) => std::thread::sleep(FLOCK),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while woken.try_recv().is_ok() {}
            let Some(shared) = shared.upgrade() else { return };
            let mut contents = shared.lock();
            let looked = contents.refresh();
            pause = contents.look_again_in().unwrap_or(at_least);
            if let Err(error) = &looked {
                pause = LOOK_OFTEN;
                if !failing {
                    tracing::warn!(%error, "the directory can't be taken in; trying again every second");
                }
            }
            failing = looked.is_err();
        }
    };
    std::thread::Builder::new().name("directory".to_owned()).spawn(run).map(drop)
}

fn watch(root: &Path, state: PathBuf, wake: SyncSender<()>) -> Option<RecommendedWatcher> {
    let hidden_below = root.to_owned();
    let told = move |event: notify::Result<Event>| {
        // An error may mean that changes were lost: look as well.
        if event.map_or(true, |event| is_worth_a_look(&event, &hidden_below, &state)) {
            // Full means that a look is due already.
            let _ = wake.try_send(());
        }
    };
    let started = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    started
        .inspect_err(|error| tracing::warn!(%error, root = %root.display(), "the system does not tell of changed files; looking every second"))
        .ok()
}

/// Our own reading and what happens in `.git` or in the state directory is not.
fn is_worth_a_look(event: &Event, root: &Path, state: &Path) -> bool {
    let writes =
        !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    let is_hidden = |path: &PathBuf| {
        path.starts_with(state)
            || path
                .strip_prefix(root)
                .is_ok_and(|below| below.iter().any(|name| name.as_encoded_bytes().starts_with(b".")))
    };
    writes && (event.need_rescan() || event.paths.is_empty() || !event.paths.iter().all(is_hidden))
}
