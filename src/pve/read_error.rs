//! Why something could not be read, and what to do about it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use super::answer::{Answer, bounded};

/// What was tried, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Method and path.
    pub request: String,
    pub endpoint: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.request, self.endpoint)
    }
}

/// Why a read failed. Its texts are bounded and free of the token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    #[error("failed to {asked}: {why}; check the address, the network and whether the node is up")]
    Unreachable { asked: Asked, why: String },
    #[error(
        "failed to {asked}: the token was not accepted ({why}); check that it exists, has not expired, and that the Secret holds its secret"
    )]
    Unauthorised { asked: Asked, why: String },
    #[error(
        "failed to {asked}: {message}; grant the privilege to the token, and to its user if privileges are separated"
    )]
    Forbidden { asked: Asked, message: String },
    #[error(
        "failed to {asked}: {}; this version of Proxmox VE does not take the request as it was written",
        listed(errors)
    )]
    BadParameters { asked: Asked, errors: BTreeMap<String, String> },
    #[error("failed to {asked}: Proxmox refused with {status}: {message}")]
    Refused { asked: Asked, status: u16, message: String },
    #[error(
        "{guest} is listed on node {node} but is not there: is it being moved? It is looked at again soon"
    )]
    Moving { guest: String, node: String },
    #[error(
        "failed to {asked}: the answer is not what Proxmox VE writes ({why}); check that the address is that of its API"
    )]
    NotUnderstood { asked: Asked, why: String },
    #[error("{why}")]
    EndpointsDisagree { why: String },
}

impl ReadError {
    /// Two endpoints were tried in vain, this one first.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreachable { asked, why }, Self::Unreachable { asked: then, why: and }) => {
                let asked = Asked { endpoint: format!("{} and {}", asked.endpoint, then.endpoint), ..asked };
                Self::Unreachable { asked, why: bounded(&format!("{why}; {and}")) }
            }
            (_, other) => other,
        }
    }

    /// For what is no answer, although one came.
    pub(super) fn into_unreachable(self) -> Self {
        match self {
            Self::Unauthorised { asked, why } | Self::NotUnderstood { asked, why } => {
                Self::Unreachable { asked, why }
            }
            Self::Forbidden { asked, message } | Self::Refused { asked, message, .. } => {
                Self::Unreachable { asked, why: message }
            }
            Self::BadParameters { asked, errors } => Self::Unreachable { asked, why: listed(&errors) },
            error @ (Self::Unreachable { .. } | Self::Moving { .. } | Self::EndpointsDisagree { .. }) => {
                error
            }
        }
    }

    /// Whether it says that the guest is not, or no longer, on that node.
    pub fn says_no_such_guest(&self) -> bool {
        matches!(self, Self::Refused { status: 500, message, .. }
            if message.starts_with("Configuration file '") && message.ends_with("does not exist"))
    }
}

fn listed(errors: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = errors.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
    bounded(&all.join(", "))
}

/// What an answer to a read holds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Envelope<T> {
    pub data: T,
    /// What waits to be applied to the network of a node: Proxmox tells it beside the data.
    pub changes: Option<String>,
    /// How many rows there are, where only some were asked for.
    #[serde(default)]
    pub total: serde_json::Value,
}

/// Reads an answer to a read.
pub(super) fn understand<T: DeserializeOwned>(
    asked: Asked,
    answer: &Answer,
) -> Result<Envelope<T>, ReadError> {
    let body = match (answer.status, &answer.body) {
        (200, Ok(body)) => body,
        (200, Err(why)) => return Err(ReadError::Unreachable { asked, why: bounded(why) }),
        _ => return Err(refusal(asked, answer)),
    };
    serde_json::from_str(body)
        .map_err(|error| ReadError::NotUnderstood { asked, why: bounded(&error.to_string()) })
}

fn refusal(asked: Asked, answer: &Answer) -> ReadError {
    let words = answer.words();
    let message = words.joined();
    match answer.status {
        401 => ReadError::Unauthorised { asked, why: message },
        403 => ReadError::Forbidden { asked, message },
        400 if !words.errors.is_empty() => ReadError::BadParameters { asked, errors: words.errors },
        // The node behind the address has lost its cluster file system; others may have theirs.
        500 if message.starts_with("RPCEnvironment init request failed") => {
            ReadError::Unreachable { asked, why: message }
        }
        // No daemon of Proxmox could do it: the node behind the address, or a proxy before it, is not well.
        502..=504 | 595..=599 => ReadError::Unreachable { asked, why: bounded(&answer.outline()) },
        200..=399 => ReadError::NotUnderstood { asked, why: bounded(&answer.outline()) },
        status => ReadError::Refused { asked, status, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, reason: &str, body: &str) -> ReadError {
        let asked = Asked { request: "GET /version".to_owned(), endpoint: "https://pve1:8006".to_owned() };
        let answer = Answer { status, reason: reason.to_owned(), body: Ok(body.to_owned()) };
        understand::<BTreeMap<String, String>>(asked, &answer).unwrap_err()
    }

    #[test]
    fn every_failed_read_says_what_was_tried_where_why_and_what_next() {
        for (error, why, next) in [
            (read(595, "No route to host", ""), "No route to host", "whether the node is up"),
            (read(401, "Authentication failed!", ""), "Authentication failed!", "has not expired"),
            (
                read(403, "x", r#"{"data":null,"message":"Permission check failed (/, Sys.Audit)\n"}"#),
                "Sys.Audit",
                "grant",
            ),
            (
                read(400, "x", r#"{"data":null,"errors":{"limit":"too low"}}"#),
                "limit: too low",
                "this version",
            ),
            (
                read(500, "cluster not ready - no quorum?", r#"{"data":null}"#),
                "no quorum",
                "refused with 500",
            ),
            (read(200, "OK", "<html>"), "expected value", "check that the address"),
            (read(301, "Moved Permanently", ""), "Moved Permanently", "check that the address"),
        ] {
            let text = error.to_string();
            for part in ["GET /version on https://pve1:8006", why, next] {
                assert!(text.contains(part), "`{part}` is missing in: {text}");
            }
        }
    }

    #[test]
    fn a_guest_that_is_gone_is_told_from_other_errors() {
        let gone = "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist";
        assert!(read(500, gone, r#"{"data":null}"#).says_no_such_guest());
        assert!(!read(500, "storage 'x' does not exist", r#"{"data":null}"#).says_no_such_guest());
    }
}
