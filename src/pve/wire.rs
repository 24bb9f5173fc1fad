//! One HTTP exchange with one endpoint: nothing is repeated, redirected or sent by way of anybody else.

use std::{collections::BTreeMap, error::Error, time::Duration};

use http_body_util::Full;
use hyper::{body::Bytes, ext::ReasonPhrase};
use reqwest::{RequestBuilder, Response, StatusCode, Url, header, redirect, retry};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    catalog::{Call, Method},
    core::task::Sent,
    ports::Departure,
};

use super::{
    answer::{Answer, bounded},
    client::ConnectError,
    endpoint::Endpoint,
    passage::{NothingCame, Passage, without_manual},
    tls::Trust,
    token::ApiToken,
};

/// More than any cluster answers with; a server that sends more is not asked to fill the memory.
pub(super) const MAX_BODY: usize = 32 << 20;
/// Who asks.
const USER_AGENT: &str = concat!("proxmox-agent/", env!("CARGO_PKG_VERSION"));

/// What is shared by all exchanges with a cluster: its token, its connections and their TLS sessions.
#[derive(Clone)]
pub(super) struct Wire {
    token: ApiToken,
    /// Reads reuse connections: they may be repeated.
    reads: reqwest::Client,
    /// Changes open a connection each.
    changes: Passage,
}

/// A read that was not answered.
pub(super) struct Lost {
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
        // Connecting ends well before the whole does: what never came about is then known as such.
        let patience = Patience { connect: patience.connect.min(patience.request / 2), ..patience };
        let tls = trust.client_config()?;
        let authorization = header::HeaderMap::from_iter([(header::AUTHORIZATION, token.header()?)]);
        let reads = builder(authorization, tls.clone(), patience).build();
        Ok(Self {
            token,
            reads: reads.map_err(|error| ConnectError::Unusable(described(&error)))?,
            changes: Passage::new(tls, patience),
        })
    }

    pub(super) fn token(&self) -> &ApiToken {
        &self.token
    }

    /// Reads, over a connection that may have been used before.
    pub(super) async fn read(&self, url: Url, query: &[(&str, String)]) -> Result<Answer, Lost> {
        let response = self.reads.get(url).query(query).send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        let reason = reason_of(response.extensions(), status);
        Ok(self.answer(status, &reason, whole_body(response).await))
    }

    /// Hands a change to one endpoint, once, over a connection of its own.
    pub(super) async fn hand_over(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
        departure: &Departure,
    ) -> Sent {
        let (url, request) = match self.written(endpoint, call, secrets) {
            Ok(written) => written,
            Err(why) => return Sent::NotSent { why },
        };
        match self.changes.pass(&url, request, departure).await {
            Ok(came) => {
                let reason = reason_of(came.head.extensions(), came.head.status());
                let answer = self.answer(came.head.status(), &reason, came.body);
                answer.verdict_without(call, secrets)
            }
            Err(NothingCame { never_sent: true, why }) => {
                Sent::NotSent { why: self.tellable(&format!("nothing was sent: {why}")) }
            }
            Err(NothingCame { never_sent: false, why }) => {
                Sent::Unknown { why: self.tellable(&format!("no answer came: {why}")) }
            }
        }
    }

    /// A change as it goes over the wire, and where to.
    fn written(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<(Url, hyper::Request<Full<Bytes>>), String> {
        let url = endpoint.url(&call.path)?;
        let request = match call.method {
            Method::Post => form(self.reads.post(url), call, secrets),
            Method::Put => form(self.reads.put(url), call, secrets),
            // Proxmox refuses a DELETE that has a body. No secret goes into a query.
            Method::Delete => self.reads.delete(url).query(&call.params),
        };
        let mut request = request.build().map_err(|error| described(&error))?;
        let body = request.body_mut().take();
        let body = body.as_ref().and_then(|body| body.as_bytes()).map(Bytes::copy_from_slice);
        let url = request.url().clone();
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut written = hyper::Request::builder()
            .method(request.method())
            .uri(path)
            .header(header::HOST, url.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "*/*")
            .header(header::AUTHORIZATION, self.token.header().map_err(|error| error.to_string())?)
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| error.to_string())?;
        written.headers_mut().extend(std::mem::take(request.headers_mut()));
        Ok((url, written))
    }

    /// From here on no text of the server can carry the token's secret any further.
    fn answer(&self, status: StatusCode, reason: &str, body: Result<Vec<u8>, String>) -> Answer {
        let body = match body {
            Ok(body) => Ok(self.token.redact(&String::from_utf8_lossy(&body))),
            Err(why) => Err(self.token.redact(&why)),
        };
        Answer { status: status.as_u16(), reason: self.token.redact(reason), body }
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        let stage = if error.is_connect() { "no connection came about" } else { "no answer came" };
        Lost { why: self.tellable(&format!("{stage}: {}", described(error))) }
    }

    fn tellable(&self, text: &str) -> String {
        bounded(&self.token.redact(text))
    }
}

/// How reads are asked.
fn builder(headers: header::HeaderMap, tls: ClientConfig, patience: Patience) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .default_headers(headers)
        .user_agent(USER_AGENT)
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .timeout(patience.request)
        .connect_timeout(patience.connect)
}

/// Without parameters the length is still said: proxies turn away a POST that does not.
fn form(request: RequestBuilder, call: &Call, secrets: &BTreeMap<String, SecretString>) -> RequestBuilder {
    let plain = call.params.iter().map(|(name, value)| (name, value.as_str()));
    let secret = secrets.iter().map(|(name, value)| (name, value.expose_secret().trim_end_matches('\n')));
    let fields: BTreeMap<&String, &str> = plain.chain(secret).collect();
    if fields.is_empty() { request.header(header::CONTENT_LENGTH, 0) } else { request.form(&fields) }
}

fn reason_of(extensions: &http::Extensions, status: StatusCode) -> String {
    let phrase = extensions.get::<ReasonPhrase>();
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
        let part = without_manual(&part);
        if !text.contains(part) {
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
        let shown = format!("{:?} {:?}", wire.token, wire.reads);
        assert!(!shown.contains("canary"), "{shown}");
    }
}
