//! Whether settings have the values that were sent.

use std::collections::BTreeMap;

use crate::{
    catalog::{Changes, ParamValue, Target, split_list},
    core::{
        call::{secrets, wire_params},
        diff::NOT_SETTINGS,
        measure::bytes,
        observe::{Guest, Seen, World},
        request::Request,
    },
};

use super::{
    Announced,
    Traces::{self, Done, NotDone, Unclear},
    guests, objects,
};

/// How it is done, or what it is done to: nothing that could be read again.
const MANNERS: [&str; 2] = ["force", "iface"];
/// Words that Proxmox keeps as they are given.
const WRITTEN_AS_SENT: [&str; 8] =
    ["name", "hostname", "description", "tags", "ostype", "arch", "bios", "scsihw"];

pub(super) fn changed(of: &Announced<'_>, world: &World) -> Result<Traces, String> {
    match (&of.request.target, of.request.action.changes()) {
        (_, Some(Changes::DiskSize)) => resized(of, guests::target(of, world)?),
        (Target::Pool(pool), _) => regrouped(of, world, pool.as_str()),
        (Target::Guest(_), _) if of.request.action.domain != "ha" => set(of, guests::target(of, world)?),
        _ => {
            let settings = objects::object(of, world)?.ok_or("it is not there any more")?;
            Ok(verdict(&unlike(of.request, |name| settings.get(name).map(String::as_str))))
        }
    }
}

fn verdict(unlike: &[String]) -> Traces {
    match unlike.is_empty() {
        true => Done("its settings are what was asked for".to_owned()),
        false => Unclear(format!("not all of its settings are what was asked for: {}", unlike.join(", "))),
    }
}

/// Proxmox compares the digest that was sent, so settings that are still the same to the letter were not changed by the
/// call, if it would have changed anything.
fn set(of: &Announced<'_>, guest: &Guest) -> Result<Traces, String> {
    let now = |name: &str| match guest.pending.get(name) {
        Some(waiting) => waiting.as_deref(),
        None => guest.config.get(name).map(String::as_str),
    };
    let mut unlike = unlike(of.request, now);
    let waiting: Vec<String> = still_waiting(of.request, guest).collect();
    if of.sent("digest") != Some(guest.config_digest.as_str()) {
        unlike.extend(waiting);
        return Ok(verdict(&unlike));
    }
    let as_they_were = format!("the settings of {} are to the letter as they were", guest.reference);
    Ok(match (changes_for_sure(of.request, now) || !waiting.is_empty(), has_all(of.request, now)) {
        (true, _) => NotDone(as_they_were),
        (false, true) => Done("its settings were and are what was asked for".to_owned()),
        (false, false) => {
            Unclear(format!("{as_they_were}, and may be so after the call too: {}", unlike.join(", ")))
        }
    })
}

/// Whether each setting is there as it was sent, to the letter.
fn has_all<'a>(request: &Request, now: impl Fn(&str) -> Option<&'a str>) -> bool {
    let kind = request.target.guest().map(|guest| guest.kind);
    let sent = wire_params(request, kind);
    let is_there = |(name, value): (&String, &String)| now(name) == Some(value.as_str());
    secrets(request, kind).is_empty() && sent.iter().filter(is_setting).all(is_there)
}

fn is_setting((name, _): &(&String, &String)) -> bool {
    !NOT_SETTINGS.contains(&name.as_str()) && !MANNERS.contains(&name.as_str())
}

/// Waiting changes that were to be dropped.
fn still_waiting(request: &Request, guest: &Guest) -> impl Iterator<Item = String> {
    let reverted = request.text("revert").unwrap_or_default();
    split_list(reverted).filter(|name| guest.pending.contains_key(*name)).map(|name| format!("{name} waits"))
}

/// What is not as it was to be, in words. What can't be compared is not.
pub(super) fn unlike<'a>(request: &Request, now: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let kind = request.target.guest().map(|guest| guest.kind);
    let sent = wire_params(request, kind);
    let is_like = |name: &str, sent: &str| now(name).is_some_and(|now| like(name, sent, now));
    let other = sent
        .iter()
        .filter(is_setting)
        .filter(|(name, value)| !is_like(name, value))
        .map(|(name, _)| name.clone());
    let there = removed(request).filter(|name| now(name).is_some()).map(|name| format!("{name} is there"));
    let hidden = secrets(request, kind).into_keys().map(|name| format!("{name} can't be compared"));
    other.chain(there).chain(hidden).collect()
}

