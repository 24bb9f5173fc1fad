use serde::Deserialize;

use super::{lookout::Lookout, sight::Sight};
use crate::{
    catalog::{GuestKind, GuestRef, Vmid},
    core::observe::InventoryRow,
    pve::{ReadError, lenient},
};

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "lenient::number")]
    vmid: i64,
    node: String,
    #[serde(default, deserialize_with = "lenient::text")]
    name: String,
    #[serde(default)]
    status: String,
    pool: Option<String>,
    lock: Option<String>,
    hastate: Option<String>,
}

/// A guest in the cluster's own list, which is up to ten seconds old.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub row: InventoryRow,
    pub pool: Option<String>,
    pub lock: Option<String>,
    pub ha_managed: bool,
}

/// Without it guests are left out.
pub(super) const SIGHT: Sight = Sight::below(&["VM.Audit"], "/vms");

/// The version of Proxmox VE, such as `9.2.11`.
pub(super) async fn version(lookout: &Lookout<'_>) -> Result<String, ReadError> {
    Ok(lookout.get::<Version>("/version", &[]).await?.version)
}

/// All guests that the token can see. Proxmox leaves out the others without a word, and a new one may lack its name.
pub(super) async fn listed(lookout: &Lookout<'_>) -> Result<Vec<Listed>, ReadError> {
    const PATH: &str = "/cluster/resources";
    let rows: Vec<Resource> = lookout.get(PATH, &[("type", "vm".to_owned())]).await?;
    let read = |row: Resource| {
        // A kind of guest that a later version invents is none that an action could name.
        let kind = match row.kind.as_str() {
            "qemu" => GuestKind::Qemu,
            "lxc" => GuestKind::Lxc,
            _ => return None,
        };
        let vmid = u32::try_from(row.vmid).ok().and_then(Vmid::new);
        let guest = vmid.map(|vmid| InventoryRow {
            reference: GuestRef { kind, vmid },
            node: row.node,
            name: row.name,
            status: row.status,
        });
        let listed = guest.map(|guest| Listed {
            row: guest,
            pool: row.pool,
            lock: row.lock.filter(|lock| !lock.is_empty()),
            ha_managed: row.hastate.is_some_and(|state| !state.is_empty() && state != "unmanaged"),
        });
        Some(listed.ok_or_else(|| lookout.misread(PATH, "a guest has a number that Proxmox does not give")))
    };
    rows.into_iter().filter_map(read).collect()
}
