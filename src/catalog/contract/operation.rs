use std::collections::BTreeMap;
use std::sync::Arc;

use super::permission::Permission;
use super::property::Property;
use super::release::Release;

/// One method of one path of the API.
#[derive(Debug)]
pub struct Operation {
    pub release: Release,
    pub method: String,
    /// As the schema writes it: `/nodes/{node}/qemu/{vmid}/config`.
    pub path: String,
    /// What it declares about who may call it; some operations ask for more once they run.
    pub permission: Permission,
    /// Whether it answers with the id of a task (UPID). A few do so only if the work takes long.
    pub answers_with_task: bool,
    pub runs_on_node: bool,
    pub takes_tokens: bool,
    pub(super) takes_anything: bool,
    pub(super) segments: Vec<String>,
    pub(super) parameters: BTreeMap<String, Arc<Property>>,
}

impl Operation {
    /// `net3` is described by `net[n]`, as far as the number is one that Proxmox knows.
    pub fn parameter(&self, name: &str) -> Option<&Property> {
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

    /// The names of its parameters, those with a number written as `net[n]`.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.keys().map(String::as_str)
    }

    pub(super) fn bind(&self, path: &[&str]) -> Option<BTreeMap<String, String>> {
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

    pub(super) fn literal_segments(&self) -> usize {
        self.segments.iter().filter(|segment| placeholder(segment).is_none()).count()
    }
}

/// An operation together with what its path says.
#[derive(Debug)]
pub struct Matched<'a> {
    pub operation: &'a Operation,
    pub bound: BTreeMap<String, String>,
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
