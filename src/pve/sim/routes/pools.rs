//! Pools: named sets of guests and storages that rights can be granted on.
use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::Pool;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/pools", list),
    ("POST", "/pools", create),
    ("PUT", "/pools", update),
    ("DELETE", "/pools", delete),
    ("GET", "/pools/{poolid}", read),
    ("PUT", "/pools/{poolid}", update),
    ("DELETE", "/pools/{poolid}", delete),
];

fn row(name: &str, pool: &Pool) -> Value {
    let mut row = json!({ "poolid": name });
    if let Some(comment) = &pool.comment {
        row["comment"] = comment.as_str().into();
    }
    row
}

fn list(call: &mut Call<'_>) -> Answer {
    if let Some(name) = call.parameters.text("poolid") {
        let (name, pool) = known(call, name, "")?;
        let mut row = row(name, pool);
        row["members"] = members(call, pool);
        return data(vec![row]);
    }
    let visible =
        |name: &str| call.rights().has_any(&format!("/pool/{name}"), &["Pool.Allocate", "Pool.Audit"]);
    let pools = call.state.world.pools.iter().filter(|(name, _)| visible(name));
    let rows: Vec<Value> = pools.map(|(name, pool)| row(name, pool)).collect();
    data(rows)
}

fn read(call: &mut Call<'_>) -> Answer {
    let (name, pool) = known(call, call.text("poolid"), "")?;
    let mut row = row(name, pool);
    row["members"] = members(call, pool);
    data(row)
}

fn known<'a>(call: &'a Call<'_>, name: &str, doing: &str) -> Result<(&'a String, &'a Pool), Refusal> {
    let found = call.state.world.pools.get_key_value(name);
    found.ok_or_else(|| Refusal::Failed(format!("{doing}pool '{name}' does not exist")))
}

fn members(call: &Call<'_>, pool: &Pool) -> Value {
    let state = &*call.state;
    let kind = call.parameters.text("type");
    let guests = pool.vms.iter().filter_map(|vmid| {
        let guest = state.world.guests.get(vmid)?;
        kind.is_none_or(|kind| kind == guest.kind.name())
            .then(|| super::guests::resource_row(state, *vmid, guest))
    });
    let local = state.local_node();
    let storages =
        pool.storage.iter().filter(|_| kind.is_none_or(|kind| kind == "storage")).filter_map(|name| {
            let storage = state.world.storages.get(name)?;
            Some(super::cluster::storage_row(local, name, storage))
        });
    guests.chain(storages).collect()
}

fn create(call: &mut Call<'_>) -> Answer {
    let name = call.text("poolid").to_owned();
    call.state.demand_file_lock("user_cfg", "create pool failed: ")?;
    if call.state.world.pools.contains_key(&name) {
        return refuse(format!("create pool failed: pool '{name}' already exists"));
    }
    if let Some((parent, _)) = name.rsplit_once('/')
        && !call.state.world.pools.contains_key(parent)
    {
        return refuse(format!("create pool failed: parent '{parent}' of pool '{name}' does not exist"));
    }
    let comment = call.parameters.text("comment").map(str::to_owned);
    call.state.world.pools.insert(name, Pool { comment, ..Pool::default() });
    nothing()
}

fn update(call: &mut Call<'_>) -> Answer {
    let name = call.text("poolid").to_owned();
    const DOING: &str = "update pools failed: ";
    call.state.demand_file_lock("user_cfg", DOING)?;
    known(call, &name, DOING)?;
    let before = call.state.world.pools.clone();
    let done = change(call, &name);
    if done.is_err() {
        // What is written, is written as a whole.
        call.state.world.pools = before;
    }
    done
}

