//! What can be said about a guest by looking at it alone.
use std::collections::BTreeMap;

use serde_json::Value;
use sha1::{Digest, Sha1};
use tokio::time::Instant;

use super::model::{Config, Guest, GuestType, Observed, Power};

impl GuestType {
    pub(in crate::pve::sim) fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }

    /// How messages call such a guest.
    pub(in crate::pve::sim) fn short(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "CT",
        }
    }

    pub(in crate::pve::sim) fn ha_prefix(self) -> &'static str {
        match self {
            Self::Qemu => "vm",
            Self::Lxc => "ct",
        }
    }

    pub(in crate::pve::sim) fn config_folder(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-server",
            Self::Lxc => "lxc",
        }
    }
}

impl Guest {
    pub(in crate::pve::sim) fn new(kind: GuestType, node: &str, config: Config) -> Self {
        Self {
            kind,
            node: node.to_owned(),
            status: Power::Stopped,
            uptime: 0,
            config,
            pending: Config::new(),
            pending_delete: std::collections::BTreeSet::new(),
            snapshots: BTreeMap::new(),
            parent: None,
            agent: super::model::AgentState::Absent,
            ignores_shutdown: false,
            start_error: None,
            started: 0,
            image_differs: Config::new(),
            observed: Observed { created: Some(Instant::now()), ..Observed::default() },
        }
    }

    pub(in crate::pve::sim) fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    /// Numbers may be written as text: a VM's memory is.
    pub(in crate::pve::sim) fn number(&self, key: &str) -> Option<u64> {
        let value = self.config.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.trim_start_matches("current=").parse().ok())
    }

    pub(in crate::pve::sim) fn flag(&self, key: &str) -> bool {
        self.number(key) == Some(1)
    }

    pub(in crate::pve::sim) fn is_running(&self) -> bool {
        self.status != Power::Stopped
    }

    pub(in crate::pve::sim) fn is_template(&self) -> bool {
        self.flag("template")
    }

    /// `Err` says what holds the guest's lock.
    pub(in crate::pve::sim) fn demand_unlocked(&self) -> Result<(), String> {
        match self.text("lock") {
            None => Ok(()),
            Some(lock) => Err(format!("{} is locked ({lock})", self.kind.short())),
        }
    }

    pub(in crate::pve::sim) fn name(&self, vmid: u32) -> String {
        match self.kind {
            GuestType::Qemu => self.text("name").map_or_else(|| format!("VM {vmid}"), str::to_owned),
            GuestType::Lxc => self.text("hostname").map_or_else(|| format!("CT{vmid}"), str::to_owned),
        }
    }

    pub(in crate::pve::sim) fn set_power(&mut self, power: Power, now: i64) {
        if power != Power::Paused && self.status != Power::Paused {
            self.observed.before = Some(self.status);
            self.observed.changed = Some(Instant::now());
        }
        if self.status == Power::Stopped {
            self.started = now;
            // Starting makes the cloud-init drive anew.
            self.image_differs.clear();
        }
        self.status = power;
    }

    pub(in crate::pve::sim) fn uptime_at(&self, now: i64) -> i64 {
        if self.is_running() { (now - self.started).max(1) } else { 0 }
    }

    /// What waits for the next start becomes the configuration.
    pub(in crate::pve::sim) fn apply_pending(&mut self) {
        for key in std::mem::take(&mut self.pending_delete) {
            self.config.remove(&key);
        }
        self.config.append(&mut std::mem::take(&mut self.pending));
    }

    /// The configuration as it will be after the next start.
    pub(in crate::pve::sim) fn future_config(&self) -> Config {
        let mut config = self.config.clone();
        config.retain(|key, _| !self.pending_delete.contains(key));
        config.extend(self.pending.clone());
        config
    }

    /// The SHA-1 of the configuration file, snapshots and pending changes included.
    pub(in crate::pve::sim) fn digest(&self) -> String {
        let mut file = section("", &self.config);
        if !self.pending.is_empty() || !self.pending_delete.is_empty() {
            file.push_str(&section("PENDING", &self.pending));
            file.push_str(
                &self.pending_delete.iter().map(|key| format!("delete: {key}\n")).collect::<String>(),
            );
        }
        if let Some(parent) = &self.parent {
            file.push_str(&format!("parent: {parent}\n"));
        }
        for (name, snapshot) in &self.snapshots {
            file.push_str(&section(name, &snapshot.config));
            file.push_str(&format!("snaptime: {}\n{:?}\n", snapshot.snaptime, snapshot.description));
        }
        sha1_hex(&file)
    }
}

fn section(name: &str, config: &Config) -> String {
    let head = if name.is_empty() { String::new() } else { format!("\n[{name}]\n") };
    let lines = config.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key}: {text}\n"),
        other => format!("{key}: {other}\n"),
    });
    head + &lines.collect::<String>()
}

pub(in crate::pve::sim) fn sha1_hex(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_sha1_of_nothing() {
        assert_eq!(sha1_hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }

    #[test]
    fn a_pending_change_changes_the_digest() {
        let mut guest = Guest::new(GuestType::Qemu, "pve1", Config::new());
        let before = guest.digest();
        guest.pending.insert("cores".into(), 2.into());
        assert_ne!(guest.digest(), before);
    }

    #[test]
    fn pending_changes_become_the_configuration() {
        let mut guest = Guest::new(GuestType::Qemu, "pve1", Config::from([("net0".into(), "virtio".into())]));
        guest.pending.insert("cores".into(), 2.into());
        guest.pending_delete.insert("net0".into());
        guest.apply_pending();
        assert_eq!(guest.config, Config::from([("cores".into(), 2.into())]));
    }
}
