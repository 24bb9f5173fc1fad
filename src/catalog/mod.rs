//! The one table of what can be done to Proxmox.
//!
//! Validation, risk, preview, dispatch, recovery and the generated documents all read it; nothing about an
//! action is written down anywhere else. What Proxmox VE itself takes is the business of [`contract`].

mod action;
mod call;
pub mod contract;
mod param;
mod table;
mod target;

pub use action::{Action, Fingerprint, Operation};
pub use call::{Call, Method};
pub use param::{Param, ParamType, ParamValue};
pub use table::{ACTIONS, find};
pub use target::{GuestKind, GuestRef, InventoryScope, Target, TargetError, TargetForm, Vmid};
