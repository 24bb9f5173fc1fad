//! How to take an action back: a plan that is ready to be asked for, or the reason why there is none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{CompensatingPlan, PreviewedUndo},
    catalog::{self, Fill, GuestRef, ParamType, ParamValue, Target, Undo},
};

use super::{call::Dispatch, diff::present_settings, observe::World, request::Request};

pub fn undo(request: &Request, world: &World, dispatch: Option<&Dispatch>) -> PreviewedUndo {
    match request.action.undo {
        Undo::Nothing => {
            PreviewedUndo { how: "nothing changes, so there is nothing to undo".to_owned(), plan: None }
        }
        Undo::Never(why) => never(why),
        Undo::Plan { action, fill, but } => match compensation(action, fill, request, world, dispatch) {
            Some(plan) => {
                let but = if but.is_empty() { String::new() } else { format!(", but {but}") };
                PreviewedUndo { how: format!("{} on {}{but}", plan.action, plan.target), plan: Some(plan) }
            }
            None => never("what is there now was not seen, so it can't be put back from here"),
        },
    }
}

fn never(why: &str) -> PreviewedUndo {
    PreviewedUndo { how: format!("can't be undone: {why}"), plan: None }
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
        Fill::SameParams(names) => names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), json!(request.params.get(*name)?))))
            .collect(),
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
        Fill::OldNode => named("destination", &world.guest()?.node),
        Fill::OldStorage => {
            let disk = request.text("disk")?;
            let on = world.guest()?.disks().into_iter().find(|own| own.key == disk)?;
            BTreeMap::from([("disk".to_owned(), json!(disk)), ("storage".to_owned(), json!(on.storage()))])
        }
        Fill::OldObject => old_object(action, request, world)?,
    };
    Some(CompensatingPlan { action: action.to_owned(), target, params })
}

fn named(name: &str, value: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([(name.to_owned(), json!(value))])
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
    for wire in set.chain(deleted.split(',')).filter(|name| !name.is_empty()) {
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
    Some(params)
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

/// How a plan spells what Proxmox calls so. What asks for a secret is left out: nobody can read the old one back.
fn spelled(action: &catalog::Action, wire: &str, request: &Request) -> Option<(String, ParamType)> {
    let kind = request.target.guest().map(|guest| guest.kind);
    let fits = |param: &&'static catalog::Param| {
        let spelled = if param.row.is_some() { wire } else { param.name };
        !param.is_secret()
            && param.name != "delete"
            && param.is_called(spelled)
            && param.wire_name(spelled, kind).as_deref() == Some(wire)
    };
    let param = action.params().find(fits)?;
    let name = if param.row.is_some() { wire } else { param.name };
    Some((name.to_owned(), param.type_))
}

fn typed(type_: ParamType, value: &str) -> Option<Value> {
    Some(match type_ {
        ParamType::Bool => json!(value == "1"),
        ParamType::Integer { .. } | ParamType::Vmid => json!(value.parse::<i64>().ok()?),
        _ => json!(value),
    })
}
