//! The way to Proxmox: one client for the endpoints of one cluster and one token.

use std::{collections::BTreeMap, fmt, time::Duration};

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::{catalog::Call, core::task::Sent, ports::Departure};

use super::{
    acquaintance::{Acquaintance, Greeting},
    answer::bounded,
    endpoint::Endpoint,
    members::{self, Members},
    read_error::{Asked, Envelope, ReadError, understand},
    tls::{Trust, TrustError},
    token::{ApiToken, TokenError},
    wire::{Patience, Wire},
};

const MAX_CONNECT: Duration = Duration::from_secs(10);
/// Where there is somebody else to ask, nobody is waited for that long: a change has five seconds to leave.
const MAX_CONNECT_OF_SEVERAL: Duration = Duration::from_secs(2);
/// How long an endpoint may take to say which cluster it belongs to.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// The endpoints of one Proxmox cluster, reached with one token.
pub struct Client {
    /// At least one.
    endpoints: Vec<Endpoint>,
    wire: Wire,
    acquaintance: Acquaintance,
}

/// Why a client can't be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConnectError {
    #[error("{endpoint} is not usable as an endpoint: {why}; write one such as https://pve1.lan:8006")]
    BadEndpoint { endpoint: String, why: &'static str },
    #[error("there is no endpoint")]
    NoEndpoint,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the HTTP client can't be set up: {0}")]
    Unusable(String),
}

impl Client {
    /// Does not connect yet. `request_timeout` bounds each request from connecting to the last byte of its answer.
    pub fn new<E: AsRef<str>>(
        endpoints: &[E],
        token: ApiToken,
        trust: &Trust,
        request_timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let endpoints =
            endpoints.iter().map(|text| Endpoint::parse(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let connect = match endpoints.len() {
            0 => return Err(ConnectError::NoEndpoint),
            1 => MAX_CONNECT,
            _ => MAX_CONNECT_OF_SEVERAL,
        };
        let wire = Wire::new(token, trust, Patience { request: request_timeout, connect })?;
        Ok(Self { acquaintance: Acquaintance::with(endpoints.len()), endpoints, wire })
    }

    /// The cluster was met before, by these nodes and the fingerprints of their certificates.
    pub fn remembering<'a>(mut self, nodes: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        self.acquaintance.remember(Members::met(nodes));
        self
    }

    /// `user@realm!tokenid`.
    pub fn token_id(&self) -> &str {
        self.wire.token().id()
    }

    /// Reads `data` of a path below `/api2/json`. Changes nothing, so it may be repeated: it is asked of one endpoint
    /// after the other, beginning with the one that last worked, until one can be reached.
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
        let mut failed: Option<ReadError> = None;
        for place in self.acquaintance.order() {
            match self.get_at(place, path, query).await {
                Err(error @ ReadError::Unreachable { .. }) => {
                    failed = Some(match failed {
                        Some(before) => before.and(error),
                        None => error,
                    });
                }
                Err(error @ ReadError::EndpointsDisagree { .. }) => return Err(error),
                answer => {
                    self.acquaintance.prefer(place);
                    return answer;
                }
            }
        }
        Err(failed.unwrap_or_else(|| self.misread(path, "there is nobody to ask")))
    }

