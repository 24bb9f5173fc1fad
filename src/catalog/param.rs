use serde::Serialize;
use serde_json::Value;

use super::GuestKind;

/// A parameter of an action.
#[derive(Debug)]
pub struct Param {
    /// As the plan spells it.
    pub name: &'static str,
    /// As Proxmox spells it; `None` where it stands in the path.
    pub wire: Option<&'static str>,
    pub type_: ParamType,
    pub required: bool,
    /// The only kind of guest that knows it, if not both do.
    pub only_for: Option<GuestKind>,
    pub doc: &'static str,
}

/// What a parameter's value may be.
#[derive(Clone, Copy, Debug)]
pub enum ParamType {
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    /// Free text of at most so many characters.
    Text {
        max: usize,
    },
    /// A Proxmox configuration id: a letter, then letters, digits, `-` and `_`.
    ConfigId {
        max: usize,
    },
}

/// A value that has passed its check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl ParamType {
    /// Reads a value, or says what is allowed and what was given instead.
    pub fn read(self, value: &Value) -> Result<ParamValue, String> {
        let read = match (self, value) {
            (Self::Bool, Value::Bool(flag)) => Some(ParamValue::Bool(*flag)),
            (Self::Integer { min, max }, Value::Number(number)) => {
                number.as_i64().filter(|n| (min..=max).contains(n)).map(ParamValue::Integer)
            }
            (Self::Text { max }, Value::String(text)) => (text.chars().count() <= max
                && !text.chars().any(|c| c.is_control() && c != '\n'))
            .then(|| ParamValue::Text(text.clone())),
            (Self::ConfigId { max }, Value::String(text)) => {
                is_config_id(text, max).then(|| ParamValue::Text(text.clone()))
            }
            _ => None,
        };
        read.ok_or_else(|| format!("must be {}, not {}", self.allowed(), described(value)))
    }

    /// What is allowed, in words.
    pub fn allowed(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Text { max } => format!("text of at most {max} characters"),
            Self::ConfigId { max } => {
                format!("a letter followed by letters, digits, `-` or `_`, 2 to {max} characters in all")
            }
        }
    }
}

impl ParamValue {
    /// The form in which Proxmox reads it: booleans are 0 and 1.
    pub fn to_wire(&self) -> String {
        match self {
            Self::Bool(flag) => u8::from(*flag).to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

fn is_config_id(text: &str, max: usize) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && (2..=max).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The type of a value and, where it is short, the value.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 64 => format!("the text `{text}`"),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_answered_with_what_is_allowed() {
        let timeout = ParamType::Integer { min: 0, max: 60 };
        assert_eq!(
            timeout.read(&json!("5")).unwrap_err(),
            "must be a whole number from 0 to 60, not the text `5`"
        );
        assert_eq!(
            timeout.read(&json!(61)).unwrap_err(),
            "must be a whole number from 0 to 60, not the number 61"
        );
        assert_eq!(ParamType::Bool.read(&json!(1)).unwrap_err(), "must be true or false, not the number 1");
    }

    #[test]
    fn a_megabyte_of_garbage_is_not_repeated() {
        let message = ParamType::Text { max: 10 }.read(&json!("x".repeat(1 << 20))).unwrap_err();
        assert_eq!(message, "must be text of at most 10 characters, not a text of 1048576 characters");
    }

    #[test]
    fn a_snapshot_name_can_not_leave_its_place_in_the_path() {
        let name = ParamType::ConfigId { max: 40 };
        for bad in ["../100", "a/b", "a b", "1a", "a", "", "a%2f", "é1"] {
            assert!(name.read(&json!(bad)).is_err(), "{bad}");
        }
        assert!(name.read(&json!("before-upgrade_2")).is_ok());
    }

    #[test]
    fn booleans_are_sent_as_proxmox_reads_them() {
        assert_eq!(ParamValue::Bool(true).to_wire(), "1");
        assert_eq!(ParamValue::Bool(false).to_wire(), "0");
    }
}
