//! What handlers answer, and how Proxmox would put it.
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Response;

/// What a handler has to say.
#[derive(Debug)]
pub(in crate::pve::sim) enum Reply {
    Data(Value),
    /// Lists that know how long they would be without a limit.
    Rows {
        rows: Vec<Value>,
        total: usize,
    },
    /// A list of what will be, with what tells it from what is.
    Changed {
        rows: Vec<Value>,
        changes: String,
    },
    /// A worker was forked; the answer is its id.
    Task(String),
    /// The answer is null if the worker ends within the time, and its id otherwise.
    TaskUnlessDone {
        upid: String,
        within: Duration,
    },
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::pve::sim) enum Refusal {
    /// 401 with nothing but a reason.
    Unauthenticated(&'static str),
    /// 401 of the login itself, which has a body.
    LoginFailed,
    NotImplemented(String),
    /// 403; the words in brackets, if there are any.
    Forbidden(Option<String>),
    /// 400 with an error for every parameter.
    Parameters(BTreeMap<String, String>),
    /// 500, which is also what does not exist and what is in the wrong state.
    Failed(String),
    /// Only a status line.
    Bare {
        status: u16,
        reason: String,
    },
    /// The daemon doesn't understand the request: the text without JSON around it.
    Plain {
        status: u16,
        reason: String,
    },
    /// Another worker holds the lock of this guest; try again when it is done.
    GuestBusy {
        vmid: u32,
    },
}

pub(in crate::pve::sim) type Answer = Result<Reply, Refusal>;

/// Refuses with a 500 and its text.
pub(in crate::pve::sim) fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Failed(message.into()))
}

impl Refusal {
    pub(in crate::pve::sim) fn parameter(name: &str, error: impl Into<String>) -> Self {
        Self::Parameters(BTreeMap::from([(name.to_owned(), error.into())]))
    }

    pub(in crate::pve::sim) fn privilege(path: &str, privilege: &str) -> Self {
        Self::Forbidden(Some(format!("{path}, {privilege}")))
    }

    pub(in crate::pve::sim) fn message(&self) -> String {
        self.status_and_message().1.trim_end_matches('\n').to_owned()
    }

    fn status_and_message(&self) -> (u16, String) {
        match self {
            Self::Unauthenticated(reason) => (401, (*reason).to_owned()),
            Self::LoginFailed => (401, "authentication failure\n".to_owned()),
            Self::NotImplemented(what) => (501, format!("Method '{what}' not implemented")),
            Self::Forbidden(None) => (403, "Permission check failed\n".to_owned()),
            Self::Forbidden(Some(what)) => (403, format!("Permission check failed ({what})\n")),
            Self::Parameters(_) => (400, "Parameter verification failed.\n".to_owned()),
            Self::Failed(message) => (500, format!("{}\n", message.trim_end_matches('\n'))),
            Self::Bare { status, reason } | Self::Plain { status, reason } => (*status, reason.clone()),
            Self::GuestBusy { vmid } => {
                (500, format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout\n"))
            }
        }
    }
}

/// What an answer says beside its data.
pub(in crate::pve::sim) type Attribute = (&'static str, Value);

/// Renders an answer for `/api2/json` or `/api2/extjs`; the latter reports every outcome with status 200.
pub(in crate::pve::sim) fn render(
    answer: &Result<Value, Refusal>,
    attribute: Option<Attribute>,
    extjs: bool,
) -> Response {
    match answer {
        Ok(data) => {
            let mut body = json!({ "data": data });
            if let Some((name, value)) = attribute {
                body[name] = value;
            }
            if extjs {
                body["success"] = 1.into();
            }
            Response::json(200, "OK", &body)
        }
        Err(refusal @ (Refusal::Unauthenticated(_) | Refusal::Bare { .. })) => {
            let (status, reason) = refusal.status_and_message();
            Response::bare(status, &reason)
        }
        Err(Refusal::Plain { status, reason }) => Response::plain(*status, reason),
        Err(refusal) => render_refusal(refusal, extjs),
    }
}

fn render_refusal(refusal: &Refusal, extjs: bool) -> Response {
    let (status, message) = refusal.status_and_message();
    let reason = message.lines().next().unwrap_or_default().to_owned();
    let mut body = json!({ "data": null, "message": message });
    if let Refusal::Parameters(errors) = refusal {
        body["errors"] = json!(errors);
    }
    if !extjs {
        return Response::json(status, &reason, &body);
    }
    body["success"] = 0.into();
    body["status"] = if status == 400 { "400".into() } else { status.into() };
    Response::json(200, "OK", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &Response) -> Value {
        serde_json::from_str(response.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn the_reason_is_the_first_line_of_the_message() {
        let response =
            render(&refuse("create ha rule failed: 400 Rule 'r3' is invalid.\nresources: two"), None, false);
        assert_eq!(response.reason, "create ha rule failed: 400 Rule 'r3' is invalid.");
        assert_eq!(
            body(&response)["message"],
            "create ha rule failed: 400 Rule 'r3' is invalid.\nresources: two\n"
        );
    }

    #[test]
    fn an_unauthenticated_caller_gets_a_reason_and_no_body() {
        let response = render(&Err(Refusal::Unauthenticated("No ticket")), None, false);
        assert_eq!((response.status, response.body), (401, None));
    }

    #[test]
    fn extjs_reports_parameter_errors_with_a_status_of_text() {
        let response = render(&Err(Refusal::parameter("vmid", "wrong")), None, true);
        assert_eq!(response.status, 200);
        assert_eq!(body(&response)["status"], "400");
        let response = render(&refuse("gone"), None, true);
        assert_eq!(body(&response)["status"], 500);
    }
}
