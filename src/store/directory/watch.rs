//! Streams of changes. Each compares what is there with what it has told, so a slow reader misses intermediate
//! states, never the last one, and nothing piles up for it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::watcher::Event,
};
use tokio::sync::watch;

use super::{Shared, object::Object};
use crate::ports::{Changes, Key, Kind};

type Now = BTreeMap<Key, Result<Arc<Object>, String>>;

struct Teller<K> {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    told: Option<Now>,
    next: VecDeque<Event<DeserializeGuard<K>>>,
}

/// Everything that is there, then every change.
pub(super) fn changes<K: Kind>(shared: Arc<Shared>) -> Changes<K> {
    let changes = shared.changes.clone();
    let teller = Teller { shared, changes, told: None, next: VecDeque::new() };
    stream::unfold(teller, |mut teller: Teller<K>| async move {
        loop {
            if let Some(event) = teller.next.pop_front() {
                return Some((Ok(event), teller));
            }
            if teller.told.is_some() && teller.changes.changed().await.is_err() {
                return None;
            }
            teller.changes.mark_unchanged();
            // The runtime is coming down: nobody is left to tell.
            if !teller.look().await {
                return None;
            }
        }
    })
    .boxed()
}

impl<K: Kind> Teller<K> {
    async fn look(&mut self) -> bool {
        let first = self.told.is_none();
        let kind = K::kind(&()).into_owned();
        let looked = self
            .shared
            .clone()
            .blocking("look for changes", move |contents| {
                // A failed look is repeated and reported by the thread that notices changes.
                if first {
                    let _ = contents.refresh();
                }
                Ok(contents.of_kind(&kind))
            })
            .await;
        let Ok(now) = looked else { return false };
        match self.told.replace(now) {
            None => self.begin(),
            Some(before) => self.compare(&before),
        }
        true
    }

    fn begin(&mut self) {
        let all = self.told.iter().flatten().map(|(key, found)| Event::InitApply(guarded(key, found)));
        self.next.push_back(Event::Init);
        self.next.extend(all);
        self.next.push_back(Event::InitDone);
    }

    fn compare(&mut self, before: &Now) {
        let Some(now) = &self.told else { return };
        for (key, was) in before {
            if !now.get(key).is_some_and(|is| is_same_object(was, is)) {
                self.next.push_back(Event::Delete(guarded(key, was)));
            }
        }
        for (key, is) in now {
            if !before.get(key).is_some_and(|was| is_unchanged(was, is)) {
                self.next.push_back(Event::Apply(guarded(key, is)));
            }
        }
    }
}

fn is_same_object(was: &Result<Arc<Object>, String>, is: &Result<Arc<Object>, String>) -> bool {
    match (was, is) {
        (Ok(was), Ok(is)) => was.uid() == is.uid(),
        _ => true,
    }
}

fn is_unchanged(was: &Result<Arc<Object>, String>, is: &Result<Arc<Object>, String>) -> bool {
    match (was, is) {
        (Ok(was), Ok(is)) => was.uid() == is.uid() && was.version() == is.version(),
        (Err(was), Err(is)) => was == is,
        _ => false,
    }
}

fn guarded<K: Kind>(key: &Key, found: &Result<Arc<Object>, String>) -> DeserializeGuard<K> {
    let named = || ObjectMeta {
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        ..ObjectMeta::default()
    };
    DeserializeGuard(match found {
        Ok(object) => object
            .typed()
            .map_err(|error| InvalidObject { error: error.to_string(), metadata: object.metadata.clone() }),
        Err(why) => Err(InvalidObject { error: why.clone(), metadata: named() }),
    })
}
