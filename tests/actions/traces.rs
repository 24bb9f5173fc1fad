//! What each action leaves behind, if its answer is lost and its task can't be found: whether it was carried out can be
//! told from the target itself, and where it is told that it was not, Proxmox refuses a second call.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proxmox_agent::{
    api::Intent,
    catalog::{Again, NaturalKey},
    core::{
        call::Dispatch,
        judge::Judged,
        traces::{Announced, Traces, places, query, traces},
    },
    ports::Hypervisor as _,
};
use serde_json::{Value, json};

use crate::{
    book::{Case, DOMAINS, Entry, entries},
    play::{Ask, PLAN, judged, send},
    rights::Grants,
    stage::Stage,
    table::{ask, world_of},
    worlds::{difference, document},
};

const AT_ONCE: usize = 4;

/// Where it can't be told although it was done, with the reason.
const UNTOLD: &[(&str, &str)] = &[
    ("set_guest_config qemu/101 of every kind", SECRET),
    ("set_guest_config qemu/101 cipassword", SECRET),
    ("set_guest_config qemu/101 scsi5", NEW_DISK),
    ("set_guest_config qemu/101 virtio1", NEW_DISK),
    ("set_guest_config qemu/101 sata1", NEW_DISK),
    ("set_guest_config qemu/101 efidisk0", NEW_DISK),
    ("set_guest_config qemu/101 tpmstate0", NEW_DISK),
    ("set_guest_config lxc/201 mp1", NEW_DISK),
    ("set_guest_config lxc/201 of every kind", NEW_DISK),
    ("restore_guest qemu/300", RESTORED),
    ("restore_guest qemu/300 in a pool, as another, and started", RESTORED),
    ("restore_guest lxc/300", RESTORED),
    ("restore_guest lxc/300 in a pool, as another, and started", RESTORED),
    ("add_storage storage/nas with a password", SECRET),
    ("add_storage storage/nas a backup server", SECRET),
    ("shutdown_node node/pve1", "it answers and goes down later, and is up until then"),
];
const SECRET: &str = "a secret is not shown, so nobody can compare it";
const NEW_DISK: &str = "Proxmox gives a new disk a name of its own";
const RESTORED: &str = "it has the notes of the backup, not those of the plan";

/// Where it can't be told that it was not done, with the reason.
const UNTOLD_BEFORE: &[(&str, &str)] = &[
    ("set_guest_config qemu/101 another card in the place of one", OWN_WAY),
    ("set_guest_config qemu/101 smbios1", OWN_WAY),
    ("set_guest_config qemu/101 cipassword", SECRET),
];
const OWN_WAY: &str = "Proxmox writes it in its own way, so the call might leave all as it is";

/// Where nothing had to be done.
const DONE_BEFORE: &[&str] = &["set_guest_config qemu/101 boot"];

