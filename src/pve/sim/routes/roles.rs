//! Roles, and the rules that grant them.
use serde_json::{Map, Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::access::{BUILT_IN_ROLES, is_built_in_role, privileges_of_role};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{AccessRule, Role};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/access/roles", list_roles),
    ("POST", "/access/roles", create_role),
    ("GET", "/access/roles/{roleid}", read_role),
    ("PUT", "/access/roles/{roleid}", update_role),
    ("DELETE", "/access/roles/{roleid}", delete_role),
    ("GET", "/access/acl", list_rules),
    ("PUT", "/access/acl", update_rules),
];

fn list_roles(call: &mut Call<'_>) -> Answer {
    let custom = &call.state.world.roles;
    let built_in = BUILT_IN_ROLES.iter().map(|name| ((*name).to_owned(), 1));
    let own = custom.keys().map(|name| (name.clone(), 0));
    let row = |(name, special): (String, u8)| {
        let privileges: Vec<String> =
            privileges_of_role(&name, custom, call.state.world.release()).into_iter().collect();
        json!({ "roleid": name, "privs": privileges.join(","), "special": special })
    };
    let rows: Vec<Value> = built_in.chain(own).map(row).collect();
    data(rows)
}

fn known_role(call: &Call<'_>, doing: &str) -> Result<Role, Refusal> {
    let name = call.text("roleid");
    if !is_built_in_role(name) && !call.state.world.roles.contains_key(name) {
        return Err(Refusal::Failed(format!("{doing}role '{name}' does not exist")));
    }
    Ok(privileges_of_role(name, &call.state.world.roles, call.state.world.release()))
}

fn read_role(call: &mut Call<'_>) -> Answer {
    let held: Map<String, Value> = known_role(call, "")?.into_iter().map(|name| (name, 1.into())).collect();
    data(held)
}

fn given_privileges(call: &Call<'_>) -> Result<Role, Refusal> {
    let (given, release) = (call.parameters.list("privs"), call.state.world.release());
    match given.iter().find(|name| !release.has_privilege(name)) {
        Some(unknown) => {
            Err(Refusal::parameter("privs", format!("invalid format - invalid privilege '{unknown}'\n")))
        }
        None => Ok(given.into_iter().collect()),
    }
}

fn create_role(call: &mut Call<'_>) -> Answer {
    let name = call.text("roleid").to_owned();
    if known_role(call, "").is_ok() {
        return refuse(format!("create role failed: role '{name}' already exists"));
    }
    let role = given_privileges(call)?;
    call.state.world.roles.insert(name, role);
    nothing()
}

fn update_role(call: &mut Call<'_>) -> Answer {
    let (name, mut role) = (call.text("roleid").to_owned(), given_privileges(call)?);
    if is_built_in_role(&name) {
        return refuse(format!("auto-generated role '{name}' cannot be modified"));
    }
    let present = known_role(call, "update role failed: ")?;
    if call.parameters.flag("append") {
        role.extend(present);
    }
    call.state.world.roles.insert(name, role);
    nothing()
}

fn delete_role(call: &mut Call<'_>) -> Answer {
    let name = call.text("roleid").to_owned();
    if is_built_in_role(&name) {
        return refuse(format!("auto-generated role '{name}' cannot be deleted"));
    }
    known_role(call, "delete role failed: ")?;
    call.state.world.roles.remove(&name);
    nothing()
}

fn rule_row(rule: &AccessRule) -> Value {
    let (kind, name) = match rule.who.strip_prefix('@') {
        Some(group) => ("group", group),
        None if rule.who.contains('!') => ("token", rule.who.as_str()),
        None => ("user", rule.who.as_str()),
    };
    json!({ "path": rule.path, "type": kind, "ugid": name, "roleid": rule.role, "propagate": u8::from(rule.propagate) })
}

fn list_rules(call: &mut Call<'_>) -> Answer {
    let all = call.rights().has_any("/access", &["Sys.Audit", "Permissions.Modify"]);
    let visible = |rule: &&AccessRule| all || call.has(&rule.path, "Permissions.Modify");
    let rows: Vec<Value> = call.state.world.acl.iter().filter(visible).map(rule_row).collect();
    data(rows)
}

/// Adding a rule that is there and removing one that is not are both no errors.
fn update_rules(call: &mut Call<'_>) -> Answer {
    let parameters = call.parameters;
    call.state.demand_file_lock("user_cfg", "ACL update failed: ")?;
    let groups = parameters.list("groups").into_iter().map(|group| format!("@{group}"));
    let who: Vec<String> =
        parameters.list("users").into_iter().chain(parameters.list("tokens")).chain(groups).collect();
    if who.is_empty() {
        let text = "property is missing and it is not optional";
        return Err(Refusal::parameter("users", text));
    }
    let removes = parameters.flag("delete");
    let propagate = parameters.text("propagate") != Some("0");
    for role in parameters.list("roles") {
        if !removes && !is_built_in_role(&role) && !call.state.world.roles.contains_key(&role) {
            return refuse(format!("ACL update failed: role '{role}' does not exist"));
        }
        for who in &who {
            let rule = AccessRule {
                path: call.parameters.demanded("path").to_owned(),
                who: who.clone(),
                role: role.clone(),
                propagate,
            };
            let same = |known: &AccessRule| {
                known.path == rule.path && known.who == rule.who && known.role == rule.role
            };
            call.state.world.acl.retain(|known| !same(known));
            if !removes {
                call.state.world.acl.push(rule);
            }
        }
    }
    nothing()
}
