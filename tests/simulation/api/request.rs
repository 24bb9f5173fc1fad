//! A request, and the answer to it.

use std::time::Duration;

use http_body_util::BodyExt;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::client::Body;
use serde_json::{Value, json};

use super::{Id, Objects, Refused, objects::Stored};
use crate::history;

const GROUP: &str = "proxmox-agent.io/v1alpha1";

/// What somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    plural: String,
    name: Option<String>,
    is_status: bool,
    query: Vec<(String, String)>,
    body: Value,
}

/// A code and a body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) async fn read(request: http::Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut path = head.uri.path().split('/').skip_while(|part| *part != "namespaces").skip(2);
        let plural = path
            .next()
            .map_or_else(|| head.uri.path().rsplit('/').next().unwrap_or_default().to_owned(), str::to_owned);
        let query = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: head.method.to_string(),
            plural,
            name: path.next().map(str::to_owned),
            is_status: path.next() == Some("status"),
            query: query.map(|(name, value)| (name.to_owned(), decoded(value))).collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.query("watch") == Some("true")
    }

    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET" && !self.is_event()
    }

    pub(crate) fn is_event(&self) -> bool {
        self.plural == "events"
    }

    pub(crate) fn plural(&self) -> &str {
        &self.plural
    }

    pub(crate) fn selector(&self) -> &str {
        self.query("fieldSelector").unwrap_or_default()
    }

    /// Everything that was written down by asking.
    pub(crate) fn written(&self) -> String {
        self.body.to_string()
    }

    /// Without what differs from run to run.
    pub(crate) fn in_words(&self) -> String {
        let name = self.name.as_deref().filter(|_| !self.is_event()).unwrap_or_default();
        let selector = self.selector();
        let what = match (self.is_status, &self.body["status"]) {
            (true, status) => format!(
                " status {} {} rv {}",
                status["phase"].as_str().unwrap_or_default(),
                status["reason"].as_str().unwrap_or_default(),
                self.body["metadata"]["resourceVersion"].as_str().unwrap_or_default()
            ),
            _ if self.is_event() => format!(" {}: {}", self.body["reason"], self.body["note"]),
            _ => String::new(),
        };
        format!("{} {}/{name} {selector}{what}", self.method, self.plural)
    }

    /// Carries it out.
    pub(crate) fn apply(&self, objects: &mut Objects, at: Duration) -> Answer {
        let text = |stored: Stored| stored.text.to_string();
        let done = match (self.method.as_str(), &self.name) {
            _ if self.is_event() => Ok(self.as_event(at).to_string()),
            ("GET", Some(name)) if self.plural == "secrets" => Ok(secret(name).to_string()),
            ("GET", Some(name)) => objects.get(&Id::new(&self.plural, name)).map(text),
            ("GET", None) => Ok(self.listed(objects)),
            ("PUT", Some(name)) if self.is_status => {
                objects.replace_status(&Id::new(&self.plural, name), &self.body, at).map(text)
            }
            ("PATCH", Some(name)) => {
                objects.patch_finalizers(&Id::new(&self.plural, name), &self.body, at).map(text)
            }
            _ => Err(Refused::new(405, "MethodNotAllowed", self.in_words())),
        };
        match done {
            Ok(body) => Answer { code: 200, body: body.into_bytes() },
            Err(refused) => refused.into(),
        }
    }

    fn listed(&self, objects: &Objects) -> String {
        let found = objects.list(&self.plural, self.selector());
        let items: Vec<&str> = found.iter().map(|stored| &*stored.text).collect();
        let (version, items) = (objects.version(), items.join(","));
        format!(
            r#"{{"apiVersion":"{GROUP}","kind":"List","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
        )
    }

    fn as_event(&self, at: Duration) -> Value {
        let mut event = self.body.clone();
        event["metadata"]["creationTimestamp"] =
            json!(history::at(Duration::from_secs(at.as_secs())).to_string());
        event
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        let Refused { code, reason, message } = refused;
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": message,
        });
        Self { code, body: serde_json::to_vec(&body).unwrap() }
    }
}

/// Nothing of this may ever be seen anywhere else.
pub(crate) const CANARY: &str = "canary-5f1e";

fn secret(name: &str) -> Value {
    let token = format!("agent@pve!{name}={CANARY}-0000-4000-8000-000000000000");
    let secret = Secret {
        data: Some([("token".to_owned(), ByteString(token.into_bytes()))].into()),
        ..Secret::default()
    };
    let mut secret = serde_json::to_value(&secret).unwrap();
    secret["metadata"] = json!({"name": name, "namespace": super::objects::NAMESPACE});
    secret
}

fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
