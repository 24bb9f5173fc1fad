//! `kubectl approve --git`: the approval as a signed commit.

use std::{fs, path::Path, process::Command};

use proxmox_agent::api::{ProxmoxActionApproval, Source};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    kubectl_approve::{approvals, deletion},
    support::{cluster::Outcome, stage::Stage},
};

const ME: &str = "approver@example.test";

/// A repository of somebody who signs with an SSH key.
struct Repository {
    folder: TempDir,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        for (name, value) in [("user.name", "A"), ("user.email", ME), ("gpg.format", "ssh")] {
            repository.git(&["config", name, value]);
        }
        repository.git(&["config", "user.signingkey", &format!("{}.pub", key.display())]);
        fs::write(repository.tree().join("readme"), "plans").unwrap();
        repository.git(&["add", "readme"]);
        repository.git(&["commit", "--quiet", "-m", "Begin"]);
        repository
    }

    fn tree(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.tree(), args)
    }

    async fn approve(&self, stage: &Stage, args: &[&str]) -> Outcome {
        let here = format!("--git={}", self.tree().display());
        stage.approve("approver", &[&["delete", "--yes", &here], args].concat()).await
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_approval_is_one_signed_commit_of_one_file() {
    let stage = Stage::new().await;
    let plan = deletion(&stage, "delete").await;
    let repository = Repository::new();
    fs::write(repository.tree().join("staged"), "not yet").unwrap();
    repository.git(&["add", "staged"]);
    fs::write(repository.tree().join("readme"), "half done").unwrap();

    let done = repository.approve(&stage, &["--reason", "checked"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("signed; push it"), "{done:?}");
    let files = repository.git(&["show", "--format=", "--name-status", "HEAD"]);
    let (status, file) = files.split_once('\t').unwrap();
    assert_eq!(status, "A", "{files}");
    assert!(file.starts_with("delete-approval-approver-example-test-"), "{files}");
    assert!(repository.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig -----BEGIN SSH SIGNATURE"));
    let message = repository.git(&["log", "-1", "--format=%B"]);
    let namespace = &stage.namespace;
    assert_eq!(message, format!("Approve plan {namespace}/delete: delete_guest on qemu/101\n\nchecked"));
    assert_eq!(repository.git(&["status", "--porcelain"]), " M readme\nA  staged");

    let text = fs::read_to_string(repository.tree().join(file)).unwrap();
    let approval: ProxmoxActionApproval = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((approval.spec.source, approval.spec.approved_by.as_str()), (Some(Source::Git), ME));
    assert_eq!(approval.spec.plan_ref.uid, plan.metadata.uid.unwrap());
    assert_eq!(Some(approval.spec.plan_hash), plan.status.unwrap().plan_hash);
    assert_eq!(approval.metadata.namespace.as_ref(), Some(namespace));
    assert!(approvals(&stage).await.is_empty(), "it was created in the cluster too");

    let again = repository.approve(&stage, &[]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(fs::read_to_string(repository.tree().join(file)).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_signed_leaves_nothing_behind() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let repository = Repository::new();
    fs::write(repository.tree().join("staged"), "not yet").unwrap();
    repository.git(&["add", "staged"]);
    let before = (repository.git(&["rev-parse", "HEAD"]), repository.git(&["status", "--porcelain"]));
    let unsignable = || async {
        let ended = repository.approve(&stage, &[]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let now = (repository.git(&["rev-parse", "HEAD"]), repository.git(&["status", "--porcelain"]));
        assert_eq!(now, before);
        ended.stderr
    };
    repository.git(&["config", "user.signingkey", "/nowhere/key.pub"]);
    let stderr = unsignable().await;
    assert!(stderr.contains("git config gpg.format ssh"), "{stderr}");

    let hook = repository.tree().join(".git/hooks/pre-commit");
    fs::write(&hook, "#!/bin/sh\necho the hook says no >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stderr = unsignable().await;
    assert!(stderr.contains("the hook says no"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_decides_is_named_as_the_signers_list_has_it() {
    let stage = Stage::new().await;
    deletion(&stage, "delete").await;
    let repository = Repository::new();
    let without = repository.approve(&stage, &["--by", "elsewhere"]).await;
    assert!(without.stdout.contains("note: environment home has no spec.git"), "{without:?}");

    let git = json!({"spec": {"git": {"repository": "https://git.example.test/infra.git", "signers": [
        {"name": "approver", "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUeO7Cq1eCYoZzZ0g5q1eCYoZzZ0g5q1eCYoZzZ0g5q"]}]}}});
    let patched =
        stage.kubectl("admin", &["patch", "pxe", "home", "--type=merge", "-p", &git.to_string()]).await;
    assert_eq!(patched.code, 0, "{patched:?}");
    let unknown = repository.approve(&stage, &[]).await;
    assert!(
        unknown.stdout.contains("note: approver@example.test is not among the signers of environment home"),
        "{unknown:?}"
    );
    let known = repository.approve(&stage, &["--by", "approver", "-o", "yaml"]).await;
    assert!(!known.stderr.contains("note:"), "{known:?}");
    let approval: ProxmoxActionApproval = serde_saphyr::from_str(&known.stdout).unwrap();
    assert_eq!(approval.spec.approved_by, "approver");
    let own = repository.approve(&stage, &["--by", "requester@example.test"]).await;
    assert!(own.stdout.contains("note: requester@example.test asked for this plan"), "{own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_working_tree_takes_commits() {
    let stage = Stage::new().await;
    let folder = tempfile::tempdir().unwrap();
    for place in [folder.path().to_owned(), folder.path().join("missing")] {
        let here = format!("--git={}", place.display());
        let ended = stage.approve("approver", &["delete", "--yes", &here]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("lies in no git working tree"), "{ended:?}");
    }
}
