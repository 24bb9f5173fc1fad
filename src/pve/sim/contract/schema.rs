//! The operations of the imitated API version: which exist, who may call them, what they take.
//!
//! The table holds facts only (names, types, bounds, permissions). It covers the whole API, because a request to an
//! operation without a handler here is still judged as Proxmox judges it, up to the point where work would begin.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::permission::Permission;

const TABLE: &str = include_str!("api-9.2.json");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::pve::sim) struct Property {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    optional: u8,
    #[serde(rename = "oneOf")]
    forms: Vec<Property>,
    #[serde(rename = "enum")]
    pub(super) values: Option<Vec<serde_json::Value>>,
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
    pub(super) fn is_optional(&self) -> bool {
        self.optional == 1 || (!self.forms.is_empty() && self.forms.iter().all(Self::is_optional))
    }

    pub(super) fn takes_bare_value(&self) -> bool {
        self.default_key == 1
    }

    pub(in crate::pve::sim) fn kind(&self) -> &str {
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

#[derive(Debug)]
pub(in crate::pve::sim) struct Operation {
    pub(in crate::pve::sim) method: String,
    pub(in crate::pve::sim) path: String,
    pub(in crate::pve::sim) permission: Permission,
    pub(in crate::pve::sim) runs_on_node: bool,
    pub(in crate::pve::sim) takes_tokens: bool,
    pub(super) takes_anything: bool,
    segments: Vec<String>,
    parameters: BTreeMap<String, Arc<Property>>,
}

impl Operation {
    /// `net3` is described by `net[n]`, as far as the number is one that Proxmox knows.
    pub(in crate::pve::sim) fn parameter(&self, name: &str) -> Option<&Property> {
        if let Some(found) = self.parameters.get(name) {
            return Some(found);
        }
        let (stem, number) = split_number(name)?;
        let described = self.parameters.get(&format!("{stem}[n]"))?;
        (number < numbered_limit(stem)).then_some(described.as_ref())
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|(_, property)| !property.is_optional()).map(|(name, _)| name.as_str())
    }

    fn bind(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
        let swallows_rest = self.segments.last().is_some_and(|last| last == "{volume}");
        if path.len() != self.segments.len() && !(swallows_rest && path.len() > self.segments.len()) {
            return None;
        }
        let mut bound = BTreeMap::new();
        for (position, segment) in self.segments.iter().enumerate() {
            match placeholder(segment) {
                Some("volume") if swallows_rest => {
                    bound.insert("volume".to_owned(), path[position..].join("/"));
                }
                Some(name) => {
                    bound.insert(name.to_owned(), path[position].to_owned());
                }
                None if segment == path[position] => {}
                None => return None,
            }
        }
        Some(bound)
    }

    fn literal_segments(&self) -> usize {
        self.segments.iter().filter(|segment| placeholder(segment).is_none()).count()
    }
}

/// An operation together with what its path says.
#[derive(Debug)]
pub(in crate::pve::sim) struct Matched<'a> {
    pub(in crate::pve::sim) operation: &'a Operation,
    pub(in crate::pve::sim) bound: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(in crate::pve::sim) struct Contract {
    operations: Vec<Operation>,
}

impl Contract {
    pub(in crate::pve::sim) fn load() -> Result<Self, serde_json::Error> {
        let table: Table = serde_json::from_str(TABLE)?;
        let shared: BTreeMap<String, Arc<Property>> =
            table.shared.into_iter().map(|(name, property)| (name, Arc::new(property))).collect();
        let operations = table.operations.into_iter().map(|row| row.resolve(&shared)).collect();
        Ok(Self { operations })
    }

    /// Literal segments win over placeholders, so `/cluster/ha/resources` is never taken for an id.
    pub(in crate::pve::sim) fn find(&self, method: &str, path: &[&str]) -> Option<Matched<'_>> {
        self.operations
            .iter()
            .filter(|operation| operation.method == method)
            .filter_map(|operation| operation.bind(path).map(|bound| Matched { operation, bound }))
            .max_by_key(|matched| matched.operation.literal_segments())
    }

    /// The schema that guards a guest's configuration keys: the parameters of the call that writes them.
    pub(in crate::pve::sim) fn config_writer(&self, guest_type: &str) -> Option<&Operation> {
        let path = format!("/nodes/{{node}}/{guest_type}/{{vmid}}/config");
        self.operations.iter().find(|operation| operation.method == "PUT" && operation.path == path)
    }
}

