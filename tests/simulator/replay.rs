//! What was recorded on a genuine Proxmox VE is asked again, and answered alike.
use std::collections::{BTreeMap, BTreeSet};

use super::agreement::{Outcome, Place, is_imitated, report, verdict};
use super::comparison::compare;
use super::player::{Player, asks_for_task};
use super::recording;

#[tokio::test]
async fn what_was_recorded_is_answered_alike() {
    let allowed = allowed();
    let replays = recording::NAMES.map(|name| replay(name, &allowed));
    let outcomes: Vec<Outcome> = futures::future::join_all(replays).await.into_iter().flatten().collect();
    let report = report(recording::NAMES, &outcomes);
    println!("{report}");
    let verdict = verdict(&outcomes, &allowed);
    assert!(verdict.is_empty(), "{}\n{report}", verdict.join("\n"));
}

#[test]
fn every_allowed_difference_names_an_exchange_once() {
    let recorded: BTreeMap<Place, String> = recording::NAMES
        .into_iter()
        .flat_map(|name| {
            recording::exchanges(&format!("recordings/{name}"))
                .into_iter()
                .map(|e| ((name.to_owned(), e.seq), e.name))
        })
        .collect();
    let mut seen = BTreeSet::new();
    for difference in recording::differences() {
        for (file, exchanges) in difference.exchanges {
            for (seq, name) in exchanges {
                let place = (file.clone(), seq);
                assert_eq!(recorded.get(&place), Some(&name), "{place:?}");
                assert!(seen.insert(place), "{file} {seq} is listed twice");
            }
        }
    }
}

/// The places that may differ, and whether that depends on the moment.
fn allowed() -> BTreeMap<Place, bool> {
    let mut allowed = BTreeMap::new();
    for difference in recording::differences() {
        for (file, exchanges) in difference.exchanges {
            allowed.extend(exchanges.into_keys().map(|seq| ((file.clone(), seq), difference.timing)));
        }
    }
    allowed
}

async fn replay(name: &str, allowed: &BTreeMap<Place, bool>) -> Vec<Outcome> {
    let mut outside = recording::outside("recordings", name);
    let mut player = Player::start(recording::world(&format!("recordings/{name}"))).await;
    let mut outcomes = vec![];
    for exchange in recording::exchanges(&format!("recordings/{name}")) {
        if let Some(step) = outside.remove(&exchange.seq) {
            player.step_in(step).await;
        }
        let place = (name.to_owned(), exchange.seq);
        let of_task = asks_for_task(&exchange.request);
        let judge = |ours: &_| compare(ours, &exchange.response, of_task);
        let (ours, problems) = player.play(&exchange, allowed.contains_key(&place), judge).await;
        let imitated = problems.is_empty() || is_imitated(&ours);
        outcomes.push(Outcome { place, name: exchange.name, problems, imitated });
    }
    player.stop().await;
    assert!(outside.is_empty(), "{name}: outside.yaml names exchanges that don't exist: {outside:?}");
    outcomes
}
