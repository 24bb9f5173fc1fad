//! The software-defined network as a whole: applying it, and what that would change.
use serde_json::json;

use super::{Answer, Call, Route, data, text};
use crate::pve::sim::engine::{NewTask, Run};
use crate::pve::sim::routes::network;
use crate::pve::sim::world::Definitions;

pub(in super::super) const ROUTES: &[Route] =
    &[("PUT", "/cluster/sdn", apply), ("GET", "/cluster/sdn/dry-run", dry_run)];

/// One task asks every node to reload its network, and succeeds even where a node doesn't.
fn apply(call: &mut Call<'_>) -> Answer {
    call.state.demand_file_lock("sdn_cfg", "")?;
    let network = call.state.world.defined_sdn();
    let who = call.caller.id();
    let node = call.state.local_node().to_owned();
    let new = NewTask::other(&node, "reloadnetworkall", String::new(), &who.clone(), move |run| {
        run.state.apply_sdn(network);
        reload_nodes(run, &who);
        Ok(())
    });
    call.fork(new)
}

fn reload_nodes(run: &mut Run<'_>, who: &str) {
    let nodes: Vec<(String, bool)> =
        run.state.world.nodes.iter().map(|(name, node)| (name.clone(), node.online)).collect();
    for (node, online) in nodes {
        if online {
            run.say(format!("{node}: reloading network config"));
            network::reload(run.state, &node, who);
        } else {
            run.say(format!("{node}: error reloading network config - No route to host"));
        }
    }
}

fn dry_run(call: &mut Call<'_>) -> Answer {
    let none = Definitions::new();
    let applied = call.state.world.applied_sdn.as_ref().unwrap_or(&none);
    let (before, after) = (stanzas(applied), stanzas(&call.state.world.defined_sdn()));
    data(json!({ "frr-diff": "", "interfaces-diff": network::difference(&before, &after) }))
}

fn stanzas(definitions: &Definitions) -> Vec<String> {
    let networks = definitions.get("vnets").into_iter().flatten();
    let stanza = |(id, network): (&String, &crate::pve::sim::world::Config)| {
        let alias = text(network, "alias").map(|alias| format!("\n\talias {alias}")).unwrap_or_default();
        let tag = network.get("tag").map(|tag| format!("\n\t# tag {tag}")).unwrap_or_default();
        format!("auto {id}\niface {id}\n\tbridge_ports none\n\tbridge_stp off\n\tbridge_fd 0{alias}{tag}")
    };
    networks.map(stanza).collect()
}
