//! The table held against itself and against the API of each release.

use std::collections::BTreeSet;

use crate::catalog::{
    Action, Change, Existence, Fill, Filled, GuestKind, Need, Operation, Place, TargetKind, Undo, actions,
    contract::{Contract, Release},
    find,
};

/// The kinds of guest that an action is for; `None` where it is for none.
fn kinds(action: &Action) -> Vec<Option<GuestKind>> {
    let kind = |kind: &TargetKind| match kind {
        TargetKind::Qemu => Some(GuestKind::Qemu),
        TargetKind::Lxc => Some(GuestKind::Lxc),
        _ => None,
    };
    action.target.iter().map(kind).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The path as the contract writes it, for a kind of target.
fn template(action: &Action, change: &Change, kind: Option<GuestKind>) -> String {
    let path = change.lxc_path.filter(|_| kind == Some(GuestKind::Lxc)).unwrap_or(change.path);
    let scope = match kind {
        Some(kind) => format!("nodes/pve1/{}/100", kind.as_str()),
        None if action.target.contains(&TargetKind::Node) => "nodes/pve1".to_owned(),
        None => "cluster".to_owned(),
    };
    path.replace("{scope}", &scope)
        .replace("{kind}", kind.map_or("", GuestKind::as_str))
        .replace("{node}", "pve1")
        .replace("{position}", "0")
        .split('/')
        .map(|part| if part.starts_with('{') { "x1" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

fn changes() -> impl Iterator<Item = (&'static Action, &'static Change)> {
    actions().filter_map(|action| Some((action, action.change()?)))
}

#[test]
fn every_name_is_a_verb_and_an_object_and_there_once() {
    let mut seen = BTreeSet::new();
    for action in actions() {
        assert!(action.name.split('_').count() >= 2, "{}", action.name);
        assert!(action.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", action.name);
        assert!(seen.insert(action.name), "{}", action.name);
        for text in [action.title, action.risk_reason, action.plane, action.domain] {
            assert!(!text.is_empty(), "{}", action.name);
        }
    }
}

#[test]
fn no_parameter_can_mean_two_things() {
    for action in actions() {
        let mut seen = BTreeSet::new();
        for param in action.params() {
            assert!(seen.insert(param.name), "{}: {}", action.name, param.name);
        }
    }
}

#[test]
fn every_call_is_an_operation_of_proxmox_that_takes_what_is_sent() {
    let contract = Contract::of(Release::V9_2);
    for (action, change) in changes() {
        for kind in kinds(action) {
            let path = template(action, change, kind);
            let operation = contract.operation(change.method.as_str(), &path);
            let operation =
                operation.unwrap_or_else(|| panic!("{}: {} {path}", action.name, change.method.as_str()));
            for name in sent(action, change, kind) {
                assert!(operation.parameter(&name).is_some(), "{} {path}: {name}", action.name);
            }
        }
    }
}

/// Every parameter that a call may carry.
fn sent(action: &Action, change: &Change, kind: Option<GuestKind>) -> Vec<String> {
    let for_kind = |only_for: Option<GuestKind>| only_for.is_none() || only_for == kind;
    let params = action.params().filter(|param| for_kind(param.only_for)).filter_map(|param| {
        let spelled = param.name.replace("[n]", "0");
        param.wire_name(&spelled, kind)
    });
    let lxc_fixed = if kind == Some(GuestKind::Lxc) { change.lxc_fixed } else { &[] };
    let fixed = change.fixed.iter().chain(lxc_fixed).map(|(name, _)| (*name).to_owned());
    let filled = change.fills.iter().map(|filled| match filled {
        Filled::Id(name) | Filled::Sid(name) | Filled::Marker(name) => (*name).to_owned(),
        Filled::Digest | Filled::RulesDigest => "digest".to_owned(),
        Filled::Snapshot => "snapname".to_owned(),
    });
    params.chain(fixed).chain(filled).collect()
}

#[test]
fn an_action_is_refused_by_an_older_release_only_where_that_release_has_no_such_thing() {
    let contract = Contract::of(Release::V8_4);
    let missing: BTreeSet<&str> = changes()
        .filter(|(action, change)| {
            kinds(action).iter().any(|kind| {
                contract.operation(change.method.as_str(), &template(action, change, *kind)).is_none()
            })
        })
        .map(|(action, _)| action.name)
        .collect();
    let expected = ["arm_ha", "change_ha_rule", "create_ha_rule", "delete_ha_rule", "disarm_ha"];
    assert_eq!(missing, BTreeSet::from(expected));
}

#[test]
fn what_proxmox_requires_is_always_sent() {
    let contract = Contract::of(Release::V9_2);
    for (action, change) in changes() {
        for kind in kinds(action) {
            let path = template(action, change, kind);
            let Some(operation) = contract.operation(change.method.as_str(), &path) else { continue };
            let certain: BTreeSet<String> = certain(action, change, kind);
            for name in operation.parameter_names() {
                let Some(property) = operation.parameter(name) else { continue };
                let in_path = operation.path.contains(&format!("{{{name}}}"));
                assert!(
                    property.is_optional() || in_path || certain.contains(name),
                    "{} {path} may lack {name}",
                    action.name
                );
            }
        }
    }
}

/// The parameters that a call can't lack.
fn certain(action: &Action, change: &Change, kind: Option<GuestKind>) -> BTreeSet<String> {
    let optional: BTreeSet<String> = action
        .params()
        .filter(|param| !param.required)
        .filter_map(|param| param.wire_name(param.name, kind))
        .filter(|name| {
            !change.fills.iter().any(|filled| matches!(filled, Filled::Marker(marked) if marked == name))
        })
        .collect();
    sent(action, change, kind).into_iter().filter(|name| !optional.contains(name)).collect()
}

#[test]
fn what_takes_an_action_back_is_an_action_for_its_target() {
    for action in actions() {
        let Undo::Plan { action: back, fill, .. } = action.undo else { continue };
        let back = find(back).unwrap_or_else(|| panic!("{}: {back}", action.name));
        let fits = |kind: &TargetKind| back.target.contains(kind);
        assert!(action.target.iter().all(fits), "{} -> {}", action.name, back.name);
        assert!(!back.is_read());
        if let Fill::SameParams(names) = fill {
            assert!(names.iter().all(|name| back.param(name).is_some()), "{}", action.name);
        }
        if matches!(fill, Fill::SameTarget | Fill::NewGuest(_)) {
            let missing = back.params().find(|param| param.required);
            assert!(missing.is_none(), "{} -> {}: {}", action.name, back.name, missing.unwrap().name);
        }
    }
}

#[test]
fn what_brings_a_target_forth_is_taken_back_by_what_removes_it() {
    for action in actions().filter(|action| action.existence == Existence::Absent) {
        let Undo::Plan { action: back, .. } = action.undo else { panic!("{}", action.name) };
        assert_eq!(find(back).unwrap().existence, Existence::Exists, "{}", action.name);
    }
}

#[test]
fn a_parameter_that_something_else_names_is_there() {
    for action in actions() {
        let named = action.needs.iter().flat_map(|Need { on, given, .. }| {
            let place = match on {
                Place::Storage(param)
                | Place::Guest(param)
                | Place::NewGuest(param)
                | Place::GuestsOrAll(param) => Some(*param),
                _ => None,
            };
            place.into_iter().chain(*given)
        });
        for param in named {
            assert!(action.param(param).is_some(), "{}: {param}", action.name);
        }
    }
}

#[test]
fn every_privilege_is_one_that_proxmox_has() {
    for need in actions().flat_map(|action| action.needs) {
        let known = |name: &str| Release::V9_2.has_privilege(name) || Release::V8_4.has_privilege(name);
        assert!(need.any_of == Need::PER_SETTING || need.any_of.iter().any(|name| known(name)), "{need:?}");
    }
}

#[test]
fn nothing_reaches_what_is_for_tickets_or_into_a_guest() {
    for (action, change) in changes() {
        let forbidden = ["agent", "monitor", "termproxy", "vncproxy", "ticket", "password", "tfa"];
        let reaches = |word: &str| change.path.split('/').any(|part| part == word);
        assert!(!forbidden.iter().any(|word| reaches(word)), "{}", action.name);
    }
}

#[test]
fn high_risk_is_nothing_less() {
    for name in
        ["delete_guest", "migrate_guest", "delete_volume", "add_storage", "remove_storage", "move_disk"]
    {
        let action = find(name).unwrap();
        assert!(
            action.base_risk >= crate::api::Risk::High,
            "{name} is a delete, a migration or a storage change"
        );
    }
    assert!(matches!(find("read_inventory").unwrap().operation, Operation::Read(_)));
}
