//! What an answer proves about a change that was sent once.
//!
//! Two mistakes are possible and neither is harmless: taking a change that ran for one that did not leads to a second
//! one, and taking a refusal for an unknown outcome calls a person for nothing. So [`Answer::verdict`] says "did not
//! run" only where Proxmox's own code guarantees it, and everything else is unknown.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{
    catalog::{Call, Method},
    core::task::Sent,
};

/// Longer texts are cut: they end in statuses, events and audit records.
pub(super) const MAX_TEXT: usize = 1000;
const MAX_FIELDS: usize = 16;
const MAX_FIELD_TEXT: usize = 200;

/// Checks that come before everything else.
const CHECKED_FIRST: [&str; 5] = [
    "checksum mismatch (file change by other user?)",
    "detected modified configuration - file changed by other user?",
    "cluster not ready - no quorum?",
    "VM is locked (",
    "CT is locked (",
];
/// Methods that check everything and then write one file.
const ONE_WRITE: [&str; 7] = [
    "create pool failed: ",
    "delete pool failed: ",
    "create resource failed: ",
    "update resource failed: ",
    "cannot delete service '",
    "create ha rule failed: ",
    "delete ha rule failed: ",
];

/// An HTTP answer, complete or not.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// Older Proxmox tells its reason only here, in the status line.
    pub reason: String,
    /// Or why it could not be read to its end.
    pub body: Result<String, String>,
}

/// What an answer says in words.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub message: String,
    /// By parameter, for a 400.
    pub errors: BTreeMap<String, String>,
}

impl Answer {
    /// | answer | did it run? |
    /// |---|---|
    /// | 200 with a task id | yes, as this task |
    /// | 200 with `null` | yes, at once, unless the task list knows better |
    /// | 200 with `"OK"` instead of a task id | no: none of the guests of a backup is on that node |
    /// | 200 with anything else: cut off, no JSON, an object | unknown |
    /// | 4xx | no: it was turned away before or by the method's own checks, except the cases of [`may_have_run`] |
    /// | 400 that was cut off | unknown: one of those exceptions may be in the part that is missing |
    /// | 408 | unknown: Proxmox never says so, and whoever does gave up waiting |
    /// | 500 in the JSON of Proxmox's API code, also `got timeout` of a lock | no, with the same exceptions |
    /// | 500 without it: some other program failed on the way | unknown |
    /// | 501 | no: there is no such method, or the request was malformed |
    /// | 595 without a body, to a POST | no: pveproxy could not connect to the node or daemon that should have run it |
    /// | 595 to a PUT or DELETE | unknown: see [`Self::was_not_passed_on`] |
    /// | 596, 597, 599, 502, 503, 504, redirects, all else | unknown: the handler may be running behind it |
    ///
    /// "No" is exact for calls that start a task: their methods check, fork and answer. A method without a task does its
    /// work before it answers: a 500 of it, or one of the exceptions, may come from half-way, except what it is known to
    /// check first. Whatever data it answers with says that it is done.
    pub fn verdict(&self, call: &Call) -> Sent {
        let starts_task = call.starts_task;
        match self.status {
            200 => self.accepted(starts_task),
            400 if self.body.is_err() => self.unknown("was cut off before it named its reason"),
            400..=499 if self.status != 408 => self.refused(starts_task),
            500 if self.json().is_some() && !starts_task && !self.was_checked_first() => self.half_way(),
            500 if self.json().is_some() => self.refused(starts_task),
            501 => self.refused(starts_task),
            595 if self.was_not_passed_on(call.method) => {
                Sent::NotSent { why: bounded(&format!("Proxmox could not pass it on: {}", self.outline())) }
            }
            _ => self.unknown("does not tell whether it was carried out"),
        }
    }

