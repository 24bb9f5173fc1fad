//! What a backup job does: an archive for each guest, and away with those that are too many.
use serde_json::Value;

use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, Run, State};
use crate::pve::sim::world::{Config, Guest, GuestType, Storage, Volume};

#[derive(Debug)]
pub(super) struct Job {
    node: String,
    vmids: Vec<u32>,
    pub(super) storage: String,
    mode: String,
    /// What archives are packed with, as their names end.
    packing: &'static str,
    notes: Option<String>,
    protected: bool,
    /// How many archives of a guest are kept; all, where nothing is said.
    keep: Option<usize>,
}

impl Job {
    pub(super) fn of(call: &Call<'_>, vmids: Vec<u32>) -> Self {
        let text = |name: &str| call.parameters.text(name);
        let removes = text("remove") != Some("0");
        let keep = text("prune-backups")
            .map(PropertyString::parse)
            .and_then(|keep| keep.get("keep-last")?.parse().ok());
        Self {
            node: call.node().to_owned(),
            vmids,
            storage: text("storage").unwrap_or("local").to_owned(),
            mode: text("mode").unwrap_or("snapshot").to_owned(),
            packing: match text("compress") {
                Some("zstd") => ".zst",
                Some("gzip") => ".gz",
                Some("lzo" | "1") => ".lzo",
                _ => "",
            },
            notes: text("notes-template").map(str::to_owned),
            protected: call.parameters.flag("protected"),
            keep: keep.filter(|_| removes),
        }
    }

    pub(super) fn work(&self, run: &mut Run<'_>, options: &str) -> Result<(), String> {
        self.demand_storage(run.state)?;
        run.say(format!("INFO: starting new backup job: vzdump {options}"));
        let mut failed = false;
        for vmid in &self.vmids {
            let now = run.state.clock.now().strftime("%F %T").to_string();
            match self.dump(run, *vmid) {
                Ok(()) => run.say(format!("INFO: Finished Backup of VM {vmid} (00:00:01)")),
                Err(problem) => {
                    failed = true;
                    run.say(format!("ERROR: Backup of VM {vmid} failed - {problem}"));
                    run.say(format!("INFO: Failed at {now}"));
                }
            }
        }
        if failed {
            run.say("INFO: Backup job finished with errors");
            return Err("job errors".to_owned());
        }
        run.say("INFO: Backup job finished successfully");
        Ok(())
    }

    fn demand_storage(&self, state: &State) -> Result<(), String> {
        let name = &self.storage;
        let told = |problem: &str| format!("could not get storage information for '{name}': {problem}");
        match disks::available(state, &self.node, name) {
            Err(problem) => Err(format!("could not activate storage '{name}': {problem} {}", told(&problem))),
            Ok(storage) if !disks::content_types(storage).contains(&"backup") => {
                Err(told(&format!("can't use storage '{name}' for backups - wrong content type")))
            }
            Ok(_) => Ok(()),
        }
    }

    fn dump(&self, run: &mut Run<'_>, vmid: u32) -> Result<(), String> {
        let Some(guest) = run.state.world.guests.get(&vmid) else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        guest.demand_unlocked()?;
        let kind = guest.kind;
        if self.mode == "stop" && run.state.is_ha_managed(kind, vmid) && guest.is_running() {
            return Err("Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service.".to_owned());
        }
        let config = backed_up(guest);
        let size = archive_size(run.state, &self.node, &config);
        let notes = self.notes.as_deref().map(|notes| self.filled_in(run.state, notes, vmid, guest));
        run.say(format!("INFO: Starting Backup of VM {vmid} ({})", kind.name()));
        let node = &self.node;
        let now = run.state.clock.now();
        let Some(storage) = run.state.world.storages.get_mut(&self.storage) else {
            return Err(format!("storage '{}' does not exist", self.storage));
        };
        let (volid, format) = self.name(storage, kind, vmid, &now);
        let home = (!storage.is_shared()).then(|| node.clone());
        // Names tell seconds: the second backup within one takes the place of the first.
        storage.volumes.retain(|volume| volume.volid != volid);
        storage.volumes.push(Volume {
            volid: volid.clone(),
            content: "backup".to_owned(),
            format,
            size,
            node: home,
            ctime: now.as_second(),
            vmid: Some(vmid),
            notes,
            protected: self.protected,
            config,
            ..Volume::default()
        });
        run.say(format!("INFO: creating vzdump archive '{volid}'"));
        self.prune(run, vmid);
        Ok(())
    }