#[derive(Deserialize)]
struct Table {
    shared: BTreeMap<String, Property>,
    operations: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    method: String,
    path: String,
    #[serde(default)]
    permissions: serde_json::Value,
    #[serde(default)]
    proxyto: Option<String>,
    #[serde(default = "one")]
    allowtoken: u8,
    #[serde(default)]
    open: u8,
    parameters: BTreeMap<String, Described>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Described {
    Shared(String),
    Own(Box<Property>),
}

fn one() -> u8 {
    1
}

impl Row {
    fn resolve(self, shared: &BTreeMap<String, Arc<Property>>) -> Operation {
        let parameters = self
            .parameters
            .into_iter()
            .filter_map(|(name, described)| match described {
                Described::Own(property) => Some((name, Arc::from(property))),
                Described::Shared(reference) => shared.get(&reference).map(|found| (name, Arc::clone(found))),
            })
            .collect();
        Operation {
            segments: self.path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            permission: Permission::read(&self.permissions),
            runs_on_node: self.proxyto.is_some(),
            takes_tokens: self.allowtoken == 1,
            takes_anything: self.open == 1,
            method: self.method,
            path: self.path,
            parameters,
        }
    }
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn split_number(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[stem.len()..];
    let canonical = digits == "0" || !digits.starts_with('0');
    canonical.then_some(())?;
    Some((stem, digits.parse().ok()?))
}

fn numbered_limit(stem: &str) -> u32 {
    match stem {
        "ide" | "serial" => 4,
        "parallel" => 3,
        "sata" => 6,
        "numa" => 8,
        "virtiofs" => 10,
        "usb" => 14,
        "virtio" | "hostpci" => 16,
        "scsi" => 31,
        "net" | "ipconfig" => 32,
        "acmedomain" => 6,
        _ => 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_version_is_known() {
        let contract = Contract::load().unwrap();
        assert_eq!(contract.operations.len(), 675);
    }

    #[test]
    fn a_parameter_whose_every_form_is_optional_may_be_left_out() {
        let contract = Contract::load().unwrap();
        let found = contract.find("POST", &["cluster", "sdn", "fabrics", "fabric"]).unwrap();
        assert_eq!(found.operation.required().collect::<Vec<_>>(), ["id", "protocol"]);
    }

    #[test]
    fn a_literal_segment_wins_over_a_placeholder() {
        let contract = Contract::load().unwrap();
        let found = contract.find("GET", &["cluster", "ha", "resources"]).unwrap();
        assert_eq!(found.operation.path, "/cluster/ha/resources");
    }

    #[test]
    fn a_volume_name_may_contain_slashes() {
        let contract = Contract::load().unwrap();
        let path = ["nodes", "pve1", "storage", "tank", "content", "tank:400", "vm-400-disk-0.raw"];
        let found = contract.find("DELETE", &path).unwrap();
        assert_eq!(found.bound["volume"], "tank:400/vm-400-disk-0.raw");
    }

    #[test]
    fn numbered_parameters_end_where_proxmox_ends_them() {
        let contract = Contract::load().unwrap();
        let create = contract.find("POST", &["nodes", "pve1", "qemu"]).unwrap().operation;
        assert!(create.parameter("scsi30").is_some());
        assert!(create.parameter("scsi31").is_none());
        assert!(create.parameter("net01").is_none());
    }
}
