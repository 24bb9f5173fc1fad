//! Plans as files: made, shown, checked and looked back on with the real binary, in real git working trees.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod history;
mod lint;
mod new;
mod show;
