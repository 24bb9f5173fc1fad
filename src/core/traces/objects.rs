//! What is no guest: storages and what lies on them, pools, jobs, rules, bridges, and what HA looks after.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    catalog::Target,
    core::{
        fingerprint::digest_of,
        observe::{Met, Seen, World},
    },
};

use super::{
    Announced,
    Traces::{self, Done, NotDone, Unclear},
    query::{query, sight},
    settings::unlike,
};

/// How much the clocks of a node and of a storage may differ.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(5);

type Settings = BTreeMap<String, String>;

/// What the call was about, as it is now; `None` if it is certainly not there.
pub(super) fn object<'a>(of: &Announced<'_>, world: &'a World) -> Result<Option<&'a Settings>, String> {
    match (of.request.action.domain, &of.request.target) {
        ("ha", Target::Guest(guest)) => {
            let Seen::Known(ha) = &world.ha else { return Err(unseen(&world.ha, "what HA looks after")) };
            let resource = ha.resources.iter().find(|resource| resource.sid == guest.sid());
            Ok(resource.map(|resource| &resource.settings))
        }
        ("network", _) => {
            let Seen::Known(network) = &world.network else {
                return Err(unseen(&world.network, "the network"));
            };
            let name = of.request.text("iface").unwrap_or_default();
            let bridge = network.interfaces.iter().find(|interface| interface.name == name);
            Ok(bridge.map(|bridge| &bridge.settings))
        }
        _ => met(of, world),
    }
}

fn unseen<T>(section: &Seen<T>, what: &str) -> String {
    section.missing().map_or_else(|| format!("{what} was not looked at"), str::to_owned)
}

fn met<'a>(of: &Announced<'_>, world: &'a World) -> Result<Option<&'a Settings>, String> {
    let target = query(of.request).target;
    match &world.target {
        Met::Object(object) => Ok(Some(&object.settings)),
        Met::Absent => match sight(&target) {
            Some((path, any_of)) if !any_of.iter().any(|right| world.rights.holds(&path, right)) => {
                Err(format!(
                    "{target} is not seen, which says nothing: the token lacks {} on {path}",
                    any_of.join(" or ")
                ))
            }
            _ => Ok(None),
        },
        Met::Guest(_) | Met::Nothing => Err(format!("{target} was not looked at")),
    }
}

pub(super) fn made(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let target = what(of);
    let Some(settings) = object(of, world)? else {
        return Ok(NotDone(format!("{target} is not there")));
    };
    let unlike = unlike(of.request, |name| settings.get(name).map(String::as_str));
    Ok(match unlike.is_empty() {
        true => Done(format!("{target} is there as asked for; who made it is not known")),
        false => Unclear(format!("{target} is there, but not by all it was to be: {}", unlike.join(", "))),
    })
}

pub(super) fn gone(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let target = what(of);
    let Some(settings) = object(of, world)? else { return Ok(Done(format!("{target} is gone"))) };
    if settings.contains_key("remove_job") {
        return Ok(Done(format!("{target} is marked for removal")));
    }
    let is_as_judged = match of.judged.fingerprint.get("settings") {
        Some(judged) => digest_of(settings).is_ok_and(|now| now == *judged),
        None => true,
    };
    Ok(match is_as_judged {
        true => NotDone(format!("{target} is still there")),
        false => {
            Unclear(format!("{target} is there, but it has changed: it may be another one of this name"))
        }
    })
}

pub(super) fn rule_added(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let Seen::Known(rules) = &world.firewall else { return Err(unseen(&world.firewall, "the firewall")) };
    let ours = rules.iter().find(|rule| of.is_marked(rule.settings.get("comment")));
    Ok(match ours {
        Some(rule) => Done(format!("the firewall rule at position {} has this plan's mark", rule.position)),
        None => NotDone("no firewall rule has this plan's mark".to_owned()),
    })
}

/// A file gets its name when it is there as a whole.
pub(super) fn downloaded(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    let target = query(of.request).target;
    let Some(settings) = met(of, world)? else { return Ok(NotDone(format!("{target} is not there"))) };
    let made_at = settings.get("ctime").and_then(|moment| moment.parse::<i64>().ok());
    let since = of.intent.node_time.0.as_second() - CLOCK_SLACK.as_secs();
    Ok(match made_at {
        Some(moment) if moment >= since => Done(format!("{target} is there, and was not before")),
        _ => Unclear(format!("{target} is there, but may have been before")),
    })
}

fn what(of: &Announced<'_>) -> String {
    match (of.request.action.domain, of.request.text("iface")) {
        ("network", Some(name)) => format!("{name} of {}", of.request.target),
        ("ha", _) if of.request.target.guest().is_some() => {
            format!("{} in the care of HA", of.request.target)
        }
        _ => of.request.target.to_string(),
    }
}
