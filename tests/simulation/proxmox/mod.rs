//! A Proxmox: two nodes, some guests, tasks, and a ledger of everything that ever reached it.

mod guests;
mod port;
mod tasks;

pub(crate) use guests::{Cluster, Done, Entry, Looked};
pub(crate) use port::Line;
pub(crate) use tasks::Task;
