//! Judging parameters by the schema, in the order in which Proxmox itself judges them.
use std::collections::BTreeMap;

use crate::catalog::split_list;

use super::property::Format;
use super::{Fault, Given, Operation, Property, Refused, Release, formats, patterns, property_string};

/// Everything that the contract does not allow about a call; nothing if it may be sent.
pub fn judge<'a>(operation: &'a Operation, given: &BTreeMap<String, Given>) -> Vec<Refused<'a>> {
    let mut refused = Vec::new();
    for (name, value) in given {
        let Some(property) = operation.parameter(name) else {
            if !operation.takes_anything {
                refused.push(of(name, None, Fault::Unknown));
            }
            continue;
        };
        if let Err((property, text, fault)) = judge_given(value, property, operation.release) {
            refused.push(Refused { name: name.clone(), property: Some(property), given: text, fault });
            continue;
        }
        let needed = property.requires.as_deref().filter(|needed| !given.contains_key(*needed));
        refused.extend(
            needed.map(|needed| of(needed, operation.parameter(needed), Fault::NeededBy(name.clone()))),
        );
    }
    let missing = operation.required().filter(|name| !given.contains_key(*name));
    refused.extend(missing.map(|name| of(name, operation.parameter(name), Fault::Missing)));
    refused
}

/// About a parameter that has no value.
fn of<'a>(name: &str, property: Option<&'a Property>, fault: Fault<'a>) -> Refused<'a> {
    Refused { name: name.to_owned(), property, given: None, fault }
}

type Judged<'a> = Result<(), (&'a Property, Option<String>, Fault<'a>)>;

fn judge_given<'a>(given: &Given, property: &'a Property, release: Release) -> Judged<'a> {
    let is_list = property.kind() == "array";
    match given {
        Given::Text(text) if is_list => judge_items(std::slice::from_ref(text), property, release),
        Given::Text(text) => judge_text(text, property, release),
        Given::List(items) if is_list => judge_items(items, property, release),
        Given::List(_) => Err((property, None, Fault::List)),
        Given::Object => Err((property, None, Fault::Object)),
    }
}

fn judge_items<'a>(items: &[String], property: &'a Property, release: Release) -> Judged<'a> {
    let Some(of_item) = property.items.as_deref() else {
        return Ok(());
    };
    items.iter().try_for_each(|item| judge_text(item, of_item, release))
}

fn judge_text<'a>(text: &str, property: &'a Property, release: Release) -> Judged<'a> {
    judge_value(text, property, release).map_err(|fault| (property, Some(text.to_owned()), fault))
}

pub(super) fn judge_value<'a>(
    value: &str,
    property: &'a Property,
    release: Release,
) -> Result<(), Fault<'a>> {
    judge_type(value, property.kind())?;
    match &property.format {
        Some(Format::Named(format)) => judge_format(value, format, release)?,
        Some(Format::Parts(parts)) => property_string::judge(value, parts, release)?,
        None => {}
    }
    if property.pattern.as_deref().is_some_and(|pattern| !patterns::matches(pattern, value)) {
        return Err(Fault::Pattern);
    }
    judge_length(value, property)?;
    judge_bounds(value, property)?;
    judge_enumeration(value, property)
}

fn judge_type(value: &str, kind: &str) -> Result<(), Fault<'static>> {
    let fits = match kind {
        "integer" => is_integer(value),
        "number" => value.parse::<f64>().is_ok_and(f64::is_finite),
        "boolean" => matches!(value, "0" | "1"),
        _ => true,
    };
    if fits { Ok(()) } else { Err(Fault::Type) }
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// Of a list, the first item that does not fit is refused.
fn judge_format<'a>(value: &str, format: &'a str, release: Release) -> Result<(), Fault<'a>> {
    if formats::PORT_LISTS.contains(&format) {
        return value.split(',').try_for_each(|port| judge_item(port, format, release));
    }
    let Some(of_item) = format.strip_suffix("-list") else {
        return judge_item(value, format, release);
    };
    split_list(value).try_for_each(|item| judge_item(item, of_item, release))
}

fn judge_item<'a>(item: &str, format: &'a str, release: Release) -> Result<(), Fault<'a>> {
    if formats::fits(format, item, release) {
        return Ok(());
    }
    Err(Fault::Format { format, item: item.to_owned() })
}

fn judge_length(value: &str, property: &Property) -> Result<(), Fault<'static>> {
    let length = value.chars().count();
    match (property.max_length, property.min_length) {
        (Some(most), _) if length > most => Err(Fault::TooLong(most)),
        (_, Some(least)) if length < least => Err(Fault::TooShort(least)),
        _ => Ok(()),
    }
}

fn judge_bounds(value: &str, property: &Property) -> Result<(), Fault<'static>> {
    if !matches!(property.kind(), "integer" | "number") {
        return Ok(());
    }
    let Ok(number) = value.parse::<f64>() else {
        return Ok(());
    };
    match (property.maximum, property.minimum) {
        (Some(most), _) if number > most => Err(Fault::TooBig(most)),
        (_, Some(least)) if number < least => Err(Fault::TooSmall(least)),
        _ => Ok(()),
    }
}

fn judge_enumeration<'a>(value: &str, property: &'a Property) -> Result<(), Fault<'a>> {
    match &property.values {
        Some(values) if !values.iter().any(|known| known == value) => Err(Fault::NotInEnumeration(values)),
        _ => Ok(()),
    }
}
