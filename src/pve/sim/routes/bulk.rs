//! Many guests at once: one task that starts another for each guest, and succeeds whatever becomes of those.
use std::time::Duration;

use tokio::time::Instant;

use super::{Route, Routes};
use crate::pve::sim::contract::{Given, Parameters};
use crate::pve::sim::engine::{Call, NewTask};
use crate::pve::sim::http::{Answer, Refusal, Reply, refuse};
use crate::pve::sim::world::{Guest, GuestType};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/startall", start_all),
    ("POST", "/nodes/{node}/stopall", stop_all),
    ("POST", "/nodes/{node}/suspendall", suspend_all),
    ("POST", "/nodes/{node}/migrateall", migrate_all),
    ("POST", "/cluster/bulk-action/guest/start", |call| start(call, "bulk-start")),
    ("POST", "/cluster/bulk-action/guest/shutdown", |call| shut_down(call, "bulk-shutdown", "force-stop")),
    ("POST", "/cluster/bulk-action/guest/suspend", |call| suspend(call, "bulk-suspend")),
    ("POST", "/cluster/bulk-action/guest/migrate", |call| migrate(call, "bulk-migrate")),
];

/// What is asked of each guest: the verb below its path, with its parameters.
type Wish = (&'static str, Vec<(&'static str, String)>);

fn start_all(call: &mut Call<'_>) -> Answer {
    start(call, "startall")
}

fn stop_all(call: &mut Call<'_>) -> Answer {
    shut_down(call, "stopall", "force-stop")
}

fn suspend_all(call: &mut Call<'_>) -> Answer {
    suspend(call, "suspendall")
}

/// Guests that are not named take part only if they start at boot, unless it is forced.
fn start(call: &mut Call<'_>, kind: &'static str) -> Answer {
    demand_rights(call, "VM.PowerMgmt")?;
    let all = call.parameters.flag("force") || call.parameters.has("vms") || kind == "bulk-start";
    let guests =
        chosen(call, |guest| !guest.is_running() && !guest.is_template() && (all || guest.flag("onboot")));
    for_each(call, kind, guests, |_| ("status/start", vec![]))
}

fn shut_down(call: &mut Call<'_>, kind: &'static str, force: &str) -> Answer {
    demand_rights(call, "VM.PowerMgmt")?;
    let guests = chosen(call, Guest::is_running);
    let forced = call.parameters.text(force).unwrap_or("1").to_owned();
    let timeout = call.parameters.text("timeout").unwrap_or("180").to_owned();
    for_each(call, kind, guests, move |_| {
        ("status/shutdown", vec![("forceStop", forced.clone()), ("timeout", timeout.clone())])
    })
}

/// Containers can't be suspended and are left out.
fn suspend(call: &mut Call<'_>, kind: &'static str) -> Answer {
    demand_rights(call, "VM.PowerMgmt")?;
    let guests = chosen(call, |guest| guest.is_running() && guest.kind == GuestType::Qemu);
    let to_disk = if kind == "suspendall" { "1" } else { call.parameters.text("to-disk").unwrap_or("0") };
    let to_disk = to_disk.to_owned();
    for_each(call, kind, guests, move |_| ("status/suspend", vec![("todisk", to_disk.clone())]))
}

fn migrate_all(call: &mut Call<'_>) -> Answer {
    demand_rights(call, "VM.Migrate")?;
    if call.text("target") == call.node() {
        return Err(Refusal::parameter("target", "target is local node."));
    }
    let limited = ["max-workers", "maxworkers"].iter().any(|name| call.parameters.has(name));
    if !limited && !call.state.world.cluster.options.contains_key("max_workers") {
        return refuse("either 'max-workers' parameter or max_workers in datacenter.cfg must be set!");
    }
    migrate(call, "migrateall")
}

