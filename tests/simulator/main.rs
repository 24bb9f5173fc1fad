//! The simulated Proxmox over real sockets: as a client meets it, with every fault.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails, and says where")]
mod agreement;
mod api;
mod cassettes;
mod comparison;
mod contract;
mod control;
mod corrections;
mod documented;
mod faults;
mod firewall;
mod guests;
mod ha;
mod jobs;
mod network;
mod nodes;
mod player;
mod recording;
mod releases;
mod replay;
mod setting;
