//! What is kept of a signed commit, held against what is on record when the repository is gone.

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::Provenance,
    core::{
        provenance::{Sighting, Signature, Speaker, Wanted, trace},
        signed::{Evidence, SignedFile},
    },
    git::check_proof,
};
use serde_json::json;

use crate::{
    desk::{Desk, document, plan, wanted},
    support::git::Key,
};

const FILE: &str = "clusters/home/plans.yaml";

/// A proof, and what is on record about it.
#[derive(Clone)]
struct Kept {
    proof: SignedFile,
    wanted: Wanted,
    on_record: Provenance,
}

impl Kept {
    fn check(&self) -> Result<(), String> {
        self.check_at(Timestamp::now())
    }

    fn check_at(&self, moment: Timestamp) -> Result<(), String> {
        check_proof(&self.proof, &self.wanted, &self.on_record, moment)
    }

    #[track_caller]
    fn is_refused(&self, with: &str) {
        let why = self.check().unwrap_err();
        assert!(why.contains(with), "{why}");
    }
}

fn text(name: &str) -> String {
    document(name, &plan(&json!({})))
}

/// What the desk keeps of the plan `p` that alice brings.
async fn kept(desk: &Desk, file: &str, key: &Key) -> Kept {
    desk.workshop.bring(file, &text("p"), Some(key));
    of_what_is_there(desk).await
}

async fn of_what_is_there(desk: &Desk) -> Kept {
    let wanted = wanted("p", &plan(&json!({})));
    let traced = trace(&desk.trust, &desk.look(wanted.clone()).await, Speaker::Requester("alice"), None);
    let proof = *traced.evidence.proof.unwrap_or_else(|| panic!("{:?}", traced.provenance));
    Kept { proof, wanted, on_record: traced.provenance }
}

#[tokio::test]
async fn a_proof_holds_without_the_repository_whatever_kind_of_key_has_signed() {
    let mut desk = Desk::new();
    let mut keys: Vec<Key> =
        ["ed25519", "ecdsa", "rsa"].map(|kind| desk.workshop.ssh_key(kind, kind)).to_vec();
    let primary = desk.workshop.openpgp_key("alice", "never", None);
    let Key::OpenPgp(fingerprint) = &primary else { panic!() };
    let subkey = ["--batch", "--passphrase", "", "--quick-add-key", fingerprint, "ed25519", "sign", "never"];
    desk.workshop.gpg(&subkey);
    keys.push(Key::OpenPgp(format!("{}!", desk.workshop.fingerprints("alice")[1])));
    keys.push(Key::OpenPgp(format!("{fingerprint}!")));
    let listed: Vec<&Key> = keys.iter().take(4).collect();
    desk.allow("alice", &listed);
    let mut all = vec![];
    for (number, key) in keys.iter().enumerate() {
        desk.workshop.git(&["rm", "-q", "-r", "--ignore-unmatch", "."]);
        desk.workshop.commit("Take it away", None);
        let file = if number % 2 == 0 { FILE } else { "p.yml" };
        all.push(kept(&desk, file, key).await);
    }
    drop(desk);
    for kept in all {
        assert_eq!(kept.check(), Ok(()), "{:?}", kept.on_record);
    }
}

#[tokio::test]
async fn no_bit_of_a_commit_its_folders_or_its_file_can_change() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let kept = kept(&desk, FILE, &alice).await;
    let mut objects: Vec<fn(&mut SignedFile) -> &mut Vec<u8>> = vec![
        |proof| &mut proof.commit.0,
        |proof| &mut proof.blob.0,
        |proof| &mut proof.trees[0].0,
        |proof| &mut proof.trees[1].0,
        |proof| &mut proof.trees[2].0,
    ];
    assert_eq!(kept.proof.trees.len(), 3);
    for object in &mut objects {
        let mut changed = kept.clone();
        for place in 0..object(&mut changed.proof).len() {
            for bit in 0..8 {
                object(&mut changed.proof)[place] ^= 1 << bit;
                assert!(changed.check().is_err(), "byte {place}, bit {bit}");
                object(&mut changed.proof)[place] ^= 1 << bit;
            }
        }
        assert_eq!(changed.check(), Ok(()));
    }
}

