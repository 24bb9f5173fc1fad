//! The wire: how requests are read and answers written, down to the reason phrase.
mod body;
mod listener;
mod reply;
mod tls;

pub(super) use body::{BodyError, decode_percent, read_parameters};
pub(super) use listener::{Cutter, Listener, Lost, Service};
pub(super) use reply::{Answer, Attribute, Refusal, Reply, refuse, render};
pub(super) use tls::{Certificate, TlsError};

/// A request whose body has been read to its end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: ::http::Method,
    pub(super) uri: ::http::Uri,
    pub(super) headers: ::http::HeaderMap,
    pub(super) body: hyper::body::Bytes,
}

/// An answer as it goes on the wire.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) body: Option<String>,
    /// Empty where Proxmox doesn't say.
    pub(super) content_type: &'static str,
}

pub(super) const JSON: &str = "application/json;charset=UTF-8";

impl Response {
    /// Many refusals consist of a status line and nothing else.
    pub(super) fn bare(status: u16, reason: &str) -> Self {
        Self { status, reason: reason.to_owned(), body: None, content_type: JSON }
    }

    /// What the daemon refuses before the API is asked: the text alone, which ends a line where Perl died.
    pub(super) fn plain(status: u16, reason: &str) -> Self {
        let end = if status == 500 { "\n" } else { "" };
        Self { status, reason: reason.to_owned(), body: Some(format!("{reason}{end}")), content_type: "" }
    }

    pub(super) fn json(status: u16, reason: &str, body: &serde_json::Value) -> Self {
        Self { status, reason: reason.to_owned(), body: Some(body.to_string()), content_type: JSON }
    }
}