    fn name(&self, storage: &Storage, kind: GuestType, vmid: u32, now: &jiff::Timestamp) -> (String, String) {
        if storage.kind() == "pbs" {
            let folder = if kind == GuestType::Qemu { "vm" } else { "ct" };
            let volid = format!("{}:backup/{folder}/{vmid}/{}", self.storage, now.strftime("%FT%TZ"));
            return (volid, format!("pbs-{folder}"));
        }
        let format = format!("{}{}", if kind == GuestType::Qemu { "vma" } else { "tar" }, self.packing);
        let stamp = now.strftime("%Y_%m_%d-%H_%M_%S");
        (format!("{}:backup/vzdump-{}-{vmid}-{stamp}.{format}", self.storage, kind.name()), format)
    }

    fn filled_in(&self, state: &State, notes: &str, vmid: u32, guest: &Guest) -> String {
        let cluster = state.world.cluster.name.clone().unwrap_or_else(|| "standalone node".to_owned());
        unescaped(notes)
            .replace("{{guestname}}", &guest.name(vmid))
            .replace("{{vmid}}", &vmid.to_string())
            .replace("{{node}}", &self.node)
            .replace("{{cluster}}", &cluster)
    }

    /// The oldest go first, and protected ones never.
    fn prune(&self, run: &mut Run<'_>, vmid: u32) {
        let Some((keep, storage)) =
            self.keep.and_then(|keep| Some((keep, run.state.world.storages.get_mut(&self.storage)?)))
        else {
            return;
        };
        let is_of_guest =
            |volume: &&Volume| volume.content == "backup" && volume.vmid == Some(vmid) && !volume.protected;
        let mut archives: Vec<(i64, String)> = storage
            .volumes
            .iter()
            .filter(is_of_guest)
            .map(|volume| (volume.ctime, volume.volid.clone()))
            .collect();
        archives.sort();
        archives.truncate(archives.len().saturating_sub(keep));
        storage.volumes.retain(|volume| !archives.iter().any(|(_, volid)| *volid == volume.volid));
        for (_, volid) in archives {
            run.say(format!("INFO: removing backup '{volid}'"));
        }
    }
}

/// The end of a line is written `\\n` in a template, and a backslash twice.
fn unescaped(template: &str) -> String {
    let parts = template.split("\\\\").map(|part| part.replace("\\n", "\n"));
    parts.collect::<Vec<_>>().join("\\")
}

/// What an archive holds of a guest: not its snapshots, and no disk that is left out of backups.
fn backed_up(guest: &Guest) -> Config {
    let left_out = |key: &str, value: &Value| {
        let drive = PropertyString::parse(value.as_str().unwrap_or_default());
        let by_default = key.starts_with("mp");
        let wanted = drive.get("backup").map_or(!by_default, |backup| backup == "1");
        disks::is_drive_key(key) && !disks::is_cdrom(&drive) && !wanted
    };
    let mut config = guest.config.clone();
    config.retain(|key, value| key != "lock" && !left_out(key, value));
    config
}

/// What is in use of the disks, and a little for the rest.
fn archive_size(state: &State, node: &str, config: &Config) -> u64 {
    let used = |(_, volid): (String, String)| {
        disks::find(state, node, &volid).map_or(0, |volume| volume.used.unwrap_or(volume.size))
    };
    (1 << 20) + disks::referenced_volumes(config).into_iter().map(used).sum::<u64>()
}