fn migrate(call: &mut Call<'_>, kind: &'static str) -> Answer {
    demand_rights(call, "VM.Migrate")?;
    let target = call.text("target").to_owned();
    if !call.state.world.nodes.contains_key(&target) {
        return refuse(format!("no such cluster node '{target}'"));
    }
    call.state.demand_quorum()?;
    let guests = chosen(call, |guest| guest.node != target);
    let disks = call.parameters.text("with-local-disks").map(str::to_owned);
    for_each(call, kind, guests, move |guest| {
        let mut given = vec![("target", target.clone())];
        match guest.kind {
            GuestType::Qemu => {
                given.push(("online", u8::from(guest.is_running()).to_string()));
                given.extend(disks.clone().map(|disks| ("with-local-disks", disks)));
            }
            GuestType::Lxc => given.push(("restart", "1".to_owned())),
        }
        ("migrate", given)
    })
}

/// The right on everything, or on every guest that is named.
fn demand_rights(call: &Call<'_>, privilege: &str) -> Result<(), Refusal> {
    if call.has("/", privilege) {
        return Ok(());
    }
    let named = call.parameters.list("vms");
    if named.is_empty() {
        return Err(Refusal::privilege("/", privilege));
    }
    named.iter().try_for_each(|vmid| call.demand(&format!("/vms/{vmid}"), privilege))
}

fn chosen(call: &Call<'_>, takes_part: impl Fn(&Guest) -> bool) -> Vec<u32> {
    let named = call.parameters.list("vms");
    let guests = call.state.world.guests.iter().filter(|(vmid, guest)| {
        let here = call.parameters.text("node").is_none_or(|node| node == guest.node);
        here && takes_part(guest) && (named.is_empty() || named.contains(&vmid.to_string()))
    });
    guests.map(|(vmid, _)| *vmid).collect()
}

/// Every guest's own task begins at once; the one above them ends when the last of them does.
fn for_each(
    call: &mut Call<'_>,
    kind: &'static str,
    guests: Vec<u32>,
    wish: impl Fn(&Guest) -> Wish,
) -> Answer {
    let mut log = Vec::new();
    let mut ends = Instant::now();
    for vmid in guests {
        let Some(guest) = call.state.world.guests.get(&vmid).cloned() else { continue };
        let (verb, given) = wish(&guest);
        log.push(format!("{verb} {} {vmid}", guest.kind.short()));
        match ask(call, vmid, &guest, verb, given) {
            Ok(upid) => {
                let child = call.state.tasks.iter().find(|task| task.upid.to_string() == upid);
                ends = child.map_or(ends, |child| child.ends.max(ends));
            }
            Err(problem) => log.push(problem),
        }
    }
    let node = call.parameters.text("node").unwrap_or(call.state.local_node()).to_owned();
    let new = NewTask::other(&node, kind, String::new(), &call.caller.id(), move |run| {
        run.log.extend(log);
        Ok(())
    });
    let time = ends.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
    call.fork(new.taking(time))
}

/// Asks for an action on one guest as the caller would, and answers with its task.
fn ask(
    call: &mut Call<'_>,
    vmid: u32,
    guest: &Guest,
    verb: &str,
    given: Vec<(&'static str, String)>,
) -> Result<String, String> {
    let path = format!("nodes/{}/{}/{vmid}/{verb}", guest.node, guest.kind.name());
    let segments: Vec<&str> = path.split('/').collect();
    let contract = call.state.contract;
    let found = contract.find("POST", &segments).and_then(|found| {
        let handler = Routes::all().find(found.operation)?;
        Some((found, handler))
    });
    let (matched, handler) = found.ok_or_else(|| format!("Method 'POST /{path}' not implemented"))?;
    let mut parameters = Parameters::default();
    let bound = matched.bound.into_iter();
    let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
    bound.chain(given).for_each(|(name, value)| parameters.set(&name, Given::Text(value)));
    let mut child = Call {
        state: call.state,
        caller: call.caller,
        parameters: &parameters,
        operation: matched.operation,
    };
    match handler(&mut child) {
        Ok(Reply::Task(upid)) => Ok(upid),
        Ok(_) => Ok(String::new()),
        Err(refusal) => Err(refusal.message()),
    }
}
