//! The real program, killed while it writes, and on a disk that is full.

use std::{fs, path::Path, process::Command};

use proxmox_agent::audit::{Chain, verify};

use crate::support::{house::House, patience::until};

fn read(house: &House) -> Chain {
    verify(&house.state().join("audit"), |_, _, _| Ok(())).unwrap()
}

fn lines(house: &House) -> usize {
    let segment = house.state().join("audit/00000001.jsonl");
    fs::read(segment).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_while_it_writes_loses_nothing_that_it_acted_on() {
    let house = House::new("lab").await;
    for round in 0..6 {
        for number in 0..8 {
            house.plan(&format!("start-{round}-{number}"), "start_guest", "qemu/101", "");
        }
        let before = lines(&house);
        let daemon = house.daemon();
        until("it writes", || lines(&house) > before + round).await;
        daemon.kill();
    }
    assert!([0, 1].contains(&house.once().code));
    let chain = read(&house);
    assert!(chain.problems.is_empty(), "{:?}", chain.problems);
    let text = fs::read_to_string(house.state().join("audit/00000001.jsonl")).unwrap();
    let intents = text.lines().filter(|line| line.contains(r#""event":"intent""#)).count();
    assert!(house.calls().len() <= intents, "{} calls, {intents} intents", house.calls().len());
}

/// The program with files that may not grow beyond so many blocks of 1024 bytes, as on a disk that is full.
fn once_with_room_for(house: &House, blocks: u64) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_proxmox-agent");
    let ended = Command::new("bash")
        .args([
            "-c",
            &format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} standalone --once --dir \"$0\""),
        ])
        .arg(house.dir())
        .env("RUST_LOG", "warn")
        .output()
        .unwrap();
    (ended.status.code().unwrap_or(-1), String::from_utf8_lossy(&ended.stderr).into_owned())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_record_can_be_kept_nothing_is_sent_and_there_is_no_half_line() {
    let house = House::new("lab").await;
    house.plan("delete", "delete_guest", "qemu/101", "");
    house.once();
    assert_eq!(house.run(&["approve", "delete", "--by", "approver@example.test"]).code, 0);
    let segment = house.state().join("audit/00000001.jsonl");
    let before = size(&segment);
    let (code, told) = once_with_room_for(&house, before / 1024 + 1);
    assert_ne!(code, 0, "{told}");
    assert!(told.contains("failed to write the audit log, so nothing is done"), "{told}");
    assert!(house.calls().is_empty());
    assert!(read(&house).problems.is_empty(), "{:?}", read(&house).problems);
    assert_eq!(house.once().code, 0);
    assert_eq!(house.calls(), ["DELETE /nodes/pve1/qemu/101"]);
    assert!(read(&house).problems.is_empty());
}
