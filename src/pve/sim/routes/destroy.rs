//! Deleting guests.
use super::Route;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::{Config, Guest, GuestType, Power};

pub(super) const ROUTES: &[Route] =
    &[("DELETE", "/nodes/{node}/qemu/{vmid}", delete), ("DELETE", "/nodes/{node}/lxc/{vmid}", delete)];

/// Where a world keeps replication jobs, whose ids begin with the guest's number.
const REPLICATION_JOBS: &str = "replicationJobs";

#[derive(Debug, Clone)]
struct Deletion {
    node: String,
    kind: GuestType,
    vmid: u32,
    /// Also from jobs and the HA manager.
    purge: bool,
    /// Running containers too.
    force: bool,
    skip_lock: bool,
    unreferenced: bool,
}

fn delete(call: &mut Call<'_>) -> Answer {
    let kind = call.guest_type();
    let deletion = Deletion {
        node: call.node().to_owned(),
        kind,
        vmid: call.vmid(),
        purge: call.parameters.flag("purge"),
        force: kind == GuestType::Lxc && call.parameters.flag("force"),
        skip_lock: call.parameters.flag("skiplock"),
        unreferenced: call.parameters.flag("destroy-unreferenced-disks"),
    };
    if deletion.skip_lock && !call.caller.is_root() {
        return Err(Refusal::parameter("skiplock", "Only root may use this option."));
    }
    demand_deletable(call.state, &deletion).map_err(Refusal::Failed)?;
    let task = if kind == GuestType::Qemu { "qmdestroy" } else { "vzdestroy" };
    let new = call.guest_task(task, move |run| work(run, &deletion));
    call.fork(new)
}

fn work(run: &mut Run<'_>, deletion: &Deletion) -> Result<(), String> {
    if !run.state.world.cluster.quorate {
        return Err("cluster not ready - no quorum?".to_owned());
    }
    // The guest may have changed since the request was judged.
    demand_deletable(run.state, deletion)?;
    let Deletion { node, kind, vmid, purge, skip_lock, .. } = deletion;
    let guest = run.state.guest(node, *kind, *vmid)?;
    // A suspended VM is as good as a stopped one here.
    if guest.text("lock") != Some("suspended") && !skip_lock {
        guest.demand_unlocked()?;
    }
    demand_no_linked_clones(run.state, guest)?;
    if guest.is_running() {
        run.say(format!("forced to stop CT {vmid} before destroying!"));
    }
    if *purge {
        run.say(format!("purging {} {vmid} from related configurations..", kind.short()));
    }
    remove(run.state, deletion);
    Ok(())
}

fn demand_deletable(state: &State, deletion: &Deletion) -> Result<(), String> {
    let Deletion { node, kind, vmid, purge, force, .. } = deletion;
    let guest = state.guest(node, *kind, *vmid)?;
    let short = kind.short();
    if guest.flag("protection") {
        return Err(format!("can't remove {short} {vmid} - protection mode enabled"));
    }
    if *kind == GuestType::Lxc {
        guest.demand_unlocked()?;
    }
    if state.world.ha.contains_key(&format!("{}:{vmid}", kind.ha_prefix())) && !purge {
        return Err(format!(
            "unable to remove {short} {vmid} - used in HA resources and purge parameter not set."
        ));
    }
    if let Some(job) = replication_job(state, *vmid).filter(|_| !purge) {
        return Err(format!(
            "There is a replication job '{job}' for guest '{vmid}' - Please remove that first."
        ));
    }
    if guest.status != Power::Stopped && !force {
        return Err(match kind {
            GuestType::Qemu => format!("VM {vmid} is running - destroy failed"),
            GuestType::Lxc => format!("unable to destroy CT {vmid} - container is running"),
        });
    }
    Ok(())
}

fn replication_job(state: &State, vmid: u32) -> Option<&str> {
    let jobs = state.world.definitions.get(REPLICATION_JOBS)?;
    jobs.keys().find(|id| is_job_of(id, vmid)).map(String::as_str)
}

fn is_job_of(id: &str, vmid: u32) -> bool {
    id.split('-').next() == Some(&vmid.to_string())
}

fn demand_no_linked_clones(state: &State, guest: &Guest) -> Result<(), String> {
    for (_, volid) in disks::referenced_volumes(&guest.config) {
        if disks::is_base(&volid) && disks::is_base_in_use(state, &volid) {
            return Err(format!("base volume '{volid}' is still in use by linked cloned"));
        }
    }
    Ok(())
}

/// With the guest go its disks, its access rules and its place in pools.
fn remove(state: &mut State, deletion: &Deletion) {
    let Deletion { node, kind, vmid, purge, unreferenced, .. } = deletion;
    if let Some(guest) = state.world.guests.get(vmid) {
        for volid in own_disks(guest, *vmid) {
            disks::free(state, node, &volid);
        }
    }
    if *unreferenced {
        disks::free_all_of(state, node, *vmid);
    }
    super::create::abandon(state, *vmid);
    state.world.acl.retain(|rule| rule.path != format!("/vms/{vmid}"));
    if *purge {
        state.world.ha.remove(&format!("{}:{vmid}", kind.ha_prefix()));
        if let Some(jobs) = state.world.definitions.get_mut(REPLICATION_JOBS) {
            jobs.retain(|id, _| !is_job_of(id, *vmid));
        }
        for job in
            state.world.definitions.get_mut("backupJobs").into_iter().flat_map(|jobs| jobs.values_mut())
        {
            leave_job(job, *vmid);
        }
    }
}

/// The disks that a guest names and owns; those of others, and those that it doesn't name, stay.
fn own_disks(guest: &Guest, vmid: u32) -> Vec<String> {
    let states = guest.snapshots.values().filter_map(|snapshot| snapshot.config.get("vmstate"));
    let states = states.chain(guest.config.get("vmstate")).filter_map(|state| state.as_str());
    let named = [&guest.config, &guest.pending].into_iter().flat_map(disks::referenced_volumes);
    let named = named.map(|(_, volid)| volid).chain(states.map(str::to_owned));
    named.filter(|volid| disks::owner_of(volid) == Some(vmid)).collect()
}

fn leave_job(job: &mut Config, vmid: u32) {
    if let Some(guests) = job.get("vmid").and_then(serde_json::Value::as_str) {
        let others: Vec<&str> = guests.split(',').filter(|guest| *guest != vmid.to_string()).collect();
        let others = others.join(",");
        job.insert("vmid".to_owned(), others.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_owns_what_it_names_by_its_own_number() {
        let drive = |text: &str| serde_json::Value::from(text);
        let config = Config::from([
            ("scsi0".to_owned(), drive("tank:100/vm-100-disk-0.raw,size=1G")),
            ("scsi1".to_owned(), drive("tank:101/vm-101-disk-0.raw,size=1G")),
            ("unused0".to_owned(), drive("tank:100/vm-100-disk-1.raw")),
            ("ide2".to_owned(), drive("tank:iso/a.iso,media=cdrom")),
        ]);
        let own = own_disks(&Guest::new(GuestType::Qemu, "pve1", config), 100);
        assert_eq!(own, ["tank:100/vm-100-disk-0.raw", "tank:100/vm-100-disk-1.raw"]);
    }

    #[test]
    fn a_guest_leaves_the_jobs_that_name_it() {
        let mut job = Config::from([("vmid".to_owned(), "100,101".into())]);
        leave_job(&mut job, 100);
        assert_eq!(job["vmid"], "101");
    }
}
