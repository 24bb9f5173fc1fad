//! Bringing a branch here.

use git2::{AutotagOption, FetchOptions, Oid, RemoteRedirect, Repository};
use reqwest::Url;
use secrecy::SecretString;

use crate::api::GitTrust;

use super::{place::Place, relay::Relay, upstream::Upstream};

/// Fetches the branch as it is now and returns its newest commit.
pub(super) async fn fetch(
    repository: Repository,
    trust: &GitTrust,
    credentials: Option<SecretString>,
) -> Result<Oid, String> {
    let branch = format!("refs/heads/{}", trust.branch);
    if !git2::Reference::is_valid_name(&branch) {
        return Err("spec.git.branch: is no name of a branch".to_owned());
    }
    match Place::of(&trust.repository)? {
        Place::Folder(url) => off_the_runtime(repository, url, branch, None).await,
        Place::Server(url) => {
            let upstream = Upstream::new(url, trust.ca_bundle.as_deref(), credentials.as_ref())?;
            by_relay(repository, upstream, branch, trust.depth).await
        }
    }
}

/// The library speaks to us alone, we speak to the server.
async fn by_relay(
    repository: Repository,
    upstream: Upstream,
    branch: String,
    depth: u32,
) -> Result<Oid, String> {
    let relay = Relay::start(upstream).await.map_err(|error| format!("failed to begin: {error}"))?;
    let fetched = off_the_runtime(repository, relay.url().to_owned(), branch, Some(depth)).await;
    // What went wrong on the other side says more than what the library made of it.
    fetched.map_err(|why| relay.trouble().unwrap_or_else(|| why.replace(relay.url(), "the repository")))
}

async fn off_the_runtime(
    repository: Repository,
    url: String,
    branch: String,
    depth: Option<u32>,
) -> Result<Oid, String> {
    let fetch = move || download(&repository, &url, &branch, depth);
    tokio::task::spawn_blocking(fetch).await.map_err(|died| died.to_string())?
}

fn download(repository: &Repository, url: &str, branch: &str, depth: Option<u32>) -> Result<Oid, String> {
    let told = |error: git2::Error| error.message().to_owned();
    let mut remote = repository.remote_anonymous(url).map_err(told)?;
    let mut options = FetchOptions::new();
    options
        .download_tags(AutotagOption::None)
        .follow_redirects(RemoteRedirect::None)
        .update_fetchhead(false)
        .depth(depth.and_then(|depth| i32::try_from(depth).ok()).unwrap_or(0));
    remote.fetch(&[format!("+{branch}:{branch}")], Some(&mut options), None).map_err(told)?;
    // What is here under that name may be older: only what was shown just now is the tip.
    let shown =
        remote.list().map_err(told)?.iter().find(|head| head.name() == branch).map(git2::RemoteHead::oid);
    let tip = shown.ok_or_else(|| format!("it has no {branch}"))?;
    repository.find_commit(tip).map_err(told)?;
    Ok(tip)
}

/// An address without anything that must not be shown.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}
