//! Checking a call before it is sent: the judgement in words, for whoever wrote the call.
use std::collections::BTreeMap;

use super::problem::{shortened, shown};
use super::property::Format;
use super::segments;
use super::similar::listed;
use super::{
    Contract, Fault, Given, Operation, Problem, Property, Refused, Release, formats, judge, patterns,
};

/// Where one release has another way to do what another release does.
const INSTEAD: [(Release, &str, &str); 1] =
    [(Release::V8_4, "/cluster/ha/rules", "HA groups (/cluster/ha/groups) are used there")];

impl Contract {
    /// Everything that Proxmox would refuse about a call for its form alone; nothing if there is none. The path is below
    /// `/api2/json`; what it says (`node`, `vmid`) counts as parameters too.
    pub fn check(&self, method: &str, path: &str, params: &BTreeMap<String, String>) -> Vec<Problem> {
        let Some(matched) = self.find(method, &segments(path)) else {
            return vec![self.no_such_operation(method, path)];
        };
        let mut given: BTreeMap<String, Given> = BTreeMap::new();
        for (name, value) in params.iter().chain(&matched.bound) {
            given.insert(name.clone(), Given::Text(value.clone()));
        }
        let mut problems = Vec::new();
        for refused in judge(matched.operation, &given) {
            self.explain(&refused, &refused.name, matched.operation, &mut problems);
        }
        problems
    }

    fn no_such_operation(&self, method: &str, path: &str) -> Problem {
        let call = format!("{} {}", shortened(method), shortened(path));
        let mut reason = format!("{call} does not exist in Proxmox VE {}", self.release);
        let instead =
            INSTEAD.iter().find(|(release, below, _)| *release == self.release && path.starts_with(below));
        let others = || Release::ALL.into_iter().filter(|other| *other != self.release);
        let methods = ["GET", "POST", "PUT", "DELETE"].into_iter();
        let known: Vec<&str> = methods.filter(|method| self.operation(method, path).is_some()).collect();
        if let Some((.., instead)) = instead {
            reason += &format!(": {instead}");
        } else if let Some(other) = others().find(|other| Self::of(*other).operation(method, path).is_some())
        {
            reason += &format!("; {other} has it");
        } else if !known.is_empty() {
            reason += &format!("; this path takes {}", known.join(", "));
        }
        Problem { parameter: None, given: None, reason }
    }

    /// One problem for each part that is refused; `name` is the dotted name of what `refused` is about.
    fn explain(&self, refused: &Refused<'_>, name: &str, operation: &Operation, problems: &mut Vec<Problem>) {
        if let Fault::Parts(parts) = &refused.fault {
            for part in parts {
                self.explain(part, &format!("{name}.{}", part.name), operation, problems);
            }
            return;
        }
        let property = refused.property;
        let must_be = || property.map_or_else(|| "known".to_owned(), |known| allowed(known, refused));
        let (reason, given) = match &refused.fault {
            Fault::Unknown => (self.unknown(name, operation), None),
            Fault::Missing => (format!("is missing: it must be {}", must_be()), None),
            Fault::NeededBy(other) => (format!("is missing: `{}` needs it", shortened(other)), None),
            Fault::PartTwice(part) => (format!("has the part `{}` twice", shortened(part)), None),
            Fault::List => (format!("must be {}", must_be()), Some("a list".to_owned())),
            Fault::Object => (format!("must be {}", must_be()), Some("an object".to_owned())),
            Fault::Format { item, .. } => (format!("must be {}", must_be()), Some(shown(name, item))),
            _ => {
                let given =
                    refused.given.as_deref().filter(|_| !matches!(refused.fault, Fault::PartWithoutName));
                (format!("must be {}", must_be()), given.map(|given| shown(name, given)))
            }
        };
        problems.push(Problem { parameter: Some(shortened(name)), given, reason });
    }

    fn unknown(&self, name: &str, operation: &Operation) -> String {
        let (parameter, part) = name.split_once('.').map_or((name, None), |(name, part)| (name, Some(part)));
        let knows = |contract: &Self| {
            let twin = contract.operation(&operation.method, &operation.path)?;
            let property = twin.parameter(parameter)?;
            part.is_none_or(|part| parts_of(property).any(|known| known == part)).then_some(contract.release)
        };
        let elsewhere = Release::ALL.into_iter().find_map(|release| knows(Self::of(release)));
        let elsewhere = elsewhere.map(|release| format!(", only {release} does")).unwrap_or_default();
        let known = match part {
            Some(part) => listed(operation.parameter(parameter).into_iter().flat_map(parts_of), part),
            None => listed(operation.parameter_names(), parameter),
        };
        format!("is not known to Proxmox VE {}{elsewhere}; known are {known}", self.release)
    }
}

fn parts_of(property: &Property) -> Box<dyn Iterator<Item = &str> + '_> {
    match (&property.format, property.items.as_deref()) {
        (Some(Format::Parts(parts)), _) => Box::new(parts.keys().map(String::as_str)),
        (_, Some(of_item)) => parts_of(of_item),
        _ => Box::new(std::iter::empty()),
    }
}

/// What a property may be, in words.
fn allowed(property: &Property, refused: &Refused<'_>) -> String {
    if let Some(of_item) = property.items.as_deref().filter(|_| property.kind() == "array") {
        return format!("a list, each item {}", allowed(of_item, refused));
    }
    if let Some(values) = &property.values {
        let given = refused.given.as_deref().unwrap_or_default();
        return format!("one of {}", listed(values.iter().map(String::as_str), given));
    }
    match (&property.format, property.kind()) {
        (Some(Format::Named(format)), _) if named(format).is_some() => named(format).unwrap_or_default(),
        (Some(Format::Parts(parts)), _) => {
            format!(
                "name=value parts with commas between; known are {}",
                listed(parts.keys().map(String::as_str), "")
            )
        }
        (_, "boolean") => "0 or 1".to_owned(),
        (_, "integer") => format!("a whole number{}", bounds(property)),
        (_, "number") => format!("a number{}", bounds(property)),
        _ => text(property),
    }
}

fn named(format: &str) -> Option<String> {
    match format.strip_suffix("-list") {
        Some(of_item) => Some(format!("a list, each item {}", formats::in_words(of_item)?)),
        None => formats::in_words(format).map(str::to_owned),
    }
}

fn bounds(property: &Property) -> String {
    match (property.minimum, property.maximum) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

fn text(property: &Property) -> String {
    let what = property.pattern.as_deref().map_or_else(|| "text".to_owned(), patterns::in_words);
    match (property.min_length, property.max_length) {
        (Some(least), Some(most)) => format!("{what}, {least} to {most} characters long"),
        (Some(least), None) => format!("{what}, at least {least} characters long"),
        (None, Some(most)) => format!("{what}, at most {most} characters long"),
        (None, None) => what,
    }
}
