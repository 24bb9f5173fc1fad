//! What lies on storages: listing, making, removing.
use std::time::Duration;

use serde_json::{Value, json};

use super::volume_access::demand_access;
use super::{Route, data, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, Reply, refuse};
use crate::pve::sim::world::{Storage, Volume};

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/storage/{storage}/content", list),
    ("POST", "/nodes/{node}/storage/{storage}/content", allocate),
    ("GET", "/nodes/{node}/storage/{storage}/content/{volume}", attributes),
    ("PUT", "/nodes/{node}/storage/{storage}/content/{volume}", update),
    ("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", delete),
];

/// What a storage tells of a volume depends on its type.
fn row(storage: &Storage, volume: &Volume) -> Value {
    let mut row = json!({
        "volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size,
    });
    let is_disk = matches!(volume.content.as_str(), "images" | "rootdir");
    match storage.kind() {
        "lvm" | "lvmthin" if is_disk => row["ctime"] = volume.ctime.into(),
        "rbd" | "zfspool" if is_disk => {
            row["name"] = volume.volid.rsplit([':', '/']).next().into();
            row["parent"] = origin(volume).map(|base| format!("{base}@__base__")).into();
        }
        _ => {
            row["ctime"] = volume.ctime.into();
            if is_disk {
                row["used"] = volume.used.unwrap_or(volume.size).into();
                row["parent"] = origin(volume).map(|base| format!("../{base}")).into();
            }
        }
    }
    if let Some(vmid) = volume.vmid {
        row["vmid"] = vmid.into();
    }
    if let Some(notes) = &volume.notes {
        row["notes"] = notes.as_str().into();
    }
    if volume.protected {
        row["protected"] = 1.into();
    }
    row
}

/// The base of a linked volume, as the storage itself calls it.
fn origin(volume: &Volume) -> Option<String> {
    let base = disks::base_of(&volume.volid).or_else(|| volume.parent.clone())?;
    base.split_once(':').map(|(_, name)| name.to_owned())
}

fn list(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node(), call.text("storage"));
    let storage = disks::available(call.state, node, name).map_err(Refusal::Failed)?;
    let vmid = call.parameters.number::<u32>("vmid");
    let content = call.parameters.text("content");
    let wanted = |volume: &&Volume| {
        let here = volume.node.as_deref().is_none_or(|home| home == node);
        let fits = content.is_none_or(|content| content == volume.content)
            && (vmid.is_none() || vmid == volume.vmid);
        here && fits && demand_access(call, None, &volume.volid).is_ok()
    };
    let mut rows: Vec<Value> =
        storage.volumes.iter().filter(wanted).map(|volume| row(storage, volume)).collect();
    rows.sort_by_key(|row| row["volid"].to_string());
    data(rows)
}

fn allocate(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node().to_owned(), call.text("storage").to_owned());
    let (vmid, file) = (call.vmid(), call.text("filename").to_owned());
    let storage = disks::available(call.state, &node, &name).map_err(Refusal::Failed)?;
    let suffix = file.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
    let volid = if suffix.is_some() { format!("{name}:{vmid}/{file}") } else { format!("{name}:{file}") };
    if disks::find(call.state, &node, &volid).is_some() {
        return refuse(format!("disk image '{}' already exists", disks::volume_path(storage, &volid)));
    }
    let size = call.text("size");
    // A bare number counts KiB here, unlike everywhere else.
    let bytes =
        size.parse::<u64>().map(|kib| kib << 10).ok().or_else(|| disks::parse_size(size)).unwrap_or_default();
    let home = (!storage.is_shared()).then(|| node.clone());
    let format =
        call.parameters.text("format").map(str::to_owned).or(suffix).unwrap_or_else(|| "raw".to_owned());
    let used = if format == "qcow2" { 331_776 } else { 4096 };
    let ctime = call.state.clock.seconds();
    let volume = Volume {
        volid: volid.clone(),
        content: "images".to_owned(),
        format,
        size: bytes,
        node: home,
        used: Some(used),
        ctime,
        vmid: Some(vmid),
        ..Volume::default()
    };
    add(call.state, &name, volume);
    data(volid)
}

pub(super) fn add(state: &mut State, storage: &str, volume: Volume) {
    if let Some(storage) = state.world.storages.get_mut(storage) {
        storage.volumes.retain(|present| present.volid != volume.volid);
        storage.volumes.push(volume);
    }
}

