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
        let refused = judge(matched.operation, &given);
        refused.iter().flat_map(|refused| self.explain(refused, matched.operation)).collect()
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

    /// One problem for each part that is refused.
    fn explain(&self, refused: &Refused<'_>, operation: &Operation) -> Vec<Problem> {
        match &refused.fault {
            Fault::Parts(parts) => {
                parts.iter().map(|part| self.problem(part, Some(&refused.name), operation)).collect()
            }
            _ => vec![self.problem(refused, None, operation)],
        }
    }

    /// `whole` is the parameter that the refused part belongs to.
    fn problem(&self, refused: &Refused<'_>, whole: Option<&str>, operation: &Operation) -> Problem {
        let name = whole.map_or_else(|| refused.name.clone(), |whole| format!("{whole}.{}", refused.name));
        let must_be = || refused.property.map(|property| allowed(property, refused)).unwrap_or_default();
        let reason = match &refused.fault {
            Fault::Unknown => self.unknown(&refused.name, whole, operation),
            Fault::Missing => format!("is missing: it must be {}", must_be()),
            Fault::NeededBy(other) => format!("is missing: `{}` needs it", shortened(other)),
            Fault::PartTwice(part) => format!("has the part `{}` twice", shortened(part)),
            Fault::PartWithoutNameOrValue => "has a part without a name or without a value".to_owned(),
            _ => format!("must be {}", must_be()),
        };
        Problem { parameter: Some(shortened(&name)), given: given(refused, &name), reason }
    }

    fn unknown(&self, name: &str, whole: Option<&str>, operation: &Operation) -> String {
        let names = |operation: &'static Operation| -> Box<dyn Iterator<Item = &'static str>> {
            match whole {
                Some(whole) => Box::new(operation.parameter(whole).into_iter().flat_map(parts_of)),
                None => Box::new(operation.parameter_names()),
            }
        };
        let twin = |release| Self::of(release).operation(&operation.method, &operation.path);
        let knows = |release: &Release| {
            twin(*release).is_some_and(|twin| match whole {
                Some(_) => names(twin).any(|known| known == name),
                None => twin.parameter(name).is_some(),
            })
        };
        let elsewhere = Release::ALL.into_iter().find(knows);
        let elsewhere = elsewhere.map(|release| format!(", only to {release}")).unwrap_or_default();
        let known = twin(self.release).map(|operation| listed(names(operation), name)).unwrap_or_default();
        format!("is not known to Proxmox VE {}{elsewhere}; known are {known}", self.release)
    }
}

/// What was given instead, if that helps; of a property string, the parts tell more than the whole.
fn given(refused: &Refused<'_>, name: &str) -> Option<String> {
    match &refused.fault {
        Fault::List => Some("a list".to_owned()),
        Fault::Object => Some("an object".to_owned()),
        Fault::Format { item, .. } => Some(shown(name, item)),
        Fault::Unknown | Fault::PartTwice(_) | Fault::PartWithoutName | Fault::PartWithoutNameOrValue => None,
        _ => refused.given.as_deref().map(|given| shown(name, given)),
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
