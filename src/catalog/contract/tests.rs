//! What holds for every release, and what differs between them.
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::property::Format;
use super::*;

const CONFIG: &str = "/nodes/pve1/qemu/100/config";

fn check(release: Release, method: &str, path: &str, given: &[(&str, &str)]) -> Vec<String> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let problems = Contract::of(release).check(method, path, &given);
    problems.iter().map(ToString::to_string).collect()
}

/// The one problem of a change to a VM's configuration.
#[track_caller]
fn problem(name: &str, value: &str) -> String {
    let mut problems = check(Release::V9_2, "PUT", CONFIG, &[(name, value)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[track_caller]
fn accepted(release: Release, method: &str, path: &str, given: &[(&str, &str)]) {
    assert_eq!(check(release, method, path, given), Vec::<String>::new(), "{release}");
}

#[test]
fn a_problem_names_the_part_and_what_is_allowed() {
    assert_eq!(
        problem("scsi0", "local-lvm:8,cache=writeboth"),
        "scsi0.cache must be one of none, writethrough, writeback, unsafe, directsync, not `writeboth`"
    );
    assert_eq!(problem("onboot", "true"), "onboot must be 0 or 1, not `true`");
    assert_eq!(problem("cores", "0"), "cores must be a whole number of at least 1, not `0`");
    assert_eq!(problem("cpulimit", "129"), "cpulimit must be a number from 0 to 128, not `129`");
    assert_eq!(problem("shares", "50001"), "shares must be a whole number from 0 to 50000, not `50001`");
    assert_eq!(
        problem("digest", &"a".repeat(41)),
        format!("digest must be text, at most 40 characters long, not `{}`", "a".repeat(41))
    );
    assert_eq!(
        problem("net0", "virtio,bridge=v"),
        "net0.bridge must be the name of a bridge, such as vmbr0, not `v`"
    );
    assert_eq!(problem("net0", "virtio,bridge="), "net0 has a part without a name or without a value");
    assert_eq!(problem("net0", "model=virtio,model=e1000"), "net0 has the part `model` twice");
    assert_eq!(
        problem("machine", "pc9"),
        "machine.type must be a machine type such as q35 or pc-q35-9.2+pve1, at most 40 characters long, not `pc9`"
    );
    assert_eq!(problem("force", "1"), "delete is missing: `force` needs it");
    assert_eq!(
        problem("tags", "web;b$"),
        "tags must be a list, each item a tag: letters, digits, `_`, `-`, `+` and `.`, not `b$`"
    );
}

#[test]
fn what_is_missing_is_named_with_what_it_must_be() {
    assert_eq!(
        check(Release::V9_2, "POST", "/nodes/pve1/qemu/100/clone", &[]),
        ["newid is missing: it must be a guest id: a number from 100 to 999999999"]
    );
}

#[test]
fn every_port_of_a_firewall_rule_is_checked() {
    let rule = |ports| [("type", "in"), ("action", "ACCEPT"), ("dport", ports)];
    let path = "/nodes/pve1/qemu/100/firewall/rules";
    accepted(Release::V9_2, "POST", path, &rule("22,8000:8100,https"));
    assert_eq!(
        check(Release::V9_2, "POST", path, &rule("22,http!")),
        [
            "dport must be ports, ranges such as 8000:8100, or services such as https, with commas between, not `http!`"
        ]
    );
}

#[test]
fn what_the_path_says_is_checked_too() {
    assert_eq!(
        check(Release::V9_2, "POST", "/nodes/pve1/qemu/99/status/start", &[]),
        ["vmid must be a guest id: a number from 100 to 999999999, not `99`"]
    );
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest_ones() {
    let text = problem("memry", "2048");
    assert!(text.starts_with("memry is not known to Proxmox VE 9.2; known are memory, "), "{text}");
    let text = problem("scsi0", "tank:8,chache=none");
    assert!(text.starts_with("scsi0.chache is not known to Proxmox VE 9.2; known are cache, "), "{text}");
}

#[test]
fn a_part_is_no_parameter_of_its_own() {
    let text = problem("scsi0.cache", "none");
    assert!(text.starts_with("scsi0.cache is not known to Proxmox VE 9.2; known are "), "{text}");
}

#[test]
fn parts_that_only_another_release_knows_are_named_as_such() {
    let disk = [("tpmstate0", "tank:1,format=raw")];
    accepted(Release::V9_2, "PUT", CONFIG, &disk);
    let told = check(Release::V8_4, "PUT", CONFIG, &disk).join("; ");
    assert!(
        told.starts_with("tpmstate0.format is not known to Proxmox VE 8.4, only to 9.2; known are "),
        "{told}"
    );
    let geometry = [("scsi0", "tank:1,heads=2")];
    accepted(Release::V8_4, "PUT", CONFIG, &geometry);
    let told = check(Release::V9_2, "PUT", CONFIG, &geometry).join("; ");
    assert!(
        told.starts_with("scsi0.heads is not known to Proxmox VE 9.2, only to 8.4; known are "),
        "{told}"
    );
}

#[test]
fn a_path_that_takes_other_methods_says_so() {
    assert_eq!(
        check(Release::V9_2, "DELETE", CONFIG, &[]),
        [
            "DELETE /nodes/pve1/qemu/100/config does not exist in Proxmox VE 9.2; this path takes GET, POST, PUT"
        ]
    );
}

#[test]
fn guests_are_placed_by_groups_in_8_4_and_by_rules_in_9_2() {
    let rule =
        [("rule", "pin"), ("type", "node-affinity"), ("resources", "vm:100"), ("nodes", "pve1:2,pve2")];
    accepted(Release::V9_2, "POST", "/cluster/ha/rules", &rule);
    assert_eq!(
        check(Release::V8_4, "POST", "/cluster/ha/rules", &rule),
        [
            "POST /cluster/ha/rules does not exist in Proxmox VE 8.4: HA groups (/cluster/ha/groups) are used there"
        ]
    );
    accepted(Release::V8_4, "POST", "/cluster/ha/groups", &[("group", "prefer"), ("nodes", "pve1:2,pve2")]);
    accepted(Release::V9_2, "POST", "/cluster/ha/resources", &[("sid", "vm:100"), ("failback", "0")]);
    assert_eq!(
        check(Release::V8_4, "POST", "/cluster/ha/resources", &[("sid", "vm:100"), ("failback", "0")]),
        ["failback is not known to Proxmox VE 8.4, only to 9.2; \
          known are comment, group, max_relocate, max_restart, sid, state, type"]
    );
}

#[test]
fn an_operation_of_another_release_is_named_as_such() {
    assert_eq!(
        check(Release::V8_4, "POST", "/cluster/bulk-action/guest/start", &[]),
        ["POST /cluster/bulk-action/guest/start does not exist in Proxmox VE 8.4; 9.2 has it"]
    );
}

#[test]
fn the_guest_agent_is_asked_with_other_privileges_in_each_release() {
    let permission = |release| {
        let path = "/nodes/pve1/qemu/100/agent/ping";
        &Contract::of(release).operation("POST", path).unwrap().permission
    };
    let Permission::Check(Check::Privileges { privileges, .. }) = permission(Release::V8_4) else {
        panic!("{:?}", permission(Release::V8_4));
    };
    assert_eq!(privileges, &["VM.Monitor"]);
    let Permission::Check(Check::Privileges { privileges, any, .. }) = permission(Release::V9_2) else {
        panic!("{:?}", permission(Release::V9_2));
    };
    assert_eq!(
        (privileges.as_slice(), *any),
        (&["VM.GuestAgent.Audit".into(), "VM.GuestAgent.Unrestricted".into()][..], true)
    );
}

#[test]
fn an_operation_tells_whether_it_answers_with_a_task() {
    let task = |method, path| Contract::of(Release::V8_4).operation(method, path).unwrap().answers_with_task;
    assert!(task("POST", "/nodes/pve1/qemu/100/status/start"));
    assert!(task("DELETE", "/nodes/pve1/lxc/200"));
    assert!(task("POST", CONFIG), "in the background");
    assert!(!task("PUT", CONFIG));
    assert!(!task("POST", "/nodes/pve1/lxc/200/template"));
    assert!(!task("GET", "/cluster/nextid"));
}

#[test]
fn a_literal_segment_wins_over_a_placeholder() {
    let found = Contract::of(Release::V9_2).operation("GET", "/cluster/ha/resources").unwrap();
    assert_eq!(found.path, "/cluster/ha/resources");
}

#[test]
fn a_volume_name_may_contain_slashes() {
    let path = ["nodes", "pve1", "storage", "tank", "content", "tank:400", "vm-400-disk-0.raw"];
    let found = Contract::of(Release::V9_2).find("DELETE", &path).unwrap();
    assert_eq!(found.bound["volume"], "tank:400/vm-400-disk-0.raw");
}

#[test]
fn numbered_parameters_end_where_proxmox_ends_them() {
    let create = Contract::of(Release::V9_2).operation("POST", "/nodes/pve1/qemu").unwrap();
    assert!(create.parameter("scsi30").is_some());
    assert!(create.parameter("scsi31").is_none());
    assert!(create.parameter("net01").is_none());
}

/// A value that the schema plainly allows, and one that it plainly does not; of a format, only if it is neither named
/// nor spelled out.
fn examples(property: &Property) -> Option<(String, String)> {
    let beyond = |bound: f64, step: f64| (bound.to_string(), (bound + step).to_string());
    match (&property.format, &property.values, property.kind()) {
        (Some(Format::Named(format)), ..) => match format.as_str() {
            "pve-node" => Some(("pve1".into(), "pve_1".into())),
            "pve-vmid" => Some(("100".into(), "99".into())),
            "pve-storage-id" => Some(("local-lvm".into(), "local lvm".into())),
            _ => None,
        },
        (None, Some(values), _) => Some((values.first()?.clone(), "no such value".into())),
        (None, None, "boolean") => Some(("1".into(), "yes".into())),
        (None, None, "integer" | "number") => match (property.minimum, property.maximum) {
            (Some(least), _) => Some(beyond(least, -1.0)),
            (None, Some(most)) => Some(beyond(most, 1.0)),
            _ => Some(("-3".into(), "three".into())),
        },
        (None, None, "string") if property.pattern.is_none() => {
            let most = property.max_length?;
            Some(("x".repeat(most), "x".repeat(most + 1)))
        }
        _ => None,
    }
}

#[test]
fn every_parameter_of_every_release_is_taken_and_refused_by_its_own_schema() {
    let mut tried = 0;
    for operation in Release::ALL.into_iter().flat_map(|release| Contract::of(release).operations()) {
        for (name, property) in &operation.parameters {
            let name = name.replace("[n]", "0");
            let Some((good, bad)) = examples(property) else { continue };
            let blames = |value: String| {
                let given = BTreeMap::from([(name.clone(), Given::Text(value))]);
                judge(operation, &given).iter().any(|refused| refused.name == name)
            };
            assert!(!blames(good), "{} {} {name}", operation.method, operation.path);
            assert!(blames(bad), "{} {} {name}", operation.method, operation.path);
            tried += 1;
        }
    }
    assert!(tried > 3000, "{tried}");
}

proptest! {
    #[test]
    fn nothing_that_is_asked_breaks_the_check(
        method in ".{0,8}|GET|PUT|POST|DELETE",
        path in "(/|[a-z{}]{1,8}|/nodes/pve1/qemu/100/config|/cluster/ha/.{0,9}){0,4}",
        params in proptest::collection::btree_map("scsi0|net[0-9]{1,12}|vmid|tags|.{0,12}", ".{0,40}|([a-z]{1,5}=?,?){0,6}", 0..4),
    ) {
        for release in Release::ALL {
            for problem in Contract::of(release).check(&method, &path, &params) {
                prop_assert!(!problem.to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_problem_never_repeats_a_secret(secret in "[A-Z]{100}|[A-Z]{4}") {
        for (method, path, name) in [
            ("POST", "/access/users", "password"),
            ("PUT", "/access/users/a@pve", "keys"),
            ("POST", "/nodes/pve1/lxc", "password"),
            ("PUT", "/nodes/pve1/qemu/100/config", "cipasswordd"),
            ("POST", "/storage", "encryption-key"),
            ("POST", "/cluster/sdn/dns", "key"),
        ] {
            let given = BTreeMap::from([(name.to_owned(), secret.clone()), ("onboot".into(), "x".into())]);
            let problems = Contract::of(Release::V9_2).check(method, path, &given);
            prop_assert!(!problems.is_empty());
            for problem in problems {
                let told = format!("{problem} {problem:?}");
                prop_assert!(!told.contains(&secret), "{told}");
            }
        }
    }

    #[test]
    fn a_problem_stays_short_however_long_the_value_is(letter in "[a-z]", length in 1usize..100_000) {
        let long = letter.repeat(length);
        let given = BTreeMap::from([("ostype".to_owned(), long.clone()), (long.clone(), String::new())]);
        for problem in Contract::of(Release::V9_2).check("PUT", CONFIG, &given) {
            prop_assert!(problem.to_string().len() < 500, "{}", problem.to_string().len());
        }
    }
}
