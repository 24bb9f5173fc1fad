//! The way to Proxmox: one client for one endpoint and one token.

use std::{collections::BTreeMap, error::Error, fmt, time::Duration};

use hyper::ext::ReasonPhrase;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header, redirect, retry};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::{
    catalog::{Call, Method},
    core::task::Sent,
};

use super::{
    answer::{Answer, bounded},
    read_error::{Asked, Envelope, ReadError, understand},
    tls::{Trust, TrustError},
    token::{ApiToken, TokenError},
};

/// More than any cluster answers with; a server that sends more is not asked to fill the memory.
const MAX_BODY: usize = 32 << 20;
const MAX_CONNECT: Duration = Duration::from_secs(10);

/// One Proxmox endpoint, reached with one token.
#[derive(Clone)]
pub struct Client {
    /// Scheme, host and port.
    endpoint: String,
    token: ApiToken,
    /// Reads reuse connections: they may be repeated.
    reads: reqwest::Client,
    /// Changes open a connection each. See [`Client::send`].
    changes: reqwest::Client,
}

/// Why a client can't be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConnectError {
    #[error("{endpoint} is not usable as an endpoint: {why}; write one such as https://pve1.lan:8006")]
    BadEndpoint { endpoint: String, why: &'static str },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the HTTP client can't be set up: {0}")]
    Unusable(String),
}

/// No answer came.
struct Lost {
    /// Nothing left: no connection came about.
    never_sent: bool,
    why: String,
}

impl Client {
    /// Does not connect yet. `request_timeout` bounds each request from connecting to the last byte of its answer.
    pub fn new(
        endpoint: &str,
        token: ApiToken,
        trust: &Trust,
        request_timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let tls = trust.client_config()?;
        let authorization = header::HeaderMap::from_iter([(header::AUTHORIZATION, token.header()?)]);
        let base = || builder(authorization.clone(), tls.clone(), request_timeout);
        let unusable = |error: reqwest::Error| ConnectError::Unusable(described(&error));
        Ok(Self {
            endpoint: origin(endpoint)?,
            token,
            reads: base().build().map_err(unusable)?,
            changes: base().pool_max_idle_per_host(0).build().map_err(unusable)?,
        })
    }

    /// Scheme, host and port, for messages.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `user@realm!tokenid`.
    pub fn token_id(&self) -> &str {
        self.token.id()
    }

