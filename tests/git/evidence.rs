//! What is on record of signed commits, and what an exported bundle proves of them when the repository is gone.

use std::{fs, path::PathBuf, process::Command};

use proxmox_agent::{
    audit::{Bundle, Excerpt, seal},
    core::audit::{AuditRecord, Head, origins},
    git::check_proof,
};
use serde_json::{Value, json};

use crate::{
    story::{Story, plan_spec},
    support::{
        git::{Key, Workshop},
        house::{Ended, House},
        manifests::manifest,
    },
};

/// A plan that alice has asked for with an SSH key and bob has approved with OpenPGP, carried out by the program.
struct Evidence {
    house: House,
    auditor: String,
}

impl Evidence {
    async fn of_a_deletion() -> Self {
        let house = House::new("production").await;
        let workshop = Workshop::new();
        let alice = workshop.ssh_key("alice", "ed25519");
        let bob = workshop.openpgp_key("bob", "never", None);
        let trust = json!({
            "repository": workshop.url(),
            "signers": [workshop.signer("alice", &[&alice]), workshop.signer("bob", &[&bob])],
        });
        let environment = fs::read_to_string(house.dir().join("environment.yaml")).unwrap();
        house.write("environment.yaml", &format!("{environment}  git: {trust}\n"));
        bring(&house, &workshop, "ProxmoxActionPlan", "p", &plan_spec(&json!({})), &alice);
        house.once();
        let approval = approval(&house);
        bring(&house, &workshop, "ProxmoxActionApproval", "a", &approval, &bob);
        house.once();
        assert_eq!(house.status("p")["phase"], "Succeeded", "{:#}", house.status("p"));
        let Key::Ssh(auditor) = workshop.ssh_key("auditor", "ed25519") else { panic!() };
        let known = fs::read_to_string(auditor.with_extension("pub")).unwrap();
        house.write("auditors", &format!("auditor@example.test {known}"));
        let auditor = fs::read_to_string(auditor).unwrap();
        house.write("auditor", &auditor);
        fs::remove_dir_all(house.state().join("git")).unwrap();
        // And the repository goes with the workshop.
        Self { house, auditor }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.house.dir().join(name)
    }

