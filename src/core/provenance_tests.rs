use proptest::prelude::*;
use serde_json::json;

use super::*;

const COMMIT: &str = "1111111111111111111111111111111111111111";

fn trust() -> GitTrust {
    serde_json::from_value(json!({
        "repository": "https://git.example.test/home.git",
        "signers": [
            {"name": "alice", "keys": ["k"], "groups": ["platform"]},
            {"name": "bob", "keys": ["l"]},
        ],
    }))
    .unwrap()
}

fn brought(signature: Signature) -> Sighting {
    Sighting::Brought {
        file: "p.yaml".into(),
        commit: COMMIT.into(),
        author: "Somebody <s@example.test>".into(),
        signature,
        evidence: Evidence::missing("too large"),
    }
}

fn of(signer: &str) -> Signature {
    Signature::Of { signer: signer.into(), key: "SHA256:k".into() }
}

fn reason(sighting: &Sighting, speaker: Speaker<'_>) -> &'static str {
    trace(&trust(), sighting, speaker, None).refusal.map_or(VERIFIED, |refusal| refusal.reason)
}

#[test]
fn each_way_not_to_be_proven_has_its_own_reason() {
    let file = || "p.yaml".to_owned();
    let key = || "SHA256:k".to_owned();
    let several = Signature::OfSeveral { signers: vec!["alice".into(), "bob".into()], key: key() };
    for (sighting, expected) in [
        (Sighting::NoFile, "NotInGit"),
        (Sighting::Ambiguous { files: vec![file(), file()] }, "AmbiguousInGit"),
        (Sighting::Differs { file: file() }, "FileDiffers"),
        (Sighting::TooOld { file: file() }, "HistoryTooShort"),
        (Sighting::Rewritten { file: file() }, "HistoryRewritten"),
        (brought(Signature::Missing), "Unsigned"),
        (brought(Signature::Invalid { why: "x".into() }), "BadSignature"),
        (brought(Signature::Unknown { key: key() }), "UnknownSigner"),
        (brought(several), "AmbiguousSigner"),
        (brought(of("bob")), "SignerIsNotApprover"),
        (brought(of("alice")), VERIFIED),
    ] {
        let traced = trace(&trust(), &sighting, Speaker::Approver("alice"), None);
        assert_eq!(traced.provenance.verdict, expected);
        assert_eq!(traced.refusal.is_none(), expected == VERIFIED);
        let begins_with_a_field = |refusal: &Refusal| refusal.message.starts_with("spec");
        assert!(traced.refusal.as_ref().is_none_or(begins_with_a_field), "{:?}", traced.refusal);
    }
    assert_eq!(reason(&brought(of("bob")), Speaker::Requester("alice")), "SignerIsNotRequester");
    assert_eq!(not_configured("home").refusal.unwrap().reason, "GitNotConfigured");
    assert!(unavailable(&trust(), "no connection", None).is_unavailable());
}

#[test]
fn a_name_is_only_the_same_if_it_is_spelled_the_same() {
    for name in ["Alice", "alice ", "alic", "alice@example.test", ""] {
        assert_eq!(reason(&brought(of("alice")), Speaker::Approver(name)), "SignerIsNotApprover", "{name}");
    }
}

#[test]
fn what_is_known_of_the_commit_is_told_whatever_is_wrong_with_it() {
    let found = trace(&trust(), &brought(of("bob")), Speaker::Approver("alice"), None).provenance;
    assert_eq!(found.commit, COMMIT);
    assert_eq!(
        (found.signer.as_str(), found.key.as_str(), found.file.as_str()),
        ("bob", "SHA256:k", "p.yaml")
    );
    assert_eq!(found.author, "Somebody <s@example.test>");
}

#[test]
fn groups_are_those_of_the_list_and_only_of_who_is_believed() {
    let groups = |signer: &str, speaker| trace(&trust(), &brought(of(signer)), speaker, None).groups;
    assert_eq!(groups("alice", Speaker::Approver("alice")), ["platform"]);
    assert!(groups("bob", Speaker::Approver("bob")).is_empty());
    assert!(groups("alice", Speaker::Approver("bob")).is_empty());
}

#[test]
fn a_commit_that_was_believed_stays_on_record_until_it_is_there_again() {
    let mut before = trace(&trust(), &brought(of("alice")), Speaker::Approver("alice"), None).provenance;
    for passing in [Sighting::NoFile, Sighting::Rewritten { file: "p.yaml".into() }] {
        before = trace(&trust(), &passing, Speaker::Approver("alice"), Some(&before)).provenance;
        assert_eq!(commit_on_record(&trust(), Some(&before)).as_deref(), Some(COMMIT));
    }
    before = unavailable(&trust(), "no connection", Some(&before)).provenance;
    assert_eq!(commit_on_record(&trust(), Some(&before)).as_deref(), Some(COMMIT));
}

#[test]
fn a_commit_that_was_never_believed_may_be_replaced_by_a_better_one() {
    let mut before =
        trace(&trust(), &brought(Signature::Missing), Speaker::Approver("alice"), None).provenance;
    assert_eq!(commit_on_record(&trust(), Some(&before)), None);
    before = unavailable(&trust(), "no connection", Some(&before)).provenance;
    assert_eq!(commit_on_record(&trust(), Some(&before)), None);
}

#[test]
fn another_repository_is_not_held_against_the_commits_of_the_former_one() {
    let before = trace(&trust(), &brought(of("alice")), Speaker::Approver("alice"), None).provenance;
    let moved = GitTrust { repository: "https://elsewhere.example.test/home.git".into(), ..trust() };
    assert_eq!(commit_on_record(&moved, Some(&before)), None);
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![Just("alice".to_owned()), Just("bob".to_owned()), "[a-z]{0,300}"]
}

fn any_signature() -> impl Strategy<Value = Signature> {
    prop_oneof![
        Just(Signature::Missing),
        ".{0,40}".prop_map(|why| Signature::Invalid { why }),
        ".{0,200}".prop_map(|key| Signature::Unknown { key }),
        (any_name(), any_name(), ".{0,200}")
            .prop_map(|(a, b, key)| Signature::OfSeveral { signers: vec![a, b], key }),
        (any_name(), ".{0,200}").prop_map(|(signer, key)| Signature::Of { signer, key }),
    ]
}

fn any_sighting() -> impl Strategy<Value = Sighting> {
    let file = || ".{0,600}";
    prop_oneof![
        Just(Sighting::NoFile),
        prop::collection::vec(file(), 2..20).prop_map(|files| Sighting::Ambiguous { files }),
        file().prop_map(|file| Sighting::Differs { file }),
        file().prop_map(|file| Sighting::TooOld { file }),
        file().prop_map(|file| Sighting::Rewritten { file }),
        (file(), "[0-9a-f]{40}", ".{0,600}", any_signature()).prop_map(
            |(file, commit, author, signature)| Sighting::Brought {
                file,
                commit,
                author,
                signature,
                evidence: Evidence::default()
            }
        ),
    ]
}

proptest! {
    /// There is one way to be believed, and every other one is refused with a word of its own.
    #[test]
    fn nobody_is_believed_but_who_signed(sighting in any_sighting(), name in any_name(), asks in any::<bool>()) {
        let speaker = if asks { Speaker::Requester(&name) } else { Speaker::Approver(&name) };
        let traced = trace(&trust(), &sighting, speaker, None);
        let signed = matches!(
            &sighting,
            Sighting::Brought { signature: Signature::Of { signer, .. }, .. } if *signer == name
        );
        prop_assert_eq!(traced.refusal.is_none(), signed);
        prop_assert_eq!(traced.provenance.verdict == VERIFIED, signed);
        prop_assert!(traced.groups.is_empty() || signed);
    }

    /// The API server refuses a status that is too long.
    #[test]
    fn what_is_told_has_room_in_a_status(sighting in any_sighting(), name in any_name()) {
        let traced = trace(&trust(), &sighting, Speaker::Approver(&name), None);
        let Provenance { repository, file, commit, author, signer, key, verdict } = traced.provenance;
        for (text, most) in
            [(repository, 512), (file, 512), (commit, 64), (author, 512), (signer, 253), (key, 128), (verdict, 64)]
        {
            prop_assert!(text.chars().count() <= most, "{}", text);
        }
        prop_assert!(traced.refusal.is_none_or(|refusal| refusal.message.chars().count() <= 4096));
    }
}
