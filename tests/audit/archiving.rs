//! A chain that is put away, and the one that begins in its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use proxmox_agent::{
    audit::{AuditFolder, verify},
    core::audit::{Actor, AuditEvent, AuditRecord},
    ports::AuditLog,
    system::SystemClock,
};

use crate::{
    desk::{Key, audit, carried_out, log},
    support::house::{Ended, House},
};

/// The recipe for a full volume: stop, move the folder away whole, start.
fn archived(house: &House) -> PathBuf {
    let old = house.dir().join("audit-until-november");
    fs::rename(house.state().join("audit"), &old).unwrap();
    house.plan("later", "start_guest", "qemu/101", "");
    house.once();
    old
}

/// What a replica that takes the lead says of another chain.
async fn linked(house: &House, other: &Path) {
    let seen = verify(other, |_, _, _| Ok(())).unwrap().head.unwrap();
    let log = AuditFolder::open(&house.state().join("audit"), "standalone", &SystemClock).unwrap();
    let (event, actor) = (AuditEvent::TookOver, Actor::operator(""));
    let record = AuditRecord::new(Timestamp::now(), event, actor, "took the lead");
    log.append(AuditRecord { links: vec![seen], ..record }).await.unwrap();
    drop(log);
    house.once();
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_chain_was_put_away_whole_the_old_and_the_new_one_verify_together_and_neither_alone() {
    let house = carried_out().await;
    let old = shown(&archived(&house));
    let new = log(&house);
    let anchors = shown(&house.state().join("objects/proxmoxenvironments/default/home.yaml"));
    let both = audit(&["verify", &old, &new, "--anchors", &anchors]);
    assert_eq!((both.code, both.stdout.lines().count()), (0, 3), "{both:?}");
    for (one, other) in [(&old, &new), (&new, &old)] {
        let alone = audit(&["verify", one, "--anchors", &anchors]);
        let name = |told: &str| {
            let line = told.lines().next().unwrap().split("chain ").nth(1).unwrap();
            line.split(',').next().unwrap().to_owned()
        };
        let missing = format!("chain {} is missing", name(&audit(&["verify", other]).stdout));
        assert!(alone.code == 1 && alone.stdout.contains(&missing), "{alone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_while_a_chain_that_was_seen_is_not_given_or_not_whole() {
    let house = carried_out().await;
    let old = archived(&house);
    linked(&house, &old).await;
    let (kept, new) = (shown(&old), log(&house));
    let (out, key) = (shown(&house.dir().join("later.json")), Key::new("ed25519"));
    let export = |folders: &[&str], more: &[&str]| {
        let wanted = ["--out", &out, "--key", &key.file("key")];
        audit(&[&["export", "later"], folders, &wanted, more].concat())
    };
    let refused = |told: &Ended, why: &str| {
        assert!(told.code == 1 && told.stderr.contains(why), "{why}: {told:?}");
        assert!(!Path::new(&out).exists() && !Path::new(&format!("{out}.sig")).exists());
    };
    refused(&export(&[&new], &[]), "is missing");
    refused(&export(&[&new], &[]), "give the audit folder of replica standalone too");
    refused(&export(&[&kept, &new, &new], &[]), "is there twice");

    let anchors = shown(&house.state().join("objects/proxmoxenvironments/default/home.yaml"));
    let segment = Path::new(&new).join("00000001.jsonl");
    let whole = fs::read_to_string(&segment).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    fs::write(&segment, format!("{}\n", lines[..lines.len() - 1].join("\n"))).unwrap();
    refused(&export(&[&kept, &new], &["--anchors", &anchors]), "is cut off");
    fs::write(&segment, whole).unwrap();

    let of_the_old = old.join("00000001.jsonl");
    let text = fs::read_to_string(&of_the_old).unwrap();
    let some: Vec<&str> = text.lines().take(2).collect();
    fs::write(&of_the_old, format!("{}\n", some.join("\n"))).unwrap();
    refused(&export(&[&kept, &new], &[]), "is cut off");

    fs::write(&of_the_old, text).unwrap();
    let fine = export(&[&kept, &new], &["--anchors", &anchors]);
    assert!(fine.code == 0 && fine.stderr.is_empty(), "{fine:?}");
    fs::remove_file(&out).unwrap();
    fs::remove_file(format!("{out}.sig")).unwrap();
    let unanchored = export(&[&kept, &new], &[]);
    assert!(
        unanchored.code == 0 && unanchored.stderr.contains("only shows with --anchors"),
        "{unanchored:?}"
    );
}
