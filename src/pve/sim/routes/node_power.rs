//! Switching nodes off, and off and on again.
use super::{Route, nothing};
use crate::pve::sim::engine::{Call, State};
use crate::pve::sim::faults::seconds_of;
use crate::pve::sim::http::Answer;

pub(super) const ROUTES: &[Route] = &[("POST", "/nodes/{node}/status", command)];

/// The answer comes at once and the node goes down some time later, in good order: its guests are shut down.
fn command(call: &mut Call<'_>) -> Answer {
    let (node, reboots) = (call.node().to_owned(), call.text("command") == "reboot");
    let delay = seconds_of(call.state.world.shutdown_seconds);
    call.state.happen_after(delay, move |state| go_down(state, node, reboots));
    nothing()
}

fn go_down(state: &mut State, node: String, reboots: bool) {
    let served = super::ha::resources_served_by(state, &node);
    state.switch_off(&node);
    if reboots {
        let delay = seconds_of(state.world.boot_seconds);
        state.happen_after(delay, move |state| state.switch_on(&node));
    } else {
        // A node that reboots takes its resources up again itself; those of one that stays away are recovered elsewhere.
        super::ha::recover(state, &served);
    }
}
