//! What was found at the other end, as values.

mod guest;
mod parts;
mod query;
mod readout;
mod rights;
mod world;

pub use guest::{Disk, Guest, Nic, Snapshot, disks_in, names_disk, nics_in};
pub use parts::{
    AclEntry, ActiveTask, Backup, BackupJob, FirewallRule, Ha, HaResource, HaRule, Interface, MigrationCheck,
    Network, Node, NodeRow, Nodes, Pool, ReplicationJob, Sdn, Storage, Vnet, Volume, Zone,
};
pub use query::Query;
pub use readout::{Found, InventoryRow, Readout, TaskRow, hide, rows_wanted};
pub use rights::Rights;
pub use world::{Met, Object, Seen, World};
