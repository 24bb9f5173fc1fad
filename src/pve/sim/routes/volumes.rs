//! What lies on storages: listing, making, removing, uploading.
use std::time::Duration;

use serde_json::{Value, json};

use super::{Route, data, nothing};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, State};
use crate::pve::sim::http::{Answer, Refusal, Reply, refuse};
use crate::pve::sim::world::Volume;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/storage/{storage}/content", list),
    ("POST", "/nodes/{node}/storage/{storage}/content", allocate),
    ("GET", "/nodes/{node}/storage/{storage}/content/{volume}", attributes),
    ("PUT", "/nodes/{node}/storage/{storage}/content/{volume}", update),
    ("DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", delete),
    ("POST", "/nodes/{node}/storage/{storage}/upload", upload),
    ("POST", "/nodes/{node}/storage/{storage}/download-url", download),
];

fn row(volume: &Volume) -> Value {
    let mut row = json!({
        "volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size,
        "ctime": volume.ctime,
    });
    if matches!(volume.content.as_str(), "images" | "rootdir") {
        row["parent"] = volume.parent.clone().into();
        row["used"] = volume.used.unwrap_or(volume.size).into();
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

fn list(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node(), call.text("storage"));
    let storage = disks::available(call.state, node, name).map_err(Refusal::Failed)?;
    let vmid = call.parameters.number::<u32>("vmid");
    let content = call.parameters.text("content");
    let wanted = |volume: &&Volume| {
        let here = volume.node.as_deref().is_none_or(|home| home == node);
        let fits = content.is_none_or(|content| content == volume.content)
            && (vmid.is_none() || vmid == volume.vmid);
        here && fits && may_see(call, name, volume)
    };
    let mut rows: Vec<Value> = storage.volumes.iter().filter(wanted).map(row).collect();
    rows.sort_by_key(|row| row["volid"].to_string());
    data(rows)
}

/// Backups hold all of a guest, so they are only for those who may make them.
fn may_see(call: &Call<'_>, storage: &str, volume: &Volume) -> bool {
    let path = format!("/storage/{storage}");
    match (volume.content.as_str(), volume.vmid) {
        _ if call.has(&path, "Datastore.Allocate") => true,
        ("backup", Some(vmid)) => call.has(&format!("/vms/{vmid}"), "VM.Backup"),
        ("images" | "rootdir", Some(vmid)) => {
            call.has(&format!("/vms/{vmid}"), "VM.Config.Disk") || call.has(&path, "Datastore.Audit")
        }
        _ => true,
    }
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
        parent: None,
        notes: None,
        protected: false,
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
    let Some(volume) = disks::find(call.state, call.node(), &volid) else {
        return refuse(format!("volume_size_info on '{volid}' failed - no format"));
    };
    let path = disks::path_of(call.state, &volid);
    data(
        json!({ "path": path, "size": volume.size, "used": volume.used.unwrap_or(volume.size), "format": volume.format }),
    )
}

fn update(call: &mut Call<'_>) -> Answer {
    let volid = volume_id(call)?;
    let notes = call.parameters.text("notes").map(str::to_owned);
    let protected = call.parameters.text("protected").map(|protected| protected == "1");
    let mut volumes = call.state.world.storages.values_mut().flat_map(|storage| &mut storage.volumes);
    let Some(volume) = volumes.find(|volume| volume.volid == volid) else {
        return refuse(format!("volume '{volid}' does not exist"));
    };
    volume.notes = notes.or(volume.notes.take());
    volume.protected = protected.unwrap_or(volume.protected);
    nothing()
}

fn delete(call: &mut Call<'_>) -> Answer {
    let volid = volume_id(call)?;
    let node = call.node().to_owned();
    let storage = call.text("storage").to_owned();
    demand_removable(call, &storage, &volid)?;
    let owner = volid.split_once(':').and_then(|(_, name)| name.split('/').next()?.parse::<u32>().ok());
    let owner = owner.or_else(|| disks::find(call.state, &node, &volid).and_then(|volume| volume.vmid));
    let id = owner.map_or_else(|| storage.clone(), |owner| format!("{owner}@{storage}"));
    let new = NewTask::other(&node.clone(), "imgdel", id, &call.caller.id(), move |run| {
        if disks::find(run.state, &node, &volid).is_some_and(|volume| volume.protected) {
            return Err(format!("volume '{volid}' is protected"));
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
        node: None,
        used: None,
        ctime,
        vmid: None,
        parent: None,
        notes: None,
        protected: false,
    }
}

/// The id of an upload's task is empty.
fn upload(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node().to_owned(), call.text("storage").to_owned());
    let (content, file) = (call.text("content").to_owned(), call.text("filename").to_owned());
    let size: u64 = call.parameters.upload_size.unwrap_or_default();
    let storage = disks::available(call.state, &node, &name).map_err(Refusal::Failed)?;
    let target = disks::volume_path(storage, &format!("{name}:{content}/{file}"));
    let temporary = format!("/var/tmp/pveupload-{}", uuid::Uuid::new_v4().simple());
    let new = NewTask::other(&node.clone(), "imgcopy", String::new(), &call.caller.id(), move |run| {
        run.say(format!("starting file import from: {temporary}"));
        run.say(format!("target node: {node}"));
        run.say(format!("target file: {target}"));
        run.say(format!("file size is: {size}"));
        run.say(format!("command: cp -- {temporary} {target}"));
        let volume = arriving(&name, &content, &file, size, run.state.clock.seconds());
        add(run.state, &name, volume);
        run.say("finished file import successfully");
        Ok(())
    });
    call.fork(new)
}

/// Nothing is fetched: only addresses of this machine are refused, as nothing listens there.
fn download(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node().to_owned(), call.text("storage").to_owned());
    let (content, file) = (call.text("content").to_owned(), call.text("filename").to_owned());
    let url = call.text("url").to_owned();
    let storage = disks::available(call.state, &node, &name).map_err(Refusal::Failed)?;
    let target = disks::volume_path(storage, &format!("{name}:{content}/{file}"));
    let known = disks::find(call.state, &node, &format!("{name}:{content}/{file}")).is_some();
    let has_checksum = call.parameters.has("checksum");
    let new = NewTask::other(&node, "download", file.clone(), &call.caller.id(), move |run| {
        run.say(format!("downloading {url} to {target}"));
        if known && !has_checksum {
            return Err(format!("refusing to override existing file '{target}'"));
        }
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if host.starts_with("127.") || host.starts_with("localhost") {
            let stamp = run.state.clock.now().strftime("%F %T").to_string();
            run.say(format!("--{stamp}--  {url}"));
            return Err(format!("download failed: Connecting to {host}... failed: Connection refused."));
        }
        let volume = arriving(&name, &content, &file, 1 << 20, run.state.clock.seconds());
        add(run.state, &name, volume);
        Ok(())
    });
    call.fork(new)
}
