//! A simulated Proxmox and the two who talk to it: the token under test, and root.

use proxmox_agent::{
    api::ProxmoxEnvironment,
    ports::Hypervisors as _,
    pve::{
        Connection, Proxmox,
        sim::{LedgerEntry, Options, Simulator, World},
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    rights::{self, Grants},
    worlds::essence,
};

/// May do what it is given and nothing else. Its secret stands in the common world, as root's does.
pub(crate) const AGENT: &str = "agent@pve!t=11111111-2222-3333-4444-555555555555";
pub(crate) const ROOT: &str = "root@pam!full=99999999-2222-3333-4444-555555555555";

pub(crate) struct Stage {
    sim: Simulator,
    control: reqwest::Client,
}

impl Stage {
    pub async fn new() -> Self {
        let options = Options { plain_http: true, ..Options::default() };
        let sim = Simulator::start(options).await.unwrap();
        // It speaks plain HTTP and can't be built without: of many that do so, one is first.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { sim, control: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub async fn stop(self) {
        self.sim.stop().await;
    }

    /// Goes on with this world, in which the token under test may do so much.
    pub async fn set(&self, world: &Value, grants: &Grants) {
        let mut world = world.clone();
        rights::give(&mut world, grants);
        // A world that makes no sense would be refused without saying where.
        World::from_yaml(&world.to_string()).unwrap_or_else(|error| panic!("{error}"));
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

    /// The real client, as `user@realm!token=secret`.
    pub fn connect(&self, token: &str) -> Connection {
        Proxmox::default().connect(&self.environment(), &SecretString::from(token.to_owned())).unwrap()
    }

    pub fn environment(&self) -> ProxmoxEnvironment {
        let spec = json!({
            "endpoints": [self.sim.url()],
            "credentials": {"secretRef": {"name": "token"}},
            "tier": "lab",
        });
        ProxmoxEnvironment::new("simulated", serde_json::from_value(spec).unwrap())
    }
}
