//! The simulated Proxmox over real sockets: as a client meets it, with every fault.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails, and says where")]
mod api;
mod comparison;
mod control;
mod faults;
mod guests;
mod recording;
mod replay;
mod setting;
