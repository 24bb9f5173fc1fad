//! How to take an action back: a plan that is ready to be asked for, or the reason why there is none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{CompensatingPlan, PreviewedUndo, ProxmoxActionPlanSpec},
    catalog::{self, Fill, GuestKind, GuestRef, ParamType, ParamValue, Target, Undo, split_list},
};

use super::{
    call::Dispatch,
    diff::present_settings,
    observe::{World, names_disk},
    request::{Request, normalise},
};

/// As many as the schema of a plan takes.
const MOST_PARAMS: usize = 64;

/// What Proxmox tells of an object beside its settings: which it is, where, and what follows from that.
const OF_ITS_PLACE: [&str; 16] = [
    "active",
    "digest",
    "guest",
    "id",
    "iface",
    "ipversion",
    "jobnum",
    "order",
    "poolid",
    "pos",
    "rule",
    "sid",
    "source",
    "storage",
    "type",
    "vmid",
];

pub fn undo(request: &Request, world: &World, dispatch: Option<&Dispatch>) -> PreviewedUndo {
    match request.action.undo {
        Undo::Nothing => {
            PreviewedUndo { how: "nothing changes, so there is nothing to undo".to_owned(), plan: None }
        }
        Undo::Never(why) => never(why),
        Undo::Plan { action, fill, but } => match compensation(action, fill, request, world, dispatch) {
            Some(plan) => match refused(&plan, request) {
                None => {
                    let but: Vec<String> = (!but.is_empty()).then(|| but.to_owned()).into_iter().collect();
                    let but = [but, left_behind(action, fill, request, world, dispatch)].concat();
                    let but =
                        if but.is_empty() { String::new() } else { format!(", but {}", but.join("; ")) };
                    PreviewedUndo {
                        how: format!("{} on {}{but}", plan.action, plan.target),
                        plan: Some(plan),
                    }
                }
                Some(why) => never(&format!("no {} can carry what is there now: {why}", plan.action)),
            },
            None => never("what is there now was not seen, or does not come back"),
        },
    }
}

fn never(why: &str) -> PreviewedUndo {
    PreviewedUndo { how: format!("can't be undone: {why}"), plan: None }
}

/// A plan that would be refused is worse than none.
fn refused(plan: &CompensatingPlan, request: &Request) -> Option<String> {
    if plan.params.len() > MOST_PARAMS {
        return Some(format!("{} settings are more than the {MOST_PARAMS} of a plan", plan.params.len()));
    }
    let spec = ProxmoxActionPlanSpec {
        action: plan.action.clone(),
        target: plan.target.clone(),
        params: plan.params.clone(),
        ..ProxmoxActionPlanSpec::default()
    };
    normalise(&request.namespace, &spec).err()?.first().map(ToString::to_string)
}

/// What there is now and the plan that takes back can't bring back.
fn left_behind(
    action: &str,
    fill: Fill,
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
) -> Vec<String> {
    let mut lost: Vec<&str> = Vec::new();
    match fill {
        Fill::OldSettings => {
            lost.extend(
                dispatch.iter().flat_map(|dispatch| dispatch.call.secrets.keys().map(String::as_str)),
            );
        }
        Fill::OldObject => {
            let now = present_settings(request, world).into_iter().flatten().map(|(name, _)| name.as_str());
            let back = catalog::find(action);
            let is_carried = |name: &&str| back.is_some_and(|back| spelled(back, name, request).is_some());
            lost.extend(now.filter(|name| !is_carried(name) && !OF_ITS_PLACE.contains(name)));
        }
        _ => {}
    }
    if lost.is_empty() { vec![] } else { vec![format!("without its {}", lost.join(", "))] }
}

fn compensation(
    action: &str,
    fill: Fill,
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
) -> Option<CompensatingPlan> {
    let mut target = request.target.to_string();
    let params = match fill {
        Fill::SameTarget => BTreeMap::new(),
        Fill::SameParams(names) => same(request, names),
        Fill::Fixed(values) => {
            let action = catalog::find(action)?;
            let typed = |(name, value): &(&str, &str)| {
                Some(((*name).to_owned(), typed(action.param(name)?.type_, value)?))
            };
            values.iter().map(typed).collect::<Option<_>>()?
        }
        Fill::Snapshot => named("snapshot", dispatch?.call.params.get("snapname")?),
        Fill::NewGuest(param) => {
            target = new_guest(request, param)?;
            BTreeMap::new()
        }
        Fill::OldSettings => old_settings(action, request, world, dispatch?)?,
        Fill::OldNode => old_node(request, world)?,
        Fill::OldStorage => old_storage(request, world)?,
        Fill::OldObject => old_object(action, request, world)?,
    };
    Some(CompensatingPlan { action: action.to_owned(), target, params })
}

