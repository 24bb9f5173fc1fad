//! The guests of the cluster, and what calls do to them.

use std::{collections::BTreeMap, time::Duration};

use proxmox_agent::{
    catalog::{self, Call, GuestKind, GuestRef, Method, Target, Vmid},
    core::observe::{
        self, Ha, HaResource, Met, MigrationCheck, Network, Node, NodeRow, Nodes, Query, Rights, Sdn, Seen,
        World,
    },
};

use super::tasks::{Effect, Tasks};
use crate::dice::Dice;

pub(crate) const NODES: [&str; 2] = ["pve1", "pve2"];

#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) node: String,
    pub(crate) is_running: bool,
    pub(crate) uuid: String,
    pub(crate) in_ha: bool,
    /// By their names, with what is said of them.
    pub(crate) snapshots: BTreeMap<String, String>,
    pub(crate) settings: BTreeMap<String, String>,
}

/// A call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    /// When it was handed over to be sent.
    pub(crate) left_at: Duration,
    pub(crate) by: String,
    pub(crate) call: Call,
    /// What Proxmox made of it: nothing if it was refused.
    pub(crate) done: Option<Done>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    AtOnce,
    Task(String),
}

/// Somebody was told how a guest is.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) at: Duration,
    pub(crate) by: String,
    pub(crate) vmid: u32,
}

/// Why a call was refused.
pub(crate) type No = (u16, String);

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) tasks: Tasks,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) looks: Vec<Looked>,
    /// Seconds that each node's clock is ahead.
    ahead: BTreeMap<String, i64>,
}

impl Cluster {
    pub(crate) fn new(dice: &Dice) -> Self {
        let skew = |_| i64::try_from(dice.below(61)).unwrap() - 30;
        let ahead = NODES.iter().map(|node| ((*node).to_owned(), skew(node))).collect();
        Self { guests: BTreeMap::new(), tasks: Tasks::default(), ledger: vec![], looks: vec![], ahead }
    }

    pub(crate) fn add(&mut self, vmid: u32, node: &str, is_running: bool, in_ha: bool) {
        let guest = Guest {
            node: node.to_owned(),
            is_running,
            uuid: format!("00000000-0000-4000-8000-{vmid:012}"),
            in_ha,
            snapshots: BTreeMap::from([("before".to_owned(), String::new())]),
            settings: BTreeMap::from([("name".to_owned(), format!("guest-{vmid}"))]),
        };
        self.guests.insert(vmid, guest);
    }

    /// What time a node believes it is.
    pub(crate) fn time_on(&self, node: &str, true_seconds: i64) -> i64 {
        true_seconds + self.ahead.get(node).copied().unwrap_or_default()
    }

    /// Lets everything happen whose time has come.
    pub(crate) fn settle(&mut self, now: Duration) {
        for effect in self.tasks.ended_by(now) {
            self.take_effect(effect);
        }
    }

    fn take_effect(&mut self, effect: Effect) {
        if let Effect::Clone { from, to, description } = effect {
            let Some(mut copy) = self.guests.get(&from).cloned() else { return };
            copy.uuid = format!("00000000-0000-4000-8000-{to:012}");
            copy.settings.insert("description".to_owned(), description);
            copy.is_running = false;
            copy.in_ha = false;
            self.guests.entry(to).or_insert(copy);
            return;
        }
        if let Effect::Destroy(vmid) = effect {
            self.guests.remove(&vmid);
            return;
        }
        let Some(guest) = self.guests.get_mut(&effect.guest()) else { return };
        match effect {
            Effect::Power(_, on) => guest.is_running = on,
            Effect::Snapshot(_, name, description) => drop(guest.snapshots.insert(name, description)),
            Effect::Migrate(_, node) => guest.node = node,
            Effect::Clone { .. } | Effect::Destroy(_) => {}
        }
    }