    /// What it proves, told without the values of these secrets. They are taken out last: a value may well be a word that
    /// the verdict hangs on, or a part of a task's id.
    pub fn verdict_without(self, call: &Call, secrets: &BTreeMap<String, SecretString>) -> Sent {
        let verdict = self.verdict(call);
        let told = self.without(secrets);
        let message = told.words().joined();
        match verdict {
            Sent::Task(_) | Sent::Done | Sent::Nothing => verdict,
            Sent::Refused { status, .. } => Sent::Refused { status, message },
            Sent::HalfWay { status, .. } => Sent::HalfWay { status, message },
            Sent::NotSent { .. } | Sent::Unknown { .. } => match told.verdict(call) {
                told if std::mem::discriminant(&told) == std::mem::discriminant(&verdict) => told,
                _ => told.unknown("does not tell whether it was carried out"),
            },
        }
    }

    fn without(&self, secrets: &BTreeMap<String, SecretString>) -> Self {
        let text = |text: &String| match serde_json::from_str::<Value>(text) {
            Ok(body @ Value::Object(_)) => redacted(body, secrets).to_string(),
            _ => redact(text, secrets),
        };
        let body = self.body.as_ref().map(text).map_err(|why| redact(why, secrets));
        Self { status: self.status, reason: redact(&self.reason, secrets), body }
    }

    /// Whether a 595 proves that nobody was handed the call.
    ///
    /// pveproxy passes calls on by a client of HTTP that says 595 as long as it connects, and not once it writes. For a
    /// POST that is a connection of its own, which is tried once. PUT and DELETE count as harmless to repeat: they go over
    /// one that was kept, and if that ends before the answer they are sent again by a new one. Its 595 then tells of the
    /// second time alone.
    fn was_not_passed_on(&self, method: Method) -> bool {
        method == Method::Post && self.body.as_ref().is_ok_and(String::is_empty)
    }

    fn accepted(&self, starts_task: bool) -> Sent {
        let Some(body) = self.json() else {
            return self.unknown("is not the JSON that Proxmox writes, or was cut off");
        };
        match body.get("data") {
            Some(Value::Null) if !body.contains_key("errors") => Sent::Done,
            Some(Value::String(text)) if text.starts_with("UPID:") => match text.parse() {
                Ok(upid) => Sent::Task(upid),
                Err(error) => self.unknown(&format!("names no task: {error}")),
            },
            Some(_) if !starts_task && !body.contains_key("errors") => Sent::Done,
            Some(Value::String(text)) if text == "OK" => Sent::Nothing,
            _ => self.unknown("names no task"),
        }
    }

    fn refused(&self, starts_task: bool) -> Sent {
        match may_have_run(&self.everything_told()) {
            Some(_) if !starts_task => self.half_way(),
            Some(why) => self.unknown(why),
            None => Sent::Refused { status: self.status, message: self.words().joined() },
        }
    }

    /// What even a method without a task says only before it has done anything.
    fn was_checked_first(&self) -> bool {
        let told = self.words().message;
        CHECKED_FIRST.iter().any(|words| told.contains(words))
            || ONE_WRITE.iter().any(|beginning| told.starts_with(beginning))
    }

    fn half_way(&self) -> Sent {
        Sent::HalfWay { status: self.status, message: self.words().joined() }
    }

    /// Unlike [`Words`] not cut: what matters may stand at the end.
    fn everything_told(&self) -> String {
        let body = self.json().unwrap_or_default();
        let told = |name: &str| body.get(name).map(Value::to_string).unwrap_or_default();
        format!("{} {} {}", self.reason, told("message"), told("errors"))
    }

    fn unknown(&self, why: &str) -> Sent {
        Sent::Unknown { why: bounded(&format!("the answer ({}) {why}", self.outline())) }
    }

    /// Status and reason on one line, with what kept the body from being read.
    pub fn outline(&self) -> String {
        let words = self.words().joined();
        match &self.body {
            Err(broken) => format!("HTTP {} {words}; {broken}", self.status),
            Ok(_) => format!("HTTP {} {words}", self.status),
        }
    }

