//! Nodes that go down and come up again.
use super::State;
use crate::pve::sim::world::Power;

impl State {
    /// The node is gone: so is what ran on it, and its votes.
    pub(in crate::pve::sim) fn switch_off(&mut self, name: &str) {
        self.crash_tasks(|task| task.upid.node == name);
        self.stop_guests(|node| node == name);
        if let Some(node) = self.world.nodes.get_mut(name) {
            node.online = false;
        }
        self.world.cluster.quorate = self.world.has_majority();
    }

    /// The node is back, with the guests that start by themselves.
    pub(in crate::pve::sim) fn switch_on(&mut self, name: &str) {
        if let Some(node) = self.world.nodes.get_mut(name) {
            node.online = true;
            node.booted = Some(tokio::time::Instant::now());
        }
        self.world.cluster.quorate = self.world.has_majority();
        self.start_guests_at_boot(|node| node == name);
    }

    pub(in crate::pve::sim) fn stop_guests(&mut self, on: impl Fn(&str) -> bool) {
        let now = self.clock.seconds();
        for guest in self.world.guests.values_mut().filter(|guest| guest.is_running() && on(&guest.node)) {
            guest.set_power(Power::Stopped, now);
            guest.apply_pending();
        }
    }

    pub(in crate::pve::sim) fn start_guests_at_boot(&mut self, on: impl Fn(&str) -> bool) {
        let now = self.clock.seconds();
        let starts = |kind: &str, vmid: &u32| {
            let resource = self.world.ha.get(&format!("{kind}:{vmid}"));
            resource
                .is_some_and(|resource| resource.config.get("state").is_none_or(|state| state == "started"))
        };
        let managed: Vec<u32> = self
            .world
            .guests
            .iter()
            .filter(|(vmid, guest)| starts(guest.kind.ha_prefix(), vmid))
            .map(|(vmid, _)| *vmid)
            .collect();
        for (vmid, guest) in self.world.guests.iter_mut().filter(|(_, guest)| on(&guest.node)) {
            if (guest.flag("onboot") || managed.contains(vmid)) && !guest.is_running() && !guest.is_template()
            {
                guest.set_power(Power::Running, now);
            }
        }
    }
}