fn removed(request: &Request) -> impl Iterator<Item = &str> {
    split_list(request.text("delete").unwrap_or_default())
}

/// Whether the call makes other settings of these in any case, in spite of all that Proxmox writes in its own way.
fn changes_for_sure<'a>(request: &Request, now: impl Fn(&str) -> Option<&'a str>) -> bool {
    let kind = request.target.guest().map(|guest| guest.kind);
    let differs = |(name, sent): (&String, &String)| match now(name) {
        None => !sent.is_empty(),
        Some(now) => match (number(sent), number(now)) {
            (Some(sent), Some(now)) => sent != now,
            _ => WRITTEN_AS_SENT.contains(&name.as_str()) && !like(name, sent, now),
        },
    };
    let sent = wire_params(request, kind);
    sent.iter().filter(is_setting).any(differs) || removed(request).any(|name| now(name).is_some())
}

fn number(text: &str) -> Option<i64> {
    text.trim_start_matches("current=").parse().ok()
}

/// Whether Proxmox may have written the one as the other: lists in another order, and what it adds by itself.
fn like(name: &str, sent: &str, now: &str) -> bool {
    if name == "description" || name.starts_with("comment") {
        return sent.trim_end() == now.trim_end();
    }
    if let (Some(sent), Some(now)) = (number(sent), number(now)) {
        return sent == now;
    }
    let case = |text: &str| if name == "tags" { text.to_lowercase() } else { text.to_owned() };
    let (sent, now) = (case(sent), case(now));
    let (sent, now): (Vec<&str>, Vec<&str>) = (split_list(&sent).collect(), split_list(&now).collect());
    let names = |item: &str| sent.iter().any(|sent| sent.split('=').next() == item.split('=').next());
    let is_added = |item: &str| match item.split_once('=') {
        Some((key, value)) if is_mac(value) => sent.contains(&key) || !names(item),
        Some(("size" | "type", _)) => !names(item),
        _ => false,
    };
    let is_kept = |item: &str| {
        now.contains(&item)
            || now
                .iter()
                .any(|now| now.split_once('=').is_some_and(|(key, value)| key == item && is_mac(value)))
    };
    sent.iter().all(|item| is_kept(item)) && now.iter().all(|item| sent.contains(item) || is_added(item))
}

fn is_mac(text: &str) -> bool {
    text.len() == 17 && text.split(':').count() == 6
}

fn resized(of: &Announced<'_>, guest: &Guest) -> Result<Traces, String> {
    let name = of.request.text("disk").unwrap_or_default();
    let disk = guest.disks().into_iter().find(|disk| disk.key == name);
    let is =
        disk.and_then(|disk| bytes(&disk.size?)).ok_or_else(|| format!("the size of {name} is not told"))?;
    let asked = of.request.text("size").unwrap_or_default();
    let goal = match asked.strip_prefix('+') {
        None => bytes(asked),
        Some(more) => was(of, name).zip(bytes(more)).and_then(|(was, more)| was.checked_add(more)),
    };
    let goal = goal.ok_or_else(|| format!("how large {name} was is not on record"))?;
    Ok(match is == goal {
        true => Done(format!("{name} has the size that was asked for")),
        false => Unclear(format!("{name} has not the size that was asked for")),
    })
}

/// How large the disk was when the call was made.
fn was(of: &Announced<'_>, disk: &str) -> Option<u64> {
    let change = of.judged.preview.changes.iter().find(|change| change.what == disk)?;
    bytes(change.from.as_deref()?)
}

fn regrouped(of: &Announced<'_>, world: &World, id: &str) -> Result<Traces, String> {
    let Seen::Known(pools) = &world.pools else {
        return Err(world.pools.missing().unwrap_or("the pools were not looked at").to_owned());
    };
    let pool = pools.iter().find(|pool| pool.id == id).ok_or("it is not there any more")?;
    let list = |name| split_list(of.request.text(name).unwrap_or_default()).map(str::to_owned);
    let is_taken_out = of.request.params.get("delete") == Some(&ParamValue::Bool(true));
    let guests = pool.guests.iter().map(ToString::to_string).collect::<Vec<_>>();
    let members = BTreeMap::from([("guests", &guests), ("storage", &pool.storages)]);
    let mut unlike: Vec<String> = Vec::new();
    for (param, members) in members {
        unlike.extend(list(param).filter(|member| members.contains(member) == is_taken_out));
    }
    if of.request.text("comment").is_some_and(|comment| comment != pool.comment) {
        unlike.push("comment".to_owned());
    }
    Ok(verdict(&unlike))
}
