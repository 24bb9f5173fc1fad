//! The audit log as its readers use it, and what becomes of it when the program or the disk fails.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archiving;
mod bundles;
mod desk;
mod failing;
mod keeping;
mod mistaken;
mod reading;
#[path = "../support/mod.rs"]
mod support;
