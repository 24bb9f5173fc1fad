//! The operator as a real process, killed, stopped and cut off at every call that it makes.
//!
//! A proxy stands at both of its boundaries, the API server and Proxmox, and numbers what passes. A run without a fault
//! tells which calls there are; then there is one run for each of them and each fault. Whatever happens, a change arrives
//! at Proxmox at most once, announced and approved, and the plan ends.
//!
//! | variable | |
//! |---|---|
//! | `GRID=full` | every boundary of every class of action, not only one of each kind |
//! | `GRID_SECONDS=900` | nothing new is begun later; what was tried by then is spread over everything, and each row of the table says of how much |
//! | `GRID_SHOW=1` | a line for each run |
//! | `GRID_AT_ONCE=16` | so many runs at the same time |
//! | `GRID_ONE="start request killed-before 1 PUT proxmoxactionplans/p1/status"` | this run alone, by the test `one_run_alone` |
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod call;
mod classes;
mod endurance;
mod findings;
mod gate;
mod grid;
mod oracle;
mod people;
mod process;
mod proxy;
mod run;
mod site;
mod takeover;
mod watches;
mod watching;
mod witness;

use support::rows::scale;

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_dies_or_is_cut_off_a_change_arrives_at_most_once_and_every_plan_ends() {
    let wrong = grid::try_all(grid::extent(), scale("GRID_AT_ONCE", 16)).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_alone() {
    if let Ok(cell) = std::env::var("GRID_ONE") {
        grid::try_one(&cell.parse().unwrap()).await;
    }
}
