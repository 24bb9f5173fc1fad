/// What an action takes away or puts at stake. It says what is looked at before, and what the blast radius tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// The guest goes off, or off and on again.
    Power,
    /// The guest comes up: it takes memory of its node.
    Boot,
    /// The guest is gone, with its disks and snapshots.
    Guest,
    /// A restore point is gone.
    Snapshot,
    /// All that was written since a snapshot or backup is gone.
    NewerData,
    /// Disks of the guest may be detached or removed by the settings.
    Disks,
    /// Network cards of the guest may lose their bridge by the settings.
    Nics,
    /// A disk of the guest moves or grows: space of the storage, snapshots in the way.
    DiskPlace,
    /// Space is taken on a storage, named by the parameters.
    Space,
    /// The guest goes to another node.
    Migration,
    /// The guest can no longer run: it becomes a template.
    Template,
    /// A volume is gone: a disk, an image or a backup.
    Volume,
    /// A storage is gone from the cluster.
    Storage,
    /// Guests lose this bridge, named by the parameter `iface`.
    Bridge,
    /// The node's network is loaded anew.
    NodeNetwork,
    /// The node goes down.
    Node,
    /// All guests of the node are stopped or moved.
    NodeGuests,
    /// All guests of the node come up: they take its memory.
    NodeBoot,
    /// Members of the pool may lose their access rights.
    Pool,
    /// HA looks after the guest no longer, or otherwise.
    HaResource,
    /// A rule by which HA places guests.
    HaRule,
    /// HA as a whole looks after guests again.
    HaOn,
    /// HA as a whole looks after guests no longer.
    HaOff,
    /// Who is let through.
    Firewall,
    /// Guests may be left without a backup.
    BackupJob,
    /// A guest's copy on another node.
    Replication,
    /// The virtual networks of all nodes.
    Sdn,
}

/// A part of the cluster that is looked at before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Nodes, their memory, and the quorum.
    Nodes,
    /// All guests with their configurations.
    Guests,
    /// The configurations within the snapshots of all guests.
    SnapshotConfigs,
    /// Storages and where they are.
    Storages,
    /// What lies on all storages: disks with their parents, backups.
    Volumes,
    /// Resources, rules and the state of HA.
    Ha,
    Replication,
    BackupJobs,
    Pools,
    /// Interfaces of the node, and changes that wait.
    Network,
    /// Zones and virtual networks, and changes that wait.
    Sdn,
    /// Firewall rules of the target.
    Firewall,
    /// Access rights that are given on the target.
    Acl,
    /// What Proxmox itself says to a migration.
    Migration,
    /// Tasks that run on the node.
    ActiveTasks,
}

impl Touch {
    /// What has to be looked at to tell who is hit.
    pub const fn sections(self) -> &'static [Section] {
        use Section as S;
        match self {
            Self::Power => &[S::Ha],
            Self::Boot => &[S::Nodes],
            Self::Guest => {
                &[S::Guests, S::Volumes, S::Ha, S::Replication, S::BackupJobs, S::Pools, S::Firewall, S::Acl]
            }
            Self::Snapshot | Self::Template => &[S::Volumes, S::Replication],
            Self::NewerData | Self::Disks => &[S::Volumes, S::Storages, S::Replication],
            Self::DiskPlace => &[S::Volumes, S::Storages],
            Self::Nics => &[S::Network, S::Sdn],
            Self::Space => &[S::Storages],
            Self::Migration => &[S::Nodes, S::Ha, S::Replication, S::Migration],
            Self::Volume => &[S::Guests, S::SnapshotConfigs, S::Volumes, S::Storages],
            Self::Storage => &[
                S::Guests,
                S::SnapshotConfigs,
                S::Volumes,
                S::Storages,
                S::Replication,
                S::BackupJobs,
                S::Nodes,
            ],
            Self::Bridge | Self::NodeNetwork => &[S::Guests, S::Network, S::Nodes],
            Self::Node => &[S::Nodes, S::Guests, S::Ha, S::Storages, S::ActiveTasks],
            Self::NodeGuests | Self::NodeBoot => &[S::Nodes, S::Guests, S::Ha],
            Self::Pool => &[S::Pools, S::Acl, S::BackupJobs],
            Self::HaResource | Self::HaRule => &[S::Ha, S::Guests, S::Nodes],
            Self::HaOn | Self::HaOff => &[S::Ha, S::Nodes, S::Guests],
            Self::Firewall => &[S::Firewall],
            Self::BackupJob => &[S::BackupJobs, S::Guests, S::Volumes, S::Storages],
            Self::Replication => &[S::Replication, S::Ha],
            Self::Sdn => &[S::Sdn, S::Guests, S::Nodes],
        }
    }

    /// What is at stake, in words.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Power => "the guest's running time",
            Self::Boot => "memory of its node",
            Self::Guest => "the guest with its disks and snapshots, and all that rests on it",
            Self::Snapshot => "a restore point",
            Self::NewerData => "all that was written since",
            Self::Disks => "disks of the guest",
            Self::Nics => "the guest's way to the network",
            Self::DiskPlace => "one disk of the guest",
            Self::Space => "space of a storage",
            Self::Migration => "where the guest runs, and memory of the other node",
            Self::Template => "the guest as something that runs",
            Self::Volume => "the volume, and every guest that uses it",
            Self::Storage => "the storage, and every guest and backup on it",
            Self::Bridge => "the network of every guest on the bridge",
            Self::NodeNetwork => "the network of the node and its guests",
            Self::Node => "every guest of the node, and the quorum",
            Self::NodeGuests | Self::NodeBoot => "every guest of the node",
            Self::Pool => "access rights that the pool gives",
            Self::HaResource => "what HA does for the guest",
            Self::HaRule => "where HA lets guests run",
            Self::HaOn | Self::HaOff => "HA of the whole cluster",
            Self::Firewall => "who is let through",
            Self::BackupJob => "the backups of the guests of the job",
            Self::Replication => "the guest's copy on another node",
            Self::Sdn => "the virtual networks of all nodes",
        }
    }
}
