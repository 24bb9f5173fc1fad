//! Judging parameters by the schema, with Proxmox's own words for every refusal.
use std::collections::BTreeMap;

use serde_json::Value;

use super::parameters::{Given, Parameters};
use super::schema::{Format, Operation, Property};
use super::{formats, patterns, property_string};

pub(super) const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
pub(super) const MISSING: &str = "property is missing and it is not optional";

/// All errors at once, by parameter, as Proxmox reports them.
pub(in crate::pve::sim) fn verify(
    operation: &Operation,
    parameters: &Parameters,
) -> Result<(), BTreeMap<String, String>> {
    let mut errors = BTreeMap::new();
    for name in parameters.names() {
        let judged = match (operation.parameter(name), parameters.get(name)) {
            (Some(property), Some(given)) => check_given(name, given, property),
            (None, _) if !operation.takes_anything => Err(UNKNOWN.to_owned()),
            _ => Ok(()),
        };
        if let Err(error) = judged {
            errors.insert(name.to_owned(), error);
            continue;
        }
        let required = operation.parameter(name).and_then(|property| property.requires.as_deref());
        if let Some(required) = required.filter(|required| !parameters.has(required)) {
            errors.insert(required.to_owned(), format!("missing property required by '{name}'"));
        }
    }
    for name in operation.required().filter(|name| !parameters.has(name)) {
        errors.insert(name.to_owned(), MISSING.to_owned());
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn check_given(name: &str, given: &Given, property: &Property) -> Result<(), String> {
    match given {
        Given::Text(text) if property.kind() == "array" => {
            check_items(name, std::slice::from_ref(text), property)
        }
        Given::Text(text) => check_property(name, text, property),
        Given::List(items) if property.kind() == "array" => check_items(name, items, property),
        Given::List(_) => Err(format!("type check ('{}') failed - got ARRAY", property.kind())),
        Given::Object => Err(format!("type check ('{}') failed - got HASH", property.kind())),
    }
}

fn check_items(name: &str, items: &[String], property: &Property) -> Result<(), String> {
    let Some(schema) = property.items.as_deref() else {
        return Ok(());
    };
    items.iter().try_for_each(|item| check_property(name, item, schema))
}

pub(super) fn check_property(name: &str, value: &str, property: &Property) -> Result<(), String> {
    check_type(value, property.kind())?;
    if let Some(format) = &property.format {
        check_format(name, value, format).map_err(|reason| format!("invalid format - {reason}"))?;
    }
    if property.pattern.as_deref().is_some_and(|pattern| !patterns::matches(pattern, value)) {
        return Err("value does not match the regex pattern".to_owned());
    }
    check_length(value, property)?;
    check_bounds(value, property)?;
    check_enumeration(value, property)
}

fn check_type(value: &str, kind: &str) -> Result<(), String> {
    let fits = match kind {
        "integer" => is_integer(value),
        "number" => value.parse::<f64>().is_ok_and(f64::is_finite),
        "boolean" => matches!(value, "0" | "1"),
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("type check ('{kind}') failed - got '{value}'")) }
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

fn check_format(name: &str, value: &str, format: &Format) -> Result<(), String> {
    match format {
        Format::Named(format) => formats::check(format, value).map_err(|reason| format!("{reason}\n")),
        Format::Parts(parts) => property_string::check(name, value, parts),
    }
}

fn check_length(value: &str, property: &Property) -> Result<(), String> {
    let length = value.chars().count();
    match (property.max_length, property.min_length) {
        (Some(most), _) if length > most => Err(format!("value may only be {most} characters long")),
        (_, Some(least)) if length < least => Err(format!("value must be at least {least} characters long")),
        _ => Ok(()),
    }
}

fn check_bounds(value: &str, property: &Property) -> Result<(), String> {
    if !matches!(property.kind(), "integer" | "number") {
        return Ok(());
    }
    let Ok(number) = value.parse::<f64>() else {
        return Ok(());
    };
    match (property.maximum, property.minimum) {
        (Some(most), _) if number > most => Err(format!("value must have a maximum value of {most}")),
        (_, Some(least)) if number < least => Err(format!("value must have a minimum value of {least}")),
        _ => Ok(()),
    }
}

fn check_enumeration(value: &str, property: &Property) -> Result<(), String> {
    let Some(values) = &property.values else {
        return Ok(());
    };
    let names: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    if names.contains(&value) {
        return Ok(());
    }
    Err(format!("value '{value}' does not have a value in the enumeration '{}'", names.join(", ")))
}

/// How a configuration value shows in answers: numbers and truth values as numbers, all else as text.
pub(in crate::pve::sim) fn config_value(property: Option<&Property>, text: &str) -> Value {
    match property.map(Property::kind) {
        Some("integer" | "boolean") => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Some("number") => match text.parse::<i64>() {
            Ok(whole) => whole.into(),
            Err(_) => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        },
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::contract::Contract;

    #[track_caller]
    fn error_of(name: &str, value: &str) -> String {
        let contract = Contract::load().unwrap();
        let create = contract.find("POST", &["nodes", "pve1", "qemu"]).unwrap().operation;
        let mut parameters = Parameters::default();
        parameters.add("node", "pve1".into());
        parameters.add("vmid", "990".into());
        parameters.set(name, Given::Text(value.into()));
        verify(create, &parameters).unwrap_err().remove(name).unwrap()
    }

    #[test]
    fn booleans_are_only_zero_and_one() {
        assert_eq!(error_of("onboot", "true"), "type check ('boolean') failed - got 'true'");
        assert_eq!(error_of("onboot", ""), "type check ('boolean') failed - got ''");
    }

    #[test]
    fn the_format_of_a_number_is_judged_before_its_bounds() {
        assert_eq!(error_of("vmid", "99"), "invalid format - value does not look like a valid VM ID\n");
        assert_eq!(error_of("cores", "0"), "value must have a minimum value of 1");
    }

    #[test]
    fn errors_inside_a_property_string_name_the_part() {
        let text = error_of("memory", "1.5G");
        assert_eq!(
            text,
            "invalid format - format error\nmemory.current: type check ('integer') failed - got '1.5G'\n"
        );
        let text = error_of("scsi0", "local");
        assert_eq!(
            text,
            "invalid format - format error\nscsi0.file: invalid format - unable to parse volume ID 'local'\n\n"
        );
    }

    #[test]
    fn an_option_that_needs_another_reports_the_other() {
        let contract = Contract::load().unwrap();
        let create = contract.find("POST", &["nodes", "pve1", "qemu"]).unwrap().operation;
        let mut parameters = Parameters::default();
        for (name, value) in [("node", "pve1"), ("vmid", "100"), ("force", "1")] {
            parameters.add(name, value.into());
        }
        let errors = verify(create, &parameters).unwrap_err();
        assert_eq!(errors["archive"], "missing property required by 'force'");
    }
}
