//! The parameters of one request, whichever way they came: path, query, form or JSON body.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::{contract::Given, split_list};

#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::pve::sim) struct Parameters {
    given: BTreeMap<String, Given>,
    /// The size of the file that came along, if one did.
    pub(in crate::pve::sim) upload_size: Option<u64>,
}

impl Parameters {
    /// A key that is given twice becomes a list, as in Perl's CGI parsing.
    pub(in crate::pve::sim) fn add(&mut self, name: &str, value: String) {
        let merged = match self.given.remove(name) {
            None => Given::Text(value),
            Some(Given::Text(first)) => Given::List(vec![first, value]),
            Some(Given::List(mut all)) => {
                all.push(value);
                Given::List(all)
            }
            Some(Given::Object) => Given::Object,
        };
        self.given.insert(name.to_owned(), merged);
    }

    pub(in crate::pve::sim) fn set(&mut self, name: &str, value: Given) {
        self.given.insert(name.to_owned(), value);
    }

    pub(in crate::pve::sim) fn merge(&mut self, other: Self) {
        self.given.extend(other.given);
        self.upload_size = other.upload_size.or(self.upload_size);
    }

    pub(in crate::pve::sim) fn add_json(&mut self, name: &str, value: &Value) {
        let given = match value {
            Value::Null => return,
            Value::Array(items) => Given::List(items.iter().filter_map(scalar).collect()),
            Value::Object(_) => Given::Object,
            other => Given::Text(scalar(other).unwrap_or_default()),
        };
        self.given.insert(name.to_owned(), given);
    }

    pub(super) fn all(&self) -> &BTreeMap<String, Given> {
        &self.given
    }

    pub(in crate::pve::sim) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    pub(in crate::pve::sim) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    pub(in crate::pve::sim) fn names(&self) -> impl Iterator<Item = &str> {
        self.given.keys().map(String::as_str)
    }

    pub(in crate::pve::sim) fn text(&self, name: &str) -> Option<&str> {
        match self.given.get(name)? {
            Given::Text(text) => Some(text),
            Given::List(_) | Given::Object => None,
        }
    }

    /// The text of a parameter that the contract has already demanded.
    pub(in crate::pve::sim) fn demanded(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(in crate::pve::sim) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse().ok()
    }

    pub(in crate::pve::sim) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    pub(in crate::pve::sim) fn vmid(&self) -> u32 {
        self.number("vmid").unwrap_or_default()
    }

    /// Lists are written with commas, semicolons or blanks between the items, or sent as real lists.
    pub(in crate::pve::sim) fn list(&self, name: &str) -> Vec<String> {
        match self.given.get(name) {
            Some(Given::Text(text)) => split_list(text).map(str::to_owned).collect(),
            Some(Given::List(items)) => items.clone(),
            Some(Given::Object) | None => Vec::new(),
        }
    }

    pub(in crate::pve::sim) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().filter_map(|(name, given)| match given {
            Given::Text(text) => Some((name.as_str(), text.as_str())),
            Given::List(_) | Given::Object => None,
        })
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(u8::from(*truth).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_becomes_a_list() {
        let mut parameters = Parameters::default();
        parameters.add("poolid", "p1".into());
        parameters.add("poolid", "p2".into());
        assert_eq!(parameters.get("poolid"), Some(&Given::List(vec!["p1".into(), "p2".into()])));
    }

    #[test]
    fn json_booleans_become_zero_and_one() {
        let mut parameters = Parameters::default();
        parameters.add_json("allow-move", &Value::Bool(true));
        assert!(parameters.flag("allow-move"));
    }
}
