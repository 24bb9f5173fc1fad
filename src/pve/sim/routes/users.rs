//! Users.
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::tokens::{known_user, token_row};
use super::{Route, data, nothing};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::User;

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
