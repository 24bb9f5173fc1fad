//! A simulated Proxmox and the two who talk to it: the token under test, and root.

use proxmox_agent::{
    api::ProxmoxEnvironment,
    ports::Hypervisors as _,
    pve::{
        Connection, Proxmox,
        sim::{LedgerEntry, Options, Simulator},
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    rights::{self, Grants},
    worlds::essence,
};

/// May do what it is given and nothing else. Its secret stands in the common world, as root's does.
const AGENT: &str = "agent@pve!t=11111111-2222-3333-4444-555555555555";
const ROOT: &str = "root@pam!full=99999999-2222-3333-4444-555555555555";

pub(crate) struct Stage {
    sim: Simulator,
    control: reqwest::Client,
    pub environment: ProxmoxEnvironment,
    /// The real client, with the token under test.
    pub agent: Connection,
    /// The same for who may do everything.
    pub root: Connection,
}

impl Stage {
    pub async fn new() -> Self {
        let options = Options { plain_http: true, ..Options::default() };
        let sim = Simulator::start(options).await.unwrap();
        // The client for the control plane can't be built without: of many that do so, one is first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let control = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let environment = environment(sim.url());
        let connect = |token: &str| {
            Proxmox::default().connect(&environment, &SecretString::from(token.to_owned())).unwrap()
        };
        let (agent, root) = (connect(AGENT), connect(ROOT));
        Self { sim, control: control.build().unwrap(), environment, agent, root }
    }

    pub async fn stop(self) {
        self.sim.stop().await;
    }

    /// Goes on with this world, in which the token under test may do so much.
    pub async fn set(&self, world: &Value, grants: &Grants) {
        let mut world = world.clone();
        rights::give(&mut world, grants);
        let url = format!("{}/_sim/world", self.sim.url());
        let answer = self.control.put(url).body(world.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The present state as a world.
    pub async fn world(&self) -> Value {
        let url = format!("{}/_sim/world", self.sim.url());
        let text = self.control.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub async fn essence(&self) -> Value {
        essence(self.world().await)
    }

    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.sim.ledger()
    }
}

fn environment(url: &str) -> ProxmoxEnvironment {
    let spec = json!({
        "endpoints": [url],
        "credentials": {"secretRef": {"name": "token"}},
        "tier": "lab",
        "tls": {"insecureSkipVerify": true},
    });
    ProxmoxEnvironment::new("simulated", serde_json::from_value(spec).unwrap())
}
