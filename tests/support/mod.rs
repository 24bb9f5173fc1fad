//! What the whole-program tests stand on. Every test root has this module and uses its own part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod cluster;
pub(crate) mod conformance;
pub(crate) mod manifests;
pub(crate) mod proxmox;
pub(crate) mod stage;
pub(crate) mod worlds;