/// What was told before it was sent and after it was carried out.
struct Told {
    name: String,
    key: NaturalKey,
    before: Traces,
    after: Traces,
    /// How a second call ended, if it was told that there had been none.
    second: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_carried_out_is_known_by_its_traces_and_what_was_not_would_be_refused_a_second_time() {
    let common = document("world.yaml");
    let all = DOMAINS.iter().flat_map(|domain| entries(domain));
    let told: Vec<Vec<Told>> = stream::iter(all)
        .map(|entry| tokio::spawn(told(entry, common.clone())))
        .buffered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let told: Vec<Told> = told.into_iter().flatten().collect();
    for one in &told {
        println!(
            "{:60} {:28} {:?}\n{:90}{:?}",
            one.name,
            format!("{:?}", one.key),
            one.before,
            "",
            one.after
        );
    }
    let wrong: Vec<String> = told.iter().flat_map(Told::wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let known: Vec<&str> = told.iter().map(|one| one.name.as_str()).collect();
    let exceptions = UNTOLD.iter().chain(UNTOLD_BEFORE).map(|(name, _)| name).chain(DONE_BEFORE);
    let stale: Vec<&&str> = exceptions.filter(|name| !known.contains(name)).collect();
    assert!(stale.is_empty(), "exceptions for cases that are not there: {stale:?}");
}

impl Told {
    fn wrong(&self) -> Vec<String> {
        let is_among = |exceptions: &[(&str, &str)]| exceptions.iter().any(|(name, _)| *name == self.name);
        let is_told = matches!(self.after, Traces::Done(_));
        let has_key = self.key != NaturalKey::None;
        let is_right_before = match &self.before {
            Traces::Done(_) => DONE_BEFORE.contains(&self.name.as_str()),
            Traces::NotDone(_) => self.key.again() == Again::Refused && !is_among(UNTOLD_BEFORE),
            Traces::Unclear(_) => self.key.again() == Again::Taken || is_among(UNTOLD_BEFORE),
        };
        let is_refused = |second: &String| second != "done" && second != "task: OK";
        let checks = [
            (is_right_before, format!("before: {:?}", self.before)),
            (is_told == (has_key && !is_among(UNTOLD)), format!("after: {:?}", self.after)),
            (
                !matches!(self.after, Traces::NotDone(_)),
                format!("done, and told not to be: {:?}", self.after),
            ),
            (self.second.as_ref().is_none_or(is_refused), format!("a second one: {:?}", self.second)),
        ];
        let name = &self.name;
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| format!("{name}: {what}")).collect()
    }
}

async fn told(entry: Entry, common: Value) -> Vec<Told> {
    let stage = Stage::new().await;
    let world = entry.world(&common);
    let mut all = Vec::new();
    for case in entry.cases("success") {
        all.push(of_case(&stage, &entry, case, &world).await);
    }
    stage.stop().await;
    all
}

async fn of_case(stage: &Stage, entry: &Entry, case: &Case, world: &Value) -> Told {
    let (ask, world) = (ask(entry, case), world_of(case, world));
    stage.set(&world, &Grants::new()).await;
    let (judged, dispatch) = judged(stage, &stage.root, &ask).await.unwrap();
    let intent = intent(stage, &dispatch).await;
    let before = look(stage, &ask, &judged, &intent).await;
    let first = send(&stage.root, &dispatch, &mut vec![]).await;
    assert!(["done", "task: OK"].contains(&first.as_str()), "{}: {first}", entry.name());
    let after = look(stage, &ask, &judged, &intent).await;
    let second = match before {
        Traces::NotDone(_) => Some(again(stage, &dispatch).await),
        _ => None,
    };
    let name = format!("{} {}", entry.name(), case.when);
    Told { name: name.trim().to_owned(), key: entry.action().natural_key, before, after, second }
}

/// How it ends if it arrives once more. What is refused leaves all as it is.
async fn again(stage: &Stage, dispatch: &Dispatch) -> String {
    let before = stage.essence().await;
    let ends = send(&stage.root, dispatch, &mut vec![]).await;
    assert_eq!(difference(&before, &stage.essence().await), json!({}), "{}: {ends}", dispatch.call);
    ends
}

async fn intent(stage: &Stage, dispatch: &Dispatch) -> Intent {
    let node_time = Time(stage.root.node_time(&dispatch.node).await.unwrap());
    let at = Time(Timestamp::now());
    Intent {
        attempt: 1,
        nonce: "n".to_owned(),
        node: dispatch.node.clone(),
        storages: vec![],
        task_id: dispatch.task_id.clone(),
        task_types: dispatch.task_types.clone(),
        sender: stage.root.token_id(),
        node_time,
        at: at.clone(),
        settles_at: at,
        digest: None,
    }
}

/// As the engine does when no task was found.
async fn look(stage: &Stage, ask: &Ask, judged: &Judged, intent: &Intent) -> Traces {
    let request = ask.request().unwrap();
    let world = stage.root.look(&query(&request), &places(&request)).await.unwrap();
    let now = intent.node_time.0.saturating_add(Duration::from_secs(60)).unwrap();
    traces(&Announced { request: &request, judged, intent, uid: PLAN, now }, &world)
}
