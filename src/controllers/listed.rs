//! Everything that exists of a kind, as a watch begins with it.

use futures::StreamExt;
use kube::{core::DeserializeGuard, runtime::watcher};

use crate::ports::{Hypervisors, Kind, Ports, Store};

pub(super) async fn objects<K: Kind, S: Store>(
    ports: &Ports<S, impl Hypervisors>,
) -> Vec<DeserializeGuard<K>> {
    let mut found = Vec::new();
    let mut changes = ports.store.watch::<K>();
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::InitApply(object)) => found.push(object),
            Ok(watcher::Event::InitDone) => break,
            Ok(_) => {}
            Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "failed to list"),
        }
    }
    found
}
