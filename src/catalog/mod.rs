//! The one table of what can be done to Proxmox.
//!
//! Validation, risk, preview, dispatch, recovery and the generated documents all read it; nothing about an
//! action is written down anywhere else.

mod action;
mod call;
mod param;
mod table;
mod target;

pub use action::{Action, Fingerprint, HaEnd, Operation};
pub use call::{Call, Method};
pub use param::{Param, ParamType, ParamValue};
pub use table::{ACTIONS, find};
pub use target::{GuestKind, GuestRef, InventoryScope, Target, TargetError, TargetForm, Vmid};
