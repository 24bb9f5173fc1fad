//! Whether two answers say the same, apart from what every run makes anew.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::recording::Recorded;

/// What tells our answer from the recorded one; nothing if they agree. `of_task` compares how a task is and ended.
pub(crate) fn compare(ours: &Recorded, theirs: &Recorded, of_task: bool) -> Vec<String> {
    let mut found = Found(vec![]);
    found.tell("status", &ours.status, &theirs.status);
    found.tell("reason", &timeless(&ours.reason), &timeless(&theirs.reason));
    found.tell("text", &ours.body_text, &theirs.body_text);
    found.tell("with JSON", &ours.body.is_some(), &theirs.body.is_some());
    let (Some(ours), Some(theirs)) = (&ours.body, &theirs.body) else { return found.0 };
    found.tell("message", &message(ours), &message(theirs));
    found.tell("errors", &keys(&ours["errors"]), &keys(&theirs["errors"]));
    found.tell(
        "error texts",
        &timeless(&ours["errors"].to_string()),
        &timeless(&theirs["errors"].to_string()),
    );
    found.shapes(&shape(&ours["data"]), &shape(&theirs["data"]));
    if of_task {
        for field in ["status", "exitstatus", "type", "id", "user", "node"] {
            let of = |body: &Value| body["data"][field].as_str().map(timeless);
            found.tell(field, &of(ours), &of(theirs));
        }
    }
    found.0
}

/// What tells the status and the JSON types of our answer from those of the recorded one.
pub(crate) fn compare_types(ours: &Recorded, theirs: &Recorded) -> Vec<String> {
    let mut found = Found(vec![]);
    found.tell("status", &ours.status, &theirs.status);
    found.tell("with JSON", &ours.body.is_some(), &theirs.body.is_some());
    if let (Some(ours), Some(theirs)) = (&ours.body, &theirs.body) {
        found.tell("errors", &keys(&ours["errors"]), &keys(&theirs["errors"]));
        found.shapes(&shape(&ours["data"]), &shape(&theirs["data"]));
    }
    found.0
}

struct Found(Vec<String>);

impl Found {
    fn tell<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, ours: &T, theirs: &T) {
        if ours != theirs {
            self.0.push(format!("{what} {ours:?} instead of {theirs:?}"));
        }
    }

    fn shapes(&mut self, ours: &Shape, theirs: &Shape) {
        for (path, types) in theirs {
            match ours.get(path) {
                None => self.0.push(format!("{path} is missing")),
                Some(present) => self.tell(path, present, types),
            }
        }
        for path in ours.keys().filter(|path| !theirs.contains_key(*path)) {
            self.0.push(format!("{path} is too much"));
        }
    }
}

/// The types that occur at each path; the rows of a list are one path.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

fn shape(data: &Value) -> Shape {
    let mut shape = Shape::new();
    collect(data, "data", &mut shape);
    shape
}

fn collect(value: &Value, path: &str, shape: &mut Shape) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, &format!("{path}.{name}"), shape);
            }
            "object"
        }
        Value::Array(rows) => {
            for row in rows {
                collect(row, &format!("{path}[]"), shape);
            }
            "list"
        }
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    shape.entry(path.to_owned()).or_default().insert(kind);
}

fn message(body: &Value) -> Option<String> {
    body["message"].as_str().map(timeless)
}

fn keys(errors: &Value) -> Vec<&String> {
    errors.as_object().map(|errors| errors.keys().collect()).unwrap_or_default()
}

/// A text without what every run makes anew: process ids and times in UPIDs, MACs, UUIDs, moments, upload names.
fn timeless(text: &str) -> String {
    static ANEW: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
        [
            (r"UPID:(\w+):\w+:\w+:\w+:(\w+):([^:]*):", "UPID:$1:$2:$3:"),
            (r"BC:24:11(:[0-9A-Fa-f]{2}){3}", "MAC"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),
            (r"pveupload-[0-9a-f]+", "UPLOAD"),
        ]
        .map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead))
    });
    ANEW.iter()
        .fold(text.to_owned(), |text, (pattern, instead)| pattern.replace_all(&text, *instead).into_owned())
}
