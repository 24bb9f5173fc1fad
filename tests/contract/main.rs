//! The simulated Proxmox against fakepve, an independent imitation: `make verify-contract`.
//!
//! The comparison is fakepve's own, an outside program. It asks the simulation, asks itself the same and reports where
//! the two differ. What it reports has to be what `tests/data/fakepve/differences.yaml` lists, no more and no less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that can't go on fails, and says where
mod judgement;
mod outside;
mod report;

use std::collections::BTreeMap;

use judgement::{Differences, Judgement};
use outside::Comparison;
use report::Report;

#[tokio::test]
async fn fakepve_agrees_apart_from_what_is_listed() {
    let listed = Differences::read();
    let scenario = Comparison::start("scenario.world.yaml").await.scenario().await;
    let walk = Comparison::start("walk.world.yaml").await.walk().await;
    let sources = [("scenario", &listed.scenario, scenario), ("walk", &listed.walk, walk)];
    let mut verdict = vec![];
    println!("\nfakepve against the simulation");
    println!("{:10} {:>8} {:>6} {:>7} {:>13}", "", "compared", "agree", "differ", "not imitated");
    for (name, listed, report) in sources {
        let judgement = Judgement::of(&report, listed);
        println!("{name:10} {judgement}");
        verdict.extend(judgement.problems.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(verdict.is_empty(), "\n{}\n", verdict.join("\n"));
}

#[test]
fn every_difference_that_is_reported_is_listed_and_every_listed_one_is_reported() {
    let report =
        Report::parse("kept\n  type: text\nnew\n  status: 400 in real, 200 in fake\ncompared 4 methods; x");
    let listed = [("kept", "type: text"), ("gone", "type: text")]
        .map(|(place, line)| (place.to_owned(), vec![line.to_owned()]));
    let judgement = Judgement::of(&report, &BTreeMap::from(listed));
    assert_eq!(
        judgement.problems,
        [
            "gone agrees in this by now, remove it: type: text",
            "new isn't listed: status: 400 in real, 200 in fake"
        ]
    );
}

#[test]
fn what_is_not_imitated_is_counted_and_needs_no_list() {
    let report =
        Report::parse("GET /x\n  status: (response) 501 in real, 200 in fake\ncompared 3 methods; x");
    let judgement = Judgement::of(&report, &BTreeMap::new());
    assert!(judgement.problems.is_empty());
    assert_eq!((judgement.compared, judgement.agree, judgement.not_imitated), (3, 2, 1));
}

#[test]
#[should_panic(expected = "says nothing of how much was compared")]
fn a_report_without_a_count_is_no_report() {
    Report::parse("compare_real: failed (ClientError)");
}
