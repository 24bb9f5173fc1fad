//! What is looked at before a judgement, against the simulated Proxmox over real sockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails, and says where")]
mod blast_radius;
mod cost;
mod place;
mod readings;
mod sections;
mod sight;
mod targets;
