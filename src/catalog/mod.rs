//! The one table of what can be done to Proxmox.
//!
//! Validation, risk, preview, dispatch, recovery and the generated documents all read it; nothing about an
//! action is written down anywhere else. What Proxmox VE itself takes is the business of [`contract`].

mod action;
mod call;
pub mod contract;
mod guest;
mod need;
mod notation;
mod param;
pub mod similar;
mod table;
mod target;
mod touch;

pub use action::{
    Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, NaturalKey, Operation, Reading,
    TaskId, Tasks, Undo,
};
pub use call::{Call, Method};
pub use guest::{GuestKind, GuestRef, Vmid};
pub use need::{Need, Place};
pub use notation::{path_segment, split_list};
pub use param::{Param, ParamType, ParamValue, SecretValue, Wire};
pub use table::{actions, find};
pub use target::{InventoryScope, Name, Target, TargetError, TargetKind, VolumeId};
pub use touch::{Section, Touch};
