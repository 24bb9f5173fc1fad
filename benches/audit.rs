//! What an append to the audit log costs: at its beginning and after a million lines, alone and together with others; and
//! how long it takes to open and to verify such a log. `make bench-audit` prints it.
// A measurement that can't be taken has nothing better to do than to stop.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::Timestamp;
use proxmox_agent::{
    audit::{AuditFolder, verify},
    core::audit::{Actor, AuditEvent, AuditRecord},
    ports::AuditLog,
    system::SystemClock,
};

/// So many lines are put on disk in between; `LINES` says otherwise.
const LINES: u64 = 1_000_000;
const SAMPLES: usize = 300;
const TOGETHER: usize = 64;

fn record() -> AuditRecord {
    let message = "its task ended well, and this is about as long as a usual line is. ".repeat(4);
    AuditRecord::new(Timestamp::UNIX_EPOCH, AuditEvent::Ended, Actor::operator("agent@pve!operator"), message)
}

fn open(folder: &Path) -> AuditFolder {
    AuditFolder::open(folder, "bench", &SystemClock).unwrap()
}

/// The medians of appends one after the other, to each log in turn: what else the machine does, it does to both.
async fn in_turn(logs: [&AuditFolder; 2]) -> [Duration; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        for (log, taken) in logs.iter().zip(&mut taken) {
            let begun = Instant::now();
            log.append(record()).await.unwrap();
            taken.push(begun.elapsed());
        }
    }
    taken.map(|mut taken| {
        taken.sort();
        taken[SAMPLES / 2]
    })
}

async fn together(log: &AuditFolder, appends: u64) -> Duration {
    let begun = Instant::now();
    for _ in 0..appends.div_ceil(TOGETHER as u64) {
        for appended in join_all((0..TOGETHER).map(|_| log.append(record()))).await {
            appended.unwrap();
        }
    }
    begun.elapsed()
}

fn main() {
    let lines = std::env::var("LINES").map_or(LINES, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let log = open(&path);
    let grown = runtime.block_on(together(&log, lines));
    let new = open(&folder.path().join("new"));
    let [first, last] = runtime.block_on(in_turn([&new, &log]));
    drop(log);
    let begun = Instant::now();
    let sequence = open(&path).head().sequence;
    let opened = begun.elapsed();
    let begun = Instant::now();
    let chain = verify(&path, |_, _, _| Ok(())).unwrap();
    let verified = begun.elapsed();
    assert!(chain.problems.is_empty() && chain.lines == sequence);
    let each = grown / u32::try_from(lines).unwrap_or(u32::MAX);
    println!("an append to a new log:       {first:?}");
    println!(
        "an append at line {sequence}:    {last:?} ({:.2} times as long)",
        last.as_secs_f64() / first.as_secs_f64()
    );
    println!(
        "each of {TOGETHER} at a time:         {each:?} ({:.1} times as fast)",
        last.as_secs_f64() / each.as_secs_f64()
    );
    println!("opening {} segments:          {opened:?}", chain.segments());
    println!("verifying {} lines:     {verified:?}", chain.lines);
}