    /// Reads `data` of a path below `/api2/json`. Changes nothing, so it may be repeated.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ReadError> {
        Ok(self.get_whole(path, query).await?.data)
    }

    /// Reads `data` and what Proxmox tells beside it.
    pub(super) async fn get_whole<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Envelope<T>, ReadError> {
        let asked = self.asked(path);
        let url = match self.url(path) {
            Ok(url) => url,
            Err(why) => return Err(self.misread(path, why)),
        };
        match self.exchange(self.reads.get(url).query(query)).await {
            Ok(answer) => understand(asked, &answer),
            Err(lost) => Err(ReadError::Unreachable { asked, why: lost.why }),
        }
    }

    /// Sends a change, once. **This is the only place where a mutation leaves the process.**
    ///
    /// Proxmox has no idempotency keys: a request that arrives twice is carried out twice. So no layer may send it
    /// again: no retry policy, no redirects, HTTP/1.1 only (HTTP/2 would repeat refused streams), no proxy from the
    /// environment, and a connection of its own, because on a reused one that the server just closed an HTTP client
    /// can't tell whether the request was read and tries again. Whether and when to send again is for the caller to
    /// decide, from [`Sent`]; dropping the future half-way leaves an outcome that nobody knows.
    pub async fn send(&self, call: &Call, secrets: &BTreeMap<String, SecretString>) -> Sent {
        let url = match self.url(&call.path) {
            Ok(url) => url,
            Err(why) => return Sent::NotSent { why: why.to_owned() },
        };
        let request = match call.method {
            Method::Post => form(self.changes.post(url), call, secrets),
            Method::Put => form(self.changes.put(url), call, secrets),
            // Proxmox refuses a DELETE that has a body. No secret goes into a query.
            Method::Delete => self.changes.delete(url).query(&call.params),
        };
        match self.exchange(request).await {
            Ok(answer) => answer.verdict_without(secrets, call.starts_task),
            Err(Lost { never_sent: true, why }) => Sent::NotSent { why },
            Err(Lost { never_sent: false, why }) => Sent::Unknown { why },
        }
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Lost> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        let reason = self.token.redact(&reason_of(&response, status));
        let body = match whole_body(response).await {
            // From here on no text of the server can carry the secret any further.
            Ok(body) => Ok(self.token.redact(&String::from_utf8_lossy(&body))),
            Err(why) => Err(self.token.redact(&why)),
        };
        Ok(Answer { status: status.as_u16(), reason, body })
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        // Connecting ends with the TLS handshake; no byte of the request is written before.
        let never_sent = error.is_builder() || error.is_connect();
        let stage = if never_sent { "no connection came about" } else { "no answer came" };
        let why = format!("{stage}: {}", described(error));
        Lost { never_sent, why: bounded(&self.token.redact(&why)) }
    }

    /// Refuses a path that would mean another one on the wire, such as one with `..`, `?` or a space in it.
    fn url(&self, path: &str) -> Result<Url, &'static str> {
        let whole = format!("/api2/json{path}");
        Url::parse(&format!("{}{whole}", self.endpoint))
            .ok()
            .filter(|url| path.starts_with('/') && url.path() == whole)
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or("the path can't be sent as it is written, so nothing was sent")
    }

    /// An answer came whose content makes no sense.
    pub(super) fn misread(&self, path: &str, why: &str) -> ReadError {
        ReadError::NotUnderstood { asked: self.asked(path), why: bounded(why) }
    }

    fn asked(&self, path: &str) -> Asked {
        let path: String = path.chars().take(200).collect();
        Asked { request: format!("GET {path}"), endpoint: self.endpoint.clone() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// What both clients have in common: nothing is repeated, redirected or sent by way of anybody else.
fn builder(headers: header::HeaderMap, tls: ClientConfig, timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .default_headers(headers)
        .user_agent(concat!("proxmox-agent/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .timeout(timeout)
        // Ends well before the whole does: a connection that never came about is then known as such.
        .connect_timeout(MAX_CONNECT.min(timeout / 2))
}

/// Without parameters the length is still said: proxies turn away a POST that does not.
fn form(request: RequestBuilder, call: &Call, secrets: &BTreeMap<String, SecretString>) -> RequestBuilder {
    let plain = call.params.iter().map(|(name, value)| (name, value.as_str()));
    let secret = secrets.iter().map(|(name, value)| (name, value.expose_secret().trim_end_matches('\n')));
    let fields: BTreeMap<&String, &str> = plain.chain(secret).collect();
    if fields.is_empty() { request.header(header::CONTENT_LENGTH, 0) } else { request.form(&fields) }
}

fn origin(endpoint: &str) -> Result<String, ConnectError> {
    // Whoever writes a password into an address must not find it in a message.
    let shown = if endpoint.contains('@') { "it".to_owned() } else { endpoint.chars().take(128).collect() };
    let bad = |why| ConnectError::BadEndpoint { endpoint: shown.clone(), why };
    let url = Url::parse(endpoint).map_err(|_| bad("it is not an address"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(bad("its scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it has a user in it, but only an API token is used"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has more than a host and a port"));
    }
    Ok(url.origin().ascii_serialization())
}

/// One segment of a path: whatever is in the text, it stays within its place.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@!".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn reason_of(response: &Response, status: StatusCode) -> String {
    let phrase = response.extensions().get::<ReasonPhrase>();
    let told = phrase.map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    told.or_else(|| status.canonical_reason().map(str::to_owned)).unwrap_or_default()
}

async fn whole_body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| described(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("the body is longer than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its causes, which alone tell what happened. Without the address: every message names it already.
fn described(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            let joint = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{joint}{part}");
        }
        cause = error.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { bounded(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> Result<Client, ConnectError> {
        let token = "agent@pve!plans=7d1f4a4e-canary".parse().unwrap();
        Client::new(endpoint, token, &Trust::Anyone, Duration::from_secs(1))
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port_and_nothing_else() {
        assert_eq!(client("https://PVE1.lan:8006/").unwrap().endpoint(), "https://pve1.lan:8006");
        assert_eq!(client("https://[fd00::1]:8006").unwrap().endpoint(), "https://[fd00::1]:8006");
        for endpoint in
            ["", "pve1", "pve1:8006", "ftp://pve1", "https://pve1/api2", "https://pve1?x", "https://pve1#x"]
        {
            assert!(matches!(client(endpoint), Err(ConnectError::BadEndpoint { .. })), "{endpoint}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
        let error = client("https://root:hunter2@pve1:8006").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_path_that_means_another_one_on_the_wire_is_not_sent() {
        let client = client("https://pve1:8006").unwrap();
        assert!(client.url("/nodes/pve1/tasks/UPID:pve1:0:0:0:qmstart:100:root@pam!x:/status").is_ok());
        for path in
            ["", "version", "/a/../b", "/%2e%2e/b", "/a?b", "/a#b", "/a b", "/a\tb", "/a\\b", "/é", "/./a"]
        {
            assert!(client.url(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_segment_stays_in_its_place() {
        assert_eq!(
            segment("UPID:pve1:a:b:c:imgcopy:214-unused0>212:root@pam!x:"),
            "UPID:pve1:a:b:c:imgcopy:214-unused0%3E212:root@pam!x:"
        );
        assert_eq!(segment("../a/é?b#c d%"), "..%2Fa%2F%C3%A9%3Fb%23c%20d%25");
    }

    #[test]
    fn no_view_of_a_client_shows_the_secret() {
        let client = client("https://pve1:8006").unwrap();
        let shown = format!("{client:?} {:?} {:?}", client.reads, client.changes);
        assert!(!shown.contains("canary"), "{shown}");
    }
}
