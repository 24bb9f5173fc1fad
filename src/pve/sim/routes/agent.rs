//! Talking to the agent inside a VM.
use serde_json::{Value, json};

use super::guests::agent_answers;
use super::{Route, data};
use crate::pve::sim::contract::PropertyString;
use crate::pve::sim::engine::Call;
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::Power;

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/ping", ping),
    ("POST", "/nodes/{node}/qemu/{vmid}/monitor", monitor),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", interfaces),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/info", info),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/get-osinfo", system),
    ("POST", "/nodes/{node}/qemu/{vmid}/agent/exec", execute),
    ("GET", "/nodes/{node}/qemu/{vmid}/agent/exec-status", execution),
];

/// Configured, running, answering: in this order.
fn demand_agent(call: &Call<'_>) -> Result<(), Refusal> {
    let guest = call.guest()?;
    let configured = guest.text("agent").is_some_and(|agent| {
        let agent = PropertyString::parse(agent);
        agent.bare == "1" || agent.get("enabled") == Some("1")
    });
    if !configured {
        return refuse("No QEMU guest agent configured");
    }
    if !guest.is_running() {
        return refuse(format!("VM {} is not running", call.vmid()));
    }
    if agent_answers(guest) { Ok(()) } else { refuse("QEMU guest agent is not running") }
}

fn ping(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    data(json!({ "result": {} }))
}

/// The monitor's own errors are answers, not refusals.
fn monitor(call: &mut Call<'_>) -> Answer {
    let guest = call.guest()?;
    if !guest.is_running() {
        return data(format!("ERROR: VM {} not running\n", call.vmid()));
    }
    let paused = guest.status == Power::Paused;
    data(match call.text("command") {
        "info status" if paused => "VM status: paused\r\n",
        "info status" => "VM status: running\r\n",
        _ => "",
    })
}

fn interfaces(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    let still = json!({
        "rx-bytes": 0, "rx-dropped": 0, "rx-errs": 0, "rx-packets": 0, "tx-bytes": 0, "tx-dropped": 0,
        "tx-errs": 0, "tx-packets": 0,
    });
    let loopback = json!({
        "name": "lo",
        "hardware-address": "00:00:00:00:00:00",
        "ip-addresses": [{ "ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8 }],
        "statistics": still,
    });
    let guest = call.guest()?;
    let cards = guest.config.iter().filter(|(key, _)| key.starts_with("net")).enumerate();
    let card = |(position, (_, value)): (usize, (&String, &Value))| {
        let text = value.as_str().unwrap_or_default();
        let address = text.split([',', '=']).nth(1).unwrap_or_default().to_lowercase();
        json!({ "name": format!("eth{position}"), "hardware-address": address, "statistics": still })
    };
    let rows: Vec<Value> = std::iter::once(loopback).chain(cards.map(card)).collect();
    data(json!({ "result": rows }))
}

const COMMANDS: [&str; 12] = [
    "guest-exec",
    "guest-exec-status",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
    "guest-fstrim",
    "guest-get-fsinfo",
    "guest-get-osinfo",
    "guest-info",
    "guest-network-get-interfaces",
    "guest-ping",
    "guest-shutdown",
];

fn info(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    let command =
        |name: &&str| json!({ "name": name, "enabled": true, "success-response": *name != "guest-shutdown" });
    let commands: Vec<Value> = COMMANDS.iter().map(command).collect();
    data(json!({ "result": { "version": "7.2.22", "supported_commands": commands } }))
}

fn system(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    data(json!({ "result": {
        "kernel-release": "6.1.0-56-cloud-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64",
    } }))
}

/// The only process that an agent here ever starts.
const PROCESS: u32 = 109;

/// Nothing is executed: whatever the command is, it is over at once and has printed nothing.
fn execute(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    data(json!({ "pid": PROCESS }))
}

fn execution(call: &mut Call<'_>) -> Answer {
    demand_agent(call)?;
    if call.parameters.number("pid") != Some(PROCESS) {
        return refuse("Agent error: Invalid parameter 'pid'");
    }
    data(json!({ "exited": 1, "exitcode": 0, "out-data": "", "out-truncated": 0 }))
}
