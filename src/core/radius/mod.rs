//! Who and what else is hit: the blast radius of an action, from what was seen.

use jiff::Timestamp;

use crate::{api::Risk, catalog::Touch};

use super::{
    observe::{Seen, World},
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
    found.hits.sort_by(|a, b| (&a.subject, &a.effect).cmp(&(&b.subject, &b.effect)));
    found.hits.dedup_by(|a, b| (&a.subject, &a.effect) == (&b.subject, &b.effect));
    found.unknown.sort();
    found.unknown.dedup();
    found
}

fn look(_touch: Touch, _ask: Ask<'_>, _found: &mut Radius) {}

impl Radius {
    /// Adds one that is hit.
    pub(super) fn hit(&mut self, subject: impl ToString, effect: impl Into<String>) -> &mut Hit {
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
    pub(super) fn seen<'a, T>(&mut self, part: &'a Seen<T>) -> Option<&'a T> {
        self.unknown.extend(part.missing().map(str::to_owned));
        part.known()
    }
}

impl Hit {
    pub(super) fn detail(&mut self, detail: impl Into<String>) -> &mut Self {
        self.detail = detail.into();
        self
    }

    pub(super) fn raises(&mut self, risk: Risk) -> &mut Self {
        self.raises = Some(risk);
        self
    }
}
