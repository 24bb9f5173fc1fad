//! From a request and what it meets to the one call that carries it out.

use std::collections::BTreeMap;

use crate::catalog::{
    Call, Change, Filled, GuestKind, GuestRef, Param, ParamType, ParamValue, SecretValue, Target, TaskId,
    path_segment,
};

use super::{
    hash::{NotCanonical, PlanHash},
    observe::{Met, World},
    request::Request,
};

/// A call, and by what its task will be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    pub call: Call,
    /// The node that carries it out.
    pub node: String,
    /// The `id` of its task.
    pub task_id: String,
    /// The types that its task may have; none if there is no task.
    pub task_types: Vec<String>,
}

/// What tells a plan from every other plan, the next one for the same request included.
#[derive(Clone, Copy, Debug)]
pub struct PlanIdentity<'a> {
    pub hash: &'a PlanHash,
    pub uid: &'a str,
}

/// The call for what was met, or `None` for an action that only reads.
pub fn dispatch_for(
    request: &Request,
    world: &World,
    plan: PlanIdentity<'_>,
) -> Result<Option<Dispatch>, NotCanonical> {
    let Some(change) = request.action.change() else { return Ok(None) };
    let kind = request.target.guest().map(|guest| guest.kind);
    let node = node_of(request, world);
    let mut params = wire_params(request, kind);
    let lxc_fixed = if kind == Some(GuestKind::Lxc) { change.lxc_fixed } else { &[] };
    for (name, value) in change.fixed.iter().chain(lxc_fixed) {
        params.insert((*name).to_owned(), (*value).to_owned());
    }
    for filled in change.fills {
        fill(*filled, request, world, plan, &mut params)?;
    }
    let task_types = request.action.task_types(kind.unwrap_or(GuestKind::Qemu));
    let call = Call {
        method: change.method,
        path: path(change, request, &node),
        params,
        secrets: secrets(request, kind),
        starts_task: !task_types.is_empty(),
    };
    Ok(Some(Dispatch {
        call,
        task_id: task_id(change.tasks.id, request, world),
        node,
        task_types: task_types.iter().map(ToString::to_string).collect(),
    }))
}

/// The node that carries a request out: where the target is, else the one that it names, else any that is there.
fn node_of(request: &Request, world: &World) -> String {
    if let Target::Node(node) = &request.target {
        return node.to_string();
    }
    if let Some(guest) = world.guest() {
        return guest.node.clone();
    }
    if let Some(node) = request.text("node") {
        return node.to_owned();
    }
    let online = |nodes: &super::observe::Nodes| {
        nodes.nodes.iter().find(|node| node.online).map(|node| node.name.clone())
    };
    world.nodes.known().and_then(online).unwrap_or_default()
}

fn path(change: &Change, request: &Request, node: &str) -> String {
    let is_container = matches!(request.target, Target::Guest(GuestRef { kind: GuestKind::Lxc, .. }));
    let template = change.lxc_path.filter(|_| is_container).unwrap_or(change.path);
    let mut parts = template.split('{');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        path.push_str(&placeholder(name, request, node));
        path.push_str(rest);
    }
    path
}

fn placeholder(name: &str, request: &Request, node: &str) -> String {
    let guest = request.target.guest();
    match name {
        "node" => path_segment(node),
        "kind" => guest.map(|guest| guest.kind.as_str().to_owned()).unwrap_or_default(),
        "vmid" => guest.map(|guest| guest.vmid.to_string()).unwrap_or_default(),
        "sid" => guest.map(GuestRef::sid).unwrap_or_default(),
        "id" => path_segment(&request.target.id()),
        "storage" if matches!(request.target, Target::Volume(_)) => storage_of(&request.target),
        // Where the rules of a firewall stand.
        "scope" => match &request.target {
            Target::Guest(guest) => format!("nodes/{}/{guest}", path_segment(node)),
            Target::Node(_) => format!("nodes/{}", path_segment(node)),
            _ => "cluster".to_owned(),
        },
        param => path_segment(&request.params.get(param).map(ParamValue::to_wire).unwrap_or_default()),
    }
}

fn storage_of(target: &Target) -> String {
    match target {
        Target::Volume(volume) => volume.storage.to_string(),
        _ => String::new(),
    }
}

fn sent(
    request: &Request,
    kind: Option<GuestKind>,
) -> impl Iterator<Item = (String, &'static Param, &ParamValue)> {
    request.params.iter().filter_map(move |(spelled, value)| {
        let param = request.action.param(spelled)?;
        Some((param.wire_name(spelled, kind)?, param, value))
    })
}

pub(super) fn wire_params(request: &Request, kind: Option<GuestKind>) -> BTreeMap<String, String> {
    sent(request, kind)
        .filter(|(_, param, _)| !param.is_secret())
        .map(|(name, param, value)| (name, param.to_wire(value)))
        .collect()
}

pub(super) fn secrets(request: &Request, kind: Option<GuestKind>) -> BTreeMap<String, SecretValue> {
    sent(request, kind)
        .filter_map(|(name, _, value)| match value {
            ParamValue::Secret(secret) => Some((name, secret.clone())),
            _ => None,
        })
        .collect()
}

