//! Approval by git: real commits, signed by real keys, fetched over real TLS.
// Where a test can't go on, stopping with a message is the right thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod desk;
mod evidence;
mod fetching;
mod history;
mod life;
mod proofs;
mod sightings;
mod signatures;
mod story;
