//! Groups of users.
use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, refuse};
use crate::pve::sim::world::Group;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/access/groups", list_groups),
    ("POST", "/access/groups", create_group),
    ("GET", "/access/groups/{groupid}", read_group),
    ("DELETE", "/access/groups/{groupid}", delete_group),
];

fn members(call: &Call<'_>, group: &str) -> Vec<String> {
    let users = call.state.world.users.iter().filter(|(_, user)| user.groups.contains(group));
    users.map(|(name, _)| name.clone()).collect()
}

fn list_groups(call: &mut Call<'_>) -> Answer {
    let visible = |name: &str| {
        call.rights()
            .has_any(&format!("/access/groups/{name}"), &["User.Modify", "Sys.Audit", "Group.Allocate"])
    };
    let row = |(name, group): (&String, &Group)| {
        let mut row = json!({ "groupid": name, "users": members(call, name).join(",") });
        if let Some(comment) = &group.comment {
            row["comment"] = comment.as_str().into();
        }
        row
    };
    let groups = call.state.world.groups.iter().filter(|(name, _)| visible(name));
    let rows: Vec<Value> = groups.map(row).collect();
    data(rows)
}

fn create_group(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "create group failed: ";
    let name = call.text("groupid").to_owned();
    call.state.demand_file_lock("user_cfg", DOING)?;
    if call.state.world.groups.contains_key(&name) {
        return refuse(format!("{DOING}group '{name}' already exists"));
    }
    let comment = call.parameters.text("comment").map(str::to_owned);
    call.state.world.groups.insert(name, Group { comment });
    nothing()
}

fn read_group(call: &mut Call<'_>) -> Answer {
    let name = call.text("groupid");
    let Some(group) = call.state.world.groups.get(name) else {
        return refuse(format!("group '{name}' does not exist"));
    };
    let mut row = json!({ "members": members(call, name) });
    if let Some(comment) = &group.comment {
        row["comment"] = comment.as_str().into();
    }
    data(row)
}

fn delete_group(call: &mut Call<'_>) -> Answer {
    let name = call.text("groupid").to_owned();
    if call.state.world.groups.remove(&name).is_none() {
        return refuse(format!("delete group failed: group '{name}' does not exist"));
    }
    for user in call.state.world.users.values_mut() {
        user.groups.remove(&name);
    }
    let who = format!("@{name}");
    call.state.world.acl.retain(|rule| rule.who != who);
    nothing()
}