    fn exported(&self) -> Value {
        let (log, out, key) =
            (self.house.state().join("audit"), self.file("bundle.json"), self.file("auditor"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
        command.args(["audit", "export", "p"]).arg(log).arg("--out").arg(&out).arg("--key").arg(key);
        let told = Ended::from(command.output().unwrap());
        assert_eq!(told.code, 0, "{told:?}");
        serde_json::from_slice(&fs::read(&out).unwrap()).unwrap()
    }

    fn verified(&self) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
        command.args(["audit", "verify", "--bundle"]).arg(self.file("bundle.json"));
        Ended::from(command.arg("--signers").arg(self.file("auditors")).output().unwrap())
    }

    /// As whoever writes the log and signs the bundle may have it.
    fn rewritten(&self, bundle: &Value, change: impl Fn(&mut AuditRecord)) {
        let mut head = Head::before_the_first("forged".to_owned());
        let lines = bundle["records"].as_array().unwrap().iter().map(|record| {
            let mut record: AuditRecord = serde_json::from_str(record["line"].as_str().unwrap()).unwrap();
            change(&mut record);
            let (line, next) = head.append(&record).unwrap();
            head = next;
            Excerpt { line: String::from_utf8(line).unwrap().trim_end().to_owned() }
        });
        let lines = lines.collect();
        let uid = bundle["planUid"].as_str().unwrap();
        let bundle = serde_json::to_vec(&Bundle::of(("default", "p", uid), lines, vec![head])).unwrap();
        fs::write(self.file("bundle.json.sig"), seal(&bundle, &self.auditor).unwrap()).unwrap();
        fs::write(self.file("bundle.json"), bundle).unwrap();
    }
}

fn bring(house: &House, workshop: &Workshop, kind: &str, name: &str, spec: &Value, key: &Key) {
    let text = manifest(kind, name, spec);
    house.write(&format!("{name}.yaml"), &text);
    workshop.bring(&format!("clusters/home/{name}.yaml"), &text, Some(key));
}

fn approval(house: &House) -> Value {
    let plan = house.state().join("objects/proxmoxactionplans/default/p.yaml");
    let plan: Value = serde_saphyr::from_str(&fs::read_to_string(plan).unwrap()).unwrap();
    let (uid, status) = (&plan["metadata"]["uid"], &plan["status"]);
    json!({
        "planRef": {"name": "p", "uid": uid}, "planHash": status["planHash"], "risk": status["risk"],
        "decision": "Approve", "approved_by": "bob", "environment": "home", "source": "git",
        "expiresAt": "2999-01-01T00:00:00Z", "reason": "it is old", "approverGroups": ["platform"],
    })
}

/// The lines and what they are proven for.
fn proven(records: &[Value]) -> Vec<(&str, Vec<&str>)> {
    let lines = records.iter().map(|record| {
        let from_git = record["fromGit"].as_array().into_iter().flatten();
        let proven = from_git.filter(|from| from["proof"].is_object());
        (record["event"].as_str().unwrap(), proven.map(|from| from["object"].as_str().unwrap()).collect())
    });
    lines.filter(|(_, objects): &(_, Vec<_>)| !objects.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_asked_and_approved_is_proven_by_the_bundle_when_the_repository_is_gone() {
    let evidence = Evidence::of_a_deletion().await;
    let bundle = evidence.exported();
    let told = evidence.verified();
    assert_eq!(told.code, 0, "{told:?}");
    let from_git = bundle["fromGit"].as_array().unwrap();
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{told:?}");
    for (line, from) in lines[1..].iter().zip(from_git) {
        assert!(from["proof"]["publicKey"].is_string(), "{from}");
        let of = |field: &str| from[field].as_str().unwrap().to_owned();
        let expected = format!(
            "{}: commit {} signed by {} with {}",
            of("object"),
            of("commit"),
            of("signer"),
            of("key")
        );
        assert_eq!(*line, expected);
    }
    assert!(
        lines[1].starts_with("plan p: ") && lines[1].contains(" signed by alice with SHA256:"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("approval a: ") && lines[2].contains(" signed by bob with "), "{lines:?}");

    let records: Vec<Value> = bundle["records"].as_array().unwrap().iter().map(line).collect();
    let on_lines = proven(&records);
    assert_eq!(on_lines, [("planned", vec!["plan p"]), ("intent", vec!["plan p", "approval a"])]);
    let kept = evidence.house.kept();
    assert!(kept.iter().any(|(file, text)| file.contains("/audit/") && text.contains("publicKey")));
    assert!(kept.iter().all(|(file, text)| file.contains("/audit/") || !text.contains("publicKey")));
}

fn line(record: &Value) -> Value {
    serde_json::from_str(record["line"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn even_who_writes_the_whole_log_anew_can_not_make_anybody_have_signed_for_something_else() {
    let evidence = Evidence::of_a_deletion().await;
    let bundle = evidence.exported();
    type Change = fn(&mut AuditRecord);
    let changes: [(Change, &str); 7] = [
        (
            |record| record.request.iter_mut().for_each(|request| request.target = "qemu/100".to_owned()),
            "plan p: clusters/home/p.yaml says another target than is on record",
        ),
        (
            |record| record.plan_hash = Some(format!("sha256:{}", "0".repeat(64))),
            "approval a: clusters/home/a.yaml says another planHash than is on record",
        ),
        (
            |record| record.plan_uid = "6a2ee1a4-0d6c-4ed8-8a4c-0d4e9f1f3c55".to_owned(),
            "approval a: clusters/home/a.yaml says another planRef than is on record",
        ),
        (
            |record| {
                record.approvals.iter_mut().for_each(|one| one.granted.approved_by = "carol".to_owned());
            },
            "approval a: clusters/home/a.yaml says another approved_by than is on record",
        ),
        (
            |record| record.approvals.iter_mut().for_each(|one| one.attempt = Some(1)),
            "approval a: clusters/home/a.yaml says another attempt than is on record",
        ),
        (
            |record| record.from_git.iter_mut().for_each(|from| from.provenance.commit = "1".repeat(40)),
            "plan p: its proof is of commit ",
        ),
        (
            |record| record.from_git.retain(|from| from.object != "approval a"),
            "approval a: came by git, and its commit is not on record",
        ),
    ];
    for (change, why) in changes {
        evidence.rewritten(&bundle, change);
        let told = evidence.verified();
        assert!(told.stdout.contains("signed by auditor@example.test"), "{told:?}");
        assert!(told.code == 1 && told.stdout.contains(why), "{why}: {told:?}");
        assert!(!told.stdout.contains("is not what its records say"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_a_log_that_kept_no_proofs_says_so_and_is_no_failure() {
    let evidence = Evidence::of_a_deletion().await;
    let bundle = evidence.exported();
    evidence.rewritten(&bundle, |record| {
        record.from_git.iter_mut().for_each(|from| from.evidence = Default::default());
    });
    let told = evidence.verified();
    assert_eq!(told.code, 0, "{told:?}");
    for object in ["plan p: commit ", "approval a: commit "] {
        let line = told.stdout.lines().find(|line| line.starts_with(object));
        assert!(line.is_some_and(|line| line.contains("has no proof here")), "{told:?}");
    }
}

/// Every proof on record holds, and where they are.
fn all_held_up(story: &Story) -> Vec<(String, Vec<String>)> {
    let lines = story.home.records();
    let records: Vec<AuditRecord> =
        lines.iter().map(|line| serde_json::from_value(line.clone()).unwrap()).collect();
    for origin in origins(&records) {
        let Some(proof) = &origin.from.evidence.proof else { continue };
        let checked = check_proof(proof, &origin.wanted.unwrap(), &origin.from.provenance, origin.at);
        assert_eq!(checked, Ok(()), "{}", origin.from.object);
    }
    let owned = |(event, objects): (&str, Vec<&str>)| {
        (event.to_owned(), objects.into_iter().map(str::to_owned).collect())
    };
    proven(&lines).into_iter().map(owned).collect()
}

fn expected(lines: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |objects: &[&str]| objects.iter().map(|object| (*object).to_owned()).collect();
    lines.iter().map(|(event, objects)| ((*event).to_owned(), owned(objects))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_proven_too_even_one_to_an_earlier_judgement() {
    let story = Story::begin().await;
    story.plan(&json!({}), Some(&story.alice));
    story.settled().await;
    let earlier = format!("sha256:{}", "0".repeat(64));
    story.approval(&json!({"decision": "Deny", "planHash": earlier}), Some(&story.bob)).await;
    story.settled().await;
    let lines = all_held_up(&story);
    assert_eq!(lines, expected(&[("planned", &["plan p"]), ("denied", &["approval a"])]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_by_the_wrong_person_is_proven_where_it_is_refused() {
    let story = Story::begin().await;
    story.plan(&json!({}), Some(&story.alice));
    story.settled().await;
    story.approval(&json!({}), Some(&story.alice)).await;
    story.settled().await;
    let lines = all_held_up(&story);
    assert_eq!(lines, expected(&[("planned", &["plan p"]), ("approvalRefused", &["approval a"])]));

    let story = Story::begin().await;
    story.plan(&json!({}), Some(&story.bob));
    story.settled().await;
    assert_eq!(all_held_up(&story), expected(&[("denied", &["plan p"])]));
}
