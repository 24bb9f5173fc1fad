//! The execution boundary between whoever wants something done on Proxmox VE and the clusters where it happens.
//!
//! # Layout
//! Rooms in the order in which data flows; a room may use what stands above it, never what stands below.
pub mod pve;

pub mod cli;
