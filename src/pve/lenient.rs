//! Proxmox writes booleans as 0 and 1, and some numbers as text, depending on its version and on who wrote the value.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// 0, 1, "0", "1", true or false.
pub(super) fn flag<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    match Value::deserialize(input)? {
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) if number.as_i64() == Some(0) => Ok(false),
        Value::Number(number) if number.as_i64() == Some(1) => Ok(true),
        Value::String(text) if text == "1" => Ok(true),
        Value::String(text) if text.is_empty() || text == "0" => Ok(false),
        _ => Err(D::Error::custom("expected 0 or 1")),
    }
}

/// A whole number, also as text.
pub(super) fn number<'de, D: Deserializer<'de>>(input: D) -> Result<i64, D::Error> {
    let read = match Value::deserialize(input)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    read.ok_or_else(|| D::Error::custom("expected a whole number"))
}

/// A whole number, also as text, or none.
pub(super) fn maybe_number<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    match Option::<Value>::deserialize(input)? {
        None | Some(Value::Null) => Ok(None),
        Some(value) => number(value).map(Some).map_err(D::Error::custom),
    }
}

/// A text, also one that looks like a number and was written as such: a VM may be named `100`.
pub(super) fn text<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    match Value::deserialize(input)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(D::Error::custom("expected a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_are_read_in_every_spelling_that_proxmox_uses() {
        for (value, expected) in [
            (json!(0), false),
            (json!(1), true),
            (json!("0"), false),
            (json!("1"), true),
            (json!(true), true),
        ] {
            assert_eq!(flag(value).unwrap(), expected);
        }
        for value in [json!(2), json!("yes"), json!([]), json!(null)] {
            assert!(flag(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn numbers_are_read_from_text_too_and_nothing_else_is() {
        assert_eq!(number(json!("100")).unwrap(), 100);
        assert_eq!(number(json!(100)).unwrap(), 100);
        for value in [json!("abc"), json!(1.5), json!(null), json!("")] {
            assert!(number(value.clone()).is_err(), "{value}");
        }
    }
}