    /// Carries a call out, or refuses it.
    pub(crate) fn carry_out(
        &mut self,
        call: &Call,
        token: &str,
        true_seconds: i64,
        now: Duration,
        dice: &Dice,
    ) -> Result<Done, No> {
        let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let ["nodes", node, "qemu", vmid, rest @ ..] = parts.as_slice() else {
            return Err((501, format!("{} is not simulated", call.path)));
        };
        let vmid: u32 = vmid.parse().unwrap();
        let param = |name: &str| call.params.get(name).cloned().unwrap_or_default();
        let missing =
            || (500, format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist"));
        let guest = self.guests.get_mut(&vmid).filter(|guest| guest.node == *node).ok_or_else(missing)?;
        let (kind, effect) = match (call.method, rest) {
            (Method::Put, ["config"]) => {
                if call.params.get("digest").is_some_and(|digest| *digest != digest_of(&guest.settings)) {
                    return Err((
                        500,
                        "detected modified configuration - file changed by other user?".to_owned(),
                    ));
                }
                let settings = call.params.iter().filter(|(name, _)| *name != "digest");
                guest.settings.extend(settings.map(|(name, value)| (name.clone(), value.clone())));
                return Ok(Done::AtOnce);
            }
            (Method::Post, ["status", "start"]) if guest.in_ha => ("hastart", Effect::Power(vmid, true)),
            (Method::Post, ["status", "stop"]) if guest.in_ha => ("hastop", Effect::Power(vmid, false)),
            (Method::Post, ["status", "start"]) => ("qmstart", Effect::Power(vmid, true)),
            (Method::Post, ["status", "stop"]) => ("qmstop", Effect::Power(vmid, false)),
            (Method::Post, ["snapshot"]) if guest.snapshots.contains_key(&param("snapname")) => {
                return Err((500, format!("snapshot name '{}' already used", param("snapname"))));
            }
            (Method::Post, ["snapshot"]) => {
                ("qmsnapshot", Effect::Snapshot(vmid, param("snapname"), param("description")))
            }
            (Method::Post, ["migrate"]) if guest.in_ha => {
                ("hamigrate", Effect::Migrate(vmid, param("target")))
            }
            (Method::Post, ["migrate"]) => ("qmigrate", Effect::Migrate(vmid, param("target"))),
            (Method::Delete, []) if guest.is_running => return Err((500, format!("VM {vmid} is running"))),
            (Method::Delete, []) => ("qmdestroy", Effect::Destroy(vmid)),
            (Method::Post, ["clone"]) => {
                let to = param("newid").parse().unwrap();
                if self.guests.contains_key(&to) {
                    return Err((500, format!("unable to create VM {to}: config file already exists")));
                }
                ("qmclone", Effect::Clone { from: vmid, to, description: param("description") })
            }
            _ => return Err((501, format!("{call} is not simulated"))),
        };
        let began = self.time_on(node, true_seconds);
        Ok(Done::Task(self.tasks.fork(node, kind, vmid, token, began, now, effect, dice)))
    }

    pub(crate) fn nodes(&self) -> Vec<NodeRow> {
        let row =
            |name: &&str| NodeRow { name: (*name).to_owned(), online: true, certificate: String::new() };
        NODES.iter().map(row).collect()
    }

    /// Everything that a judgement may ask for; all that is not there is known not to be there.
    pub(crate) fn world(&self, query: &Query) -> World {
        let target = match &query.target {
            Target::Guest(reference) => {
                self.guest(*reference).map_or(Met::Absent, |guest| Met::Guest(Box::new(guest)))
            }
            _ => Met::Nothing,
        };
        let ha = |(vmid, guest): (&u32, &Guest)| {
            let state = if guest.is_running { "started" } else { "stopped" };
            HaResource {
                sid: format!("vm:{vmid}"),
                state: state.to_owned(),
                node: Some(guest.node.clone()),
                ..HaResource::default()
            }
        };
        let in_ha = self.guests.iter().filter(|(_, guest)| guest.in_ha).map(ha).collect();
        World {
            version: "9.2.11".to_owned(),
            target,
            rights: all_rights(),
            nodes: Seen::Known(self.all_nodes()),
            guests: Seen::Known(self.guests.keys().filter_map(|vmid| self.guest(reference(*vmid))).collect()),
            storages: Seen::Known(vec![]),
            volumes: Seen::Known(vec![]),
            ha: Seen::Known(Ha { resources: in_ha, ..Ha::default() }),
            replication: Seen::Known(vec![]),
            backup_jobs: Seen::Known(vec![]),
            pools: Seen::Known(vec![]),
            network: Seen::Known(Network::default()),
            sdn: Seen::Known(Sdn::default()),
            firewall: Seen::Known(vec![]),
            acl: Seen::Known(vec![]),
            migration: Seen::Known(MigrationCheck::default()),
            active_tasks: Seen::Known(vec![]),
        }
    }

    fn all_nodes(&self) -> Nodes {
        let node = |name: &&str| Node {
            name: (*name).to_owned(),
            online: true,
            ip: None,
            votes: 1,
            memory: Some((1 << 30, 64 << 30)),
        };
        Nodes { quorate: true, is_cluster: true, nodes: NODES.iter().map(node).collect() }
    }

    pub(crate) fn guest(&self, reference: GuestRef) -> Option<observe::Guest> {
        let guest = self.guests.get(&reference.vmid.to_string().parse().unwrap())?;
        if reference.kind != GuestKind::Qemu {
            return None;
        }
        let snapshot = |(name, description): (&String, &String)| observe::Snapshot {
            description: description.clone(),
            name: name.clone(),
            parent: None,
            taken_at: None,
            with_memory: false,
            config: BTreeMap::new(),
        };
        Some(observe::Guest {
            reference,
            node: guest.node.clone(),
            name: guest.settings.get("name").cloned().unwrap_or_default(),
            status: if guest.is_running { "running" } else { "stopped" }.to_owned(),
            detail: None,
            smbios_uuid: Some(guest.uuid.clone()),
            config_digest: digest_of(&guest.settings),
            template: false,
            protected: false,
            lock: None,
            ha_managed: guest.in_ha,
            tags: vec![],
            pool: None,
            onboot: false,
            memory: 512 << 20,
            uptime: None,
            config: guest.settings.clone(),
            pending: BTreeMap::new(),
            snapshots: guest.snapshots.iter().map(snapshot).collect(),
        })
    }
}

pub(super) fn reference(vmid: u32) -> GuestRef {
    GuestRef { kind: GuestKind::Qemu, vmid: Vmid::new(vmid).unwrap() }
}

/// As long as Proxmox's own.
fn digest_of(settings: &BTreeMap<String, String>) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("{settings:?}"));
    digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

fn all_rights() -> Rights {
    let of_actions = catalog::actions().flat_map(|action| action.needs).flat_map(|need| need.any_of.iter());
    let of_settings = ["CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options"]
        .map(|key| format!("VM.Config.{key}"));
    let all = of_actions.map(ToString::to_string).chain(of_settings).map(|privilege| (privilege, true));
    Rights::new(BTreeMap::from([("/".to_owned(), all.collect())]), BTreeMap::new())
}
