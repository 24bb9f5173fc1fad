use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    catalog::path_segment,
    pve::{Client, ReadError, read_error::Envelope},
};

/// So many questions are open at the same time: a node serves a few workers only, and others need them too.
const AT_ONCE: usize = 8;

type Answer = Arc<OnceCell<Result<Envelope<Value>, ReadError>>>;

/// Asks Proxmox, a bounded number of questions at once and none of them twice.
#[derive(Debug)]
pub(super) struct Lookout<'a> {
    client: &'a Client,
    permits: Semaphore,
    answers: Mutex<HashMap<String, Answer>>,
    /// Nodes that could not be reached, and why: a dead one costs one time-out, not one for each of its guests.
    silent: Mutex<BTreeMap<String, ReadError>>,
}

impl<'a> Lookout<'a> {
    pub fn new(client: &'a Client) -> Self {
        Self { client, permits: Semaphore::new(AT_ONCE), answers: Mutex::default(), silent: Mutex::default() }
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ReadError> {
        Ok(self.get_whole(path, query).await?.data)
    }

    /// Asks a node for something of its own.
    pub async fn get_on<T: DeserializeOwned>(
        &self,
        node: &str,
        below: &str,
        query: &[(&str, String)],
    ) -> Result<T, ReadError> {
        Ok(self.get_whole_on(node, below, query).await?.data)
    }

    pub async fn get_whole_on<T: DeserializeOwned>(
        &self,
        node: &str,
        below: &str,
        query: &[(&str, String)],
    ) -> Result<Envelope<T>, ReadError> {
        if let Some(error) = lock(&self.silent).get(node) {
            return Err(error.clone());
        }
        let answer = self.get_whole(&format!("/nodes/{}/{below}", path_segment(node)), query).await;
        if let Err(error @ ReadError::Unreachable { .. }) = &answer {
            lock(&self.silent).insert(node.to_owned(), error.clone());
        }
        answer
    }

    /// An answer came whose content makes no sense.
    pub fn misread(&self, path: &str, why: &str) -> ReadError {
        self.client.misread(path, why)
    }

    async fn get_whole<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Envelope<T>, ReadError> {
        let answer = Arc::clone(lock(&self.answers).entry(format!("{path} {query:?}")).or_default());
        let Envelope { data, changes, total } = answer.get_or_init(|| self.ask(path, query)).await.clone()?;
        let data = serde_json::from_value(data).map_err(|error| self.misread(path, &error.to_string()))?;
        Ok(Envelope { data, changes, total })
    }

    async fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Envelope<Value>, ReadError> {
        let _permit = self.permits.acquire().await;
        self.client.get_whole(path, query).await
    }
}

fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
