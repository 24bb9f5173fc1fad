//! Those who ask and those who decide. They are careless, and some are up to no good.

use std::time::Duration;

use proxmox_agent::api::Risk;
use serde_json::{Value, json};

use crate::{
    api::{Id, Objects},
    dice::Dice,
    history,
    network::Network,
    proxmox::Cluster,
};

pub(crate) const REQUESTER: &str = "requester@example.test";
const APPROVERS: [&str; 3] = ["ann@example.test", "bob@example.test", "cem@example.test"];

/// How many approvals the environment wants, from low to critical.
pub(crate) fn wanted(risk: Risk) -> usize {
    match risk {
        Risk::Low => 0,
        Risk::Medium | Risk::High => 1,
        Risk::Critical => 2,
    }
}

pub(crate) fn environment() -> Value {
    json!({
        "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxEnvironment", "metadata": {"name": "home"},
        "spec": {
            "endpoints": ["https://pve1:8006"], "tier": "lab", "requestTimeoutSeconds": 5,
            "credentials": {"secretRef": {"name": "pve"}},
            "policyKnobs": {"approvals": {"low": 0, "medium": 1, "high": 1, "critical": 2}},
            "budgets": {"tasksPerNode": 3, "tasksPerStorage": 3},
            "git": {"repository": "https://git.example.test/infra.git"},
        },
    })
}

/// Guests that plans fight over begin here, those that one plan is about at the others.
const SHARED: u32 = 100;
const TO_DELETE: u32 = 200;
const TO_MOVE: u32 = 300;
const COPIES: u32 = 400;
const MANY: u64 = 6;

pub(crate) fn settle_guests(cluster: &mut Cluster, dice: &Dice, plans: u32) {
    for number in 0..u32::try_from(MANY).unwrap() {
        cluster.add(SHARED + number, "pve1", dice.permille(500), number == 0);
    }
    for number in 0..plans {
        cluster.add(TO_DELETE + number, "pve2", false, false);
        cluster.add(TO_MOVE + number, "pve1", false, number % 4 == 0);
    }
}

pub(crate) struct People {
    pub(crate) dice: Dice,
    plans_left: u32,
    plans: Vec<Value>,
    approvals: u64,
}

impl People {
    pub(crate) fn new(dice: Dice, plans: u32) -> Self {
        Self { dice, plans_left: plans, plans: vec![], approvals: 0 }
    }

    /// One of them does something, or nobody.
    pub(crate) fn act(&mut self, network: &Network, cluster: &mut Cluster) {
        if self.plans_left > 0 && self.dice.permille(350) {
            self.ask(network);
        }
        if !self.plans.is_empty() && self.dice.permille(500) {
            self.decide(network, cluster);
        }
        network.tell();
    }

