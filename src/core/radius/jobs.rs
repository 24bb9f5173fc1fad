//! Jobs that save guests: backups, and copies on other nodes.

use crate::{
    api::Risk,
    catalog::{GuestRef, ParamValue, Target, Vmid, split_list},
    core::observe::{BackupJob, Guest, Storage, Volume},
};

use super::{
    Ask, Radius,
    backups::{backups_of, told},
    subject::numbered,
};

pub(super) fn backup(ask: Ask<'_>, found: &mut Radius) {
    let jobs = found.seen(&ask.world.backup_jobs).map(Vec::as_slice).unwrap_or_default();
    let guests = found.seen(&ask.world.guests).map(Vec::as_slice).unwrap_or_default();
    let volumes = found.seen(&ask.world.volumes);
    let storages = found.seen(&ask.world.storages);
    let Target::BackupJob(id) = &ask.request.target else { return };
    if let Some((storages, storage)) = storages.zip(ask.request.text("storage")) {
        takes_backups(storages, storage, found);
    }
    let Some(job) = jobs.iter().find(|job| job.id == id.as_str() && job.enabled) else { return };
    if let Some(prune) = ask.request.text("pruneBackups") {
        let effect = format!("keeps only {prune} and removes what is older");
        found.hit(&format!("backup-job/{id}"), effect).raises(Risk::High);
    }
    for vmid in job.guests.iter().filter(|vmid| loses(ask, **vmid)) {
        unsaved(ask, *vmid, job, jobs, guests, volumes, found);
    }
}

fn takes_backups(storages: &[Storage], storage: &str, found: &mut Radius) {
    let known = storages.iter().find(|known| known.id == storage);
    if !known.is_some_and(|known| known.content.iter().any(|content| content == "backup")) {
        found.hit(&format!("storage/{storage}"), "takes no backups").raises(Risk::High);
    }
}

/// Whether the job saves this guest no longer. Where a new choice can't be worked out from here, it may be any.
fn loses(ask: Ask<'_>, vmid: Vmid) -> bool {
    let request = ask.request;
    let lists = |name: &str| {
        let list = request.text(name)?;
        Some(split_list(list).any(|one| one == vmid.to_string()))
    };
    let is_off = request.params.get("enabled") == Some(&ParamValue::Bool(false));
    let chosen_anew = ["pool", "onlyOnNode"].iter().any(|name| request.params.contains_key(*name))
        || request.params.get("all") == Some(&ParamValue::Bool(false))
        || ask.removed().any(|name| ["all", "vmid", "pool"].contains(&name));
    ask.is_gone()
        || is_off
        || lists("exclude") == Some(true)
        || lists("guests").map_or(chosen_anew, |listed| !listed)
}

fn unsaved(
    ask: Ask<'_>,
    vmid: Vmid,
    job: &BackupJob,
    jobs: &[BackupJob],
    guests: &[Guest],
    volumes: Option<&Vec<Volume>>,
    found: &mut Radius,
) {
    let subject = numbered(vmid, guests);
    let others = jobs.iter().filter(|other| other.id != job.id && other.enabled);
    if others.into_iter().any(|other| other.guests.contains(&vmid)) {
        found.hit(&subject, "is saved by other jobs only");
        return;
    }
    let backups = volumes.map(|volumes| backups_of(vmid, volumes));
    match backups {
        Some(backups) if backups.is_empty() => {
            found.hit(&subject, "is saved by no job any more, and has no backup").raises(Risk::Critical);
        }
        backups => {
            let detail = backups.map(|backups| told(&backups, ask.now)).unwrap_or_default();
            found.hit(&subject, "is saved by no job any more").detail(detail).raises(Risk::High);
        }
    }
}

pub(super) fn replication(ask: Ask<'_>, found: &mut Radius) {
    let jobs = found.seen(&ask.world.replication).map(Vec::as_slice).unwrap_or_default();
    let ha = found.seen(&ask.world.ha);
    let Target::Replication(id) = &ask.request.target else { return };
    let Some(job) = jobs.iter().find(|job| job.id == id.as_str()).filter(|_| ask.is_gone()) else { return };
    let Some(vmid) = job.guest else { return };
    let resources = ha.map(|ha| ha.resources.as_slice()).unwrap_or_default();
    let managed = resources
        .iter()
        .filter_map(|resource| GuestRef::of_sid(&resource.sid))
        .find(|guest| guest.vmid == vmid);
    let subject = managed.map_or_else(|| format!("guest/{vmid}"), |guest| guest.to_string());
    let failed =
        if job.failures > 0 { format!("it failed {} times in a row", job.failures) } else { String::new() };
    found.hit(&subject, format!("has no copy on {} any more", job.target)).detail(failed).raises(Risk::High);
    if let Some(guest) = managed {
        let effect = format!("can't be started on {} by HA, which keeps it as {}", job.target, guest.sid());
        found.hit(&subject, effect).raises(Risk::Critical);
    }
}
