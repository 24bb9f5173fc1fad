use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{GuestKind, Name, Vmid, VolumeId, notation::percent_encoded};

/// A parameter of an action.
#[derive(Debug)]
pub struct Param {
    /// As the plan spells it; `scsi[n]` for a row of them.
    pub name: &'static str,
    /// How many of a row there are: the highest has a number one lower.
    pub row: Option<u16>,
    pub wire: Wire,
    pub type_: ParamType,
    pub required: bool,
    /// The only kind of guest that knows it, if not both do.
    pub only_for: Option<GuestKind>,
    pub doc: &'static str,
}

/// How Proxmox spells a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// It stands in the path, or is not sent at all.
    Nowhere,
    /// As the plan does.
    Same,
    As(&'static str),
    PerKind {
        qemu: &'static str,
        lxc: &'static str,
    },
}

/// What a parameter's value may be. What Proxmox's own schema says of it is checked on top, for the version that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Free text of at most so many characters, in which Proxmox fills in `{{guestname}}` and the like. It takes it on one
    /// line, with the ends of lines and backslashes escaped.
    Notes {
        max: usize,
    },
    /// A Proxmox configuration id: a letter, then letters, digits, `-` and `_`.
    ConfigId {
        max: usize,
    },
    /// A name of a node, storage, pool or the like: letters, digits, `-`, `_` and `.`.
    Name,
    /// The number of a guest.
    Vmid,
    /// A storage, a colon and what lies on it.
    Volume,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Names, or names with further properties, separated by commas and by nothing else: Proxmox knows more separators, and
    /// whoever looked for commas alone would overlook a name.
    List {
        max: usize,
    },
    /// A size such as `32G`, or `+5G` for so much more.
    Size,
    /// Settings in Proxmox's own notation, on one line: `virtio,bridge=vmbr0`.
    Settings {
        max: usize,
    },
    /// An address such as `https://example.org/image.qcow2`.
    Url,
    /// Public SSH keys, one a line. Proxmox wants them encoded as in an address.
    PublicKeys,
    /// A Secret and a key in it, `name/key`: the value itself never stands in a plan.
    Secret,
}

/// A value that has passed its check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ParamValue {
    Bool(bool),
    Integer(i64),
    Text(String),
    Secret(SecretValue),
}

/// Where a secret value is kept: a key of a Secret of the plan's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretValue {
    pub name: String,
    pub key: String,
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.key)
    }
}

impl Serialize for SecretValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl SecretValue {
    fn read(text: &str) -> Option<Self> {
        let (name, key) = text.split_once('/')?;
        let plain = |part: &str, extra: &str| {
            (1..=253).contains(&part.len())
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        (plain(name, "-.") && plain(key, "-._")).then(|| Self { name: name.to_owned(), key: key.to_owned() })
    }
}

impl Param {
    /// Whether a plan that spells a parameter so means this one.
    pub fn is_called(&self, name: &str) -> bool {
        let Some(count) = self.row else { return self.name == name };
        let index = name.strip_prefix(self.stem()).unwrap_or_default();
        index.parse::<u16>().is_ok_and(|number| number < count && number.to_string() == index)
    }

    /// The name without its number.
    fn stem(&self) -> &'static str {
        self.name.trim_end_matches("[n]")
    }

    /// The form in which Proxmox reads a value of it.
    pub fn to_wire(&self, value: &ParamValue) -> String {
        let plain = value.to_wire();
        match self.type_ {
            ParamType::PublicKeys => percent_encoded(plain.trim_end(), b"-._~"),
            ParamType::Notes { .. } => plain.replace('\\', "\\\\").replace('\n', "\\n"),
            _ => plain,
        }
    }

    /// How Proxmox spells it in a call for this kind of guest, or `None` if it is not sent.
    pub fn wire_name(&self, spelled: &str, kind: Option<GuestKind>) -> Option<String> {
        match (self.wire, kind) {
            (Wire::Nowhere, _) => None,
            (Wire::Same, _) => Some(spelled.to_owned()),
            (Wire::As(name), _) => Some(name.to_owned()),
            (Wire::PerKind { lxc, .. }, Some(GuestKind::Lxc)) => Some(lxc.to_owned()),
            (Wire::PerKind { qemu, .. }, _) => Some(qemu.to_owned()),
        }
    }

    /// Its value is never shown.
    pub fn is_secret(&self) -> bool {
        self.type_ == ParamType::Secret
    }
}

