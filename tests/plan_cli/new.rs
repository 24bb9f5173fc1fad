use serde_json::{Value, json};

use crate::support::{house::House, manifests::REQUESTER, tree::Tree};

fn spec(tree: &Tree, file: &str) -> Value {
    serde_saphyr::from_str::<Value>(&tree.read(file)).unwrap()["spec"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_made_is_carried_out() {
    let house = House::new("lab").await;
    let made = house.run(&[
        "plan",
        "new",
        "start_guest",
        "qemu/101",
        "--env",
        "home",
        "--requested-by",
        REQUESTER,
        "--name",
        "start",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(house.once().code, 0);
    assert_eq!(house.status("start")["phase"], "Succeeded");
    assert_eq!(house.calls(), ["POST /nodes/pve1/qemu/101/status/start"]);
}

#[test]
fn values_get_the_type_that_the_catalogue_says() {
    let tree = Tree::new();
    let made = tree.run(&[
        "plan",
        "new",
        "clone_guest",
        "qemu/100",
        "--env",
        "home",
        "--name",
        "p",
        "--reason",
        "no",
        "--param",
        "newid=200",
        "--param",
        "full=true",
        "--param",
        "name=0777",
        "--param",
        "description=yes",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let spec = spec(&tree, "p.yaml");
    assert_eq!(spec["params"], json!({"newid": 200, "full": true, "name": "0777", "description": "yes"}));
    assert_eq!((&spec["reason"], &spec["requestedBy"]), (&json!("no"), &json!(REQUESTER)));
    assert_eq!(spec.get("source"), None);
    // As kubectl reads it, which knows more words than `true` and `false`.
    let text = tree.read("p.yaml");
    for quoted in ["name: \"0777\"", "description: \"yes\"", "reason: \"no\""] {
        assert!(text.contains(quoted), "{text}");
    }
    assert_eq!(tree.run(&["plan", "lint", "p.yaml"]).code, 0);
}

#[test]
fn a_plan_ends_a_day_from_now_unless_another_end_is_given() {
    let tree = Tree::new();
    let new = |more: &[&str]| {
        let args = ["plan", "new", "start_guest", "qemu/100", "--env", "home", "--name", "p", "--out", "-"];
        let made = tree.run(&[&args[..], more].concat());
        assert_eq!(made.code, 0, "{made:?}");
        serde_saphyr::from_str::<Value>(&made.stdout).unwrap()["spec"].clone()
    };
    let end = |spec: &Value| spec["notAfter"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let hours = end(&new(&[])).duration_since(jiff::Timestamp::now()).as_hours();
    assert!((23..=24).contains(&hours), "{hours}");
    assert_eq!(new(&["--not-after", "2999-01-01T00:00:00Z"])["notAfter"], "2999-01-01T00:00:00Z");
    let later = new(&["--not-before", "2999-01-01T00:00:00Z", "--valid-for", "90m", "--dry-run"]);
    assert_eq!((&later["notAfter"], &later["dryRun"]), (&json!("2999-01-01T01:30:00Z"), &json!(true)));
    assert!(tree.plans().is_empty(), "what is printed is not written");
}

#[test]
fn what_would_be_refused_is_not_written_and_the_answer_says_what_is_allowed() {
    let tree = Tree::new();
    for (action, target, more, expected) in [
        ("start_gest", "qemu/100", &[][..], "`start_gest` is not an action: known are start_guest"),
        ("start_guest", "vm/100", &[], "`vm` is not a kind of target: known are"),
        ("start_guest", "inventory/all", &[], "it takes qemu/VMID or lxc/VMID, such as qemu/100"),
        ("delete_snapshot", "qemu/100", &[], "spec.params.snapshot: is missing"),
        ("delete_snapshot", "qemu/100", &[], "`proxmox-agent plan actions delete_snapshot` tells"),
        (
            "shutdown_guest",
            "qemu/100",
            &["--param", "timeout=soon"],
            "must be a whole number from 0 to 86400",
        ),
        (
            "shutdown_guest",
            "qemu/100",
            &["--param", "colour=red"],
            "is not known: shutdown_guest takes timeout",
        ),
        ("shutdown_guest", "qemu/100", &["--param", "timeout"], "write it as NAME=VALUE"),
        ("shutdown_guest", "qemu/100", &["--param", "timeout=1", "--param", "timeout=2"], "given twice"),
        (
            "set_guest_config",
            "qemu/100",
            &["--param", "net0=virtio,colour=red"],
            "net0.colour is not known to Proxmox VE",
        ),
        ("set_guest_config", "qemu/100", &["--param-file", "sshkeys=nowhere"], "failed to read nowhere"),
        (
            "start_guest",
            "qemu/100",
            &["--name", "Start"],
            "metadata.name: must be at most 200 lower case letters",
        ),
        ("start_guest", "qemu/100", &["-n", "../x"], "metadata.namespace: must be"),
        (
            "start_guest",
            "qemu/100",
            &["--not-after", "2020-01-01T00:00:00Z"],
            "spec.notAfter: 2020-01-01T00:00:00Z is past",
        ),
        ("start_guest", "qemu/100", &["--not-after", "tomorrow"], "invalid value 'tomorrow'"),
        (
            "start_guest",
            "qemu/100",
            &["--out", "no/such/folder/p.yaml"],
            "failed to write no/such/folder/p.yaml",
        ),
        ("start_guest", "qemu/100", &["--out", "-", "--commit"], "--commit needs a file"),
        ("start_guest", "qemu/100", &["--dir", "nowhere", "--requested-by", "me"], "failed to read nowhere"),
    ] {
        let made = tree.run(&[&["plan", "new", action, target, "--env", "home"][..], more].concat());
        assert_ne!(made.code, 0, "{action} {target} {more:?}: {made:?}");
        assert!(made.stderr.contains(expected), "`{expected}` is missing in {}", made.stderr);
        assert!(tree.plans().is_empty(), "{:?}", tree.plans());
    }
    tree.git(&["config", "--unset", "user.email"]);
    let nobody = tree.run(&["plan", "new", "start_guest", "qemu/100", "--env", "home"]);
    assert!(nobody.code == 1 && nobody.stderr.contains("who asks? Give --requested-by"), "{nobody:?}");
}

#[test]
fn a_name_that_is_taken_is_not_given_again_wherever_it_stands() {
    let tree = Tree::new();
    let new =
        |name: &str| tree.run(&["plan", "new", "start_guest", "qemu/100", "--env", "home", "--name", name]);
    assert_eq!(new("p").code, 0);
    std::fs::create_dir(tree.path().join("old")).unwrap();
    std::fs::rename(tree.path().join("p.yaml"), tree.path().join("old/done.yml")).unwrap();
    let again = new("p");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("there is a plan p already, in ./old/done.yml:1"), "{again:?}");
    assert!(tree.plans().is_empty());
    // Another namespace is another plan, but never another text in the same file.
    tree.write("q.yaml", "# mine\n");
    let over = new("q");
    assert!(over.code == 1 && over.stderr.contains("failed to write ./q.yaml"), "{over:?}");
    assert_eq!(tree.read("q.yaml"), "# mine\n");
}

#[test]
fn without_a_name_each_plan_gets_one_of_its_own() {
    let tree = Tree::new();
    for _ in 0..2 {
        assert_eq!(tree.run(&["plan", "new", "start_guest", "qemu/100", "--env", "home"]).code, 0);
    }
    let plans = tree.plans();
    assert!(
        plans.len() == 2 && plans.iter().all(|name| name.starts_with("start-guest-qemu-100-")),
        "{plans:?}"
    );
}

#[test]
fn a_commit_holds_the_plan_and_nothing_else_and_is_signed() {
    let tree = Tree::new();
    tree.write("staged.yaml", "unrelated: true\n");
    tree.git(&["add", "staged.yaml"]);
    tree.write(".gitignore", "changed\n");
    let made = tree.run(&[
        "plan",
        "new",
        "delete_guest",
        "qemu/101",
        "--env",
        "home",
        "--name",
        "p",
        "--reason",
        "nobody uses it",
        "--commit",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(tree.git(&["show", "--format=", "--name-status", "HEAD"]), "A\tp.yaml");
    assert_eq!(tree.git(&["status", "--short"]), " M .gitignore\nA  staged.yaml");
    assert_eq!(tree.git(&["log", "-1", "--format=%G? %GS"]), format!("G {REQUESTER}"));
    let message = tree.git(&["log", "-1", "--format=%B"]);
    assert!(message.starts_with("Ask for delete_guest on qemu/101 in home\n\nnobody uses it\n"), "{message}");
    assert_eq!(spec(&tree, "p.yaml")["source"], "git");
    assert_eq!(tree.run(&["plan", "lint", "p.yaml"]).code, 0);
}

#[test]
fn a_commit_that_fails_leaves_everything_as_it_was() {
    let tree = Tree::new();
    tree.write("staged.yaml", "unrelated: true\n");
    tree.git(&["add", "staged.yaml"]);
    let (head, status) = (tree.git(&["rev-parse", "HEAD"]), tree.git(&["status", "--short"]));
    let new = |more: &[&str]| {
        let args = ["plan", "new", "start_guest", "qemu/100", "--env", "home", "--name", "p", "--commit"];
        tree.run(&[&args[..], more].concat())
    };
    tree.git(&["config", "user.signingkey", "/nowhere/key"]);
    let unsigned = new(&[]);
    assert_eq!(unsigned.code, 1);
    for expected in ["nothing was written", "/nowhere/key", "see that `git commit -S` works"] {
        assert!(unsigned.stderr.contains(expected), "`{expected}` is missing in {}", unsigned.stderr);
    }
    tree.write(".git/info/exclude", "/p.yaml\n");
    let ignored = new(&[]);
    assert!(ignored.code == 1 && ignored.stderr.contains("ignored"), "{ignored:?}");
    let outside = tempfile::tempdir().unwrap();
    let elsewhere = outside.path().join("p.yaml").display().to_string();
    let no_tree = new(&["--out", &elsewhere]);
    assert!(no_tree.stderr.contains("lies in no git working tree"), "{no_tree:?}");
    assert!(!outside.path().join("p.yaml").exists());
    assert_eq!((tree.git(&["rev-parse", "HEAD"]), tree.git(&["status", "--short"])), (head, status));
    assert_eq!(tree.plans(), ["staged.yaml"]);
}

#[test]
fn who_commits_alone_says_that_the_plan_comes_by_git() {
    let tree = Tree::new();
    let made =
        tree.run(&["plan", "new", "start_guest", "qemu/100", "--env", "home", "--name", "p", "--git-source"]);
    assert_eq!(spec(&tree, "p.yaml")["source"], "git");
    assert!(made.stdout.contains("git commit -S"), "{made:?}");
}