fn named(name: &str, value: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([(name.to_owned(), json!(value))])
}

/// Back by the way that it came.
fn old_node(request: &Request, world: &World) -> Option<BTreeMap<String, Value>> {
    let mut params = same(request, &["online", "restart", "withLocalDisks"]);
    params.insert("destination".to_owned(), json!(world.guest()?.node));
    Some(params)
}

/// Where the disk was, and as what: on some storages the format decides whether it can have snapshots.
fn old_storage(request: &Request, world: &World) -> Option<BTreeMap<String, Value>> {
    let (disk, guest) = (request.text("disk")?, world.guest()?);
    let on = guest.disks().into_iter().find(|own| own.key == disk)?;
    let mut params = same(request, &["disk", "delete"]);
    params.insert("storage".to_owned(), json!(on.storage()));
    let format = on.volume.rsplit_once('.').map(|(_, format)| format);
    let format = format.filter(|format| ["raw", "qcow2", "vmdk"].contains(format));
    if let Some(format) = format.filter(|_| guest.reference.kind == GuestKind::Qemu) {
        params.insert("format".to_owned(), json!(format));
    }
    Some(params)
}

/// The parameters of these names as the request has them.
fn same(request: &Request, names: &[&str]) -> BTreeMap<String, Value> {
    let given = |name: &&str| Some(((*name).to_owned(), json!(request.params.get(*name)?)));
    names.iter().filter_map(given).collect()
}

fn new_guest(request: &Request, param: &str) -> Option<String> {
    let (Target::Guest(source), Some(ParamValue::Integer(vmid))) =
        (&request.target, request.params.get(param))
    else {
        return None;
    };
    let vmid = u32::try_from(*vmid).ok().and_then(catalog::Vmid::new)?;
    Some(GuestRef { kind: source.kind, vmid }.to_string())
}

/// The old values of what the call sets, and the names of what was not there before.
fn old_settings(
    action: &str,
    request: &Request,
    world: &World,
    dispatch: &Dispatch,
) -> Option<BTreeMap<String, Value>> {
    let now = present_settings(request, world)?;
    let action = catalog::find(action)?;
    let mut params = BTreeMap::new();
    let mut absent = Vec::new();
    let deleted = dispatch.call.params.get("delete").map(String::as_str).unwrap_or_default();
    let set = dispatch.call.params.keys().chain(dispatch.call.secrets.keys()).map(String::as_str);
    let is_lost = |name: &&str| request.flag("force") && names_disk(name);
    for wire in set.chain(split_list(deleted).filter(|name| !is_lost(name))) {
        let Some((spelled, type_)) = spelled(action, wire, request) else { continue };
        match now.get(wire) {
            Some(value) => {
                params.insert(spelled, typed(type_, value)?);
            }
            None => absent.push(wire.to_owned()),
        }
    }
    if !absent.is_empty() {
        params.insert("delete".to_owned(), json!(absent.join(",")));
    }
    (!params.is_empty()).then_some(params)
}

/// All settings of what will be gone, as far as the plan that brings it back can carry them.
fn old_object(action: &str, request: &Request, world: &World) -> Option<BTreeMap<String, Value>> {
    let action = catalog::find(action)?;
    let now = present_settings(request, world)?;
    let known = now.iter().filter_map(|(wire, value)| {
        let (spelled, type_) = spelled(action, wire, request)?;
        Some((spelled, typed(type_, value)?))
    });
    Some(known.collect())
}

/// They say what becomes of settings, and are none.
const NO_SETTINGS: [&str; 3] = ["delete", "force", "revert"];

