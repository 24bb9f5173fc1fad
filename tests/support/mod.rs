//! What the whole-program tests stand on.
// Every test root is a program of its own that has this module and uses only its part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod chart;
pub(crate) mod cluster;
pub(crate) mod conformance;
pub(crate) mod git;
pub(crate) mod git_server;
pub(crate) mod home;
pub(crate) mod house;
pub(crate) mod manifests;
pub(crate) mod patience;
pub(crate) mod promises;
pub(crate) mod proxmox;
pub(crate) mod relay;
pub(crate) mod rows;
pub(crate) mod stage;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod worlds;
