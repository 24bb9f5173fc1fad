use std::collections::BTreeMap;

use serde::Deserialize;

/// What a parameter, or a part of a property string, may be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Property {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    optional: u8,
    #[serde(rename = "enum")]
    pub(super) values: Option<Vec<String>>,
    pub(super) format: Option<Format>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    #[serde(rename = "minLength")]
    pub(super) min_length: Option<usize>,
    #[serde(rename = "maxLength")]
    pub(super) max_length: Option<usize>,
    pub(super) pattern: Option<String>,
    pub(super) requires: Option<String>,
    pub(super) items: Option<Box<Property>>,
    default_key: u8,
    pub(super) alias: Option<String>,
    #[serde(rename = "keyAlias")]
    pub(super) key_alias: Option<String>,
}

impl Property {
    pub fn is_optional(&self) -> bool {
        self.optional == 1
    }

    pub(super) fn takes_bare_value(&self) -> bool {
        self.default_key == 1
    }

    /// `string`, `integer`, `number`, `boolean` or `array`.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("string")
    }
}

/// A format is either known by name or spelled out as the parts of a property string.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Format {
    Named(String),
    Parts(BTreeMap<String, Property>),
}