/// How a plan spells what Proxmox calls so. What asks for a secret is left out: nobody can read the old one back.
fn spelled(action: &catalog::Action, wire: &str, request: &Request) -> Option<(String, ParamType)> {
    let kind = request.target.guest().map(|guest| guest.kind);
    let fits = |param: &&'static catalog::Param| {
        let spelled = if param.row.is_some() { wire } else { param.name };
        !param.is_secret()
            && !NO_SETTINGS.contains(&param.name)
            && param.is_called(spelled)
            && param.wire_name(spelled, kind).as_deref() == Some(wire)
    };
    let param = action.params().find(fits)?;
    // A disk that was unused and is removed is gone.
    if param.name == "unused[n]" {
        return None;
    }
    let name = if param.row.is_some() { wire } else { param.name };
    Some((name.to_owned(), param.type_))
}

fn typed(type_: ParamType, value: &str) -> Option<Value> {
    Some(match type_ {
        ParamType::Bool => json!(value == "1"),
        ParamType::Integer { .. } | ParamType::Vmid => {
            value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number))
        }
        ParamType::PublicKeys => json!(decoded(value)?),
        _ => json!(value),
    })
}

/// Keys stand in the settings as they were sent: encoded as in an address.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::{
        call::{PlanIdentity, dispatch_for},
        hash::PlanHash,
        observe::{Guest, Ha, HaResource, Met, Object, Seen},
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    fn undone(action: &str, target: &str, params: Value, world: &World) -> PreviewedUndo {
        let request = normalise("default", &spec(action, target, params)).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let identity = PlanIdentity { hash: &hash, uid: "uid" };
        let dispatch = dispatch_for(&request, world, identity).unwrap();
        undo(&request, world, dispatch.as_ref())
    }

    fn plan(undo: PreviewedUndo) -> (String, String, Value) {
        let plan = undo.plan.unwrap_or_else(|| panic!("{}", undo.how));
        (plan.action, plan.target, json!(plan.params))
    }

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn old_settings_come_back_and_what_was_not_there_goes() {
        let config =
            settings(&[("cores", "2"), ("tags", "web"), ("onboot", "1"), ("net0", "virtio,bridge=vmbr0")]);
        let world = world_of(Guest { config, ..guest("qemu/100") });
        let params = json!({"cores": 4, "onboot": false, "balloon": 512, "delete": "net0;tags"});
        let (action, target, params) = plan(undone("set_guest_config", "qemu/100", params, &world));
        assert_eq!((action.as_str(), target.as_str()), ("set_guest_config", "qemu/100"));
        assert_eq!(
            params,
            json!({"cores": 2, "onboot": true, "net0": "virtio,bridge=vmbr0", "tags": "web", "delete": "balloon"})
        );
    }

    #[test]
    fn a_migration_goes_back_and_a_disk_too() {
        let config = settings(&[("scsi0", "local-lvm:vm-100-disk-0,size=8G")]);
        let world = world_of(Guest { config, ..guest("qemu/100") });
        let back = plan(undone("migrate_guest", "qemu/100", json!({"destination": "pve2"}), &world));
        assert_eq!(back, ("migrate_guest".into(), "qemu/100".into(), json!({"destination": "pve1"})));
        let moved = undone("move_disk", "qemu/100", json!({"disk": "scsi0", "storage": "ceph"}), &world);
        assert_eq!(plan(moved).2, json!({"disk": "scsi0", "storage": "local-lvm"}));
    }

    #[test]
    fn a_copy_is_deleted_by_its_own_number() {
        let back =
            plan(undone("clone_guest", "qemu/100", json!({"newid": 101}), &world_of(guest("qemu/100"))));
        assert_eq!(back, ("delete_guest".into(), "qemu/101".into(), json!({})));
    }

    #[test]
    fn a_snapshot_is_deleted_by_the_name_it_gets() {
        let undo = undone("create_snapshot", "qemu/100", json!({}), &world_of(guest("qemu/100")));
        let name = plan(undo).2["snapshot"].as_str().unwrap().to_owned();
        assert!(name.starts_with('h') && name.len() == 13, "{name}");
    }

    #[test]
    fn what_is_removed_comes_back_with_its_settings_but_without_its_secrets() {
        let settings = settings(&[("type", "cifs"), ("server", "nas"), ("password", "x"), ("shared", "1")]);
        let target = Met::Object(Object { settings, digest: None });
        let world = World { target, ..world_of(guest("qemu/100")) };
        let (action, target, params) = plan(undone("remove_storage", "storage/nas", json!({}), &world));
        assert_eq!((action.as_str(), target.as_str()), ("add_storage", "storage/nas"));
        assert_eq!(params, json!({"type": "cifs", "server": "nas", "shared": true}));
    }

    #[test]
    fn what_was_not_seen_is_not_made_up() {
        let world = World { ha: Seen::Unknown { why: "hidden".into() }, ..world_of(guest("qemu/100")) };
        let undo = undone("remove_ha_resource", "qemu/100", json!({}), &world);
        assert!(undo.plan.is_none() && undo.how.starts_with("can't be undone"), "{}", undo.how);
        let resource = HaResource {
            sid: "vm:100".into(),
            settings: settings(&[("sid", "vm:100"), ("state", "started"), ("max_restart", "2")]),
            ..HaResource::default()
        };
        let world = World {
            ha: Seen::Known(Ha { resources: vec![resource], ..Ha::default() }),
            ..world_of(guest("qemu/100"))
        };
        let back = plan(undone("remove_ha_resource", "qemu/100", json!({}), &world));
        assert_eq!(back.2, json!({"state": "started", "maxRestart": 2}));
    }

    #[test]
    fn every_plan_that_takes_back_can_be_asked_for() {
        let config = settings(&[("scsi0", "local-lvm:vm-100-disk-0,size=8G"), ("cores", "2")]);
        let world = world_of(Guest { config, ..guest("qemu/100") });
        for (action, params) in [
            ("start_guest", json!({})),
            ("stop_guest", json!({})),
            ("set_guest_config", json!({"cores": 4})),
            ("set_guest_tags", json!({"tags": "a;b"})),
            ("clone_guest", json!({"newid": 101})),
            ("migrate_guest", json!({"destination": "pve2"})),
            ("move_disk", json!({"disk": "scsi0", "storage": "ceph"})),
            ("create_snapshot", json!({})),
        ] {
            let (action, target, params) = plan(undone(action, "qemu/100", params, &world));
            let asked = normalise("default", &spec(&action, &target, params.clone()));
            assert!(asked.is_ok(), "{action} {params}: {asked:?}");
        }
    }

    #[test]
    fn keys_come_back_as_they_were_given() {
        let keys = "ssh-ed25519 AAAA+/= me@example.test\nssh-rsa BBBB 100%é";
        let request =
            normalise("default", &spec("set_guest_config", "qemu/100", json!({"sshkeys": keys}))).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let world = world_of(guest("qemu/100"));
        let identity = PlanIdentity { hash: &hash, uid: "uid" };
        let encoded =
            dispatch_for(&request, &world, identity).unwrap().unwrap().call.params["sshkeys"].clone();
        let world = world_of(Guest { config: settings(&[("sshkeys", &encoded)]), ..guest("qemu/100") });
        let back = plan(undone("set_guest_config", "qemu/100", json!({"sshkeys": "ssh-rsa C"}), &world));
        assert_eq!(back.2, json!({"sshkeys": keys}));
    }

    #[test]
    fn a_plan_that_would_be_refused_is_not_offered() {
        let world = world_of(Guest { config: settings(&[("cpulimit", "1.5")]), ..guest("qemu/100") });
        let undo = undone("set_guest_config", "qemu/100", json!({"cpulimit": 2}), &world);
        assert!(
            undo.plan.is_none() && undo.how.contains("spec.params.cpulimit: must be a whole number"),
            "{undo:?}"
        );
    }

    #[test]
    fn what_does_not_come_back_is_named() {
        let undo = undone(
            "set_guest_config",
            "qemu/100",
            json!({"cipassword": "ci/new", "cores": 4}),
            &world_of(guest("qemu/100")),
        );
        assert!(undo.how.contains("without its cipassword"), "{}", undo.how);
        let settings =
            settings(&[("type", "nfs"), ("server", "nas"), ("export", "/x"), ("options", "vers=4")]);
        let target = Met::Object(Object { settings, digest: None });
        let world = World { target, ..world_of(guest("qemu/100")) };
        let undo = undone("remove_storage", "storage/nas", json!({}), &world);
        assert!(undo.plan.is_some() && undo.how.ends_with("without its options"), "{}", undo.how);
    }

    #[test]
    fn no_guests_are_stopped_that_ran_before() {
        assert!(
            undone("start_node_guests", "node/pve1", json!({}), &world_of(guest("qemu/100"))).plan.is_none()
        );
    }
}
