use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::split_list;

/// Settings as Proxmox writes them into an answer.
pub(super) type Row = BTreeMap<String, Value>;

/// Numbers and flags as the text that Proxmox keeps them as.
pub(super) fn settings(row: Row) -> BTreeMap<String, String> {
    row.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect()
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(u8::from(flag).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(values) => Some(values.into_iter().filter_map(text).collect::<Vec<_>>().join(",")),
        Value::Object(properties) => {
            let properties = properties.into_iter().filter_map(|(key, value)| Some((key, text(value)?)));
            Some(properties.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
        }
        Value::Null => None,
    }
}

/// A setting that is a list, whatever it is parted by.
pub(super) fn list(settings: &BTreeMap<String, String>, key: &str) -> Vec<String> {
    let text = settings.get(key).map(String::as_str).unwrap_or_default();
    split_list(text).map(str::to_owned).collect()
}

pub(super) fn flag(settings: &BTreeMap<String, String>, key: &str) -> bool {
    settings.get(key).is_some_and(|value| value == "1")
}
