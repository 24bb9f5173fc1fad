//! `kubectl approve --git`: the approval as a signed commit.

use std::fs;

use proxmox_agent::api::{ProxmoxActionApproval, Source};
use serde_json::json;

use crate::{
    kubectl_approve::{approvals, deletion},
    support::{
        cluster::{Outcome, taken},
        manifests::APPROVER,
        stage::Stage,
        tree::Tree,
    },
};

/// A working tree of the approver.
struct Approving {
    tree: Tree,
    stage: Stage,
}

impl Approving {
    async fn new() -> Self {
        Self { tree: Tree::of(APPROVER), stage: Stage::new().await }
    }

    async fn approve(&self, args: &[&str]) -> Outcome {
        let here = format!("--git={}", self.tree.path().display());
        self.stage.approve("approver", &[&["delete", "--yes", &here], args].concat()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_approval_is_one_signed_commit_of_one_file() {
    let approving = Approving::new().await;
    let Approving { tree, stage } = &approving;
    let plan = deletion(stage, "delete").await;
    tree.write("staged", "not yet");
    tree.git(&["add", "staged"]);
    tree.write(".gitignore", "half done");

    let done = approving.approve(&["--reason", "checked"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("signed; push it"), "{done:?}");
    let files = tree.git(&["show", "--format=", "--name-status", "HEAD"]);
    let (status, file) = files.split_once('\t').unwrap();
    assert_eq!(status, "A", "{files}");
    assert!(file.starts_with("delete-approval-approver-example-test-"), "{files}");
    assert!(tree.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig -----BEGIN SSH SIGNATURE"));
    let message = tree.git(&["log", "-1", "--format=%B"]);
    let namespace = &stage.namespace;
    assert_eq!(message, format!("Approve plan {namespace}/delete: delete_guest on qemu/101\n\nchecked"));
    assert_eq!(tree.git(&["status", "--porcelain"]), " M .gitignore\nA  staged");

    let text = tree.read(file);
    let approval: ProxmoxActionApproval = serde_saphyr::from_str(&text).unwrap();
    assert_eq!((approval.spec.source, approval.spec.approved_by.as_str()), (Some(Source::Git), APPROVER));
    assert_eq!(approval.spec.plan_ref.uid, plan.metadata.uid.unwrap());
    assert_eq!(Some(approval.spec.plan_hash), plan.status.unwrap().plan_hash);
    assert_eq!(approval.metadata.namespace.as_ref(), Some(namespace));
    assert!(approvals(stage).await.is_empty(), "it was created in the cluster too");

    let again = approving.approve(&[]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("is there already"), "{again:?}");
    assert_eq!(tree.read(file), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_signed_leaves_nothing_behind() {
    let approving = Approving::new().await;
    let Approving { tree, stage } = &approving;
    deletion(stage, "delete").await;
    tree.write("staged", "not yet");
    tree.git(&["add", "staged"]);
    let before = (tree.git(&["rev-parse", "HEAD"]), tree.git(&["status", "--porcelain"]));
    let unsignable = || async {
        let ended = approving.approve(&[]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let now = (tree.git(&["rev-parse", "HEAD"]), tree.git(&["status", "--porcelain"]));
        assert_eq!(now, before);
        ended.stderr
    };
    tree.git(&["config", "user.signingkey", "/nowhere/key.pub"]);
    let stderr = unsignable().await;
    assert!(stderr.contains("git config gpg.format ssh"), "{stderr}");

    let hook = tree.path().join(".git/hooks/pre-commit");
    fs::write(&hook, "#!/bin/sh\necho the hook says no >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stderr = unsignable().await;
    assert!(stderr.contains("the hook says no"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_decides_is_named_as_the_signers_list_has_it() {
    let approving = Approving::new().await;
    let stage = &approving.stage;
    deletion(stage, "delete").await;
    let without = approving.approve(&["--by", "elsewhere"]).await;
    assert!(without.stdout.contains("note: environment home has no spec.git"), "{without:?}");

    let git = json!({"spec": {"git": {"repository": "https://git.example.test/infra.git", "signers": [
        {"name": "approver", "keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUeO7Cq1eCYoZzZ0g5q1eCYoZzZ0g5q1eCYoZzZ0g5q"]}]}}});
    let patched =
        stage.kubectl("admin", &["patch", "pxe", "home", "--type=merge", "-p", &git.to_string()]).await;
    taken(&patched);
    let unknown = approving.approve(&[]).await;
    assert!(
        unknown.stdout.contains("note: approver@example.test is not among the signers of environment home"),
        "{unknown:?}"
    );
    let known = approving.approve(&["--by", "approver", "-o", "yaml"]).await;
    assert!(!known.stderr.contains("note:"), "{known:?}");
    let approval: ProxmoxActionApproval = serde_saphyr::from_str(&known.stdout).unwrap();
    assert_eq!(approval.spec.approved_by, "approver");
    let own = approving.approve(&["--by", "requester@example.test"]).await;
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
