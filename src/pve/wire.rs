//! One HTTP exchange with one endpoint: nothing is repeated, redirected or sent by way of anybody else.

use std::{collections::BTreeMap, error::Error, time::Duration};

use hyper::ext::ReasonPhrase;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header, redirect, retry};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    catalog::{Call, Method},
    core::task::Sent,
};

use super::{
    answer::{Answer, bounded},
    client::ConnectError,
    endpoint::Endpoint,
    tls::Trust,
    token::ApiToken,
};

/// More than any cluster answers with; a server that sends more is not asked to fill the memory.
const MAX_BODY: usize = 32 << 20;

/// What is shared by all exchanges with a cluster: its token, its connections and their TLS sessions.
#[derive(Clone)]
pub(super) struct Wire {
    token: ApiToken,
    /// Reads reuse connections: they may be repeated.
    reads: reqwest::Client,
    /// Changes open a connection each.
    changes: reqwest::Client,
}

/// No answer came.
pub(super) struct Lost {
    /// Nothing left: no connection came about.
    never_sent: bool,
    pub(super) why: String,
}

/// How long things may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// From connecting to the last byte of the answer.
    pub(super) request: Duration,
    pub(super) connect: Duration,
}

impl Wire {
    pub(super) fn new(token: ApiToken, trust: &Trust, patience: Patience) -> Result<Self, ConnectError> {
        let tls = trust.client_config()?;
        let authorization = header::HeaderMap::from_iter([(header::AUTHORIZATION, token.header()?)]);
        let base = || builder(authorization.clone(), tls.clone(), patience);
        let unusable = |error: reqwest::Error| ConnectError::Unusable(described(&error));
        Ok(Self {
            token,
            reads: base().build().map_err(unusable)?,
            changes: base().pool_max_idle_per_host(0).build().map_err(unusable)?,
        })
    }

    pub(super) fn token(&self) -> &ApiToken {
        &self.token
    }

    /// Reads, over a connection that may have been used before.
    pub(super) async fn read(&self, url: Url, query: &[(&str, String)]) -> Result<Answer, Lost> {
        self.exchange(self.reads.get(url).query(query)).await
    }

    /// Hands a change to one endpoint, once, over a connection of its own.
    pub(super) async fn hand_over(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Sent {
        let url = match endpoint.url(&call.path) {
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
}

/// What both clients have in common.
fn builder(headers: header::HeaderMap, tls: ClientConfig, patience: Patience) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .default_headers(headers)
        .user_agent(concat!("proxmox-agent/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .timeout(patience.request)
        // Ends well before the whole does: a connection that never came about is then known as such.
        .connect_timeout(patience.connect.min(patience.request / 2))
}

/// Without parameters the length is still said: proxies turn away a POST that does not.
fn form(request: RequestBuilder, call: &Call, secrets: &BTreeMap<String, SecretString>) -> RequestBuilder {
    let plain = call.params.iter().map(|(name, value)| (name, value.as_str()));
    let secret = secrets.iter().map(|(name, value)| (name, value.expose_secret().trim_end_matches('\n')));
    let fields: BTreeMap<&String, &str> = plain.chain(secret).collect();
    if fields.is_empty() { request.header(header::CONTENT_LENGTH, 0) } else { request.form(&fields) }
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

    #[test]
    fn no_view_of_the_wire_shows_the_secret() {
        let token: ApiToken = "agent@pve!plans=7d1f4a4e-canary".parse().unwrap();
        let patience = Patience { request: Duration::from_secs(1), connect: Duration::from_secs(1) };
        let wire = Wire::new(token, &Trust::Anyone, patience).unwrap();
        let shown = format!("{:?} {:?} {:?}", wire.token, wire.reads, wire.changes);
        assert!(!shown.contains("canary"), "{shown}");
    }
}
