//! What the contract refuses, in Proxmox's own words.
use std::collections::BTreeMap;

use serde_json::Value;

use super::formats;
use super::parameters::Parameters;
use crate::catalog::contract::{Fault, Operation, Property, Refused, judge};

/// All errors at once, by parameter, as Proxmox reports them.
pub(in crate::pve::sim) fn verify(
    operation: &Operation,
    parameters: &Parameters,
) -> Result<(), BTreeMap<String, String>> {
    let refused = judge(operation, parameters.all());
    let errors: BTreeMap<_, _> =
        refused.iter().map(|refused| (refused.name.clone(), error(refused))).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn error(refused: &Refused<'_>) -> String {
    let kind = refused.property.map_or("string", Property::kind);
    let given = refused.given.as_deref().unwrap_or_default();
    let failed = |what: &str| format!("type check ('{kind}') failed - got {what}");
    match &refused.fault {
        Fault::Unknown => {
            "property is not defined in schema and the schema does not allow additional properties".to_owned()
        }
        Fault::Missing => "property is missing and it is not optional".to_owned(),
        Fault::NeededBy(other) => format!("missing property required by '{other}'"),
        Fault::List => failed("ARRAY"),
        Fault::Object => failed("HASH"),
        Fault::Type => failed(&format!("'{given}'")),
        Fault::Format { format, item } => format!("invalid format - {}\n", formats::refusal(format, item)),
        Fault::Parts(parts) => format!("invalid format - format error\n{}", lines(&refused.name, parts)),
        Fault::PartTwice(part) => {
            format!("invalid format - duplicate key in comma-separated list property: {part}\n")
        }
        Fault::PartWithoutName => {
            "invalid format - value without key, but schema does not define a default key\n".to_owned()
        }
        Fault::PartWithoutNameOrValue => {
            "invalid format - missing key in comma-separated list property\n".to_owned()
        }
        Fault::Pattern => "value does not match the regex pattern".to_owned(),
        Fault::TooLong(most) => format!("value may only be {most} characters long"),
        Fault::TooShort(least) => format!("value must be at least {least} characters long"),
        Fault::TooBig(most) => format!("value must have a maximum value of {most}"),
        Fault::TooSmall(least) => format!("value must have a minimum value of {least}"),
        Fault::NotInEnumeration(values) => {
            format!("value '{given}' does not have a value in the enumeration '{}'", values.join(", "))
        }
    }
}

fn lines(name: &str, parts: &[Refused<'_>]) -> String {
    parts.iter().map(|part| format!("{name}.{}: {}\n", part.name, error(part))).collect()
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::pve::sim::contract::{Contract, Given, Release};

    #[track_caller]
    fn error_of(name: &str, value: &str) -> String {
        let contract = Contract::of(Release::V9_2);
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
        let missing = "invalid format - missing key in comma-separated list property\n";
        assert_eq!(error_of("net0", "virtio,bridge="), missing);
        assert_eq!(error_of("net0", "virtio,=vmbr0"), missing);
        let text = error_of("scsi0", "local");
        assert_eq!(
            text,
            "invalid format - format error\nscsi0.file: invalid format - unable to parse volume ID 'local'\n\n"
        );
    }

    #[test]
    fn an_option_that_needs_another_reports_the_other() {
        let contract = Contract::of(Release::V9_2);
        let create = contract.find("POST", &["nodes", "pve1", "qemu"]).unwrap().operation;
        let mut parameters = Parameters::default();
        for (name, value) in [("node", "pve1"), ("vmid", "100"), ("force", "1")] {
            parameters.add(name, value.into());
        }
        let errors = verify(create, &parameters).unwrap_err();
        assert_eq!(errors["archive"], "missing property required by 'force'");
    }

    /// Names that occur, and values that are right for some of them.
    fn parameters() -> impl Strategy<Value = BTreeMap<String, String>> {
        let name = "vmid|newid|onboot|cores|scsi0|net0|tags|delete|force|nodes|group|failback|sid|type|x";
        let value =
            "|0|1|100|vm:100|pve1|pve1:2|tank:8,cache=none|tank:8,cache=x|virtio,bridge=vmbr0|[a-z]{1,5}";
        proptest::collection::btree_map(name, value, 0..5)
    }

    proptest! {
        #[test]
        fn the_check_before_a_call_blames_what_the_server_blames(
            params in parameters(),
            (method, path) in prop_oneof![
                Just(("PUT", "/nodes/pve1/qemu/100/config")),
                Just(("POST", "/nodes/pve1/qemu/100/clone")),
                Just(("POST", "/nodes/pve1/lxc")),
                Just(("POST", "/cluster/ha/groups")),
                Just(("POST", "/cluster/ha/resources")),
                Just(("GET", "/version")),
            ],
        ) {
            for release in Release::ALL {
                let contract = Contract::of(release);
                let operation = contract.operation(method, path).unwrap();
                let segments: Vec<&str> = path.split('/').skip(1).collect();
                let mut given = Parameters::default();
                let bound = contract.find(method, &segments).unwrap().bound;
                for (name, value) in params.iter().chain(&bound) {
                    given.set(name, Given::Text(value.clone()));
                }
                let server: BTreeSet<String> =
                    verify(operation, &given).err().unwrap_or_default().into_keys().collect();
                let problems = contract.check(method, path, &params);
                let blamed = problems.into_iter().filter_map(|problem| problem.parameter);
                let check: BTreeSet<String> =
                    blamed.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect();
                prop_assert_eq!(server, check, "{}", release);
            }
        }
    }
}
