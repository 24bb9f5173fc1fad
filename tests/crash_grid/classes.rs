//! What is asked for: one action for each way in which an action can end and be recovered.

use proxmox_agent::pve::sim::World;
use serde_json::{Value, json};

/// The operator's token in every world here.
pub(crate) const TOKEN: &str = "agent@pve!t";
pub(crate) const SECRET: &str = "11111111-2222-3333-4444-555555555555";

const WORLD: &str = include_str!("../data/actions/world.yaml");

/// A class of action, by the one that stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) action: &'static str,
    pub(crate) target: &'static str,
    pub(crate) params: Value,
    /// What differs from the common world.
    world: Value,
    /// Nothing may ever be changed by it.
    pub(crate) is_harmless: bool,
    pub(crate) dry_run: bool,
    /// Whether it was carried out can always be seen, or it may be sent once more: nobody ever has to be asked.
    pub(crate) is_always_known: bool,
}

fn class(name: &'static str, action: &'static str, target: &'static str, params: Value) -> Class {
    Class {
        name,
        action,
        target,
        params,
        world: json!({}),
        is_harmless: false,
        dry_run: false,
        is_always_known: false,
    }
}

pub(crate) fn all() -> Vec<Class> {
    vec![
        // A task, and a state that tells.
        class("start", "start_guest", "qemu/101", json!({})),
        class("shutdown", "shutdown_guest", "qemu/100", json!({})),
        class("stop", "stop_guest", "lxc/200", json!({})),
        // A task, and a name that is refused the second time.
        Class {
            is_always_known: true,
            ..class("snapshot", "create_snapshot", "qemu/101", json!({"snapshot": "grid"}))
        },
        class("snapshot-delete", "delete_snapshot", "qemu/101", json!({"snapshot": "before"})),
        Class {
            is_always_known: true,
            ..class("clone", "clone_guest", "qemu/101", json!({"newid": 300, "name": "copy-1", "full": true}))
        },
        class("delete", "delete_guest", "qemu/102", json!({})),
        // A task, and nothing that tells one run from two.
        class("rollback", "rollback_snapshot", "qemu/101", json!({"snapshot": "before"})),
        class("migrate", "migrate_guest", "qemu/100", json!({"destination": "pve2", "online": true})),
        class("move-disk", "move_disk", "qemu/101", json!({"disk": "scsi0", "storage": "tank"})),
        // A task, and everything is as before when it has ended.
        class("reset", "reset_guest", "qemu/100", json!({})),
        // Done when it is answered, fenced by a digest.
        Class {
            is_always_known: true,
            ..class("tags", "set_guest_tags", "qemu/100", json!({"tags": "db;prod"}))
        },
        // Done when it is answered, and there or not.
        Class { is_always_known: true, ..class("pool", "create_pool", "pool/new", json!({})) },
        // Done when it is answered, and its mark tells that it was done, not that it was not.
        class("firewall", "add_firewall_rule", "qemu/101", json!({"type": "in", "action": "ACCEPT"})),
        // Only handed over by its task.
        Class {
            world: json!({"ha": {"vm:101": {"config": {"state": "stopped"}}}}),
            ..class("ha-start", "start_guest", "qemu/101", json!({}))
        },
        Class { is_harmless: true, dry_run: true, ..class("dry-run", "delete_guest", "qemu/102", json!({})) },
        Class { is_harmless: true, ..class("read", "read_inventory", "inventory/all", json!({})) },
    ]
}

pub(crate) fn named(name: &str) -> Class {
    all().into_iter().find(|class| class.name == name).unwrap_or_else(|| panic!("there is no class `{name}`"))
}

impl Class {
    /// The world that it meets. Its tasks take long enough to be met at work.
    pub(crate) fn world(&self) -> World {
        let mut world: Value = serde_saphyr::from_str(WORLD).unwrap();
        world["taskSeconds"] = json!({"default": 0.7});
        world["acl"] = json!([{"path": "/", "who": "agent@pve", "role": "Administrator"}]);
        world.as_object_mut().unwrap().extend(self.world.as_object().unwrap().clone());
        World::from_yaml(&world.to_string()).unwrap()
    }
}
