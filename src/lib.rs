//! The execution boundary between whoever wants something done on Proxmox VE and the clusters where it happens.
//!
//! # Layout
//! Rooms in the order in which data flows. A room may use what stands above it, never what stands below.
//!
//! - [`api`]: the kinds, and nothing else
//! - [`catalog`]: the one table of what can be done to Proxmox
//! - [`core`]: decides; pure
//! - [`ports`]: what the engine needs from outside, as traits
//! - [`yaml`]: what people write, with bounds
//! - [`pve`]: how Proxmox speaks; [`pve::sim`] is a simulated one
//! - [`git`]: where plans and approvals come from, and who signed for them
//! - [`secrets`]: where API tokens and secret parameters are kept
//! - [`store`]: the two homes of the engine, a cluster or a directory
//! - [`audit`]: the record that outlives the process
//! - [`system`]: clock and random words
//! - [`controllers`]: one file or folder a kind; carries out what `core` decides
//! - [`http`]: what can be asked of a running process
//! - [`cli`]: one file or folder a command; puts the parts together
//! - [`telemetry`]: logs, and the signal to stop

pub mod api;
pub mod catalog;
pub mod core;
pub mod ports;
pub mod yaml;

pub mod audit;
pub mod git;
pub mod pve;
pub mod secrets;
pub mod store;
pub mod system;

pub mod controllers;
pub mod http;

pub mod cli;
pub mod telemetry;