    async fn get_at<T: DeserializeOwned>(
        &self,
        place: usize,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Envelope<T>, ReadError> {
        self.refuse_if_they_disagree()?;
        if !self.acquaintance.knows(place) {
            self.introduce(place).await?;
        }
        self.ask(place, path, query).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        place: usize,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Envelope<T>, ReadError> {
        let endpoint = &self.endpoints[place];
        let asked = asked(path, endpoint.as_str());
        let url = endpoint.url(path).map_err(|why| self.misread(path, why))?;
        match self.wire.read(url, query).await {
            Ok(answer) => understand(asked, &answer),
            Err(lost) => {
                self.acquaintance.forget(place);
                Err(ReadError::Unreachable { asked, why: lost.why })
            }
        }
    }

    /// Sends a change, once. **This is the only place where a mutation leaves the process.**
    ///
    /// Proxmox has no idempotency keys: a request that arrives twice is carried out twice. So no layer may send it
    /// again: no retry policy, no redirects, HTTP/1.1 only (HTTP/2 would repeat refused streams), no proxy from the
    /// environment, and a connection of its own, because on a reused one that the server just closed an HTTP client
    /// can't tell whether the request was read and tries again. Dropping the future half-way leaves an outcome that
    /// nobody knows.
    ///
    /// It is handed to another endpoint only if it is certain that the one before has not passed it on, if that one has
    /// just shown that it belongs to the same cluster, and if it may still leave. That is asked once more by the one that
    /// writes its first byte: connecting takes its time, and a process may stand still anywhere.
    pub async fn send(
        &self,
        call: &Call,
        secrets: &BTreeMap<String, SecretString>,
        departure: &Departure,
    ) -> Sent {
        let mut undelivered = Vec::new();
        for (turn, place) in self.acquaintance.order().into_iter().enumerate() {
            if turn > 0
                && let Err(why) = departure.left()
            {
                undelivered.push(format!("another endpoint is not tried: {why}"));
                break;
            }
            let endpoint = &self.endpoints[place];
            let sent = match self.ready_for_a_change(turn, place, departure).await {
                Ok(()) => self.wire.hand_over(endpoint, call, secrets, departure).await,
                Err(why) => Sent::NotSent { why },
            };
            match sent {
                Sent::NotSent { why } => {
                    self.acquaintance.forget(place);
                    undelivered.push(format!("{endpoint}: {why}"));
                }
                sent => {
                    self.acquaintance.prefer(place);
                    return sent;
                }
            }
        }
        Sent::NotSent { why: bounded(&undelivered.join("; ")) }
    }

    /// Whether a change may be handed to this endpoint now. Time that was lost with another one makes everything that was
    /// known of this one old.
    async fn ready_for_a_change(
        &self,
        turn: usize,
        place: usize,
        departure: &Departure,
    ) -> Result<(), String> {
        self.refuse_if_they_disagree().map_err(|error| error.to_string())?;
        if self.endpoints.len() == 1 || (turn == 0 && self.acquaintance.knows(place)) {
            return Ok(());
        }
        match timeout(departure.left()?, self.introduce(place)).await {
            Ok(introduced) => introduced.map_err(|error| error.to_string()),
            Err(_) => Err("it could not show in time which cluster it belongs to".to_owned()),
        }
    }

    /// Makes sure once that the endpoints belong to one cluster.
    pub async fn meet(&self) -> Result<(), ReadError> {
        if self.endpoints.len() > 1 && self.acquaintance.is_new() {
            self.meet_anew().await?;
        }
        self.refuse_if_they_disagree()
    }

    /// Asks all endpoints which cluster they belong to, whatever was known before. Returns those that do not answer.
    pub async fn meet_anew(&self) -> Result<Vec<String>, ReadError> {
        if self.endpoints.len() > 1 {
            let since = Instant::now();
            let _alone = self.acquaintance.meeting().await;
            if !self.acquaintance.has_met_since(since) {
                let all = (0..self.endpoints.len()).map(|place| self.who_is(place));
                let greetings = futures::future::join_all(all).await;
                self.acquaintance.compare(&self.endpoints, greetings);
            }
        }
        self.refuse_if_they_disagree()?;
        let all = self.endpoints.iter().enumerate();
        let silent = all.filter(|(place, _)| !self.acquaintance.knows(*place));
        Ok(silent.map(|(_, endpoint)| endpoint.to_string()).collect())
    }

    /// Asks one endpoint that could not be asked before, or not lately. Whoever does not say which cluster it is has not
    /// been reached, whatever else it says.
    async fn introduce(&self, place: usize) -> Result<(), ReadError> {
        let members = self.who_is(place).await.map_err(ReadError::into_unreachable)?;
        self.acquaintance.greet(&self.endpoints, place, members);
        self.refuse_if_they_disagree()
    }

    async fn who_is(&self, place: usize) -> Greeting {
        let answer = timeout(INTRODUCTION, self.ask::<Vec<members::Row>>(place, members::PATH, &[])).await;
        let rows = answer.unwrap_or_else(|_| {
            let asked = asked(members::PATH, self.endpoints[place].as_str());
            Err(ReadError::Unreachable { asked, why: format!("no answer came within {INTRODUCTION:?}") })
        })?;
        Ok(Members::of(&rows.data))
    }

    fn refuse_if_they_disagree(&self) -> Result<(), ReadError> {
        match self.acquaintance.disagreement() {
            Some(why) => Err(ReadError::EndpointsDisagree { why: bounded(&why) }),
            None => Ok(()),
        }
    }

    /// An answer came whose content makes no sense.
    pub(super) fn misread(&self, path: &str, why: &str) -> ReadError {
        let endpoint = &self.endpoints[self.acquaintance.preferred()];
        ReadError::NotUnderstood { asked: asked(path, endpoint.as_str()), why: bounded(why) }
    }
}

fn asked(path: &str, endpoint: &str) -> Asked {
    let path: String = path.chars().take(200).collect();
    Asked { request: format!("GET {path}"), endpoint: endpoint.to_owned() }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.endpoints)
            .field("token", self.wire.token())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_view_of_a_client_shows_the_secret() {
        let token = "agent@pve!plans=7d1f4a4e-canary".parse().unwrap();
        let client =
            Client::new(&["https://pve1:8006"], token, &Trust::Anyone, Duration::from_secs(1)).unwrap();
        let shown = format!("{client:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_client_needs_an_endpoint() {
        let token = "agent@pve!plans=7d1f4a4e-canary".parse().unwrap();
        let none: [&str; 0] = [];
        let error = Client::new(&none, token, &Trust::Anyone, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error, ConnectError::NoEndpoint);
    }
}
