//! What the program and its manifests do against a real Kubernetes API server.
// Where a test can't go on, stopping with a message is the right thing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod approvals;
mod bad_input;
mod chart;
mod conformance;
mod crashes;
mod git;
mod ha;
mod harness;
mod in_force;
mod kubectl_approve;
mod kubectl_approve_git;
mod kubectl_approve_list;
mod kubectl_plugin;
mod lint;
mod many;
mod moving_targets;
mod plans;
mod policies;
mod replicas;
mod roles;
mod rules;
mod secrecy;
mod values;
mod writes;
