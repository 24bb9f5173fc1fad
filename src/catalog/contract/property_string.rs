//! Property strings: `tank:1,format=qcow2` and their like.
use std::collections::BTreeMap;

use super::judge::judge_value;
use super::{Fault, Property, Refused, Release};

/// A property string taken apart without a schema: the bare first value, then the named parts in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PropertyString {
    pub bare: String,
    parts: Vec<(String, String)>,
}

impl PropertyString {
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        for item in text.split(',') {
            match item.split_once('=') {
                Some((name, value)) => parsed.parts.push((name.to_owned(), value.to_owned())),
                None if parsed.bare.is_empty() => item.clone_into(&mut parsed.bare),
                None => {}
            }
        }
        parsed
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values of all parts, the bare one first.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let bare = Some(self.bare.as_str()).filter(|bare| !bare.is_empty());
        bare.into_iter().chain(self.parts.iter().map(|(_, value)| value.as_str()))
    }

    pub fn set(&mut self, name: &str, value: &str) {
        match self.parts.iter_mut().find(|(key, _)| key == name) {
            Some(part) => value.clone_into(&mut part.1),
            None => self.parts.push((name.to_owned(), value.to_owned())),
        }
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        let position = self.parts.iter().position(|(key, _)| key == name)?;
        Some(self.parts.remove(position).1)
    }

    pub fn put_first(&mut self, name: &str, value: &str) {
        self.take(name);
        self.parts.insert(0, (name.to_owned(), value.to_owned()));
    }

    pub fn sort(&mut self) {
        self.parts.sort();
    }
}

impl std::fmt::Display for PropertyString {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = self.parts.iter().map(|(name, value)| format!("{name}={value}"));
        let bare = (!self.bare.is_empty()).then(|| self.bare.clone());
        formatter.write_str(&bare.into_iter().chain(named).collect::<Vec<_>>().join(","))
    }
}

/// Judges a property string by its parts.
pub(super) fn judge<'a>(
    text: &str,
    schema: &'a BTreeMap<String, Property>,
    release: Release,
) -> Result<(), Fault<'a>> {
    let given = assign(text, schema)?;
    let mut refused = Vec::new();
    for (part, value) in &given {
        let property = schema.get(part);
        let judged = property.map_or(Err(Fault::Unknown), |property| judge_value(value, property, release));
        if let Err(fault) = judged {
            refused.push(Refused { name: part.clone(), property, given: Some(value.clone()), fault });
        }
    }
    for (part, property) in schema.iter().filter(|(_, property)| is_required(property)) {
        if !given.contains_key(part) {
            let (name, property, given) = (part.clone(), Some(property), None);
            refused.push(Refused { name, property, given, fault: Fault::Missing });
        }
    }
    refused.sort_by(|a, b| a.name.cmp(&b.name));
    if refused.is_empty() { Ok(()) } else { Err(Fault::Parts(refused)) }
}

fn is_required(property: &Property) -> bool {
    property.alias.is_none() && property.kind.is_some() && !property.is_optional() && !has_default(property)
}

/// Parts with a bare value are required only in so far as something has to be given at all.
fn has_default(property: &Property) -> bool {
    property.takes_bare_value() && property.minimum.is_some()
}

/// Gives every item its name, following aliases: `virtio=BC:…` means `model=virtio,macaddr=BC:…`.
fn assign<'a>(
    text: &str,
    schema: &'a BTreeMap<String, Property>,
) -> Result<BTreeMap<String, String>, Fault<'a>> {
    let bare_key =
        schema.iter().find(|(_, property)| property.takes_bare_value()).map(|(name, _)| name.as_str());
    let mut given = BTreeMap::new();
    for item in text.split(',').filter(|item| !item.trim().is_empty()) {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) if key.is_empty() || value.is_empty() => {
                return Err(Fault::PartWithoutNameOrValue);
            }
            Some((key, value)) => (key.trim(), value),
            None => (bare_key.ok_or(Fault::PartWithoutName)?, item),
        };
        let target = match schema.get(key) {
            Some(Property { alias: Some(alias), key_alias, .. }) => {
                if let Some(key_alias) = key_alias {
                    given.insert(key_alias.clone(), key.to_owned());
                }
                alias.as_str()
            }
            _ => key,
        };
        if given.insert(target.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::PartTwice(target.to_owned()));
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_survives_being_taken_apart() {
        let text = "tank:100/vm-100-disk-0.qcow2,size=1G,ssd=1";
        assert_eq!(PropertyString::parse(text).to_string(), text);
        let values = PropertyString::parse(text);
        assert_eq!(values.values().collect::<Vec<_>>(), ["tank:100/vm-100-disk-0.qcow2", "1G", "1"]);
    }

    #[test]
    fn the_first_bare_value_counts() {
        assert_eq!(PropertyString::parse("tank:1,other:2,ssd=1").bare, "tank:1");
    }

    #[test]
    fn a_part_can_be_replaced() {
        let mut drive = PropertyString::parse("tank:1,size=1G");
        drive.set("size", "2G");
        assert_eq!(drive.to_string(), "tank:1,size=2G");
        assert_eq!(drive.take("size").as_deref(), Some("2G"));
        assert_eq!(drive.to_string(), "tank:1");
    }
}
