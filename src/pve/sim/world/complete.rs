//! What a world file may leave to the moment at which the simulation starts.
use super::World;
use crate::pve::sim::disks;

impl World {
    /// Turns ages into points in time, and reads from the names of volumes whose they are.
    pub(in crate::pve::sim) fn complete(&mut self, now: i64) {
        let snapshots = self.guests.values_mut().flat_map(|guest| guest.snapshots.values_mut());
        for snapshot in snapshots {
            if let Some(age) = snapshot.age_seconds.take() {
                snapshot.snaptime = now - age;
            }
        }
        for volume in self.storages.values_mut().flat_map(|storage| &mut storage.volumes) {
            if let Some(age) = volume.age_seconds.take() {
                volume.ctime = now - age;
            }
            volume.vmid = volume.vmid.or_else(|| disks::owner_of(&volume.volid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_becomes_a_point_in_time_and_a_name_an_owner() {
        let mut world = World::from_yaml(
            "
nodes: {pve1: {}}
guests: {100: {type: qemu, node: pve1, snapshots: {old: {ageSeconds: 60}}}}
storages:
  tank:
    config: {type: dir}
    volumes:
      - {volid: 'tank:backup/vzdump-qemu-100-2026_11_21-10_00_00.vma.zst', content: backup, format: vma.zst, size: 1, ageSeconds: 3600}
",
        )
        .unwrap();
        world.complete(10_000);
        let backup = &world.storages["tank"].volumes[0];
        assert_eq!((backup.ctime, backup.vmid), (6_400, Some(100)));
        assert_eq!(world.guests[&100].snapshots["old"].snaptime, 9_940);
        World::from_yaml(&serde_json::to_string(&world).unwrap()).unwrap();
    }
}
