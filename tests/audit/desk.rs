//! A log of plans that were carried out, and those who read it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::house::{Ended, House};

/// A plan that was approved and carried out, and one that was refused.
pub(crate) async fn carried_out() -> House {
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

pub(crate) fn audit(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_proxmox-agent"));
    Ended::from(command.arg("audit").args(args).output().unwrap())
}

pub(crate) fn log(house: &House) -> String {
    house.state().join("audit").display().to_string()
}

/// A key, and the list that knows it.
pub(crate) struct Key {
    folder: tempfile::TempDir,
}

impl Key {
    pub(crate) fn new(kind: &str) -> Self {
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

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

pub(crate) fn exported(house: &House, key: &Key) -> PathBuf {
    let bundle = house.dir().join("bundle.json");
    let out = bundle.display().to_string();
    let told = audit(&["export", "delete", &log(house), "--out", &out, "--key", &key.file("key")]);
    assert_eq!(told.code, 0, "{told:?}");
    bundle
}

pub(crate) fn checked(bundle: &Path, key: &Key) -> Ended {
    audit(&["verify", "--bundle", &bundle.display().to_string(), "--signers", &key.file("signers")])
}

pub(crate) fn signed_by_ssh(bundle: &Path, key: &Key) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", "proxmox-agent-audit", "-f", &key.file("key")]).arg(bundle);
    let signed = command.output().unwrap();
    assert!(signed.status.success(), "{signed:?}");
}
