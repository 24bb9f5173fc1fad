//! The simulated Proxmox over real sockets: as a client meets it, with every fault.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails, and says where")]
mod api;
mod comparison;
mod contract;
mod control;
mod faults;
mod recording;
mod releases;
mod replay;
mod setting;
