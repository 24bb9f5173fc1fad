//! Who stands behind an object that came by git.
//!
//! What is `Wanted` is looked for in the repository, whose answer is a `Sighting`. `trace` holds that against the list of
//! signers and the name of the `Speaker`: the object is `Traced`, with its `Provenance` for the status and a refusal if the
//! signature speaks for nobody.

use crate::api::{GitTrust, Provenance};

use super::{approval::Refusal, signed::Evidence};

/// What stands in `status.provenance.verdict` when nothing is wrong.
pub const VERIFIED: &str = "Verified";
/// The repository can't be read right now.
pub const GIT_UNAVAILABLE: &str = "GitUnavailable";

/// The commit is there, but is not one that speaks for anybody: a better one may take its place.
const SIGNED_WRONGLY: [&str; 6] = [
    "Unsigned",
    "BadSignature",
    "UnknownSigner",
    "AmbiguousSigner",
    "SignerIsNotApprover",
    "SignerIsNotRequester",
];

/// An object that is looked for in a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// As it was applied.
    pub spec: serde_json::Value,
    /// The commit that brought it, if that was found before: it has to be there still.
    pub recorded_commit: Option<String>,
}

/// What the repository says about an object, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub enum Sighting {
    /// No file of the branch holds an object of that name.
    NoFile,
    /// It stands there more than once.
    Ambiguous { files: Vec<String> },
    /// The file says something else than was applied.
    Differs { file: String },
    /// It was brought before the oldest commit that was fetched.
    TooOld { file: String },
    /// The commit that is on record did not bring what is there now.
    Rewritten { file: String },
    /// This commit brought the object as it is.
    Brought { file: String, commit: String, author: String, signature: Signature, evidence: Evidence },
}

/// The signature of a commit, held against the allowed signers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    Missing,
    /// It is none that can be read, it does not fit the commit, or its key does not count any more.
    Invalid {
        why: String,
    },
    /// Nobody on the list has that key.
    Unknown {
        key: String,
    },
    /// More than one person on the list has that key.
    OfSeveral {
        signers: Vec<String>,
        key: String,
    },
    Of {
        signer: String,
        key: String,
    },
}

/// Who speaks in an object, and therefore has to have signed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker<'a> {
    Requester(&'a str),
    Approver(&'a str),
}

/// A provenance, and what is wrong with it if something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    pub provenance: Provenance,
    /// The groups that the list of signers gives to whoever signed.
    pub groups: Vec<String>,
    pub refusal: Option<Refusal>,
    /// What proves it to whoever can't ask the repository any more.
    pub evidence: Evidence,
}

/// Holds what a repository says against the name that the object gives. `before` is what is on record.
pub fn trace(
    trust: &GitTrust,
    sighting: &Sighting,
    speaker: Speaker<'_>,
    before: Option<&Provenance>,
) -> Traced {
    let mut provenance = on_record(trust, before);
    let mut groups = vec![];
    let refusal = match sighting {
        Sighting::NoFile => Some(not_in_git(trust)),
        Sighting::Ambiguous { files } => Some(ambiguous(files)),
        Sighting::Differs { file } => Some(differs(file)),
        Sighting::TooOld { file } => Some(too_old(trust, file)),
        Sighting::Rewritten { file } => Some(rewritten(file, &provenance.commit)),
        Sighting::Brought { commit, author, signature, .. } => {
            provenance.commit = bounded(commit, 64);
            provenance.author = bounded(author, 512);
            provenance.key = bounded(signature.key(), 128);
            let believed = signer(signature, &provenance.commit).and_then(|signer| {
                provenance.signer = bounded(signer, 253);
                refuse_other(signer, speaker, &provenance.commit).map(|()| signer)
            });
            groups = believed.as_ref().map(|signer| groups_of(trust, signer)).unwrap_or_default();
            believed.err()
        }
    };
    provenance.file = bounded(file_of(sighting), 512);
    let evidence = evidence_of(sighting, &provenance);
    Traced { evidence, ..concluded(provenance, groups, refusal) }
}

fn evidence_of(sighting: &Sighting, provenance: &Provenance) -> Evidence {
    match sighting {
        Sighting::Brought { evidence, file, .. } if *file == provenance.file => evidence.clone(),
        Sighting::Brought { evidence: Evidence { proof: Some(_), .. }, .. } => {
            Evidence::missing("the path of the file is longer than what is kept of it")
        }
        _ => Evidence::default(),
    }
}

/// The environment has no repository, so nothing can have come from it.
pub fn not_configured(environment: &str) -> Traced {
    let message = format!(
        "spec.source: is git, but environment {environment} has no spec.git: its owner has to say which repository and whose signatures count"
    );
    concluded(Provenance::default(), vec![], Some(refuse("GitNotConfigured", message)))
}

/// Nothing can be said right now.
pub fn unavailable(trust: &GitTrust, why: &str, before: Option<&Provenance>) -> Traced {
    let message = format!("spec.source: {why}; tried again soon");
    concluded(on_record(trust, before), vec![], Some(refuse(GIT_UNAVAILABLE, message)))
}

