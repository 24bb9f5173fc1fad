//! API tokens of users.
use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{Token, User};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/access/users/{userid}/token", list_tokens),
    ("GET", "/access/users/{userid}/token/{tokenid}", read_token),
    ("POST", "/access/users/{userid}/token/{tokenid}", create_token),
    ("PUT", "/access/users/{userid}/token/{tokenid}", update_token),
    ("DELETE", "/access/users/{userid}/token/{tokenid}", delete_token),
];

pub(super) fn token_row(name: Option<&str>, token: &Token) -> Value {
    let mut row = json!({ "privsep": token.privsep, "expire": token.expire });
    if let Some(name) = name {
        row["tokenid"] = name.into();
    }
    if let Some(comment) = &token.comment {
        row["comment"] = comment.as_str().into();
    }
    row
}

pub(super) fn known_user<'a>(call: &'a Call<'_>) -> Result<&'a User, Refusal> {
    let name = call.text("userid");
    call.state.world.users.get(name).ok_or_else(|| Refusal::Failed(format!("no such user ('{name}')")))
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
