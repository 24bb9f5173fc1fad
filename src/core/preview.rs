//! What a person needs to see before saying yes. Everything in it is bounded, and what did not fit is counted.

use std::collections::BTreeMap;

use crate::api::{BlastRadius, Preview, PreviewedCall, PreviewedChange, PreviewedHit, PrivilegeReport};

use super::{
    afterwards::afterwards,
    call::Dispatch,
    caution::warnings,
    diff::changes,
    observe::{Guest, World},
    radius::Radius,
    request::Request,
    undo::undo,
};

/// As many lines as a list of a status holds.
const LINES: usize = 16;
const CHANGES: usize = 32;
const HITS: usize = 64;
const TEXT: usize = 512;

pub(super) fn preview(
    request: &Request,
    world: &World,
    dispatch: Option<&Dispatch>,
    privileges: PrivilegeReport,
    radius: &Radius,
    by_policy: &[String],
) -> Preview {
    let mut cut = Cut(0);
    let changes = dispatch.map(|dispatch| changes(request, world, dispatch)).unwrap_or_default();
    Preview {
        summary: text(&summary(request, world)),
        calls: dispatch.map(call).into_iter().collect(),
        meets: meets(world),
        changes: cut.rows(changes, CHANGES).map(bounded_change).collect(),
        privileges: PrivilegeReport {
            needed: cut.lines(privileges.needed),
            beyond: cut.lines(privileges.beyond),
        },
        blast_radius: BlastRadius {
            unknown: cut.lines(radius.unknown.clone()),
            hits: radius.hits.iter().take(HITS).map(previewed_hit).collect(),
            omitted: u32::try_from(radius.hits.len().saturating_sub(HITS)).unwrap_or(u32::MAX),
        },
        afterwards: cut.lines(afterwards(request, world)),
        warnings: cut.lines(gathered(by_policy, warnings(request, world))),
        undo: {
            let mut undo = undo(request, world, dispatch);
            undo.how = text(&undo.how);
            undo
        },
        omitted: cut.0,
    }
}

/// What a policy warns of comes first. If that alone is more than fits, the last line counts it.
fn gathered(by_policy: &[String], mut others: Vec<String>) -> Vec<String> {
    let mut lines = by_policy.to_vec();
    if lines.len() > LINES {
        let cut = lines.len() - LINES + 1;
        lines.truncate(LINES - 1);
        lines.push(format!("and {cut} more warnings of the policy: see status.policy.decisions"));
    }
    lines.append(&mut others);
    lines
}

/// How many rows did not fit.
struct Cut(u32);

impl Cut {
    fn rows<T>(&mut self, rows: Vec<T>, max: usize) -> impl Iterator<Item = T> {
        self.0 += u32::try_from(rows.len().saturating_sub(max)).unwrap_or(u32::MAX);
        rows.into_iter().take(max)
    }

    fn lines(&mut self, lines: Vec<String>) -> Vec<String> {
        self.rows(lines, LINES).map(|line| text(&line)).collect()
    }
}

/// What is cut says so: nobody takes the beginning for the whole.
fn text(text: &str) -> String {
    let length = text.chars().count();
    if length <= TEXT {
        return text.to_owned();
    }
    let shown: String = text.chars().take(TEXT - 32).collect();
    format!("{shown}… and {} characters more", length - (TEXT - 32))
}

fn call(dispatch: &Dispatch) -> PreviewedCall {
    let call = &dispatch.call;
    let plain = call.params.iter().map(|(name, value)| (name.clone(), text(value)));
    let secret = call.secrets.iter().map(|(name, from)| (name.clone(), format!("(from secret {from})")));
    PreviewedCall {
        method: call.method.as_str().to_owned(),
        path: text(&call.path),
        params: plain.chain(secret).collect(),
    }
}

fn bounded_change(change: PreviewedChange) -> PreviewedChange {
    PreviewedChange {
        what: change.what.chars().take(128).collect(),
        from: change.from.map(|from| text(&from)),
        to: change.to.map(|to| text(&to)),
    }
}

fn previewed_hit(hit: &super::radius::Hit) -> PreviewedHit {
    PreviewedHit {
        subject: hit.subject.chars().take(253).collect(),
        effect: text(&hit.effect),
        detail: text(&hit.detail),
    }
}

fn summary(request: &Request, world: &World) -> String {
    let title = request.action.title;
    match world.guest() {
        Some(guest) => format!(
            "{title}: {} {} `{}` on {}, now {}",
            guest.reference.kind.noun(),
            guest.reference.vmid,
            guest.name,
            guest.node,
            guest.status
        ),
        None => format!("{title}: {}", request.target),
    }
}

fn meets(world: &World) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            facts.insert(name.to_owned(), text(&value));
        }
    };
    if let Some(guest) = world.guest() {
        met_guest(guest, &mut add);
    }
    if let Some(nodes) = world.nodes.known() {
        let online = nodes.nodes.iter().filter(|node| node.online).count();
        add("nodes", format!("{online} of {} online, {}", nodes.nodes.len(), quorum(nodes.quorate)));
    }
    facts
}

fn met_guest(guest: &Guest, add: &mut impl FnMut(&str, String)) {
    let status = match &guest.detail {
        Some(detail) => format!("{} ({detail})", guest.status),
        None => guest.status.clone(),
    };
    add("status", status);
    add("node", guest.node.clone());
    add("tags", guest.tags.join(", "));
    add("pool", guest.pool.clone().unwrap_or_default());
    add("lock", guest.lock.clone().unwrap_or_default());
    add("protected", if guest.protected { "yes".to_owned() } else { String::new() });
    add("template", if guest.template { "yes".to_owned() } else { String::new() });
    add("ha", if guest.ha_managed { "managed".to_owned() } else { String::new() });
    let disks: Vec<String> = guest
        .disks()
        .iter()
        .filter(|disk| !disk.is_cdrom)
        .map(|disk| format!("{}={}", disk.key, disk.volume))
        .collect();
    add("disks", disks.join(", "));
    let snapshots: Vec<&str> = guest.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
    add("snapshots", snapshots.join(", "));
    let waiting: Vec<&str> = guest.pending.keys().map(String::as_str).collect();
    add("waiting settings", waiting.join(", "));
}

fn quorum(quorate: bool) -> &'static str {
    if quorate { "quorate" } else { "no quorum" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_cut_says_how_much_is_missing() {
        assert_eq!(text(&"é".repeat(512)), "é".repeat(512));
        let cut = text(&"é".repeat(9000));
        assert!(cut.ends_with("… and 8520 characters more") && cut.chars().count() <= 512, "{cut}");
    }
}
