//! Users, tokens, groups, roles and access rules.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::access::{BUILT_IN_ROLES, is_built_in_role, is_privilege, privileges_of_role};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{AccessRule, Group, Role, Token, User};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/access", |_| {
        data(super::index(&[
            "users",
            "groups",
            "roles",
            "acl",
            "domains",
            "openid",
            "tfa",
            "ticket",
            "permissions",
            "password",
        ]))
    }),
    ("GET", "/access/users", list_users),
    ("POST", "/access/users", create_user),
    ("GET", "/access/users/{userid}", read_user),
    ("PUT", "/access/users/{userid}", update_user),
    ("DELETE", "/access/users/{userid}", delete_user),
    ("GET", "/access/users/{userid}/token", list_tokens),
    ("GET", "/access/users/{userid}/token/{tokenid}", read_token),
    ("POST", "/access/users/{userid}/token/{tokenid}", create_token),
    ("PUT", "/access/users/{userid}/token/{tokenid}", update_token),
    ("DELETE", "/access/users/{userid}/token/{tokenid}", delete_token),
    ("GET", "/access/groups", list_groups),
    ("POST", "/access/groups", create_group),
    ("GET", "/access/groups/{groupid}", read_group),
    ("DELETE", "/access/groups/{groupid}", delete_group),
    ("GET", "/access/roles", list_roles),
    ("POST", "/access/roles", create_role),
    ("GET", "/access/roles/{roleid}", read_role),
    ("PUT", "/access/roles/{roleid}", update_role),
    ("DELETE", "/access/roles/{roleid}", delete_role),
    ("GET", "/access/acl", list_rules),
    ("PUT", "/access/acl", update_rules),
];

const DETAILS: [&str; 5] = ["comment", "email", "firstname", "keys", "lastname"];

fn user_row(user: &User) -> Map<String, Value> {
    let mut row: Map<String, Value> =
        user.details.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    row.insert("enable".to_owned(), user.enable.into());
    row.insert("expire".to_owned(), user.expire.into());
    row
}

fn list_users(call: &mut Call<'_>) -> Answer {
    let manages = call.rights().has_any("/access/groups", &["User.Modify", "Sys.Audit"]);
    let only = call.parameters.text("enabled").map(|enabled| u8::from(enabled == "1"));
    let visible = |(name, user): &(&String, &User)| {
        (manages || **name == call.caller.user) && only.is_none_or(|enabled| enabled == user.enable)
    };
    let row = |(name, user): (&String, &User)| {
        let mut row = user_row(user);
        row.insert("userid".to_owned(), name.as_str().into());
        let realm = name.rsplit_once('@').map_or("", |(_, realm)| realm);
        row.insert("realm-type".to_owned(), realm.into());
        if call.parameters.flag("full") {
            row.insert("groups".to_owned(), user.groups.iter().cloned().collect::<Vec<_>>().join(",").into());
            let tokens = user.tokens.iter().map(|(name, token)| token_row(Some(name), token));
            row.insert("tokens".to_owned(), tokens.collect());
        }
        Value::Object(row)
    };
    let rows: Vec<Value> = call.state.world.users.iter().filter(visible).map(row).collect();
    data(rows)
}

fn known_user<'a>(call: &'a Call<'_>) -> Result<&'a User, Refusal> {
    let name = call.text("userid");
    call.state.world.users.get(name).ok_or_else(|| Refusal::Failed(format!("no such user ('{name}')")))
}

fn read_user(call: &mut Call<'_>) -> Answer {
    let user = known_user(call)?;
    let mut row = user_row(user);
    row.insert("groups".to_owned(), user.groups.iter().cloned().collect());
    let tokens = user.tokens.iter().map(|(name, token)| (name.clone(), token_row(None, token)));
    row.insert("tokens".to_owned(), Value::Object(tokens.collect()));
    data(row)
}

fn change_user(call: &Call<'_>, user: &mut User) {
    let parameters = call.parameters;
    for key in DETAILS {
        if let Some(text) = parameters.text(key) {
            user.details.insert(key.to_owned(), text.to_owned());
        }
    }
    user.enable = parameters.number("enable").unwrap_or(user.enable);
    user.expire = parameters.number("expire").unwrap_or(user.expire);
    if parameters.has("groups") {
        let given: BTreeSet<String> = parameters.list("groups").into_iter().collect();
        let appends = parameters.flag("append");
        user.groups = if appends { user.groups.union(&given).cloned().collect() } else { given };
    }
    if let Some(password) = parameters.text("password") {
        user.password = Some(password.to_owned());
    }
}

fn create_user(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "create user failed: ";
    let name = call.text("userid").to_owned();
    call.state.demand_file_lock("user_cfg", DOING)?;
    if call.state.world.users.contains_key(&name) {
        return refuse(format!("{DOING}user '{name}' already exists"));
    }
    let mut user = User::default();
    change_user(call, &mut user);
    call.state.world.users.insert(name, user);
    nothing()
}

