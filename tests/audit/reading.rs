//! `proxmox-agent audit` over the log of plans that were carried out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    house::{Ended, House},
    manifests::REQUESTER,
};

/// A plan that was approved and carried out, and one that was refused.
async fn carried_out() -> House {
    let house = House::new("lab").await;
    house.plan("delete", "delete_guest", "qemu/101", "  reason: it is old\n");
    house.plan("wrong", "delete_guest", "storage/local", "");
    let broken = "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {name: broken}\nspec: {}\n";
    house.write("broken.yaml", broken);
    house.once();
    let approved = house.run(&["approve", "delete", "--by", "approver@example.test", "--reason", "checked"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    house.once();
    house
}

fn audit(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
    Ended::from(command.arg("audit").args(args).output().unwrap())
}

fn log(house: &House) -> String {
    house.state().join("audit").display().to_string()
}

fn shown(house: &House, more: &[&str]) -> Vec<Value> {
    let told = audit(&[&["show", &log(house), "-o", "json"][..], more].concat());
    assert_eq!(told.code, 0, "{told:?}");
    told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(records: &'a [Value], event: &str) -> &'a Value {
    records
        .iter()
        .find(|record| record["event"] == event)
        .unwrap_or_else(|| panic!("no {event}: {records:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_approvals_calls_outcomes_and_refused_requests_are_on_record() {
    let house = carried_out().await;
    let all = shown(&house, &[]);
    let plan = shown(&house, &["--plan", "delete", "-n", "default", "--environment", "home"]);
    assert_eq!(shown(&house, &["--open"]), Vec::<Value>::new());
    let planned = of(&plan, "planned");
    assert_eq!(planned["request"]["reason"], "it is old");
    assert_eq!(planned["actor"], serde_json::json!({"role": "requester", "name": REQUESTER}));
    assert!(planned["preview"]["summary"].is_string(), "{planned}");
    let intent = of(&plan, "intent");
    assert_eq!((&intent["decision"], &intent["attempt"]), (&"Approve".into(), &1.into()));
    let approval = &intent["approvals"][0];
    assert_eq!(
        (&approval["approved_by"], &approval["reason"]),
        (&"approver@example.test".into(), &"checked".into())
    );
    assert!(approval["uid"].is_string() && approval["expiresAt"].is_string(), "{approval}");
    let ended = of(&plan, "ended");
    assert_eq!((&ended["outcome"], &ended["task"]["exitStatus"]), (&"Succeeded".into(), &"OK".into()));
    assert!(ended["task"]["log"].as_array().unwrap().iter().any(|line| line == "TASK OK"), "{ended}");
    assert_eq!(ended["upid"], of(&plan, "sent")["upid"]);
    assert_eq!(of(&all, "denied")["plan"], "wrong");
    let refused: Vec<&Value> = all.iter().filter(|record| record["event"] == "refused").collect();
    assert_eq!(refused.len(), 1, "once, although it was looked at twice: {refused:#?}");
    assert_eq!(refused[0]["plan"], "broken");
    assert!(refused[0]["refused"]["file"].as_str().unwrap().ends_with("broken.yaml"), "{refused:#?}");
    assert!(shown(&house, &["--since", "2999-01-01T00:00:00Z"]).is_empty());
    let text = audit(&["show", &log(&house), "--plan", "delete"]).stdout;
    assert_eq!(text.lines().count(), plan.len(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_verifies_with_what_environments_kept_of_it_and_a_change_shows() {
    let house = carried_out().await;
    let folder = log(&house);
    let environment = house.state().join("objects/proxmoxenvironments/default/home.yaml");
    let anchors = environment.display().to_string();
    let fine = audit(&["verify", &folder, "--anchors", &anchors]);
    assert_eq!(fine.code, 0, "{fine:?}");
    assert_eq!(fine.stdout.lines().count(), 1, "{fine:?}");
    let kept = fs::read_to_string(&environment).unwrap();
    assert!(kept.contains("chain: standalone-"), "{kept}");
    assert!(house.kept().iter().any(|(_, text)| text.contains("AuditAnchored")));

    let segment = Path::new(&folder).join("00000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("it is old", "it is odd")).unwrap();
    let changed = audit(&["verify", &folder]);
    assert_eq!(changed.code, 1, "{changed:?}");
    assert!(changed.stdout.lines().nth(1).unwrap().contains("00000001.jsonl:"), "{changed:?}");

    // What was cut off leaves a log that is right in itself.
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&segment, format!("{}\n", lines[..lines.len() - 1].join("\n"))).unwrap();
    assert_eq!(audit(&["verify", &folder]).code, 0);
    let cut = audit(&["verify", &folder, "--anchors", &anchors]);
    assert!(cut.code == 1 && cut.stdout.contains("is cut off"), "{cut:?}");
    assert!(cut.stdout.contains("environment default/home at "), "{cut:?}");
}

/// A key, and the list that knows it.
struct Key {
    folder: tempfile::TempDir,
}

impl Key {
    fn new(kind: &str) -> Self {
        let key = Self { folder: tempfile::tempdir().unwrap() };
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f", &key.file("key")])
            .status()
            .unwrap();
        assert!(made.success());
        let public = fs::read_to_string(key.file("key.pub")).unwrap();
        fs::write(key.file("signers"), format!("# people\nauditor@example.test {public}")).unwrap();
        key
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

fn exported(house: &House, key: &Key) -> PathBuf {
    let bundle = house.dir().join("bundle.json");
    let out = bundle.display().to_string();
    let told = audit(&["export", "delete", &log(house), "--out", &out, "--key", &key.file("key")]);
    assert_eq!(told.code, 0, "{told:?}");
    bundle
}

fn checked(bundle: &Path, key: &Key) -> Ended {
    audit(&["verify", "--bundle", &bundle.display().to_string(), "--signers", &key.file("signers")])
}

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

fn signed_by_ssh(bundle: &Path, key: &Key) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", "proxmox-agent-audit", "-f", &key.file("key")]).arg(bundle);
    let signed = command.output().unwrap();
    assert!(signed.status.success(), "{signed:?}");
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
