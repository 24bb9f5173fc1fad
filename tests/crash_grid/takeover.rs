//! An operator that stands still while another one does its work, and then goes on where it was.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Mutex,
    time::Instant,
};

use kube::ResourceExt;

use crate::{
    audit,
    call::Effect,
    classes::{Class, named},
    gate::{Boundary, Fault, HANDSHAKE, MUTATION},
    grid::{Extent, deadline, extent, spread},
    oracle,
    people::PLAN,
    run::{Scenario, Traces, arrived},
    site::{Site, sites},
    support::{
        cluster::Cluster,
        promises::{Broken, Promise, told},
        rows::{Row, scale},
    },
};

/// Of calls of one kind so many are tried. Not every run reads a second time what it knows already.
fn of_a_kind(effect: Effect) -> u32 {
    match effect {
        Effect::Connects | Effect::Reads => 1,
        Effect::Writes => 2,
        Effect::Watches | Effect::Mutates => 0,
    }
}

/// One for each way to find out what became of a call: a state, a name that is refused the second time, nothing, a digest,
/// and what is there or not.
const CLASSES: [&str; 5] = ["start", "snapshot", "rollback", "tags", "pool"];

type Pause = (&'static str, Boundary);

#[derive(Default)]
struct Found {
    expected: u64,
    runs: u64,
    missed: u64,
    /// What was wrong in a run, and what the operators said in it.
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_wakes_up_after_another_has_taken_over_sends_nothing() {
    let last = deadline(Instant::now());
    let mut sites = sites(&Cluster::shared(), scale("GRID_AT_ONCE", 16).min(12)).await;
    let mut pauses = around_the_change();
    if extent() == Extent::Full {
        for class in CLASSES {
            pauses.extend(at_every_call(&mut sites[0], class).await);
        }
    }
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for (class, _) in &pauses {
        found.entry(class).or_default().expected += 1;
    }
    let pauses: Vec<Pause> = pauses.into_iter().collect();
    let left: Mutex<VecDeque<Pause>> = Mutex::new(spread(&pauses).collect());
    let found = Mutex::new(found);
    let work = async |mut site: Site| {
        loop {
            let next = left.lock().unwrap().pop_front().filter(|_| Instant::now() < last);
            let Some((class, at)) = next else { return };
            let told_of = stands_still(&mut site, &named(class), at.clone()).await;
            found.lock().unwrap().entry(class).or_default().add(&at, told_of);
        }
    };
    futures::future::join_all(sites.drain(..).map(work)).await;
    let found = found.into_inner().unwrap();
    found.iter().for_each(|(class, found)| found.note(class));
    let wrong: Vec<&str> = found.values().flat_map(|found| &found.wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let sum = |count: fn(&Found) -> u64| found.values().map(count).sum::<u64>();
    let (runs, missed) = (sum(|found| found.runs), sum(|found| found.missed));
    // Not every read is made in every run. Each row says how many were not.
    assert!(missed * 2 <= runs, "{missed} of {runs} runs did not come to their call");
}

/// Where it hurts most.
fn around_the_change() -> BTreeSet<Pause> {
    let places = [
        ("PUT proxmoxactionplans/p/status", 1),
        (HANDSHAKE, 1),
        (MUTATION, 1),
        ("PUT proxmoxactionplans/p/status", 2),
        ("GET /nodes/pve1/tasks", 1),
    ];
    places.map(|(call, nth)| ("start", Boundary { call: call.to_owned(), nth })).into()
}

async fn at_every_call(site: &mut Site, class: &'static str) -> impl Iterator<Item = Pause> {
    let undisturbed = site.play(&named(class), Scenario::Request, None).await;
    let change = Boundary { call: MUTATION.to_owned(), nth: 1 };
    let others = undisturbed.trace.into_iter().filter(|(at, effect)| at.nth <= of_a_kind(*effect));
    others.map(|(at, _)| at).chain([change]).map(move |at| (class, at))
}

impl Found {
    fn add(&mut self, at: &Boundary, told_of: Option<(Vec<Broken>, String)>) {
        self.runs += 1;
        match told_of {
            None => self.missed += 1,
            Some((broken, log)) if !broken.is_empty() => {
                self.wrong.push(format!("stopped at {} {}: {}\n{log}", at.nth, at.call, told(&broken)));
            }
            Some(_) => {}
        }
    }

    fn note(&self, class: &str) {
        let Self { expected, runs, missed, wrong } = self;
        let what = format!(
            "{class}: an operator stands still at a call, another takes over, the first goes on; {runs} of {expected} \
             runs that there are, {missed} passed theirs by"
        );
        let violations = wrong.len() as u64;
        Row { part: "takeover", what: &what, tried: *runs, unit: "runs", violations }.note();
    }
}

/// Whoever has to approve does so meanwhile. Some calls follow the end.
async fn comes_to_its_call(site: &Site) -> bool {
    let ending = async {
        drop(site.people.bring_to_an_end().await);
        site.gate.quiet().await;
    };
    tokio::select! {
        () = site.gate.sprung() => {}
        () = ending => {}
    }
    site.gate.is_sprung()
}

/// What was wrong, and what the operators said. `None` if it never came to that call: what is shared or known already is not asked for each time.
async fn stands_still(site: &mut Site, class: &Class, at: Boundary) -> Option<(Vec<Broken>, String)> {
    let stage = site.set(class).await;
    let beside = site.beside(&stage).await;
    let first = site.start(&stage.volume);
    site.gate.quiet().await;
    let second = beside.start();
    beside.gate.quiet().await;
    site.gate.arm(Some((at, Fault::Stopped)));
    site.people.ask(class).await;
    if !comes_to_its_call(site).await {
        // Whoever lives on would take part in the next run.
        first.kill().await;
        second.kill().await;
        stage.sim.stop().await;
        return None;
    }
    let ended = site.people.bring_to_an_end().await;
    let mut wrong: Vec<Broken> =
        ended.err().map(|how| Promise::NothingIsLost.broken(how)).into_iter().collect();
    beside.gate.quiet().await;
    let (before, sent_before) = (site.people.plans.get(PLAN).await.unwrap(), arrived(&stage));
    site.gate.go_on().await;
    first.ask_to_end().await;
    second.kill().await;
    let (after, sent) = (site.people.plans.get(PLAN).await.unwrap(), arrived(&stage));
    if sent.len() > sent_before.len() {
        let how = format!("it went on, and this was sent: {:?}", &sent[sent_before.len()..]);
        wrong.push(Promise::Led.broken(how));
    }
    if after.status != before.status {
        let how = format!("it went on, and {:?} became {:?}", before.status, after.status);
        wrong.push(Promise::InOrder.broken(how));
    }
    let uid = after.uid().unwrap();
    let logs = [stage.volume.as_path(), beside.volume()];
    let ever = site.volumes();
    let status = after.status.unwrap_or_default();
    let traces = Traces {
        class,
        scenario: Scenario::Request,
        may_lack_an_answer: true,
        status,
        arrived: sent,
        audit: logs.iter().flat_map(|volume| audit::records(volume, &uid)).collect(),
        audit_problems: audit::problems(&ever.iter().map(PathBuf::as_path).collect::<Vec<_>>()),
        log: logs
            .iter()
            .filter_map(|volume| std::fs::read_to_string(volume.join("operator.log")).ok())
            .collect(),
    };
    wrong.extend(site.witness.problems());
    wrong.extend(oracle::judge(&traces));
    stage.sim.stop().await;
    Some((wrong, traces.log))
}
