//! What is handed out about one plan, and whether it is believed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::desk::{Key, audit, carried_out, checked, exported, log, signed_by_ssh};

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_signed_for_ssh_keygen_and_ssh_keygen_signs_for_us() {
    let house = carried_out().await;
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = Key::new(kind);
        let bundle = exported(&house, &key);
        let fine = checked(&bundle, &key);
        assert!(fine.code == 0 && fine.stdout.contains("signed by auditor@example.test"), "{kind}: {fine:?}");
        let signature = format!("{}.sig", bundle.display());
        let by_ssh = Command::new("ssh-keygen")
            .args(["-Y", "verify", "-n", "proxmox-agent-audit", "-I", "auditor@example.test"])
            .args(["-f", &key.file("signers"), "-s", &signature])
            .stdin(Stdio::from(fs::File::open(&bundle).unwrap()))
            .output()
            .unwrap();
        assert!(by_ssh.status.success(), "{kind}: {by_ssh:?}");
        fs::remove_file(&signature).unwrap();
        signed_by_ssh(&bundle, &key);
        let fine = checked(&bundle, &key);
        assert_eq!(fine.code, 0, "{kind}: {fine:?}");
        let stranger = Key::new("ed25519");
        let unknown = checked(&bundle, &stranger);
        assert!(
            unknown.code == 1 && unknown.stdout.contains("nobody among the allowed signers"),
            "{unknown:?}"
        );
        fs::remove_file(&signature).unwrap();
        fs::remove_file(&bundle).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_bundle_can_be_changed_not_even_by_who_signs_it_again() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    let bundle = exported(&house, &key);
    let whole: Value = serde_json::from_slice(&fs::read(&bundle).unwrap()).unwrap();
    let changes: Vec<(&str, Value)> = vec![
        ("/request/reason", "another".into()),
        ("/preview/summary", "harmless".into()),
        ("/approvals/0/approved_by", "somebody@example.test".into()),
        ("/task/log", Value::Null),
        ("/outcome", "Failed".into()),
        ("/planUid", "another".into()),
        ("/heads", serde_json::json!([])),
        ("/records/0/line", "{}".into()),
    ];
    for (place, value) in changes {
        let mut changed = whole.clone();
        *changed.pointer_mut(place).unwrap_or_else(|| panic!("no {place} in {whole:#}")) = value;
        fs::write(&bundle, serde_json::to_vec_pretty(&changed).unwrap()).unwrap();
        let told = checked(&bundle, &key);
        assert!(told.code == 1 && told.stdout.contains("does not fit the file"), "{place}: {told:?}");
        assert!(told.stdout.lines().count() > 1, "{place} is only found by the signature: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_from_a_log_that_was_changed_or_with_a_key_that_can_not_be_used() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    let out = house.dir().join("b.json").display().to_string();
    let folder = log(&house);
    let missing = audit(&["export", "other", &folder, "--out", &out, "--key", &key.file("key")]);
    assert!(
        missing.code == 1 && missing.stderr.contains("nothing is on record about plan other"),
        "{missing:?}"
    );
    let no_key = audit(&["export", "delete", &folder, "--out", &out, "--key", &key.file("key.pub")]);
    assert!(no_key.code == 1 && no_key.stderr.contains("no OpenSSH private key"), "{no_key:?}");
    let segment = Path::new(&folder).join("00000001.jsonl");
    fs::write(&segment, fs::read_to_string(&segment).unwrap().replace("it is old", "it is odd")).unwrap();
    let changed = audit(&["export", "delete", &folder, "--out", &out, "--key", &key.file("key")]);
    assert!(changed.code == 1 && changed.stderr.contains("not what it was"), "{changed:?}");
    assert!(!Path::new(&out).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_a_key_says_how_ssh_keygen_signs_it_and_that_signature_is_taken() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    for name in ["bundle.json", "the auditor's bundle.json"] {
        let bundle = house.dir().join(name);
        let out = bundle.display().to_string();
        let told = audit(&["export", "delete", &log(&house), "--out", &out]);
        assert!(told.code == 0 && told.stdout.contains("not signed yet"), "{told:?}");
        let command = told.stdout.lines().last().unwrap();
        assert!(command.starts_with("ssh-keygen -Y sign -n proxmox-agent-audit -f KEY "), "{told:?}");
        let command = command.replace("KEY", &key.file("key"));
        let signed = Command::new("bash").args(["-c", &command]).output().unwrap();
        assert!(signed.status.success(), "{command}: {signed:?}");
        assert_eq!(checked(&bundle, &key).code, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_key_is_not_used_and_signs_by_hand() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    let locked = ["-q", "-p", "-P", "", "-N", "secret", "-f", &key.file("key")];
    assert!(Command::new("ssh-keygen").args(locked).output().unwrap().status.success());
    let out = house.dir().join("b.json").display().to_string();
    let told = audit(&["export", "delete", &log(&house), "--out", &out, "--key", &key.file("key")]);
    assert!(told.code == 1 && told.stderr.contains("locked with a passphrase"), "{told:?}");
    assert!(told.stderr.contains("leave out --key") && !Path::new(&out).exists(), "{told:?}");
}