/// The commit that was once found to have brought the object: whatever comes later is held against it.
pub fn commit_on_record(trust: &GitTrust, before: Option<&Provenance>) -> Option<String> {
    let known = before.filter(|before| {
        before.repository == trust.repository && !SIGNED_WRONGLY.contains(&before.verdict.as_str())
    });
    known.map(|before| before.commit.clone()).filter(|commit| !commit.is_empty())
}

impl Traced {
    pub fn is_unavailable(&self) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.reason == GIT_UNAVAILABLE)
    }
}

fn on_record(trust: &GitTrust, before: Option<&Provenance>) -> Provenance {
    let commit = commit_on_record(trust, before).unwrap_or_default();
    Provenance { repository: trust.repository.clone(), commit, ..Provenance::default() }
}

fn concluded(provenance: Provenance, groups: Vec<String>, refusal: Option<Refusal>) -> Traced {
    let verdict = refusal.as_ref().map_or(VERIFIED, |refusal| refusal.reason).to_owned();
    Traced {
        provenance: Provenance { verdict, ..provenance },
        groups,
        refusal,
        evidence: Evidence::default(),
    }
}

impl Signature {
    fn key(&self) -> &str {
        match self {
            Self::Missing | Self::Invalid { .. } => "",
            Self::Unknown { key } | Self::OfSeveral { key, .. } | Self::Of { key, .. } => key,
        }
    }
}

/// Who signed, if that is one known person.
fn signer<'a>(signature: &'a Signature, commit: &str) -> Result<&'a str, Refusal> {
    let (reason, why) = match signature {
        Signature::Of { signer, .. } => return Ok(signer),
        Signature::Missing => {
            ("Unsigned", format!("commit {commit} is not signed: sign the commit that brings the file"))
        }
        Signature::Invalid { why } => {
            ("BadSignature", format!("the signature of commit {commit} does not count: {why}"))
        }
        Signature::Unknown { key } => (
            "UnknownSigner",
            format!(
                "commit {commit} is signed with the key {key}, which is nobody's in spec.git.signers of the environment"
            ),
        ),
        Signature::OfSeveral { signers, key } => (
            "AmbiguousSigner",
            format!(
                "commit {commit} is signed with the key {key}, which spec.git.signers of the environment gives to {}: a key has to be one person's",
                signers.join(" and ")
            ),
        ),
    };
    Err(refuse(reason, format!("spec.source: {why}")))
}

/// Nobody signs for somebody else.
fn refuse_other(signer: &str, speaker: Speaker<'_>, commit: &str) -> Result<(), Refusal> {
    let (reason, field, name) = match speaker {
        Speaker::Requester(name) => ("SignerIsNotRequester", "spec.requestedBy", name),
        Speaker::Approver(name) => ("SignerIsNotApprover", "spec.approved_by", name),
    };
    if signer == name {
        return Ok(());
    }
    Err(refuse(reason, format!("{field}: is {name}, but commit {commit} is signed by {signer}")))
}

fn groups_of(trust: &GitTrust, signer: &str) -> Vec<String> {
    let entries = trust.signers.iter().filter(|entry| entry.name == signer);
    entries.flat_map(|entry| entry.groups.clone()).collect()
}

fn file_of(sighting: &Sighting) -> &str {
    match sighting {
        Sighting::NoFile => "",
        Sighting::Ambiguous { files } => files.first().map_or("", String::as_str),
        Sighting::Differs { file }
        | Sighting::TooOld { file }
        | Sighting::Rewritten { file }
        | Sighting::Brought { file, .. } => file,
    }
}

fn not_in_git(trust: &GitTrust) -> Refusal {
    let below = if trust.path.is_empty() { String::new() } else { format!(" below {}", trust.path) };
    let message = format!(
        "spec.source: is git, but no YAML file{below} on branch {} of {} holds this object",
        trust.branch, trust.repository
    );
    refuse("NotInGit", message)
}

fn ambiguous(files: &[String]) -> Refusal {
    let named: Vec<&str> = files.iter().take(4).map(String::as_str).collect();
    let message =
        format!("spec.source: the object stands in the repository more than once: {}", named.join(", "));
    refuse("AmbiguousInGit", message)
}

fn differs(file: &str) -> Refusal {
    refuse("FileDiffers", format!("spec: is not what {file} says in the repository now"))
}

fn too_old(trust: &GitTrust, file: &str) -> Refusal {
    let message = format!(
        "spec.source: {file} was brought before the newest {} commits, which are all that is fetched: commit it anew, or raise spec.git.depth of the environment",
        trust.depth
    );
    refuse("HistoryTooShort", message)
}

fn rewritten(file: &str, commit: &str) -> Refusal {
    let message = format!(
        "spec.source: the history was rewritten: {file} was brought by commit {commit}, and now it was not"
    );
    refuse("HistoryRewritten", message)
}

fn refuse(reason: &'static str, message: impl AsRef<str>) -> Refusal {
    Refusal { reason, message: bounded(message.as_ref(), 2048) }
}

fn bounded(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

#[cfg(test)]
#[path = "provenance_tests.rs"]
mod tests;