fn update_user(call: &mut Call<'_>) -> Answer {
    const DOING: &str = "update user failed: ";
    call.state.demand_file_lock("user_cfg", DOING)?;
    let mut user = known_user(call)
        .cloned()
        .map_err(|_| Refusal::Failed(format!("{DOING}no such user ('{}')", call.text("userid"))))?;
    change_user(call, &mut user);
    call.state.world.users.insert(call.parameters.demanded("userid").to_owned(), user);
    nothing()
}

/// Removing a user who is not there is no error.
fn delete_user(call: &mut Call<'_>) -> Answer {
    call.state.demand_file_lock("user_cfg", "delete user failed: ")?;
    let name = call.text("userid").to_owned();
    call.state.world.users.remove(&name);
    let token = format!("{name}!");
    call.state.world.acl.retain(|rule| rule.who != name && !rule.who.starts_with(&token));
    nothing()
}

fn token_row(name: Option<&str>, token: &Token) -> Value {
    let mut row = json!({ "privsep": token.privsep, "expire": token.expire });
    if let Some(name) = name {
        row["tokenid"] = name.into();
    }
    if let Some(comment) = &token.comment {
        row["comment"] = comment.as_str().into();
    }
    row
}

fn list_tokens(call: &mut Call<'_>) -> Answer {
    let rows: Vec<Value> =
        known_user(call)?.tokens.iter().map(|(name, token)| token_row(Some(name), token)).collect();
    data(rows)
}

fn full_token(call: &Call<'_>) -> String {
    format!("{}!{}", call.text("userid"), call.text("tokenid"))
}

fn no_such_token(call: &Call<'_>) -> Refusal {
    Refusal::Failed(format!("no such token '{}' for user '{}'", call.text("tokenid"), call.text("userid")))
}

fn read_token(call: &mut Call<'_>) -> Answer {
    match known_user(call)?.tokens.get(call.text("tokenid")) {
        Some(token) => data(token_row(None, token)),
        None => Err(no_such_token(call)),
    }
}

/// The secret is shown this once. What is given as text comes back as text, `privsep` too.
fn create_token(call: &mut Call<'_>) -> Answer {
    let (user, name) = (call.text("userid").to_owned(), call.text("tokenid").to_owned());
    call.state.demand_file_lock("user_cfg", "creating token failed: ")?;
    if known_user(call)?.tokens.contains_key(&name) {
        return Err(Refusal::parameter("tokenid", "Token already exists."));
    }
    let secret = uuid::Uuid::new_v4().to_string();
    let parameters = call.parameters;
    let token = Token {
        secret: Some(secret.clone()),
        privsep: parameters.number("privsep").unwrap_or(1),
        expire: parameters.number("expire").unwrap_or_default(),
        comment: parameters.text("comment").map(str::to_owned),
    };
    let mut info = json!({ "privsep": token.privsep.to_string() });
    for key in ["comment", "expire"] {
        if let Some(text) = parameters.text(key) {
            info[key] = text.into();
        }
    }
    let answer = json!({ "full-tokenid": full_token(call), "info": info, "value": secret });
    if let Some(user) = call.state.world.users.get_mut(&user) {
        user.tokens.insert(name, token);
    }
    data(answer)
}

fn update_token(call: &mut Call<'_>) -> Answer {
    known_user(call)?;
    let (user, name) = (call.text("userid").to_owned(), call.text("tokenid").to_owned());
    let parameters = call.parameters;
    let found = call.state.world.users.get_mut(&user).and_then(|user| user.tokens.get_mut(&name));
    let Some(token) = found else {
        return Err(no_such_token(call));
    };
    token.privsep = parameters.number("privsep").unwrap_or(token.privsep);
    token.expire = parameters.number("expire").unwrap_or(token.expire);
    token.comment = parameters.text("comment").map(str::to_owned).or(token.comment.take());
    let row = token_row(None, token);
    data(row)
}

fn delete_token(call: &mut Call<'_>) -> Answer {
    known_user(call)?;
    let (user, name, full) =
        (call.text("userid").to_owned(), call.text("tokenid").to_owned(), full_token(call));
    let removed = call.state.world.users.get_mut(&user).and_then(|user| user.tokens.remove(&name));
    if removed.is_none() {
        return Err(no_such_token(call));
    }
    call.state.world.acl.retain(|rule| rule.who != full);
    nothing()
}

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

fn list_roles(call: &mut Call<'_>) -> Answer {
    let custom = &call.state.world.roles;
    let built_in = BUILT_IN_ROLES.iter().map(|name| ((*name).to_owned(), 1));
    let own = custom.keys().map(|name| (name.clone(), 0));
    let row = |(name, special): (String, u8)| {
        let privileges: Vec<String> = privileges_of_role(&name, custom).into_iter().collect();
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
    Ok(privileges_of_role(name, &call.state.world.roles))
}

fn read_role(call: &mut Call<'_>) -> Answer {
    let held: Map<String, Value> = known_role(call, "")?.into_iter().map(|name| (name, 1.into())).collect();
    data(held)
}

fn given_privileges(call: &Call<'_>) -> Result<Role, Refusal> {
    let given = call.parameters.list("privs");
    match given.iter().find(|name| !is_privilege(name)) {
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
