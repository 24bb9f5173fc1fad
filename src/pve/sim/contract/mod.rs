//! The contract of the imitated API: operations, their permissions, and the judging of parameters.
mod formats;
mod parameters;
mod patterns;
mod permission;
mod property_string;
mod schema;
mod verify;

pub(super) use parameters::{Given, Parameters};
pub(super) use permission::{Check, Permission};
pub(super) use property_string::PropertyString;
pub(super) use schema::{Contract, Matched, Operation};
pub(super) use verify::{config_value, verify};
