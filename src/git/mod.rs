//! Repositories that plans and approvals come from: fetched, never written to.

use std::path::PathBuf;

use futures::{FutureExt, future::BoxFuture};
use secrecy::SecretString;

use crate::{
    api::GitTrust,
    core::provenance::{Sighting, Wanted},
    ports::{Repositories, RepositoryError},
};

/// Keeps what was fetched in a folder, so that the next fetch is small.
#[derive(Debug)]
pub struct GitRepositories {
    folder: PathBuf,
}

impl GitRepositories {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Repositories for GitRepositories {
    fn look_up<'a>(
        &'a self,
        trust: &'a GitTrust,
        _: Option<SecretString>,
        _: Wanted,
    ) -> BoxFuture<'a, Result<Sighting, RepositoryError>> {
        let why = format!("there is nothing in {}", self.folder.display());
        let GitTrust { repository, branch, .. } = trust.clone();
        async move { Err(RepositoryError { repository, branch, why }) }.boxed()
    }
}
