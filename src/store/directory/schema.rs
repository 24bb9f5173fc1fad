//! What an API server checks before it takes an object, checked here: the structure that the kind's
//! CustomResourceDefinition describes.
//!
//! Own code and not a JSON Schema crate: CRD schemas are a dialect of their own (`nullable`, unknown fields refused
//! without `additionalProperties: false`, list maps), `jsonschema` brings 25 crates, and the messages are half of
//! what this is for. A test fails when a definition uses a keyword that is not known here.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value};

/// More than these many problems of one object help nobody.
const MAX_PROBLEMS: usize = 8;
/// As deep as any of our kinds goes, and a bound for the stack.
const MAX_DEPTH: usize = 32;

/// Every pattern of a schema, compiled once.
pub(super) type Patterns = BTreeMap<String, Regex>;

/// Collects the patterns of a schema.
pub(super) fn patterns(schema: &Value, found: &mut Patterns) -> Result<(), String> {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get("pattern") {
                let compiled = Regex::new(pattern).map_err(|e| format!("pattern {pattern}: {e}"))?;
                found.insert(pattern.clone(), compiled);
            }
            fields.values().try_for_each(|inner| patterns(inner, found))
        }
        Value::Array(items) => items.iter().try_for_each(|inner| patterns(inner, found)),
        _ => Ok(()),
    }
}

/// Every problem of `value`, each beginning with the path of its field.
pub(super) fn problems(schema: &Value, patterns: &Patterns, path: &str, value: &Value) -> Vec<String> {
    let mut check = Check { patterns, problems: Vec::new() };
    check.value(schema, path, value, 0);
    check.problems
}

/// Takes out every `null` of a field that is known: it means "not given", as an API server reads it before it applies
/// defaults.
pub(super) fn without_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties");
            fields.retain(|name, inner| {
                let of_field = properties.and_then(|p| p.get(name));
                !(inner.is_null() && of_field.is_some())
            });
            for (name, inner) in fields {
                if let Some(of_field) = properties.and_then(|p| p.get(name)) {
                    without_nulls(of_field, inner);
                }
            }
        }
        Value::Array(items) => {
            if let Some(of_items) = schema.get("items") {
                items.iter_mut().for_each(|item| without_nulls(of_items, item));
            }
        }
        _ => {}
    }
}

/// A value as people need it in a message: recognisable, but never a page.
pub(super) fn shortened(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut short: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

struct Check<'a> {
    patterns: &'a Patterns,
    problems: Vec<String>,
}

