//! Repositories that plans and approvals come from: fetched, never written to.
//!
//! `fetch` brings a branch here, over TLS of our own (`relay` and `upstream`), `find` looks for the files that hold our
//! objects, `history` for the commit that brought one, `signature` for who signed that; `sight` puts it together. `proof`
//! keeps what proves it without the repository. `check` says without asking what can't work.

mod check;
mod fetch;
mod find;
mod history;
mod kept;
mod place;
mod proof;
mod relay;
mod sight;
mod signature;
mod upstream;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, future::BoxFuture};
use secrecy::SecretString;

use crate::{
    api::GitTrust,
    core::provenance::{Sighting, Wanted},
    ports::{Clock, Repositories, RepositoryError},
};

pub use check::check_trust;
pub use proof::check_proof;

use kept::{Kept, identity};
use signature::Signers;

/// Keeps what was fetched in a folder, so that the next fetch is small.
#[derive(Debug)]
pub struct GitRepositories {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
}

impl GitRepositories {
    pub fn new(folder: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { folder, clock, kept: Mutex::default() }
    }

    fn kept(&self, namespace: &str, trust: &GitTrust) -> Arc<Kept> {
        let identity = identity(namespace, trust);
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder.join(&identity);
        Arc::clone(all.entry(identity).or_insert_with(|| Arc::new(Kept::new(folder))))
    }

    async fn look(
        &self,
        namespace: &str,
        trust: &GitTrust,
        credentials: Option<SecretString>,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Sighting>, String> {
        let signers = Signers::of(&trust.signers)?;
        let kept = self.kept(namespace, trust);
        let tip = kept.fetch(trust, credentials).await?;
        let (path, now) = (trust.path.clone(), self.clock.now());
        let look = move || {
            let repository = kept.open().map_err(|error| error.message().to_owned())?;
            let look = sight::Look { repository: &repository, tip, path: &path, files: kept.files() };
            let seen: Result<Vec<Sighting>, _> =
                wanted.iter().map(|wanted| look.sight(wanted, &signers, now)).collect();
            seen.map_err(|error| error.message().to_owned())
        };
        tokio::task::spawn_blocking(look).await.map_err(|died| died.to_string())?
    }
}

impl Repositories for GitRepositories {
    fn look_up<'a>(
        &'a self,
        namespace: &'a str,
        trust: &'a GitTrust,
        credentials: Option<SecretString>,
        wanted: Vec<Wanted>,
    ) -> BoxFuture<'a, Result<Vec<Sighting>, RepositoryError>> {
        let GitTrust { repository, branch, .. } = trust.clone();
        let looked = self.look(namespace, trust, credentials, wanted);
        async move { looked.await.map_err(|why| RepositoryError { repository, branch, why }) }.boxed()
    }
}
