//! An operator that stands still while another one does its work, and then goes on where it was.

use std::sync::Mutex;

use kube::ResourceExt;

use crate::{
    audit,
    call::Effect,
    classes::{Class, named},
    gate::{Boundary, Fault, HANDSHAKE, MUTATION},
    grid::{Extent, extent},
    oracle,
    people::{PATIENCE, PLAN},
    run::{Scenario, Traces, arrived},
    site::{Site, sites},
    support::{
        cluster::Cluster,
        rows::{Row, scale},
    },
};

/// Of calls of one kind so many are tried.
const OF_A_KIND: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_wakes_up_after_another_has_taken_over_sends_nothing() {
    let class = named("start");
    let mut sites = sites(&Cluster::shared(), scale("GRID_AT_ONCE", 16).min(12)).await;
    let mut boundaries: Vec<Boundary> = [
        ("PUT proxmoxactionplans/p/status", 1),
        (HANDSHAKE, 1),
        (MUTATION, 1),
        ("PUT proxmoxactionplans/p/status", 2),
        ("GET /nodes/pve1/tasks", 1),
    ]
    .map(|(call, nth)| Boundary { call: call.to_owned(), nth })
    .into();
    if extent() == Extent::Full {
        let undisturbed = sites[0].play(&class, Scenario::Request, None).await;
        let others = undisturbed.trace.into_iter().filter(|(at, effect)| {
            at.nth <= OF_A_KIND
                && !matches!(effect, Effect::Watches | Effect::Mutates)
                && !boundaries.contains(at)
        });
        boundaries.extend(others.map(|(at, _)| at).collect::<Vec<_>>());
    }
    let tried = boundaries.len() as u64;
    let (left, wrong, missed) = (Mutex::new(boundaries), Mutex::new(vec![]), Mutex::new(0));
    let work = async |mut site: Site| {
        loop {
            let Some(at) = left.lock().unwrap().pop() else { return };
            let Some(problems) = stands_still(&mut site, &class, at.clone()).await else {
                *missed.lock().unwrap() += 1;
                continue;
            };
            let told =
                problems.into_iter().map(|problem| format!("stopped at {} {}: {problem}", at.nth, at.call));
            wrong.lock().unwrap().extend(told);
        }
    };
    futures::future::join_all(sites.drain(..).map(work)).await;
    let (wrong, missed) = (wrong.into_inner().unwrap(), missed.into_inner().unwrap());
    let what = format!(
        "an operator stands still at a call, another takes over, the first goes on; {missed} runs passed theirs by"
    );
    Row { part: "takeover", what: &what, tried, unit: "runs", violations: wrong.len() as u64 }.note();
    assert!(missed * 5 <= tried, "{missed} of {tried} runs did not come to their call");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What was wrong. `None` if it never came to that call: what is shared or known already is not asked for each time.
async fn stands_still(site: &mut Site, class: &Class, at: Boundary) -> Option<Vec<String>> {
    let stage = site.set(class).await;
    let beside = site.beside(&stage).await;
    let first = site.start(&stage.volume);
    site.gate.quiet().await;
    let second = beside.start();
    beside.gate.quiet().await;
    site.gate.arm(Some((at, Fault::Stopped)));
    site.people.ask(class).await;
    if tokio::time::timeout(PATIENCE, site.gate.sprung()).await.is_err() {
        stage.sim.stop().await;
        return None;
    }
    let mut wrong: Vec<String> = site.people.bring_to_an_end().await.err().into_iter().collect();
    beside.gate.quiet().await;
    let (before, sent_before) = (site.people.plans.get(PLAN).await.unwrap(), arrived(&stage));
    site.gate.go_on().await;
    first.ask_to_end().await;
    second.kill().await;
    let (after, sent) = (site.people.plans.get(PLAN).await.unwrap(), arrived(&stage));
    if sent.len() > sent_before.len() {
        wrong.push(format!("it went on, and this was sent: {:?}", &sent[sent_before.len()..]));
    }
    if after.status != before.status {
        wrong.push(format!("it went on, and {:?} became {:?}", before.status, after.status));
    }
    let uid = after.uid().unwrap();
    let logs = [stage.volume.as_path(), beside.volume()];
    let status = after.status.unwrap_or_default();
    let traces = Traces {
        class,
        scenario: Scenario::Request,
        may_lack_an_answer: true,
        status,
        arrived: sent,
        audit: logs.iter().flat_map(|volume| audit::records(volume, &uid)).collect(),
        audit_problems: audit::problems(&logs),
        log: logs
            .iter()
            .filter_map(|volume| std::fs::read_to_string(volume.join("operator.log")).ok())
            .collect(),
    };
    wrong.extend(site.witness.problems());
    wrong.extend(oracle::judge(&traces));
    if !wrong.is_empty() {
        wrong.push(traces.log);
    }
    stage.sim.stop().await;
    Some(wrong)
}
