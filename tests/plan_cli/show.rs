use crate::support::tree::Tree;

const PLAN: &str = "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlan\nmetadata: {name: p}\nspec:\n  \
                    environment: home\n  action: migrate_guest\n  target: qemu/100\n  \
                    params: {destination: pve2, online: true}\n  requestedBy: me\n";

#[test]
fn a_bare_file_tells_all_that_is_known_without_a_look_at_the_cluster() {
    let tree = Tree::new();
    tree.write("p.yaml", PLAN);
    let shown = tree.run(&["plan", "show", "p.yaml"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for expected in [
        "Plan default/p: Pending",
        "call       POST /nodes/NODE/qemu/100/migrate online=1 target=pve2\n",
        "risk       high at least: offline or with a restart",
        "request    sha256:",
        "unseen     who is hit",
    ] {
        assert!(shown.stdout.contains(expected), "`{expected}` is missing in {}", shown.stdout);
    }
    assert_eq!(tree.run_reading(PLAN, &["plan", "show", "-"]).stdout, shown.stdout);
}

#[test]
fn a_file_that_would_be_refused_is_not_shown_as_a_plan() {
    let tree = Tree::new();
    for (was, is, expected) in [
        ("migrate_guest", "move_guest", "spec.action: `move_guest` is not an action"),
        ("online: true", "online: yes", "read it as true"),
        ("requestedBy: me", "requestedBi: me", "spec.requestedBi: is not known"),
        ("kind: ProxmoxActionPlan", "kind: Plan", "kind: must be one of"),
        ("proxmox-agent.io", "example.test", "there is no plan in p.yaml"),
    ] {
        tree.write("p.yaml", &PLAN.replace(was, is));
        let shown = tree.run(&["plan", "show", "p.yaml"]);
        assert!(shown.code == 1 && shown.stderr.contains(expected), "`{expected}` is missing in {shown:?}");
    }
}
