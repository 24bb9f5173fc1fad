//! Everything that requests read and change.
use std::collections::BTreeMap;

use super::{Clock, Happening, Task};
use crate::pve::sim::access::Tickets;
use crate::pve::sim::contract::Contract;
use crate::pve::sim::faults::Faults;
use crate::pve::sim::http::{Refusal, refuse};
use crate::pve::sim::world::{Guest, GuestType, Power, Volume, World};

#[derive(Debug)]
pub(in crate::pve::sim) struct State {
    pub(in crate::pve::sim) world: World,
    /// What lies on storages whose definition is gone.
    pub(in crate::pve::sim) undefined: BTreeMap<String, Vec<Volume>>,
    pub(in crate::pve::sim) tasks: Vec<Task>,
    pub(in crate::pve::sim) tickets: Tickets,
    pub(in crate::pve::sim) faults: Faults,
    pub(in crate::pve::sim) clock: Clock,
    pub(in crate::pve::sim) happenings: Vec<Happening>,
    /// The node on whose own port the present request arrived.
    pub(in crate::pve::sim) asked_node: Option<String>,
    /// The fingerprint of what clients are shown: that of the first node.
    pub(in crate::pve::sim) certificate: Option<String>,
    pub(in crate::pve::sim) contract: &'static Contract,
    pub(super) last_pid: u32,
}

/// Well above what a freshly booted system hands out.
const FIRST_PID: u32 = 0x1000;

impl State {
    pub(in crate::pve::sim) fn new(mut world: World) -> Self {
        let contract = Contract::of(world.release());
        let clock = Clock::start();
        world.complete(clock.seconds());
        for token in world.users.values_mut().flat_map(|user| user.tokens.values_mut()) {
            token.secret.get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
        }
        for guest in world.guests.values_mut().filter(|guest| guest.status != Power::Stopped) {
            guest.started = clock.seconds() - guest.uptime;
        }
        for node in world.nodes.values_mut() {
            if node.network.is_empty() {
                node.network = node.usual_network();
            }
        }
        let applied = world.applied_sdn.take().unwrap_or_else(|| world.defined_sdn());
        let faults = Faults::new(std::mem::take(&mut world.faults));
        let described = std::mem::take(&mut world.tasks);
        let tickets = Tickets::default();
        let undefined = BTreeMap::new();
        let mut state = Self {
            world,
            undefined,
            tasks: Vec::new(),
            tickets,
            faults,
            clock,
            contract,
            happenings: Vec::new(),
            asked_node: None,
            certificate: None,
            last_pid: FIRST_PID,
        };
        state.adopt(&described);
        state.apply_sdn(applied);
        state
    }

    pub(in crate::pve::sim) fn replace_world(&mut self, world: World) {
        let (last_pid, certificate) = (self.last_pid, self.certificate.take());
        *self = Self::new(world);
        self.certificate = certificate;
        self.last_pid += last_pid;
    }

    /// The node that answers: the one that was asked, or else the first one that is up.
    pub(in crate::pve::sim) fn local_node(&self) -> &str {
        if let Some(asked) = &self.asked_node {
            return asked;
        }
        let mut online = self.world.nodes.iter().filter(|(_, node)| node.online);
        online.next().map_or("localhost", |(name, _)| name.as_str())
    }

    pub(in crate::pve::sim) fn guest(
        &self,
        node: &str,
        kind: GuestType,
        vmid: u32,
    ) -> Result<&Guest, String> {
        let found = self.world.guests.get(&vmid).filter(|guest| guest.node == node && guest.kind == kind);
        found.ok_or_else(|| missing_config(node, kind, vmid))
    }

    pub(in crate::pve::sim) fn guest_mut(
        &mut self,
        node: &str,
        kind: GuestType,
        vmid: u32,
    ) -> Result<&mut Guest, String> {
        let found = self.world.guests.get_mut(&vmid).filter(|guest| guest.node == node && guest.kind == kind);
        found.ok_or_else(|| missing_config(node, kind, vmid))
    }

    pub(in crate::pve::sim) fn demand_quorum(&self) -> Result<(), Refusal> {
        if self.world.cluster.quorate { Ok(()) } else { refuse("cluster not ready - no quorum?") }
    }

    /// Files that the whole cluster shares are only written under a lock that needs a quorum.
    pub(in crate::pve::sim) fn demand_file_lock(&self, file: &str, doing: &str) -> Result<(), Refusal> {
        if self.world.cluster.quorate {
            return Ok(());
        }
        refuse(format!("{doing}cfs-lock 'file-{file}' error: no quorum!"))
    }

    /// Guests in a running HA state are started and stopped by the HA manager alone.
    pub(in crate::pve::sim) fn is_ha_managed(&self, kind: GuestType, vmid: u32) -> bool {
        if self.world.cluster.ha_disarmed.as_deref() == Some("ignore") {
            return false;
        }
        let resource = self.world.ha.get(&format!("{}:{vmid}", kind.ha_prefix()));
        resource.is_some_and(|resource| resource.config.get("state").is_none_or(|state| state != "ignored"))
    }

    /// Marks a guest's configuration for as long as a task works on it.
    pub(in crate::pve::sim) fn mark(
        &mut self,
        node: &str,
        kind: GuestType,
        vmid: u32,
        lock: &str,
    ) -> Result<Vec<u32>, String> {
        let guest = self.guest_mut(node, kind, vmid)?;
        guest.demand_unlocked()?;
        guest.config.insert("lock".to_owned(), lock.into());
        Ok(vec![vmid])
    }

    pub(in crate::pve::sim) fn unmark(&mut self, vmid: u32) {
        if let Some(guest) = self.world.guests.get_mut(&vmid) {
            guest.config.remove("lock");
        }
    }

    /// A world that could be loaded to go on from here.
    pub(in crate::pve::sim) fn snapshot_world(&self) -> World {
        let mut world = self.world.clone();
        for guest in world.guests.values_mut() {
            guest.uptime = guest.uptime_at(self.clock.seconds());
        }
        world.tasks = self.describe_tasks();
        world.faults = self.faults.list();
        world
    }
}

fn missing_config(node: &str, kind: GuestType, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist", kind.config_folder())
}
