use proxmox_agent::catalog;

use crate::support::tree::Tree;

#[test]
fn every_action_is_listed_and_each_is_explained_with_its_parameters() {
    let tree = Tree::new();
    let listed = tree.run(&["plan", "actions"]).stdout;
    for action in catalog::actions() {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{} ", action.name))), "{}", action.name);
    }
    let explained = tree.run(&["plan", "actions", "delete_snapshot"]).stdout;
    for expected in ["high at least: a restore point is lost", "snapshot: required: its name", "force: "] {
        assert!(explained.contains(expected), "`{expected}` is missing in {explained}");
    }
    let unknown = tree.run(&["plan", "actions", "delete_snapshots"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("known are delete_snapshot, "), "{unknown:?}");
}