#[tokio::test]
async fn each_part_of_a_proof_that_is_another_one_is_told() {
    let (desk, [alice, bob]) = Desk::with_signers(["alice", "bob"]);
    let first = kept(&desk, "first.yaml", &alice).await;
    desk.workshop.git(&["rm", "-q", "first.yaml"]);
    let kept = kept(&desk, FILE, &alice).await;

    let other_commit = Kept { proof: first.proof.clone(), ..kept.clone() };
    other_commit.is_refused("and on record is");
    let mut reworded = kept.clone();
    let commit = String::from_utf8(kept.proof.commit.0.clone()).unwrap();
    reworded.proof.commit.0 = commit.replace("Bring", "Force").into_bytes();
    reworded.is_refused("and on record is");

    let mut blob = kept.clone();
    blob.proof.blob.0 = text("q").into_bytes();
    blob.is_refused("the file in its proof is not what commit");
    let mut tree = kept.clone();
    tree.proof.trees[1] = first.proof.trees[0].clone();
    tree.is_refused("do not lead from commit");
    let mut more = kept.clone();
    more.proof.trees.push(first.proof.trees[0].clone());
    more.is_refused("do not lead from commit");
    let mut file = kept.clone();
    file.on_record.file = "clusters/home/other.yaml".to_owned();
    file.is_refused("do not lead from commit");

    let mut key = kept.clone();
    key.proof.public_key = desk.workshop.public(&bob);
    key.is_refused("its proof holds another one");
    let mut fingerprint = kept.clone();
    fingerprint.on_record.key = "SHA256:another".to_owned();
    fingerprint.is_refused("and on record is SHA256:another");
    let mut no_key = kept.clone();
    no_key.proof.public_key = "ssh-ed25519 AAAA".to_owned();
    no_key.is_refused("the key in its proof can't be used");

    let mut spec = kept.clone();
    spec.wanted.spec["target"] = "qemu/101".into();
    spec.is_refused("says another target than is on record");
    let mut name = kept.clone();
    name.wanted.name = "q".to_owned();
    name.is_refused("holds no ProxmoxActionPlan default/q");
    assert_eq!(kept.check(), Ok(()));
}

/// Whoever may write the log makes everything in it fit but the signature.
#[tokio::test]
async fn a_commit_that_was_made_to_fit_is_not_one_that_was_signed() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    let kept = kept(&desk, "p.yaml", &alice).await;
    let commit = String::from_utf8(kept.proof.commit.0.clone()).unwrap();
    let unsigned = {
        let (before, rest) = commit.split_once("gpgsig ").unwrap();
        let (_, after) = rest.split_once("-----END SSH SIGNATURE-----\n").unwrap();
        format!("{before}{}", after.trim_start_matches(" \n"))
    };
    for (forged, why) in [
        (commit.replace("Bring", "Force"), "has a signature that does not count: it does not fit the commit"),
        (unsigned, "is not signed"),
    ] {
        let mut made = kept.clone();
        desk.workshop.write("../forged", &forged);
        let hashed = desk.workshop.git(&["hash-object", "-t", "commit", "-w", "../forged"]).stdout;
        made.on_record.commit = String::from_utf8(hashed).unwrap().trim().to_owned();
        made.proof.commit.0 = forged.into_bytes();
        made.is_refused(why);
    }
    // Mallory signs herself.
    let mallory = desk.workshop.ssh_key("mallory", "ed25519");
    desk.workshop.amend(Some(&mallory));
    let commit = desk.workshop.git(&["cat-file", "commit", "HEAD"]).stdout;
    let mut hers = kept.clone();
    hers.on_record.commit = desk.workshop.head();
    hers.proof.commit.0 = commit;
    hers.is_refused("its proof holds another one");
    hers.proof.public_key = desk.workshop.public(&mallory);
    hers.is_refused(&format!("and on record is {}", kept.on_record.key));
}

#[tokio::test]
async fn a_key_that_expires_later_spoils_no_evidence() {
    let mut desk = Desk::new();
    let alice = desk.workshop.openpgp_key("alice", "2d", None);
    desk.allow("alice", &[&alice]);
    let kept = kept(&desk, FILE, &alice).await;
    let then = Timestamp::now();
    assert_eq!(kept.check_at(then), Ok(()));
    let why = kept.check_at(then + SignedDuration::from_hours(72)).unwrap_err();
    assert!(why.contains("has expired"), "if it was put on record after its end: {why}");
}

#[tokio::test]
async fn what_takes_too_much_room_is_left_out_and_says_why() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    for (size, is_kept) in [(200 * 1024, true), (260 * 1024, false)] {
        desk.workshop.bring("p.yaml", &format!("# {}\n{}", "x".repeat(size), text("p")), Some(&alice));
        let seen = desk.see().await;
        desk.workshop.git(&["rm", "-q", "p.yaml"]);
        desk.workshop.commit("Take it away", None);
        let Sighting::Brought { signature: Signature::Of { .. }, evidence, .. } = seen else { panic!() };
        let Evidence { proof, proof_missing } = evidence;
        assert_eq!((proof.is_some(), proof_missing.is_none()), (is_kept, is_kept));
        assert!(proof_missing.is_none_or(|why| why.contains("256 KiB are kept at most")));
    }
}

#[tokio::test]
async fn of_a_signature_that_speaks_for_nobody_nothing_is_kept() {
    let (desk, _) = Desk::with_signers(["alice"]);
    let mallory = desk.workshop.ssh_key("mallory", "ed25519");
    for key in [None, Some(&mallory)] {
        desk.workshop.bring("p.yaml", &text("p"), key);
        let Sighting::Brought { evidence, .. } = desk.see().await else { panic!() };
        desk.workshop.git(&["rm", "-q", "p.yaml"]);
        desk.workshop.commit("Take it away", None);
        assert_eq!(evidence, Evidence::default());
    }
}