impl ParamType {
    /// Reads a value, or says what is allowed and what was given instead.
    pub fn read(self, value: &Value) -> Result<ParamValue, String> {
        let read = match (self, value) {
            (Self::Bool, Value::Bool(flag)) => Some(ParamValue::Bool(*flag)),
            (Self::Integer { min, max }, Value::Number(number)) => {
                number.as_i64().filter(|n| (min..=max).contains(n)).map(ParamValue::Integer)
            }
            (Self::Vmid, Value::Number(number)) => {
                let vmid = number.as_u64().and_then(|number| u32::try_from(number).ok()).and_then(Vmid::new);
                vmid.map(|vmid| ParamValue::Integer(vmid.number().into()))
            }
            (Self::Secret, Value::String(text)) => SecretValue::read(text).map(ParamValue::Secret),
            (type_, Value::String(text)) => type_.takes(text).then(|| ParamValue::Text(text.clone())),
            _ => None,
        };
        read.ok_or_else(|| {
            let given = if self == Self::Secret { "what was given".to_owned() } else { described(value) };
            format!("must be {}, not {given}", self.allowed())
        })
    }

    /// Whether a text is one of this type.
    fn takes(self, text: &str) -> bool {
        let one_line = !text.chars().any(char::is_control);
        match self {
            Self::Bool | Self::Integer { .. } | Self::Vmid | Self::Secret => false,
            Self::Text { max } | Self::Notes { max } => {
                text.chars().count() <= max && !text.chars().any(|c| c.is_control() && c != '\n')
            }
            Self::PublicKeys => text.len() <= 8192 && !text.chars().any(|c| c.is_control() && c != '\n'),
            Self::ConfigId { max } => is_config_id(text, max),
            Self::Name => text.parse::<Name>().is_ok(),
            Self::Volume => text.parse::<VolumeId>().is_ok(),
            Self::OneOf(words) => words.contains(&text),
            Self::List { max } => {
                let separates = |c: char| c == ';' || c.is_whitespace() || c.is_control();
                !text.is_empty() && !text.contains(separates) && text.chars().count() <= max
            }
            Self::Settings { max } => !text.is_empty() && one_line && text.chars().count() <= max,
            Self::Size => is_size(text),
            Self::Url => one_line && text.len() <= 2048 && is_url(text),
        }
    }

    /// What is allowed, in words.
    pub fn allowed(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Text { max } | Self::Notes { max } => format!("text of at most {max} characters"),
            Self::ConfigId { max } => {
                format!("a letter followed by letters, digits, `-` or `_`, 2 to {max} characters in all")
            }
            Self::Name => "a name of letters, digits, `-`, `_` and `.`, at most 63 characters".to_owned(),
            Self::Vmid => "the number of a guest, from 100 to 999999999".to_owned(),
            Self::Volume => "a volume such as `local:iso/debian.iso`".to_owned(),
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List { max } => {
                format!("a list separated by commas, without spaces, at most {max} characters")
            }
            Self::Size => "a size such as `32G`, or `+5G` for so much more".to_owned(),
            Self::Settings { max } => {
                format!("settings in Proxmox's notation on one line, at most {max} characters")
            }
            Self::Url => "an http or https address without a user in it".to_owned(),
            Self::PublicKeys => "public SSH keys, one a line, at most 8192 characters".to_owned(),
            Self::Secret => {
                "a Secret of the plan's namespace and a key in it, such as `cloud-init/password`".to_owned()
            }
        }
    }
}

impl ParamValue {
    /// The form in which Proxmox reads it: booleans are 0 and 1. A secret only says where it is kept.
    pub fn to_wire(&self) -> String {
        match self {
            Self::Bool(flag) => u8::from(*flag).to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Secret(secret) => format!("(from secret {secret})"),
        }
    }
}

/// Digits and a unit of Proxmox, with or without a `+`.
fn is_size(text: &str) -> bool {
    let size = text.strip_prefix('+').unwrap_or(text);
    let digits = size.trim_end_matches(['K', 'M', 'G', 'T']);
    size.len() - digits.len() <= 1
        && (1..=12).contains(&digits.len())
        && digits.chars().all(|c| c.is_ascii_digit())
        && digits.chars().any(|c| c != '0')
}

/// A password in an address would stand in the plan, in git and in the task log.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && !host.contains('@') && !rest.contains(char::is_whitespace)
    })
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

    #[test]
    fn a_list_has_one_separator_so_that_no_name_in_it_is_overlooked() {
        let guests = ParamType::List { max: 64 };
        assert!(guests.read(&json!("100,101")).is_ok());
        for bad in ["100 101", "100;101", "100, 101", "100\t101", "100\u{a0}101"] {
            let problem = guests.read(&json!(bad)).unwrap_err();
            assert!(problem.starts_with("must be a list separated by commas, without spaces"), "{problem}");
        }
    }
}
