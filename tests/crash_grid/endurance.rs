//! Many plans at once while one of the operator's neighbours is in trouble: all of them end, and none is carried out twice.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use kube::{ResourceExt, api::ListParams};
use proxmox_agent::{
    api::Phase,
    pve::sim::{Fault, Outcome, Trigger},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    audit::{self, announced, records},
    classes::{TOKEN, named},
    grid::{Extent, extent},
    run::arrived,
    site::{Site, Stage, sites},
    support::{cluster::Cluster, patience::until, rows::Row},
};

/// What is asked for, each of something else.
fn plans() -> BTreeMap<String, Value> {
    let pools = (0..6)
        .map(|n| (format!("pool-{n}"), json!({"action": "create_pool", "target": format!("pool/n{n}")})));
    let guests = [
        ("start_guest", "qemu/101"),
        ("start_guest", "qemu/102"),
        ("start_guest", "lxc/201"),
        ("shutdown_guest", "qemu/100"),
        ("stop_guest", "lxc/200"),
    ]
    .map(|(action, target)| (target.replace('/', "-"), json!({"action": action, "target": target})));
    let deletion = ("no-pool".to_owned(), json!({"action": "delete_pool", "target": "pool/empty"}));
    pools.chain(guests).chain([deletion]).collect()
}

async fn somewhere(cluster: &Arc<Cluster>) -> (Site, Stage) {
    let mut site = sites(cluster, 1).await.remove(0);
    let stage = site.set(&named("start")).await;
    (site, stage)
}

/// Everything is asked for, the trouble comes and goes, and then it has to end well.
async fn bear(
    site: Site,
    stage: Stage,
    what: &str,
    trouble: impl AsyncFnOnce(&Site, &Stage),
) -> BTreeMap<String, u64> {
    let operator = site.start(&stage.volume);
    site.gate.quiet().await;
    let plans = plans();
    for (name, spec) in &plans {
        site.people.ask_for(name, spec).await;
    }
    let all = plans.keys().map(|name| site.people.bring_plan_to_an_end(name));
    let (ended, ()) = futures::join!(futures::future::join_all(all), trouble(&site, &stage));
    let mut wrong: Vec<String> = ended.into_iter().filter_map(Result::err).collect();
    wrong.extend(carried_out_twice(&stage));
    let mut phases: BTreeMap<String, u64> = BTreeMap::new();
    let mut may_have_arrived = 0;
    for plan in site.people.plans.list(&ListParams::default()).await.unwrap() {
        if announced(&records(&stage.volume, &plan.uid().unwrap())).is_empty() {
            wrong.push(format!("{} was never announced", plan.name_any()));
        }
        let status = plan.status.clone().unwrap_or_default();
        *phases.entry(status.phase.to_string()).or_default() += 1;
        if status.phase == Phase::Indeterminate {
            println!("{}: {}", plan.name_any(), status.message);
        }
        // What could not leave in time because a neighbour was away was not sent, and says so.
        let was_not_sent = status.phase == Phase::Failed && status.reason == "NotSent";
        may_have_arrived += usize::from(!was_not_sent);
        if !matches!(status.phase, Phase::Succeeded | Phase::Indeterminate) && !was_not_sent {
            wrong.push(format!("{} is {}: {}", plan.name_any(), status.phase, status.message));
        }
    }
    if arrived(&stage).len() > may_have_arrived {
        wrong.push(format!("more has arrived than {may_have_arrived} plans may have sent"));
    }
    operator.kill().await;
    wrong.extend(audit::problems(&[&stage.volume]));
    let ends: Vec<String> = phases.iter().map(|(phase, count)| format!("{count} {phase}")).collect();
    let shown = format!("{what}: {}", ends.join(", "));
    Row {
        part: "endurance",
        what: &shown,
        tried: plans.len() as u64,
        unit: "plans",
        violations: wrong.len() as u64,
    }
    .note();
    assert!(
        wrong.is_empty(),
        "{}\n{}",
        wrong.join("\n"),
        fs::read_to_string(stage.volume.join("operator.log")).unwrap()
    );
    stage.sim.stop().await;
    phases
}