    /// The body, if Proxmox's API code wrote it: an object with `data`, whatever else there is.
    fn json(&self) -> Option<Map<String, Value>> {
        match serde_json::from_str(self.body.as_deref().ok()?).ok()? {
            Value::Object(body) if body.contains_key("data") => Some(body),
            _ => None,
        }
    }

    /// `message` of the body (since 2025), else the reason phrase; with `errors`, which name the parameters.
    pub fn words(&self) -> Words {
        let body = self.json().unwrap_or_default();
        let message = body.get("message").and_then(Value::as_str).unwrap_or(&self.reason).trim().to_owned();
        let errors = body.get("errors").and_then(Value::as_object).map(fields).unwrap_or_default();
        Words { message, errors }
    }
}

/// Takes out each value, and each line of one: a status line ends where a value's first line does. The longest go first,
/// else the rest of one that begins with another would stay.
pub(super) fn redact(text: &str, secrets: &BTreeMap<String, SecretString>) -> String {
    let values = secrets.values().map(|secret| secret.expose_secret().trim_end_matches('\n'));
    let mut values: Vec<&str> =
        values.flat_map(|value| std::iter::once(value).chain(value.lines())).collect();
    values.retain(|value| !value.trim().is_empty());
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.into_iter().fold(text.to_owned(), |text, value| {
        spellings(value).into_iter().fold(text, |text, spelled| text.replace(&spelled, "[redacted]"))
    })
}

/// The ways in which an error repeats a value: as it is, as JSON writes it, as it stands in an address or a form.
fn spellings(value: &str) -> BTreeSet<String> {
    let json = Value::from(value).to_string();
    let json = json.trim_start_matches('"').trim_end_matches('"').to_owned();
    let address = escaped(value, b"-._~");
    BTreeSet::from([value.to_owned(), json, escaped(value, b"*-._").replace("%20", "+"), address])
}

fn escaped(text: &str, plain: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || plain.contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn redacted(words: Value, secrets: &BTreeMap<String, SecretString>) -> Value {
    match words {
        Value::String(text) => Value::String(redact(&text, secrets)),
        Value::Array(list) => list.into_iter().map(|words| redacted(words, secrets)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, redacted(value, secrets))).collect()
        }
        Value::Number(number) => Value::String(redact(&number.to_string(), secrets)),
        other => other,
    }
}

impl Words {
    pub fn joined(&self) -> String {
        let mut text = self.message.clone();
        for (field, problem) in &self.errors {
            text.push_str(&format!(" {field}: {problem}"));
        }
        bounded(text.trim())
    }
}

/// Errors that Proxmox's API code answers with *after* the change was let go.
fn may_have_run(message: &str) -> Option<&'static str> {
    // fork_worker tells its child to go ahead first and enters it into the list of active tasks then. Only errors of
    // the child's own log file come earlier, and say so.
    if message.contains("/var/log/pve/tasks/") && !message.contains("starting worker failed") {
        return Some("tells that the task could not be listed, after it was started");
    }
    // The method has returned before its result is looked at.
    if message.contains("Result verification failed") {
        return Some("complains about the result of what was carried out");
    }
    // The configuration is written although the running guest did not take the change.
    message
        .contains("hotplug problem")
        .then_some("tells that the change reached the configuration but not the guest")
}

fn fields(errors: &Map<String, Value>) -> BTreeMap<String, String> {
    let text =
        |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    let short = |text: &str| text.chars().take(MAX_FIELD_TEXT).collect();
    errors.iter().take(MAX_FIELDS).map(|(field, value)| (short(field), short(&text(value)))).collect()
}

