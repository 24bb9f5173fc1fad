//! Whose signature a commit carries.

use jiff::SignedDuration;
use proxmox_agent::core::provenance::Signature;
use serde_json::json;

use crate::{
    desk::{Desk, document, plan},
    support::git::Key,
};

fn text() -> String {
    document("p", &plan(&json!({})))
}

fn signer(signature: &Signature) -> &str {
    match signature {
        Signature::Of { signer, .. } => signer,
        other => panic!("{other:?}"),
    }
}

fn why(signature: &Signature) -> &str {
    match signature {
        Signature::Invalid { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unsigned_commit_speaks_for_nobody() {
    let (desk, _) = Desk::with_signers(["alice"]);
    desk.workshop.bring("p.yaml", &text(), None);
    assert_eq!(desk.signature().await, Signature::Missing);
}

#[tokio::test]
async fn ssh_keys_of_every_common_kind_are_known_by_their_fingerprint() {
    let mut desk = Desk::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = desk.workshop.ssh_key(kind, kind);
        desk.allow(kind, &[&key]);
        desk.workshop.bring(
            "p.yaml",
            &format!("# {kind}\n{}", document("p", &plan(&json!({"reason": kind})))),
            Some(&key),
        );
        let Key::Ssh(file) = &key else { panic!() };
        let listed = desk.workshop.run("ssh-keygen", &["-l", "-f", &file.display().to_string()]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        let seen = desk.look(crate::desk::wanted("p", &plan(&json!({"reason": kind})))).await;
        let proxmox_agent::core::provenance::Sighting::Brought { signature, author, .. } = seen else {
            panic!()
        };
        let Signature::Of { signer, key } = signature else { panic!("{kind}: {signature:?}") };
        assert_eq!(signer, kind);
        assert!(listed.contains(&key), "{key} is not {listed}");
        assert_eq!(author, "Somebody <somebody@example.test>", "and proves nothing");
    }
}

#[tokio::test]
async fn a_key_that_nobody_listed_is_unknown() {
    let (desk, _) = Desk::with_signers(["alice"]);
    let mallory = desk.workshop.ssh_key("mallory", "ed25519");
    desk.workshop.bring("p.yaml", &text(), Some(&mallory));
    assert!(matches!(desk.signature().await, Signature::Unknown { key } if key.starts_with("SHA256:")));
    let mallory = desk.workshop.openpgp_key("mallory", "never", None);
    desk.workshop.amend(Some(&mallory));
    desk.workshop.push();
    let Key::OpenPgp(fingerprint) = mallory else { panic!() };
    assert_eq!(desk.signature().await, Signature::Unknown { key: fingerprint });
}

#[tokio::test]
async fn a_key_that_is_listed_for_two_people_is_nobodys() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    desk.allow("alice", &[&alice]);
    assert_eq!(signer(&desk.signature().await), "alice", "listed twice, but one person's");
    desk.allow("bob", &[&alice]);
    let Signature::OfSeveral { signers, .. } = desk.signature().await else { panic!() };
    assert_eq!(signers, ["alice", "bob"]);
}

#[tokio::test]
async fn a_signature_of_another_commit_does_not_fit() {
    let (desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    replace_the_commit(&desk, &raw(&desk).replace("Bring", "Brought"));
    let signature = desk.signature().await;
    assert!(why(&signature).contains("does not fit the commit"), "{signature:?}");
}

#[tokio::test]
async fn a_signature_that_was_made_for_another_purpose_does_not_fit() {
    for (purpose, fits) in [("git", true), ("file", false)] {
        let (desk, [alice]) = Desk::with_signers(["alice"]);
        let Key::Ssh(key) = &alice else { panic!() };
        let key = key.display().to_string();
        desk.workshop.bring("p.yaml", &text(), None);
        let (headers, message) =
            raw(&desk).split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let bare = desk.workshop.path().join(format!("bare-{purpose}"));
        std::fs::write(&bare, format!("{headers}\n\n{message}")).unwrap();
        let bare = bare.display().to_string();
        desk.workshop.run("ssh-keygen", &["-q", "-Y", "sign", "-n", purpose, "-f", &key, &bare]);
        let signature = std::fs::read_to_string(format!("{bare}.sig")).unwrap();
        let indented: Vec<&str> = signature.trim_end().lines().collect();
        replace_the_commit(&desk, &format!("{headers}\ngpgsig {}\n\n{message}", indented.join("\n ")));
        match desk.signature().await {
            Signature::Of { .. } if fits => {}
            Signature::Invalid { why } if !fits => assert!(why.contains("does not fit the commit"), "{why}"),
            other => panic!("{purpose}: {other:?}"),
        }
    }
}

/// The newest commit as git keeps it.
fn raw(desk: &Desk) -> String {
    String::from_utf8(desk.workshop.git(&["cat-file", "commit", "HEAD"]).stdout).unwrap()
}

fn replace_the_commit(desk: &Desk, raw: &str) {
    desk.workshop.write("../forged", raw);
    let written = desk.workshop.git(&["hash-object", "-t", "commit", "-w", "../forged"]).stdout;
    desk.workshop.git(&["reset", "-q", "--hard", String::from_utf8(written).unwrap().trim()]);
    desk.workshop.push();
}

#[tokio::test]
async fn an_openpgp_key_signs_for_whom_it_is_listed() {
    let mut desk = Desk::new();
    let alice = desk.workshop.openpgp_key("alice", "never", None);
    desk.allow("alice", &[&alice]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    let Key::OpenPgp(fingerprint) = alice else { panic!() };
    assert_eq!(desk.signature().await, Signature::Of { signer: "alice".to_owned(), key: fingerprint });
}

#[tokio::test]
async fn a_signing_subkey_signs_for_its_owner_until_it_is_revoked() {
    let mut desk = Desk::new();
    let Key::OpenPgp(primary) = desk.workshop.openpgp_key("alice", "never", None) else { panic!() };
    desk.workshop.gpg(&[
        "--batch",
        "--passphrase",
        "",
        "--quick-add-key",
        &primary,
        "ed25519",
        "sign",
        "never",
    ]);
    let subkey = desk.workshop.fingerprints("alice").remove(1);
    let alice = Key::OpenPgp(format!("{subkey}!"));
    desk.allow("alice", &[&Key::OpenPgp(primary.clone())]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(desk.signature().await, Signature::Of { signer: "alice".to_owned(), key: subkey });
    edit(&desk, &primary, "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    desk.trust.signers.clear();
    desk.allow("alice", &[&Key::OpenPgp(primary)]);
    let signature = desk.signature().await;
    assert!(why(&signature).contains("was revoked"), "{signature:?}");
}

/// What somebody types at gpg's own prompt.
fn edit(desk: &Desk, key: &str, typed: &str) {
    use std::io::Write;
    let mut gpg = std::process::Command::new("gpg")
        .args(["--batch", "--yes", "--command-fd=0", "--no-tty", "--edit-key", key])
        .env("GNUPGHOME", desk.workshop.path().join("g"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    gpg.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    assert!(gpg.wait().unwrap().success());
}

#[tokio::test]
async fn a_revoked_openpgp_key_counts_for_nothing() {
    let mut desk = Desk::new();
    let alice = desk.workshop.openpgp_key("alice", "never", None);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    let Key::OpenPgp(fingerprint) = &alice else { panic!() };
    let certificate = desk.workshop.path().join(format!("g/openpgp-revocs.d/{fingerprint}.rev"));
    let armed = std::fs::read_to_string(&certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    std::fs::write(&certificate, armed).unwrap();
    desk.workshop.gpg(&["--batch", "--import", &certificate.display().to_string()]);
    desk.allow("alice", &[&alice]);
    let signature = desk.signature().await;
    assert!(why(&signature).contains("was revoked"), "{signature:?}");
}

#[tokio::test]
async fn an_openpgp_key_counts_until_it_expires() {
    let mut desk = Desk::new();
    let alice = desk.workshop.openpgp_key("alice", "2d", None);
    desk.allow("alice", &[&alice]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(signer(&desk.signature().await), "alice");
    desk.clock.set(SignedDuration::from_hours(49));
    let signature = desk.signature().await;
    assert!(why(&signature).contains("has expired"), "{signature:?}");
}

#[tokio::test]
async fn a_key_that_is_no_longer_meant_to_sign_signs_nothing() {
    let mut desk = Desk::new();
    let alice = desk.workshop.openpgp_key("alice", "never", None);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    let Key::OpenPgp(fingerprint) = &alice else { panic!() };
    edit(&desk, fingerprint, "change-usage\nS\nQ\nsave\n");
    desk.allow("alice", &[&alice]);
    let signature = desk.signature().await;
    assert!(why(&signature).contains("is not one to sign with"), "{signature:?}");
}

#[tokio::test]
async fn a_signature_over_a_hash_that_can_be_forged_counts_for_nothing() {
    let mut desk = Desk::new();
    let user = "alice <alice@example.test>";
    desk.workshop.gpg(&["--batch", "--passphrase", "", "--quick-gen-key", user, "rsa2048", "sign", "never"]);
    let alice = Key::OpenPgp(desk.workshop.fingerprints("alice").remove(0));
    desk.allow("alice", &[&alice]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    assert_eq!(signer(&desk.signature().await), "alice");
    std::fs::write(desk.workshop.path().join("g/gpg.conf"), "digest-algo SHA1\n").unwrap();
    desk.workshop.amend(Some(&alice));
    desk.workshop.push();
    let signature = desk.signature().await;
    assert!(why(&signature).contains("a hash that can be forged"), "{signature:?}");
}

#[tokio::test]
async fn a_list_with_a_key_that_can_not_be_read_is_refused_and_says_which() {
    let (mut desk, [alice]) = Desk::with_signers(["alice"]);
    desk.workshop.bring("p.yaml", &text(), Some(&alice));
    let bad = json!({"name": "bob", "keys": ["ssh-ed25519 AAAA bob"]});
    desk.trust.signers.push(serde_json::from_value(bad).unwrap());
    let refused = desk.try_look(crate::desk::wanted("p", &plan(&json!({})))).await.unwrap_err().to_string();
    assert!(refused.contains("spec.git.signers: keys[0] of bob can't be used"), "{refused}");
}