fn fill(
    filled: Filled,
    request: &Request,
    world: &World,
    plan: PlanIdentity<'_>,
    params: &mut BTreeMap<String, String>,
) -> Result<(), NotCanonical> {
    match filled {
        Filled::Id(name) => {
            params.insert(name.to_owned(), request.target.id());
        }
        Filled::Sid(name) => {
            params.insert(name.to_owned(), request.target.guest().map(GuestRef::sid).unwrap_or_default());
        }
        Filled::Digest => {
            if let Some(digest) = digest(world) {
                params.insert("digest".to_owned(), digest.to_owned());
            }
        }
        Filled::RulesDigest => {
            let rules = world.firewall.known().and_then(|rules| rules.first());
            if let Some(digest) = rules.and_then(|rule| rule.digest.as_deref()) {
                params.insert("digest".to_owned(), digest.to_owned());
            }
        }
        Filled::Snapshot => {
            params.insert("snapname".to_owned(), snapshot_name(request, plan)?);
            params.insert("description".to_owned(), marked(params.get("description"), "\n", plan.uid));
        }
        Filled::Marker(name) => {
            let text = marked(params.get(name), end_of_line(request, name), plan.uid);
            params.insert(name.to_owned(), text);
        }
    }
    Ok(())
}

fn digest(world: &World) -> Option<&str> {
    match &world.target {
        Met::Guest(guest) => Some(&guest.config_digest),
        Met::Object(object) => object.digest.as_deref(),
        Met::Nothing | Met::Absent => None,
    }
}

/// The snapshot that the request is about: the one it names, else one that can be found again and told from others.
pub fn snapshot_name(request: &Request, plan: PlanIdentity<'_>) -> Result<String, NotCanonical> {
    if let Some(name) = request.text("snapshot") {
        return Ok(name.to_owned());
    }
    let identity = PlanHash::of("the plan's identity", &[&plan.hash.to_string(), plan.uid])?;
    Ok(format!("h{}", identity.short()))
}

/// What parts two lines of a text that Proxmox calls so.
fn end_of_line(request: &Request, wire: &str) -> &'static str {
    let kind = request.target.guest().map(|guest| guest.kind);
    let mut params = request.action.params();
    match params
        .find(|param| param.wire_name(param.name, kind).as_deref() == Some(wire))
        .map(|param| param.type_)
    {
        Some(ParamType::Notes { .. }) => "\\n",
        Some(ParamType::Text { .. }) | None => "\n",
        Some(_) => " ",
    }
}

fn marked(text: Option<&String>, end_of_line: &str, plan_uid: &str) -> String {
    let mark = mark(plan_uid);
    match text {
        Some(text) if !text.is_empty() => format!("{text}{end_of_line}{mark}"),
        _ => mark,
    }
}

/// By what is known again what a plan has made.
pub(super) fn mark(plan_uid: &str) -> String {
    format!("proxmox-agent plan {plan_uid}")
}

fn task_id(id: TaskId, request: &Request, world: &World) -> String {
    match id {
        TaskId::Vmid => request.target.id(),
        TaskId::Empty => String::new(),
        TaskId::Word(word) => word.to_owned(),
        TaskId::Param(name) => request.params.get(name).map(ParamValue::to_wire).unwrap_or_default(),
        TaskId::Volume => volume_task_id(request, world),
    }
}

/// `100@local` for what belongs to a guest, `local` for everything else.
fn volume_task_id(request: &Request, world: &World) -> String {
    let storage = storage_of(&request.target);
    let owner = world.settings().and_then(|settings| settings.get("vmid"));
    owner.map_or_else(|| storage.clone(), |vmid| format!("{vmid}@{storage}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::core::{
        request::{normalise, tests::spec},
        testing::{guest, world_of},
    };

    fn sent(action: &str, params: Value) -> BTreeMap<String, String> {
        let request = normalise("default", &spec(action, "qemu/100", params)).unwrap();
        let hash = PlanHash::of("a test", &1).unwrap();
        let identity = PlanIdentity { hash: &hash, uid: "uid" };
        let dispatch = dispatch_for(&request, &world_of(guest("qemu/100")), identity);
        dispatch.unwrap().unwrap().call.params
    }

    #[test]
    fn a_note_keeps_its_lines_and_gets_the_plans_mark_as_each_place_takes_it() {
        let text = json!({"newid": 101, "description": "a\\b\nc"});
        assert_eq!(sent("clone_guest", text)["description"], "a\\b\nc\nproxmox-agent plan uid");
        // Proxmox refuses a template of several lines, and reads backslashes in it.
        let notes = json!({"storage": "local", "notes": "a\\b\nc"});
        assert_eq!(sent("backup_guest", notes)["notes-template"], r"a\\b\nc\nproxmox-agent plan uid");
        // Each line of the file is a rule.
        let rule = json!({"type": "in", "action": "ACCEPT", "comment": "why"});
        assert_eq!(sent("add_firewall_rule", rule)["comment"], "why proxmox-agent plan uid");
        let rule = json!({"type": "in", "action": "DROP", "comment": "why\nIN ACCEPT"});
        assert!(normalise("default", &spec("add_firewall_rule", "qemu/100", rule)).is_err());
    }
}
