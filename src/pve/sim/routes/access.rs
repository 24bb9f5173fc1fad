//! Version, logging in, and one's own rights.
use serde_json::{Map, Value, json};

use super::{Route, data};
use crate::pve::sim::access::{Caller, CallerToken, Rights};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/version", version),
    ("GET", "/access/ticket", |_| super::nothing()),
    ("POST", "/access/ticket", log_in),
    ("GET", "/access/permissions", permissions),
];

fn version(call: &mut Call<'_>) -> Answer {
    let cluster = &call.state.world.cluster;
    let release: Vec<&str> = cluster.version.split('.').take(2).collect();
    data(json!({ "version": cluster.version, "release": release.join("."), "repoid": cluster.repoid }))
}

fn log_in(call: &mut Call<'_>) -> Answer {
    let mut user = call.text("username").to_owned();
    if let Some(realm) = call.parameters.text("realm") {
        user = format!("{user}@{realm}");
    }
    let password = call.text("password");
    let known = call.state.world.users.get(&user).filter(|known| known.enable == 1);
    if known.and_then(|known| known.password.as_deref()) != Some(password) {
        return Err(Refusal::LoginFailed);
    }
    let now = call.state.clock.seconds();
    let (ticket, csrf) = call.state.tickets.issue(&user, now);
    let caller = Caller { user: user.clone(), token: None };
    let mut answer = json!({
        "username": user,
        "ticket": ticket,
        "CSRFPreventionToken": csrf,
        "cap": capabilities(Rights::new(&call.state.world, &caller)),
    });
    if let Some(name) = &call.state.world.cluster.name {
        answer["clustername"] = name.as_str().into();
    }
    data(answer)
}

/// What the web interface greys out, by area.
fn capabilities(rights: Rights<'_>) -> Value {
    let areas: [(&str, &str, &[&str]); 7] = [
        ("vms", "/vms", &["VM."]),
        ("storage", "/storage", &["Datastore."]),
        ("nodes", "/nodes", &["Sys."]),
        ("access", "/access", &["User.", "Group."]),
        ("dc", "/", &["SDN.", "Sys.Audit", "Sys.Modify"]),
        ("sdn", "/sdn", &["SDN."]),
        ("mapping", "/mapping", &["Mapping."]),
    ];
    let area = |(name, path, families): (&str, &str, &[&str])| {
        let held = rights.on(path);
        let concerns = |privilege: &str| {
            let shared = privilege == "Permissions.Modify" && name != "dc";
            shared || families.iter().any(|family| privilege.starts_with(family))
        };
        let shown: Map<String, Value> = held
            .keys()
            .filter(|privilege| concerns(privilege))
            .map(|privilege| (privilege.clone(), 1.into()))
            .collect();
        (name.to_owned(), Value::Object(shown))
    };
    Value::Object(areas.into_iter().map(area).collect())
}

/// The paths that are always reported, besides those that some rule names.
const COMMON_PATHS: [&str; 8] =
    ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

fn permissions(call: &mut Call<'_>) -> Answer {
    let caller = permissions_of_whom(call)?;
    let world = &call.state.world;
    let rights = Rights::new(world, &caller);
    let paths: Vec<&str> = match call.parameters.text("path") {
        Some(path) => vec![path],
        None => COMMON_PATHS.into_iter().chain(world.acl.iter().map(|rule| rule.path.as_str())).collect(),
    };
    let mut answer = Map::new();
    for path in paths {
        let held: Map<String, Value> = rights
            .on(path)
            .into_iter()
            .map(|(privilege, propagates)| (privilege, u8::from(propagates).into()))
            .collect();
        if !held.is_empty() || call.parameters.has("path") {
            answer.insert(path.to_owned(), Value::Object(held));
        }
    }
    data(Value::Object(answer))
}

/// Everybody may look at their own rights, and users also at those of their tokens.
fn permissions_of_whom(call: &Call<'_>) -> Result<Caller, Refusal> {
    let Some(asked) = call.parameters.text("userid") else {
        return Ok(call.caller.clone());
    };
    let (user, token) = asked.split_once('!').map_or((asked, None), |(user, token)| (user, Some(token)));
    let own = asked == call.caller.id() || (call.caller.token.is_none() && user == call.caller.user);
    if !own {
        call.demand("/access", "Sys.Audit")?;
    }
    let known = call.state.world.users.get(user);
    let token = match (known, token) {
        (Some(known), Some(name)) => {
            let found = known
                .tokens
                .get(name)
                .ok_or_else(|| Refusal::Failed(format!("token '{asked}' does not exist")))?;
            Some(CallerToken { name: name.to_owned(), separated: found.privsep == 1 })
        }
        _ => None,
    };
    Ok(Caller { user: user.to_owned(), token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_of_the_capabilities_knows_root() {
        let world = crate::pve::sim::World::sample();
        let root = Caller { user: "root@pam".into(), token: None };
        let shown = capabilities(Rights::new(&world, &root));
        assert_eq!(shown["vms"]["VM.Config.Disk"], 1);
        assert_eq!(shown["dc"].as_object().unwrap().len(), 5);
    }
}