    fn ask(&mut self, network: &Network) {
        self.plans_left -= 1;
        let number = u32::try_from(self.plans.len()).unwrap();
        let (action, target, params) = self.order(number);
        let mut spec = json!({
            "environment": "home", "action": action, "target": format!("qemu/{target}"), "requestedBy": REQUESTER,
            "params": params,
        });
        let now = network.history.elapsed();
        if self.dice.permille(80) {
            spec["dryRun"] = json!(true);
        }
        if self.dice.permille(200) {
            let end = now + self.dice.millis(3_000..30_000);
            spec["notAfter"] = json!(history::at(end).to_string());
        } else if self.dice.permille(100) {
            let begin = now + self.dice.millis(3_000..15_000);
            spec["notBefore"] = json!(history::at(begin).to_string());
        }
        let plan = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionPlan",
            "metadata": {"name": format!("plan-{number}")}, "spec": spec,
        });
        self.create(network, "proxmoxactionplans", &plan);
        self.plans.push(plan);
    }

    fn order(&self, number: u32) -> (&'static str, u32, Value) {
        let shared = SHARED + u32::try_from(self.dice.below(MANY)).unwrap();
        // Tells the calls of two plans for one guest apart.
        let timeout = json!({"timeout": 100 + number});
        match self.dice.below(9) {
            0 | 1 => ("start_guest", shared, timeout),
            2 | 3 => ("stop_guest", shared, timeout),
            4 => ("create_snapshot", shared, json!({})),
            5 => ("set_guest_config", shared, json!({"description": format!("as plan-{number} says")})),
            6 => ("clone_guest", shared, json!({"newid": COPIES + number})),
            7 => ("migrate_guest", TO_MOVE + number, json!({"destination": "pve2"})),
            _ => ("delete_guest", TO_DELETE + number, json!({})),
        }
    }

    fn decide(&mut self, network: &Network, cluster: &mut Cluster) {
        let template = self.dice.one_of(&self.plans).clone();
        let name = template["metadata"]["name"].as_str().unwrap().to_owned();
        let found = network.objects().get(&Id::plan(&name));
        let Ok(plan) = found else { return };
        match self.dice.below(100) {
            0..60 => self.approve(network, &plan),
            60..64 => self.delete(network, &Id::plan(&name)),
            64..68 => {
                self.delete(network, &Id::plan(&name));
                self.create(network, "proxmoxactionplans", &template);
            }
            68..80 => self.revoke(network),
            80..90 => self.by_hand(network, cluster),
            _ => {}
        }
    }

    fn approve(&mut self, network: &Network, plan: &Value) {
        let status = &plan["status"];
        let Some(hash) = status["planHash"].as_str() else { return };
        let phase = status["phase"].as_str().unwrap_or_default();
        let asks = ["AwaitingApproval", "Approved", "Indeterminate"].contains(&phase);
        if !asks && !self.dice.permille(150) {
            return;
        }
        let now = network.history.elapsed();
        let later = |from: u64, to: u64| history::at(now + self.dice.millis(from..to)).to_string();
        let mut spec = json!({
            "planRef": {"name": plan["metadata"]["name"], "uid": plan["metadata"]["uid"]},
            "planHash": hash, "decision": "Approve", "approved_by": self.dice.one_of(&APPROVERS),
            "environment": "home", "risk": status["risk"],
        });
        if self.dice.permille(250) {
            spec["source"] = json!("git");
        }
        if phase == "Indeterminate" && self.dice.permille(800) {
            spec["attempt"] = status["attempts"].clone();
        }
        match self.dice.below(20) {
            0 => spec["planHash"] = json!(format!("sha256:{}", "0".repeat(64))),
            1 => spec["planRef"]["uid"] = json!("99999999-0000-4000-8000-000000000000"),
            2 => spec["approved_by"] = json!(REQUESTER),
            3 => spec["decision"] = json!("Deny"),
            4 => spec["risk"] = json!("low"),
            5 => {
                spec["expiresAt"] =
                    json!(history::at(now.saturating_sub(Duration::from_secs(5))).to_string());
            }
            6..9 => spec["expiresAt"] = json!(later(500, 8_000)),
            _ => {}
        }
        self.approvals += 1;
        let approval = json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxActionApproval",
            "metadata": {"name": format!("approval-{}", self.approvals)}, "spec": spec,
        });
        self.create(network, "proxmoxactionapprovals", &approval);
    }

    fn revoke(&self, network: &Network) {
        let all = network.objects().list("proxmoxactionapprovals", "");
        if !all.is_empty() {
            let one = self.dice.one_of(&all);
            self.delete(
                network,
                &Id::new("proxmoxactionapprovals", one["metadata"]["name"].as_str().unwrap()),
            );
        }
    }

    /// Somebody does something on Proxmox itself.
    fn by_hand(&self, network: &Network, cluster: &mut Cluster) {
        let vmids: Vec<u32> = cluster.guests.keys().copied().collect();
        let vmid = *self.dice.one_of(&vmids);
        let Some(guest) = cluster.guests.get_mut(&vmid) else { return };
        if self.dice.permille(500) {
            guest.is_running = !guest.is_running;
        } else {
            guest.settings.insert("tags".to_owned(), format!("t{}", self.dice.below(1000)));
        }
        network.history.note("people", format!("change {vmid} by hand: {guest:?}"));
    }

    fn create(&self, network: &Network, plural: &str, object: &Value) {
        let at = network.history.elapsed();
        let made = with(network, |objects| objects.create(plural, object.clone(), at).map(|made| made.text));
        network.history.note("people", format!("create {made:?}"));
    }

    fn delete(&self, network: &Network, id: &Id) {
        let at = network.history.elapsed();
        let gone = with(network, |objects| objects.delete(id, at).map(drop));
        network.history.note("people", format!("delete {}: {gone:?}", id.name));
    }
}

fn with<T>(network: &Network, act: impl FnOnce(&mut Objects) -> T) -> T {
    act(&mut network.objects())
}
