//! Who and what else is hit: the blast radius of an action, from what was seen.

mod access;
mod backups;
mod clones;
#[cfg(test)]
mod cluster_tests;
mod disks;
mod firewall;
mod guards;
mod guest;
#[cfg(test)]
mod guest_tests;
mod ha;
mod interfaces;
mod jobs;
mod migration;
mod network;
mod nics;
mod node;
mod power;
#[cfg(test)]
mod property_tests;
mod stakes;
mod storage;
mod subject;
#[cfg(test)]
mod testing;
mod time;
mod uses;
mod volume;

use jiff::Timestamp;

use crate::{
    api::Risk,
    catalog::{Changes, Target, Touch},
};

use super::{
    observe::{Guest, Seen, World},
    request::Request,
};

/// Everything that an action would hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Radius {
    pub hits: Vec<Hit>,
    /// What could not be seen, and why: counts as the worst.
    pub unknown: Vec<String>,
}

/// One that is hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Who: `qemu/101`, `storage/local`, `ha-rule/keep-apart`, ...
    pub subject: String,
    /// What becomes of it, in words that stay the same as long as the fact does. Enters planHash.
    pub effect: String,
    /// What changes by itself: ages, sizes, free memory. Does not enter planHash.
    pub detail: String,
    /// The risk that this alone makes it.
    pub raises: Option<Risk>,
}

/// What an action is asked for, and what it meets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub request: &'a Request,
    pub world: &'a World,
    pub now: Timestamp,
}

/// Finds everyone who is hit, in an order that does not depend on the order in which it was seen.
pub fn radius(request: &Request, world: &World, now: Timestamp) -> Radius {
    let ask = Ask { request, world, now };
    let mut found = Radius::default();
    for touch in request.action.touches {
        look(*touch, ask, &mut found);
    }
    stakes::look(ask, &mut found);
    guards::look(ask, &mut found);
    found.in_order()
}

/// The guests that take memory of a node when it is done.
pub(super) fn starting<'a>(request: &Request, world: &'a World) -> Vec<&'a Guest> {
    let ask = Ask { request, world, now: Timestamp::UNIX_EPOCH };
    let touches = |touch| request.action.touches(touch);
    if touches(Touch::NodeGuests) || touches(Touch::NodeBoot) {
        return node::coming(ask, world.guests.known().map(Vec::as_slice).unwrap_or_default());
    }
    let comes = |guest: &&Guest| {
        (touches(Touch::Boot) && !guest.is_running()) || (touches(Touch::Migration) && guest.is_running())
    };
    world.guest().into_iter().filter(comes).collect()
}

fn look(touch: Touch, ask: Ask<'_>, found: &mut Radius) {
    match touch {
        Touch::Power => power::off(ask, found),
        Touch::Boot => power::on(ask, found),
        Touch::Guest => guest::look(ask, found),
        Touch::Snapshot => time::snapshot(ask, found),
        Touch::NewerData => time::newer_data(ask, found),
        Touch::Disks => disks::settings(ask, found),
        Touch::Nics => nics::look(ask, found),
        Touch::DiskPlace => disks::place(ask, found),
        Touch::Space => storage::space(ask, found),
        Touch::Migration => migration::look(ask, found),
        Touch::Template => disks::template(ask, found),
        Touch::Volume => volume::look(ask, found),
        Touch::Storage => storage::look(ask, found),
        Touch::Bridge => network::bridge(ask, found),
        Touch::NodeNetwork => network::apply(ask, found),
        Touch::Node => node::down(ask, found),
        Touch::NodeGuests | Touch::NodeBoot => node::guests(ask, found),
        Touch::Pool => access::pool(ask, found),
        Touch::HaResource => ha::resource(ask, found),
        Touch::HaRule => ha::rule(ask, found),
        Touch::HaOn => ha::armed(ask, found),
        Touch::HaOff => ha::disarmed(ask, found),
        Touch::Firewall => firewall::look(ask, found),
        Touch::BackupJob => jobs::backup(ask, found),
        Touch::Replication => jobs::replication(ask, found),
        Touch::Sdn => nics::sdn(ask, found),
    }
}

impl<'a> Ask<'a> {
    /// The target goes for good.
    fn is_gone(self) -> bool {
        self.request.action.changes() == Some(Changes::Gone)
    }

    /// The settings that `delete` names.
    fn removed(self) -> impl Iterator<Item = &'a str> {
        self.request.list("delete")
    }

    /// The node that it is about.
    fn node(self) -> Option<&'a str> {
        match (&self.request.target, self.world.guest()) {
            (Target::Node(node), _) => Some(node.as_str()),
            (_, Some(guest)) => Some(&guest.node),
            _ => self.request.text("node"),
        }
    }
}

impl Radius {
    /// The gravest first, because a preview has an end; each once, by its words.
    fn in_order(mut self) -> Self {
        self.hits.sort_by(|a, b| {
            a.words().cmp(&b.words()).then(b.raises.cmp(&a.raises)).then_with(|| a.detail.cmp(&b.detail))
        });
        self.hits.dedup_by(|a, b| a.words() == b.words());
        self.hits.sort_by(|a, b| b.raises.cmp(&a.raises).then(a.words().cmp(&b.words())));
        self.unknown.sort();
        self.unknown.dedup();
        self
    }

    /// Adds one that is hit.
    pub(super) fn hit(&mut self, subject: &(impl ToString + ?Sized), effect: impl Into<String>) -> &mut Hit {
        let at = self.hits.len();
        self.hits.push(Hit {
            subject: subject.to_string(),
            effect: effect.into(),
            detail: String::new(),
            raises: None,
        });
        &mut self.hits[at]
    }

    /// What was seen of a part; that it could not be seen is noted.
    pub(super) fn seen<'a, T: PartialEq>(&mut self, part: &'a Seen<T>) -> Option<&'a T> {
        self.unknown.extend(part.missing().map(str::to_owned));
        if *part == Seen::NotAsked {
            // What nobody looked at is not safe, whoever forgot to look.
            self.unknown.push("a part of the cluster that matters here was not looked at".to_owned());
        }
        part.known()
    }
}

impl Hit {
    fn words(&self) -> (&str, &str) {
        (&self.subject, &self.effect)
    }

    pub(super) fn detail(&mut self, detail: impl Into<String>) -> &mut Self {
        self.detail = detail.into();
        self
    }

    pub(super) fn raises(&mut self, risk: Risk) -> &mut Self {
        self.raises = Some(risk);
        self
    }
}
