//! Whether a guest can be snapshotted, cloned or copied where its disks lie.
use serde_json::json;

use super::{Route, data};
use crate::pve::sim::disks::{self, Feature};
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal};
use crate::pve::sim::world::GuestType;

pub(super) const ROUTES: &[Route] = &[
    ("GET", "/nodes/{node}/qemu/{vmid}/feature", feature),
    ("GET", "/nodes/{node}/lxc/{vmid}/feature", feature),
];

fn feature(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    let snapshot = call.parameters.text("snapname");
    let config = match snapshot {
        None => &guest.config,
        Some(name) => {
            let found = guest.snapshots.get(name);
            &found.ok_or_else(|| Refusal::Failed(format!("snapshot '{name}' does not exist")))?.config
        }
    };
    let feature = match call.text("feature") {
        "snapshot" => Feature::Snapshot,
        "clone" => Feature::Clone,
        _ => Feature::Copy,
    };
    let has = disks::drive_without(call.state, config, feature, snapshot.is_some()).is_none();
    let mut answer = json!({ "hasFeature": u8::from(has) });
    if call.guest_type() == GuestType::Qemu {
        let nodes = call.state.world.nodes.keys();
        let reaches = |node: &&String| disks::reaches(call.state, config, call.node(), node);
        answer["nodes"] = nodes.filter(reaches).cloned().collect();
    }
    data(answer)
}