impl Check<'_> {
    fn say(&mut self, path: &str, problem: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("{path}: {problem}"));
        }
    }

    fn value(&mut self, schema: &Value, path: &str, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return self.say(path, "is nested too deeply");
        }
        if value.is_null() && is_nullable(schema) {
            return;
        }
        if let Some(wanted) = schema.get("type").and_then(Value::as_str)
            && !has_type(value, wanted)
        {
            return self.say(path, &format!("must be {}, but is {}", a(wanted), described(value)));
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.contains(value)
        {
            let allowed: Vec<_> = allowed.iter().filter(|v| !v.is_null()).map(shortened).collect();
            self.say(path, &format!("must be one of {}, but is `{}`", allowed.join(", "), shortened(value)));
        }
        match value {
            Value::String(text) => self.text(schema, path, text),
            Value::Number(_) => self.number(schema, path, value),
            Value::Array(items) => self.list(schema, path, items, depth),
            Value::Object(fields) => self.object(schema, path, fields, depth),
            _ => {}
        }
    }

    fn text(&mut self, schema: &Value, path: &str, text: &str) {
        let length = text.chars().count();
        self.size(schema, path, ("minLength", "maxLength"), (length, "characters long"));
        let shown = || shortened(&Value::String(text.to_owned()));
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.patterns.get(pattern).is_some_and(|p| p.is_match(text))
        {
            self.say(path, &format!("must match {pattern}, but is `{}`", shown()));
        }
        if schema.get("format").and_then(Value::as_str) == Some("date-time")
            && text.parse::<jiff::Timestamp>().is_err()
        {
            self.say(path, &format!("must be a moment such as 2026-01-31T12:00:00Z, but is `{}`", shown()));
        }
    }

    fn number(&mut self, schema: &Value, path: &str, value: &Value) {
        let bound = |keyword| schema.get(keyword).and_then(Value::as_f64);
        let number = value.as_f64().unwrap_or(f64::NAN);
        if let Some(least) = bound("minimum")
            && number < least
        {
            self.say(path, &format!("must be at least {least}, but is {value}"));
        }
        if let Some(most) = bound("maximum")
            && number > most
        {
            self.say(path, &format!("must be at most {most}, but is {value}"));
        }
    }

    fn list(&mut self, schema: &Value, path: &str, items: &[Value], depth: usize) {
        if self.size(schema, path, ("minItems", "maxItems"), (items.len(), "items long")) {
            return;
        }
        if let Some(of_items) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.value(of_items, &format!("{path}[{i}]"), item, depth + 1);
            }
        }
        if let Some(Value::Array(keys)) = schema.get("x-kubernetes-list-map-keys") {
            let mut seen = BTreeSet::new();
            for (i, item) in items.iter().enumerate() {
                let key: Vec<_> =
                    keys.iter().filter_map(Value::as_str).map(|k| shortened(&item[k])).collect();
                if !seen.insert(key.clone()) {
                    self.say(
                        &format!("{path}[{i}]"),
                        &format!("`{}` is there more than once", key.join(", ")),
                    );
                }
            }
        }
    }

    fn object(&mut self, schema: &Value, path: &str, fields: &Map<String, Value>, depth: usize) {
        if self.size(schema, path, ("minProperties", "maxProperties"), (fields.len(), "fields long")) {
            return;
        }
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(Value::Array(required)) = schema.get("required") {
            for name in required.iter().filter_map(Value::as_str).filter(|n| !fields.contains_key(*n)) {
                self.say(&inside(name), "is required, but missing");
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let anything = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || schema.get("additionalProperties") == Some(&Value::Bool(true));
        for (name, value) in fields {
            match (properties.and_then(|p| p.get(name)), others) {
                (Some(of_field), _) | (None, Some(of_field)) => {
                    self.value(of_field, &inside(&shortened(&name.as_str().into())), value, depth + 1);
                }
                (None, None) if anything => {}
                (None, None) => {
                    let known: Vec<_> = properties.into_iter().flat_map(Map::keys).cloned().collect();
                    self.say(
                        &inside(&shortened(&name.as_str().into())),
                        &format!("is not known; known here: {}", known.join(", ")),
                    );
                }
            }
        }
    }

    /// Checks a length; true if it is so far out that looking inside makes no sense.
    fn size(
        &mut self,
        schema: &Value,
        path: &str,
        (least, most): (&str, &str),
        (size, unit): (usize, &str),
    ) -> bool {
        let bound = |keyword| schema.get(keyword).and_then(Value::as_u64);
        let size = size as u64;
        if let Some(least) = bound(least)
            && size < least
        {
            self.say(path, &format!("must be at least {least} {unit}, but is {size}"));
        }
        match bound(most) {
            Some(most) if size > most => {
                self.say(path, &format!("must be at most {most} {unit}, but is {size}"));
                true
            }
            _ => false,
        }
    }
}

fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

fn a(kind: &str) -> String {
    match kind {
        "array" => "a list".to_owned(),
        "object" => "a map of fields".to_owned(),
        "integer" => "a whole number".to_owned(),
        other => format!("a {other}"),
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "empty (null)".to_owned(),
        Value::Bool(_) => format!("the boolean {value}"),
        Value::Number(_) => format!("the number {value}"),
        Value::String(_) => format!("the string `{}`", shortened(value)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map of fields".to_owned(),
    }
}