fn carried_out_twice(stage: &Stage) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in arrived(stage) {
        assert_eq!((entry.who.as_str(), entry.outcome), (TOKEN, Outcome::Executed), "{entry:?}");
        *counts
            .entry(format!("{} {} {:?}", entry.method, entry.path, entry.params.get("poolid")))
            .or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(call, count)| format!("{call}: {count} times"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_goes_away_and_comes_back_costs_nothing_but_time() {
    let (site, stage) = somewhere(&Cluster::shared()).await;
    let phases =
        bear(site, stage, "the API server goes away again and again", async |site: &Site, stage: &Stage| {
            for changes in [1, 4, 7] {
                until("so many changes have arrived", || arrived(stage).len() >= changes).await;
                site.kubernetes.go_away();
                tokio::time::sleep(Duration::from_secs(1)).await;
                site.kubernetes.come_back();
            }
        })
        .await;
    assert_eq!(
        phases.keys().collect::<Vec<_>>(),
        ["Succeeded"],
        "Proxmox has answered all of them: {phases:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_stands_still_costs_nothing_but_time() {
    // Longer than the operator waits for a single call.
    let seconds = if extent() == Extent::Full { 25 } else { 3 };
    // Everybody else's would stand still as well.
    let cluster = Arc::new(Cluster::start());
    let (site, stage) = somewhere(&cluster).await;
    let etcd = process_in(&cluster, "etcd").await;
    bear(site, stage, "etcd stands still", async |_: &Site, stage: &Stage| {
        until("a few changes have arrived", || arrived(stage).len() >= 3).await;
        kill_process(etcd, Signal::STOP).unwrap();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        kill_process(etcd, Signal::CONT).unwrap();
    })
    .await;
}

/// All of its connections break at once, and until it has begun anew it knows nothing: neither who may do what nor which
/// kinds there are.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_killed_and_begin_anew_cost_nothing_but_time() {
    let (victims, kills): (&[&[&str]], &[usize]) = match extent() {
        Extent::Sample => (&[&["kube-apiserver"]], &[3]),
        Extent::Full => (&[&["kube-apiserver"], &["etcd"], &["etcd", "kube-apiserver"]], &[1, 4, 7]),
    };
    for victims in victims {
        let cluster = Arc::new(Cluster::start_kept_up());
        let (site, stage) = somewhere(&cluster).await;
        let what = format!("SIGKILL of {}, {} times", victims.join(" and "), kills.len());
        let phases = bear(site, stage, &what, async |_: &Site, stage: &Stage| {
            for changes in kills {
                until("so many changes have arrived", || arrived(stage).len() >= *changes).await;
                for victim in *victims {
                    kill_process(process_in(&cluster, victim).await, Signal::KILL).unwrap();
                }
            }
        })
        .await;
        assert_eq!(
            phases.keys().collect::<Vec<_>>(),
            ["Succeeded"],
            "Proxmox has answered all of them: {phases:?}"
        );
    }
}

/// Resolves when it runs: it may just be begun anew.
async fn process_in(cluster: &Cluster, name: &str) -> Pid {
    until(&format!("{name} runs"), || pid_in(cluster, name).is_some()).await;
    pid_in(cluster, name).unwrap()
}

fn pid_in(cluster: &Cluster, name: &str) -> Option<Pid> {
    let is_it = |folder: &std::path::Path| {
        let cwd = fs::read_link(folder.join("cwd")).ok();
        let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        cwd.is_some_and(|cwd| cwd == cluster.dir()) && comm.trim() == name
    };
    let folders = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let found = folders.into_iter().find(|folder| is_it(folder))?;
    Pid::from_raw(found.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxmox_that_answers_no_route_to_host_for_a_while_costs_nothing_but_time() {
    let (site, stage) = somewhere(&Cluster::shared()).await;
    let answer = |method: &str, status, times| Fault::Answer {
        when: Trigger { method: Some(method.to_owned()), times, ..Trigger::default() },
        status,
        reason: None,
        executed: true,
    };
    let all_at_once = vec![answer("GET", 595, 60), answer("POST", 596, 3), answer("DELETE", 595, 1)];
    bear(site, stage, "Proxmox answers 595 and 596 again and again", async |_: &Site, stage: &Stage| {
        stage.sim.set_faults(all_at_once);
    })
    .await;
}
