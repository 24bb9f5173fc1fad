//! How many questions a look asks: clusters are large, and their nodes have other work.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use proxmox_agent::{
    catalog::{Section, Touch},
    pve::survey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::place::{ROOT, client, query, start};

/// Passes everything on and writes down what was asked for.
struct Eavesdropper {
    url: String,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    /// Each question, and how often it was asked.
    asked: BTreeMap<String, usize>,
    /// Questions without an answer, now and at most.
    open: usize,
    most_open: usize,
}

impl Eavesdropper {
    async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let url_of_ours = format!("http://{}", listener.local_addr().unwrap());
        let (there, notes) = (url.strip_prefix("http://").unwrap().to_owned(), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((here, _)) = listener.accept().await {
                tokio::spawn(pass_on(here, there.clone(), Arc::clone(&notes)));
            }
        });
        Self { url: url_of_ours, heard }
    }
}

/// A connection carries one question at a time, so questions and answers begin what is read at once.
async fn pass_on(here: TcpStream, there: String, heard: Arc<Mutex<Heard>>) {
    let there = TcpStream::connect(there).await.unwrap();
    let (from_client, to_client) = here.into_split();
    let (from_server, to_server) = there.into_split();
    let notes = Arc::clone(&heard);
    tokio::spawn(copy(from_server, to_client, move |text| {
        if text.starts_with("HTTP/1.1 ") {
            notes.lock().unwrap().open -= 1;
        }
    }));
    copy(from_client, to_server, move |text| {
        if let Some(line) = text.lines().next().filter(|line| line.starts_with("GET ")) {
            let mut heard = heard.lock().unwrap();
            *heard.asked.entry(line.to_owned()).or_default() += 1;
            heard.open += 1;
            heard.most_open = heard.most_open.max(heard.open);
        }
    })
    .await;
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut hear: impl FnMut(&str)) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        hear(&String::from_utf8_lossy(&bytes[..count]));
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Three nodes and so many guests, every tenth with a snapshot, four storages, one of them shared.
fn world(guests: u32) -> String {
    let mut world = String::from("cluster: {name: big}\nnodes: {pve1: {}, pve2: {}, pve3: {}}\n");
    world.push_str("users: {root@pam: {tokens: {full: {privsep: 0}}}}\nguests:\n");
    for vmid in 100..100 + guests {
        let node = vmid % 3 + 1;
        let snapshot =
            if vmid % 10 == 0 { ", snapshots: {before: {snaptime: 1, config: {cores: 1}}}" } else { "" };
        world.push_str(&format!(
            "  {vmid}: {{type: qemu, node: pve{node}, config: {{name: g{vmid}, scsi0: \"shared:{vmid}/d.raw,size=1G\"}}{snapshot}}}\n"
        ));
    }
    world.push_str("pools: {a: {vms: [100]}, b: {vms: [101]}}\nstorages:\n");
    for local in ["local", "thin", "scratch"] {
        world.push_str(&format!("  {local}: {{config: {{type: dir, path: /{local}, content: images}}}}\n"));
    }
    world + "  shared: {config: {type: nfs, server: s, export: /e, path: /s, content: images, shared: 1}}\n"
}

async fn asked(guests: u32, target: &str, sections: &[Section]) -> BTreeMap<String, usize> {
    let sim = start(&world(guests)).await;
    let eavesdropper = Eavesdropper::before(sim.url()).await;
    let client = client(&eavesdropper.url, &sim, ROOT);
    survey::look(&client, &query(target, sections), &Default::default()).await.unwrap();
    let heard = eavesdropper.heard.lock().unwrap();
    assert!(heard.most_open <= 8, "{} questions at once", heard.most_open);
    heard.asked.clone()
}

#[tokio::test]
async fn nothing_is_asked_twice_and_a_neighbour_costs_one_question() {
    let sections = Touch::Guest.sections();
    let sixty = asked(60, "qemu/100", sections).await;
    assert!(sixty.values().all(|count| *count == 1), "{sixty:?}");
    let contents = |storage: &str| {
        sixty.keys().filter(|asked| asked.contains(&format!("/storage/{storage}/content"))).count()
    };
    assert_eq!((contents("shared"), contents("thin")), (1, 3));
    assert_eq!(sixty.len(), 88, "{sixty:#?}");
    let seventy = asked(70, "qemu/100", sections).await;
    assert_eq!(seventy.len(), 98);
}

#[tokio::test]
async fn snapshots_of_neighbours_are_asked_for_only_where_they_matter() {
    let of_snapshots =
        |asked: &BTreeMap<String, usize>| asked.keys().filter(|a| a.contains("/snapshot")).count();
    let without = asked(20, "storage/shared", &[Section::Guests]).await;
    assert_eq!(of_snapshots(&without), 0);
    let with = asked(20, "storage/shared", &[Section::Guests, Section::SnapshotConfigs]).await;
    assert_eq!(of_snapshots(&with), 20 + 2, "one list each, and the two that there are");
}