fn change(call: &mut Call<'_>, name: &str) -> Answer {
    let removes = call.parameters.flag("delete");
    let vms: Vec<u32> = call.parameters.list("vms").iter().filter_map(|vmid| vmid.parse().ok()).collect();
    for vmid in vms {
        demand_rights_on(call, &format!("/vms/{vmid}"), "VM.Allocate")?;
        if removes {
            remove_guest(call, name, vmid)?;
        } else {
            add_guest(call, name, vmid)?;
        }
    }
    for storage in call.parameters.list("storage") {
        demand_rights_on(call, &format!("/storage/{storage}"), "Datastore.Allocate")?;
        change_storage(call, name, storage, removes)?;
    }
    let comment = call.parameters.text("comment").map(str::to_owned);
    if let (Some(pool), Some(comment)) = (call.state.world.pools.get_mut(name), comment) {
        pool.comment = Some(comment);
    }
    nothing()
}

/// Whoever changes a pool changes the rights on its members.
fn demand_rights_on(call: &Call<'_>, path: &str, privilege: &str) -> Result<(), Refusal> {
    if call.rights().has_any(path, &["Permissions.Modify", privilege]) {
        return Ok(());
    }
    let lacking = format!("{path}, Permissions.Modify|{privilege}");
    refuse(format!("update pools failed: 403 Permission check failed ({lacking})"))
}

fn remove_guest(call: &mut Call<'_>, name: &str, vmid: u32) -> Result<(), Refusal> {
    let removed = call.state.world.pools.get_mut(name).is_some_and(|pool| pool.vms.remove(&vmid));
    if removed { Ok(()) } else { refuse(format!("update pools failed: VM {vmid} is not a pool member")) }
}

/// A guest is in one pool at most.
fn add_guest(call: &mut Call<'_>, name: &str, vmid: u32) -> Result<(), Refusal> {
    let moves = call.parameters.flag("allow-move");
    let member_of = call
        .state
        .world
        .pools
        .iter()
        .find(|(_, pool)| pool.vms.contains(&vmid))
        .map(|(pool, _)| pool.clone());
    match member_of {
        Some(present) if present == name => {
            return refuse(format!("update pools failed: VM {vmid} is already a pool member"));
        }
        Some(other) if !moves => {
            return refuse(format!(
                "update pools failed: VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set"
            ));
        }
        _ => {}
    }
    for (pool_name, pool) in &mut call.state.world.pools {
        if pool_name == name {
            pool.vms.insert(vmid);
        } else {
            pool.vms.remove(&vmid);
        }
    }
    Ok(())
}

fn change_storage(call: &mut Call<'_>, name: &str, storage: String, removes: bool) -> Result<(), Refusal> {
    let Some(pool) = call.state.world.pools.get_mut(name) else {
        return Ok(());
    };
    if removes {
        let text = format!("update pools failed: Storage '{storage}' is not a pool member");
        return if pool.storage.remove(&storage) { Ok(()) } else { refuse(text) };
    }
    let text = format!("update pools failed: Storage '{storage}' is already a pool member");
    if pool.storage.insert(storage) { Ok(()) } else { refuse(text) }
}

fn delete(call: &mut Call<'_>) -> Answer {
    let name = call.text("poolid").to_owned();
    const DOING: &str = "delete pool failed: ";
    call.state.demand_file_lock("user_cfg", DOING)?;
    let (_, pool) = known(call, &name, DOING)?;
    let child = call.state.world.pools.keys().find(|other| other.starts_with(&format!("{name}/")));
    let guest = pool.vms.iter().find(|vmid| call.state.world.guests.contains_key(vmid));
    let holds = match (child, guest, pool.storage.first()) {
        (Some(child), _, _) => Some(format!("pool '{child}'")),
        (_, Some(vmid), _) => Some(format!("VM {vmid}")),
        (_, _, Some(storage)) => Some(format!("storage '{storage}'")),
        _ => None,
    };
    if let Some(holds) = holds {
        return refuse(format!("{DOING}pool '{name}' is not empty (contains {holds})"));
    }
    call.state.world.pools.remove(&name);
    nothing()
}
