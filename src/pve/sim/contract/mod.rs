//! The contract of the imitated release as a server keeps it: parameters as they arrive, refusals in Proxmox's words.
mod formats;
mod parameters;
mod words;

pub(super) use crate::catalog::contract::{
    Check, Contract, Given, Matched, Operation, Permission, PropertyString, Release,
};
pub(super) use parameters::Parameters;
pub(super) use words::{config_value, verify};
