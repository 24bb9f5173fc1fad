//! A simulated Proxmox, and looks at it.

use std::{collections::BTreeSet, time::Duration};

use proxmox_agent::{
    catalog::{Existence, Reading, Section},
    core::observe::{Query, World},
    pve::{
        ApiToken, Client, ReadError, Trust,
        sim::{Options, Simulator, World as Simulated},
        survey,
    },
};
use secrecy::SecretString;

pub(crate) const SAMPLE: &str = include_str!("../../src/pve/sim/sample-world.yaml");
/// May see everything.
pub(crate) const ROOT: &str = "root@pam!full";

pub(crate) async fn start(world: &str) -> Simulator {
    let world = Simulated::from_yaml(world).unwrap();
    Simulator::start(Options { world, plain_http: true, ..Options::default() }).await.unwrap()
}

/// The sample, with more sections of a world file.
pub(crate) fn sample_and(more: &str) -> String {
    format!("{SAMPLE}\n{more}\n")
}

/// The sample with one part put in another's place.
pub(crate) fn sample_with(part: &str, new: &str) -> String {
    assert!(SAMPLE.contains(part), "{part}");
    SAMPLE.replacen(part, new, 1)
}

/// Holds what [`sample_for`] gives it.
pub(crate) const NARROW: &str = "narrow@pve!t";

/// The sample with one more token, which holds these privileges at these paths and nothing else.
pub(crate) fn sample_for(given: &[(&str, &[&str])]) -> String {
    let mut world = SAMPLE.replacen("users:\n", "users:\n  narrow@pve: {tokens: {t: {privsep: 0}}}\n", 1);
    for (at, (path, privileges)) in given.iter().enumerate() {
        let role = format!("roles:\n  Narrow{at}: [{}]\n", privileges.join(", "));
        let rule = format!("acl:\n  - {{path: {path}, who: \"narrow@pve\", role: Narrow{at}}}\n");
        world = world.replacen("roles:\n", &role, 1).replacen("acl:\n", &rule, 1);
    }
    world
}

pub(crate) fn client(url: &str, sim: &Simulator, token: &str) -> Client {
    let secret = SecretString::from(format!("{token}={}", sim.tokens()[token]));
    let token = ApiToken::try_from(&secret).unwrap();
    Client::new(&[url], token, &Trust::Anyone, Duration::from_secs(20)).unwrap()
}

pub(crate) fn query(target: &str, sections: &[Section]) -> Query {
    Query {
        target: target.parse().unwrap(),
        existence: Existence::Exists,
        node: None,
        destination: None,
        sections: sections.iter().copied().collect(),
    }
}

pub(crate) async fn look(sim: &Simulator, token: &str, query: &Query) -> Result<World, ReadError> {
    survey::look(&client(sim.url(), sim, token), query, &BTreeSet::new()).await
}

/// What root sees.
pub(crate) async fn seen(sim: &Simulator, target: &str, sections: &[Section]) -> World {
    look(sim, ROOT, &query(target, sections)).await.unwrap()
}

pub(crate) async fn read(
    sim: &Simulator,
    token: &str,
    reading: Reading,
    target: &str,
) -> proxmox_agent::api::ReadResult {
    let query = query(target, &[]);
    survey::read(&client(sim.url(), sim, token), reading, &query, 50).await.unwrap().result()
}

/// Somebody defines something.
pub(crate) async fn post(sim: &Simulator, path: &str, form: &[(&str, &str)]) {
    // Fails only if another test has done so already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = format!("{}/api2/json{path}", sim.url());
    let token = format!("PVEAPIToken={ROOT}={}", sim.tokens()[ROOT]);
    let request = reqwest::Client::new().post(url).header("Authorization", token).form(form);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
}
