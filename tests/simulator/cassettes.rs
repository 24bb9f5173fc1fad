//! What the integration tests of an SDK recorded on clusters of others is answered alike in status and JSON types.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::agreement::{Outcome, Place, is_imitated, report, verdict};
use super::comparison::compare_types;
use super::player::Player;
use super::recording::{self, Exchange};

/// The files of cassettes, each with the world that its cassettes were recorded in.
const FILES: [&str; 3] = ["cluster-9.1", "cluster-9.2", "single-9.2"];

/// Exchanges that are answered otherwise, for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    #[serde(rename = "reason")]
    _reason: String,
    /// By cassette.
    exchanges: BTreeMap<String, Vec<u32>>,
}

#[tokio::test]
async fn what_an_sdk_recorded_is_answered_alike() {
    let allowed = allowed();
    let replays = cassettes().into_values().map(|(file, cassette)| replay(file, cassette, &allowed));
    let outcomes: Vec<Outcome> = futures::future::join_all(replays).await.into_iter().flatten().collect();
    let names: BTreeSet<&str> = outcomes.iter().map(|outcome| outcome.place.0.as_str()).collect();
    let report = report(names, &outcomes);
    println!("{report}");
    let (imitated, _): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|outcome| outcome.imitated);
    let verdict = verdict(&imitated, &allowed);
    assert!(verdict.is_empty(), "{}\n{report}", verdict.join("\n"));
}

#[test]
fn every_difference_from_a_cassette_names_an_exchange_of_it() {
    let recorded: BTreeSet<Place> = cassettes()
        .into_iter()
        .flat_map(|(name, (_, cassette))| {
            cassette.into_iter().map(move |exchange| (name.clone(), exchange.seq))
        })
        .collect();
    let unknown: Vec<Place> = allowed().into_keys().filter(|place| !recorded.contains(place)).collect();
    assert!(unknown.is_empty(), "there are no such exchanges: {unknown:?}");
}

/// By name, the file it stands in and its exchanges.
fn cassettes() -> BTreeMap<String, (&'static str, Vec<Exchange>)> {
    let mut cassettes: BTreeMap<String, (&'static str, Vec<Exchange>)> = BTreeMap::new();
    for file in FILES {
        for exchange in recording::exchanges(&format!("sdk-recordings/{file}")) {
            cassettes.entry(exchange.name.clone()).or_insert_with(|| (file, vec![])).1.push(exchange);
        }
    }
    cassettes
}

/// No difference depends on the moment.
fn allowed() -> BTreeMap<Place, bool> {
    recording::yaml::<Vec<Difference>>("sdk-recordings/differences.yaml")
        .into_iter()
        .flat_map(|difference| difference.exchanges)
        .flat_map(|(name, exchanges)| exchanges.into_iter().map(move |seq| ((name.clone(), seq), false)))
        .collect()
}

/// The recording client waited for its tasks before it went on, which the cassettes don't show in full.
async fn replay(file: &str, cassette: Vec<Exchange>, allowed: &BTreeMap<Place, bool>) -> Vec<Outcome> {
    let mut player = Player::start(recording::world(&format!("sdk-recordings/{file}"))).await;
    let name = cassette[0].name.clone();
    let mut outside = recording::outside("sdk-recordings", &name);
    let mut outcomes = vec![];
    for exchange in cassette {
        if exchange.request.method != "GET" {
            player.rest().await;
        }
        if let Some(step) = outside.remove(&exchange.seq) {
            player.rest().await;
            player.step_in(step).await;
        }
        let place = (exchange.name.clone(), exchange.seq);
        let judge = |ours: &_| compare_types(ours, &exchange.response);
        let (ours, problems) = player.play(&exchange, allowed.contains_key(&place), judge).await;
        let imitated = problems.is_empty() || is_imitated(&ours);
        let name = format!("{} {}", exchange.request.method, exchange.request.path);
        outcomes.push(Outcome { place, name, problems, imitated });
    }
    player.stop().await;
    assert!(outside.is_empty(), "{name}: outside.yaml names exchanges that don't exist: {outside:?}");
    outcomes
}
