//! The simulated Proxmox VE: an imitation of its API to try things out on, to test against, and to break on purpose.
//!
//! # Layout
//! In the order in which a request travels:
//!
//! - [`simulator`] starts and stops it, `control` steers it from outside of the API
//! - `endpoints` are the ports of the nodes, as long as they are up
//! - `http` reads requests and writes answers, `simulation` decides which of them get lost
//! - `gate` judges them: who asks (`access`), for what (`contract`, the server's side of [`crate::catalog::contract`]), in which order
//! - `routes` holds a handler for every imitated operation
//! - `disks` knows drives and volumes, `engine` holds state, clock and tasks; [`world`] is what a state looks like in a file
//! - [`faults`] are the switches, [`ledger`] is the oracle
mod access;
mod contract;
mod control;
mod disks;
mod endpoints;
mod engine;
pub mod faults;
mod gate;
mod http;
pub mod ledger;
mod routes;
mod simulation;
pub mod simulator;
pub mod world;

pub use faults::{Fault, Trigger};
pub use ledger::{Delivery, LedgerEntry, Outcome};
pub use simulator::{Options, SimError, Simulator};
pub use world::{World, WorldError};