/// The path names a volume with or without its storage. `Err` if it names none.
fn volume_id(call: &Call<'_>) -> Result<String, Refusal> {
    let (storage, volume) = (call.text("storage"), call.text("volume"));
    let volid = if volume.contains(':') { volume.to_owned() } else { format!("{storage}:{volume}") };
    let name = volid.split_once(':').map_or("", |(_, name)| name);
    let storage_name = volid.split(':').next().unwrap_or_default();
    let found = disks::available(call.state, call.node(), storage_name).map_err(Refusal::Failed)?;
    let folder = name.split('/').next().unwrap_or_default();
    let in_folder =
        folder.parse::<u32>().is_ok() || ["iso", "vztmpl", "backup", "import", "snippets"].contains(&folder);
    if disks::volume_path(found, &volid).starts_with("/dev/") || (in_folder && name.contains('/')) {
        return Ok(volid);
    }
    refuse(format!("unable to parse directory volume name '{name}'"))
}

fn attributes(call: &mut Call<'_>) -> Answer {
    let volid = volume_id(call)?;
    demand_access(call, None, &volid)?;
    let Some(volume) = disks::find(call.state, call.node(), &volid) else {
        return refuse(format!("volume_size_info on '{volid}' failed - no format"));
    };
    let path = disks::path_of(call.state, &volid);
    let mut row = json!({
        "path": path, "size": volume.size, "used": volume.used.unwrap_or(volume.size), "format": volume.format,
    });
    if let Some(notes) = &volume.notes {
        row["notes"] = notes.as_str().into();
    }
    if volume.content == "backup" {
        row["protected"] = u8::from(volume.protected).into();
    }
    data(row)
}

fn update(call: &mut Call<'_>) -> Answer {
    let volid = volume_id(call)?;
    demand_access(call, None, &volid)?;
    let notes = call.parameters.text("notes").map(str::to_owned);
    let protected = call.parameters.text("protected").map(|protected| protected == "1");
    let mut volumes = call.state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes);
    let Some(volume) = volumes.find(|volume| volume.volid == volid) else {
        return refuse(format!("volume '{volid}' does not exist"));
    };
    if volume.content != "backup" {
        let attribute = if notes.is_some() { "notes" } else { "protected" };
        return refuse(format!("only backups support attribute '{attribute}'"));
    }
    volume.notes = notes.or(volume.notes.take());
    volume.protected = protected.unwrap_or(volume.protected);
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let volid = volume_id(call)?;
    let node = call.node().to_owned();
    let storage = call.text("storage").to_owned();
    demand_removable(call, &storage, &volid)?;
    let id = disks::owner_of(&volid).map_or_else(|| storage.clone(), |owner| format!("{owner}@{storage}"));
    let new = NewTask::other(&node.clone(), "imgdel", id, &call.caller.id(), move |run| {
        // Nobody asks whether a guest still uses it; only what other volumes build on is kept.
        if disks::find(run.state, &node, &volid).is_some_and(|volume| volume.protected) {
            let (storage, name) = volid.split_once(':').unwrap_or_default();
            return Err(format!("cannot remove protected volume '{name}' on '{storage}'"));
        }
        if disks::is_base(&volid) && disks::is_base_in_use(run.state, &volid) {
            let name = volid.split_once(':').map_or("", |(_, name)| name);
            return Err(format!("base volume '{name}' is still in use by linked clones"));
        }
        if disks::find(run.state, &node, &volid).is_none() {
            let path = disks::path_of(run.state, &volid);
            run.say(format!("disk image '{path}' does not exist"));
        }
        disks::free(run.state, &node, &volid);
        run.say(format!("Removed volume '{volid}'"));
        Ok(())
    });
    let upid = call.state.fork(new);
    match call.parameters.number("delay") {
        Some(seconds) => Ok(Reply::TaskUnlessDone { upid, within: Duration::from_secs(seconds) }),
        None => Ok(Reply::Task(upid)),
    }
}

fn demand_removable(call: &Call<'_>, storage: &str, volid: &str) -> Result<(), Refusal> {
    let path = format!("/storage/{storage}");
    let volume = disks::find(call.state, call.node(), volid);
    if let Some(vmid) = volume.filter(|volume| volume.content == "backup").and_then(|volume| volume.vmid)
        && call.has(&path, "Datastore.AllocateSpace")
    {
        return call.demand(&format!("/vms/{vmid}"), "VM.Backup");
    }
    call.demand(&path, "Datastore.Allocate")
}

pub(super) fn arriving(storage: &str, content: &str, file: &str, size: u64, ctime: i64) -> Volume {
    let format = file.rsplit_once('.').map_or("raw", |(_, suffix)| suffix);
    Volume {
        volid: format!("{storage}:{content}/{file}"),
        content: content.to_owned(),
        format: if content == "vztmpl" { "tzst" } else { format }.to_owned(),
        size,
        ctime,
        ..Volume::default()
    }
}
