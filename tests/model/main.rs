//! Every way in which two replicas, an API server, a Proxmox, people and time can get into each other's way over one plan.
//! What is explored is the program's own `step`; the world around it is a model.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod book;
mod explore;
mod fingerprint;
mod life;
mod moves;
mod outside;
mod progress;
mod protocols;
mod proxmox;
mod record;
mod replica;
mod replies;
#[path = "../support/rows.rs"]
mod rows;
mod rules;
mod setting;
mod shipped;
mod story;
mod world;