/// At most [`MAX_TEXT`] characters.
pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT - 1) {
        Some((end, _)) if text.chars().nth(MAX_TEXT).is_some() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPID: &str = "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:101:agent@pve!plans:";

    fn call(method: Method, starts_task: bool) -> Call {
        let (params, secrets) = (BTreeMap::new(), BTreeMap::new());
        Call { method, path: "/nodes/pve1/qemu/101".to_owned(), params, starts_task, secrets }
    }

    fn of_a(method: Method, status: u16, reason: &str, body: &str) -> Sent {
        Answer { status, reason: reason.to_owned(), body: Ok(body.to_owned()) }.verdict(&call(method, true))
    }

    fn verdict(status: u16, reason: &str, body: &str) -> Sent {
        of_a(Method::Post, status, reason, body)
    }

    fn without_a_task(status: u16, body: &str) -> Sent {
        let answer = Answer { status, reason: String::new(), body: Ok(body.to_owned()) };
        answer.verdict(&call(Method::Put, false))
    }

    fn cut(status: u16) -> Sent {
        Answer { status, reason: "some reason".to_owned(), body: Err("the body was cut".to_owned()) }
            .verdict(&call(Method::Post, true))
    }

    fn refusal(sent: Sent) -> String {
        let Sent::Refused { message, .. } = sent else { panic!("{sent:?}") };
        message
    }

    #[test]
    fn a_task_id_is_a_task_and_null_is_done() {
        assert!(
            matches!(verdict(200, "OK", &format!(r#"{{"data":"{UPID}"}}"#)), Sent::Task(upid) if upid.as_str() == UPID)
        );
        assert_eq!(verdict(200, "OK", r#"{"data":null}"#), Sent::Done);
    }

    #[test]
    fn a_success_that_names_no_task_is_unknown() {
        for body in [
            "",
            "{",
            "null",
            "[]",
            r#"{}"#,
            r#"{"data":{"sid":"vm:410","requested-node":"pve9"}}"#,
            r#"{"data":1}"#,
            r#"{"data":"UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:101:ro"}"#,
            r#"{"data":null,"errors":{"net0":"?"}}"#,
            "<html>please log in</html>",
        ] {
            assert!(matches!(verdict(200, "OK", body), Sent::Unknown { .. }), "{body}");
        }
        assert!(matches!(cut(200), Sent::Unknown { .. }));
    }

    #[test]
    fn an_ok_instead_of_a_task_says_that_there_was_nothing_to_do() {
        assert_eq!(verdict(200, "OK", r#"{"data":"OK"}"#), Sent::Nothing);
        assert!(matches!(verdict(200, "OK", r#"{"data":"ok"}"#), Sent::Unknown { .. }));
    }

    #[test]
    fn what_a_method_without_a_task_answers_with_is_its_result() {
        for data in ["null", r#""OK""#, r#"{"sid":"vm:410","requested-node":"pve9"}"#, "[]", "1"] {
            assert_eq!(without_a_task(200, &format!(r#"{{"data":{data}}}"#)), Sent::Done, "{data}");
        }
        for body in
            ["", "{}", r#"{"data":null,"errors":{"net0":"?"}}"#, r#"{"data":1,"errors":{"net0":"?"}}"#]
        {
            assert!(matches!(without_a_task(200, body), Sent::Unknown { .. }), "{body}");
        }
    }

    #[test]
    fn an_error_of_a_method_without_a_task_may_come_from_half_way() {
        let message = "update storage failed: can't lock file";
        let body = serde_json::json!({ "data": null, "message": message }).to_string();
        let half_way = Sent::HalfWay { status: 500, message: message.to_owned() };
        assert_eq!(without_a_task(500, &body), half_way);
        for checked_first in [
            "checksum mismatch (file change by other user?)\n",
            "VM is locked (backup)\n",
            "create pool failed: pool 'web' already exists\n",
        ] {
            let body = serde_json::json!({ "data": null, "message": checked_first }).to_string();
            assert!(matches!(without_a_task(500, &body), Sent::Refused { .. }), "{checked_first}");
        }
        let hotplug = r#"{"data":null,"message":"x\n","errors":{"net2":"hotplug problem - no"}}"#;
        assert!(matches!(without_a_task(400, hotplug), Sent::HalfWay { status: 400, .. }));
        let checked = r#"{"data":null,"message":"Permission check failed\n"}"#;
        assert!(matches!(without_a_task(403, checked), Sent::Refused { .. }));
        assert!(matches!(without_a_task(500, "<html>"), Sent::Unknown { .. }), "nobody knows who wrote that");
    }

    #[test]
    fn what_the_api_code_answers_is_a_refusal() {
        for (status, message) in [
            (400, "Parameter verification failed."),
            (403, "Permission check failed (/vms/100, VM.PowerMgmt)"),
            (500, "VM 100 not running"),
            (500, "can't lock file '/var/lock/qemu-server/lock-103.conf' - got timeout"),
            (500, "got no worker upid - start worker failed"),
            (
                500,
                "starting worker failed: unable to create output file '/var/log/pve/tasks/9/UPID' - No space left",
            ),
            (501, "Method 'POST /nonsense' not implemented"),
        ] {
            let newer = serde_json::json!({ "data": null, "message": format!("{message}\n") }).to_string();
            assert_eq!(refusal(verdict(status, "first line only", &newer)), message);
            assert_eq!(refusal(verdict(status, message, r#"{"data":null}"#)), message);
        }
        assert_eq!(refusal(verdict(401, "Authentication failed!", "")), "Authentication failed!");
    }

    #[test]
    fn a_refusal_names_the_parameters_it_is_about() {
        let body = r#"{"errors":{"vmid":"too low\n","name":"not a DNS name"},"data":null,"message":"Parameter verification failed.\n"}"#;
        assert_eq!(
            refusal(verdict(400, "x", body)),
            "Parameter verification failed. name: not a DNS name vmid: too low"
        );
    }

    #[test]
    fn a_status_that_refuses_by_itself_needs_no_body() {
        for status in [401, 403, 404, 501] {
            assert!(matches!(cut(status), Sent::Refused { .. }), "{status}");
        }
        assert!(matches!(cut(400), Sent::Unknown { .. }), "its errors may tell that it ran");
    }

    #[test]
    fn a_500_that_the_api_code_did_not_write_is_unknown() {
        for body in
            ["", "<html>Internal Server Error</html>", "Not a HASH reference", "[]", r#"{"error":"x"}"#]
        {
            assert!(matches!(verdict(500, "Internal Server Error", body), Sent::Unknown { .. }), "{body}");
        }
        assert!(matches!(cut(500), Sent::Unknown { .. }));
    }

    #[test]
    fn an_error_from_after_the_start_is_unknown() {
        for (status, message) in [
            (500, "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout"),
            (500, "unable to open file '/var/log/pve/tasks/active.tmp.812' - No space left on device"),
            (400, "Result verification failed"),
        ] {
            let body = serde_json::json!({ "data": null, "message": message }).to_string();
            assert!(matches!(verdict(status, "x", &body), Sent::Unknown { .. }), "{message}");
            assert!(
                matches!(verdict(status, message, r#"{"data":null}"#), Sent::Unknown { .. }),
                "{message}"
            );
            let late = serde_json::json!({ "data": null, "message": format!("{}{message}", "x\n".repeat(MAX_TEXT)) });
            assert!(matches!(verdict(status, "x", &late.to_string()), Sent::Unknown { .. }), "{message}");
        }
        let hotplug = r#"{"data":null,"message":"Parameter verification failed.\n","errors":{"net2":"hotplug problem - no"}}"#;
        assert!(matches!(verdict(400, "x", hotplug), Sent::Unknown { .. }));
    }

    #[test]
    fn only_a_failed_connection_behind_the_proxy_means_not_delivered() {
        assert!(matches!(verdict(595, "Connection refused", ""), Sent::NotSent { .. }));
        assert!(matches!(verdict(595, "Connection refused", "<html>"), Sent::Unknown { .. }));
        assert!(matches!(cut(595), Sent::Unknown { .. }));
        for status in [201, 202, 204, 301, 302, 307, 308, 408, 502, 503, 504, 505, 506, 596, 597, 598, 599] {
            assert!(matches!(verdict(status, "Connection timed out", ""), Sent::Unknown { .. }), "{status}");
        }
    }

    #[test]
    fn a_call_that_the_proxy_may_have_sent_twice_is_not_known_to_be_undelivered() {
        for method in [Method::Put, Method::Delete] {
            let sent = of_a(method, 595, "Connection refused", "");
            assert!(matches!(sent, Sent::Unknown { .. }), "{method:?}: {sent:?}");
        }
    }

    #[test]
    fn a_long_refusal_is_cut() {
        let long = "é".repeat(1 << 12);
        let many: Map<String, Value> =
            (0..100).map(|i| (format!("{i}{long}"), long.clone().into())).collect();
        let body = serde_json::json!({ "data": null, "message": "no", "errors": many }).to_string();
        assert!(refusal(verdict(400, "x", &body)).chars().count() <= MAX_TEXT);
        assert!(refusal(verdict(403, &long, "")).chars().count() <= MAX_TEXT);
        let Sent::Unknown { why } = verdict(503, &long, "") else { panic!() };
        assert!(why.chars().count() <= MAX_TEXT);
    }

    #[test]
    fn a_text_of_the_longest_length_is_kept_whole() {
        for length in [0, 1, MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1] {
            let cut = bounded(&"é".repeat(length));
            assert_eq!(cut.chars().count(), length.min(MAX_TEXT));
            assert_eq!(cut.ends_with('…'), length > MAX_TEXT);
        }
    }

    fn told(status: u16, reason: &str, body: &str, secrets: &[&str]) -> Sent {
        let secrets = secrets.iter().enumerate();
        let secrets = secrets.map(|(n, value)| (n.to_string(), SecretString::from((*value).to_owned())));
        let answer = Answer { status, reason: reason.to_owned(), body: Ok(body.to_owned()) };
        answer.verdict_without(&call(Method::Post, true), &secrets.collect())
    }

    #[test]
    fn no_spelling_of_a_secret_is_told() {
        for secret in
            ["hunter2", "q\"u'o\\te", "pässwörd 日本", "first\nsecond", "100%25 + &a=b", "7", " a b "]
        {
            let echo = |spelled: &str| {
                serde_json::json!({
                    "data": null,
                    "message": format!("bad value {spelled}\n"),
                    "errors": { "cipassword": format!("got {spelled}"), "list": [spelled], "deep": { "x": spelled } },
                })
                .to_string()
            };
            for spelled in spellings(secret) {
                let Sent::Refused { message, .. } = told(400, &spelled, &echo(&spelled), &[secret]) else {
                    panic!("{spelled}")
                };
                assert!(!message.contains(&spelled), "{spelled}: {message}");
            }
            let reason = secret.lines().next().unwrap();
            let refused = told(500, reason, r#"{"data":null}"#, &[secret]);
            assert!(!format!("{refused:?}").contains(reason), "{refused:?}");
        }
    }

    #[test]
    fn of_a_secret_that_begins_with_another_nothing_is_left() {
        let refused = told(400, "saw hunter2-and-more", r#"{"data":null}"#, &["hunter2", "hunter2-and-more"]);
        assert_eq!(refusal(refused), "saw [redacted]");
    }

    #[test]
    fn a_secret_never_changes_what_an_answer_proves() {
        let task = format!(r#"{{"data":"{UPID}"}}"#);
        for secret in ["UPID", "qmstart", "data", "null", "Result", "e", "OK"] {
            assert!(matches!(told(200, "OK", &task, &[secret]), Sent::Task(_)), "{secret}");
            assert_eq!(told(200, "OK", r#"{"data":"OK"}"#, &[secret]), Sent::Nothing, "{secret}");
            let ran = r#"{"data":null,"message":"Result verification failed"}"#;
            assert!(matches!(told(500, "x", ran, &[secret]), Sent::Unknown { .. }), "{secret}");
        }
    }
}
