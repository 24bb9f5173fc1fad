use serde_json::Value;

use crate::support::tree::Tree;

const HEAD: &str = "apiVersion: proxmox-agent.io/v1alpha1\n";

fn plan(name: &str, spec: &str) -> String {
    format!(
        "{HEAD}kind: ProxmoxActionPlan\nmetadata: {{name: {name}}}\nspec: {{environment: home, target: qemu/100, {spec}}}\n"
    )
}

fn approval(name: &str, spec: &str) -> String {
    format!(
        "{HEAD}kind: ProxmoxActionApproval\nmetadata: {{name: {name}}}\nspec: {{planRef: {{name: good, uid: \
         5b2a3c1e-8f64-4d0b-9a57-0e6c1d2f3a4b}}, planHash: 'sha256:{}', decision: Approve, {spec}}}\n",
        "0".repeat(64)
    )
}

fn environment(name: &str, spec: &str) -> String {
    format!(
        "{HEAD}kind: ProxmoxEnvironment\nmetadata: {{name: {name}}}\nspec: {{credentials: {{secretRef: {{name: s}}}}, {spec}}}\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!("{HEAD}kind: ProxmoxPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// An environment that believes signed commits.
fn by_git(name: &str, git: &str) -> String {
    environment(name, &format!("endpoints: ['https://pve1:8006'], git: {{{git}}}"))
}

const REPOSITORY: &str = "repository: 'https://git.example.test/infra.git'";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC3s/HAkvqTP5q7WbSxezxghEPJ2heBLNxCCyqKzf/b1";

const GOOD: &str = "action: delete_guest, requestedBy: me";

/// An environment and a plan with nothing wrong.
fn sound() -> Tree {
    let tree = Tree::new();
    tree.write("home.yaml", &environment("home", "endpoints: ['https://pve1:8006']"));
    tree.write("plans/good.yaml", &plan("good", GOOD));
    tree
}

#[test]
fn a_sound_set_passes_without_a_word_and_what_is_not_ours_is_only_counted() {
    let tree = sound();
    tree.write("others.yaml", "kind: Secret\n---\n# nothing\n---\nkind: Deployment\n---\n{{ if .x }}\n");
    tree.write("fine.yaml", &approval("fine", "approved_by: you, environment: home, risk: critical"));
    let linted = tree.run(&["plan", "lint", "."]);
    assert_eq!((linted.code, linted.stdout.as_str()), (0, ""), "{linted:?}");
    assert_eq!(
        linted.stderr,
        "3 objects looked at, 0 problems, 0 notes; 3 documents of other kinds left alone\n"
    );
}

#[test]
fn each_problem_stands_on_a_line_of_its_own_with_its_place() {
    for (text, expected) in [
        (plan("p", "action: start_gest, requestedBy: me"), "p: spec.action: `start_gest` is not an action"),
        (plan("p", "action: start_guest"), "p: spec.requestedBy: is required, but missing"),
        (plan("p", "action: start_guest, requestedBy: me, colour: red"), "p: spec.colour: is not known"),
        (
            plan("p", "action: start_guest, requestedBy: me, source: git"),
            "p: spec: a plan that comes by git needs notAfter",
        ),
        (
            plan("p", "action: shutdown_guest, requestedBy: me, params: {timeout: soon}"),
            "p: spec.params.timeout: must be a whole number from 0 to 86400, not the text `soon` (seconds to wait",
        ),
        (
            plan("p", "action: set_guest_config, requestedBy: me, params: {net0: 'virtio,colour=red'}"),
            "p: spec.params.net0: net0.colour is not known to Proxmox VE 9.2",
        ),
        (
            plan("p", "action: start_guest, requestedBy: me, notAfter: '2020-01-01T00:00:00Z'"),
            "p: spec.notAfter: 2020-01-01T00:00:00Z is past",
        ),
        (
            plan("p", "action: start_guest, requestedBy: yes"),
            "p: spec.requestedBy: kubectl and Argo CD read it as true",
        ),
        (plan("good", GOOD), "good: declared more than once, keep one of: ./p.yaml:1, ./plans/good.yaml:1"),
        (
            approval("a", "approved_by: me, environment: home, risk: critical"),
            "a: spec.approved_by: me asks for plan good and can't approve it",
        ),
        (
            approval("a", "approved_by: you, environment: home, risk: low"),
            "a: spec.risk: is low, but delete_guest is critical at least",
        ),
        (
            approval("a", "approved_by: you, environment: other, risk: critical"),
            "a: spec.environment: is other, but plan good is for home",
        ),
        (
            approval("a", "approved_by: you, environment: home, risk: critical")
                .replace("sha256:0", "sha256:x"),
            "a: spec.planHash: must match",
        ),
        (
            approval(
                "a",
                "approved_by: you, environment: home, risk: critical, expiresAt: '2020-01-01T00:00:00Z'",
            ),
            "a: spec.expiresAt: 2020-01-01T00:00:00Z is past",
        ),
        (
            environment("e", "endpoints: ['https://pve1:8006'], tls: {insecureSkipVerify: true}"),
            "e: spec: tls.insecureSkipVerify is refused where tier is production",
        ),
        (
            environment("e", "endpoints: ['http://pve1:8006']"),
            "e: spec: http://pve1:8006 would send the token unencrypted",
        ),
        (
            environment("e", "endpoints: ['https://pve1:8006'], tls: {caBundle: nonsense}"),
            "e: spec: tls.caBundle can't be used",
        ),
    ] {
        let tree = sound();
        tree.write("p.yaml", &text);
        let linted = tree.run(&["plan", "lint", "."]);
        assert_eq!(linted.code, 1, "{text}: {linted:?}");
        let kind = text.lines().nth(1).unwrap().trim_start_matches("kind: ");
        let line = linted.stdout.lines().next().unwrap();
        assert!(line.starts_with(&format!("./p.yaml:1: {kind}/{expected}")), "`{expected}`: {linted:?}");
        let of_two = expected.contains("more than once");
        assert_eq!(linted.stdout.lines().count(), if of_two { 2 } else { 1 }, "{linted:?}");
    }
}

#[test]
fn a_policy_that_the_operator_could_not_apply_is_told_with_each_of_its_faults() {
    let tree = sound();
    let rules = "rules: [{name: fine, when: target.template, warn: w}, {name: typo, when: taget.template, warn: w}, \
                 {name: field, when: target.tag == 'x', warn: w}, {name: text, when: target.name, warn: w}]";
    tree.write("p.yaml", &policy("p", &format!("timeZone: Europe/Wien, {rules}")));
    let linted = tree.run(&["plan", "lint", "."]);
    assert_eq!(linted.code, 1, "{linted:?}");
    let lines: Vec<&str> = linted.stdout.lines().collect();
    let expected = [
        "rule field: ",
        "rule text: is no condition: it has to be true or false",
        "rule typo: ",
        "timeZone: there is no time zone `Europe/Wien`",
    ];
    assert_eq!(lines.len(), expected.len(), "{linted:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(&format!("./p.yaml:1: ProxmoxPolicy/p: {expected}")),
            "`{expected}`: {line}"
        );
    }
    tree.write("p.yaml", &policy("p", "rules: [{name: fine, when: target.template, warn: w}]"));
    assert_eq!(tree.run(&["plan", "lint", "."]).code, 0);
}

#[test]
fn a_repository_or_a_signer_that_could_never_count_is_told() {
    let signers = |list: &str| format!("{REPOSITORY}, signers: [{list}]");
    for (git, expected) in [
        (
            signers(&format!("{{name: a, keys: ['{KEY}']}}, {{name: b, keys: ['{KEY} b@laptop']}}")),
            "spec.git.signers: the key SHA256:",
        ),
        (signers("{name: a, keys: [ssh-ed25519 AAAA]}"), "spec.git.signers: keys[0] of a can't be used: "),
        (
            signers(&format!("{{name: a, keys: ['{KEY}', '-----BEGIN PGP nonsense']}}")),
            "spec.git.signers: keys[1] of a can't be used: ",
        ),
        (
            "repository: 'http://git.example.test/infra.git'".to_owned(),
            "spec.git.repository: http:// would send",
        ),
        (format!("{REPOSITORY}, caBundle: nonsense"), "spec.git.caBundle can't be used: "),
    ] {
        let tree = sound();
        tree.write("p.yaml", &by_git("e", &git));
        let linted = tree.run(&["plan", "lint", "."]);
        assert_eq!((linted.code, linted.stdout.lines().count()), (1, 1), "{git}: {linted:?}");
        let start = format!("./p.yaml:1: ProxmoxEnvironment/e: {expected}");
        assert!(linted.stdout.starts_with(&start), "`{expected}`: {linted:?}");
    }
    let tree = sound();
    tree.write("p.yaml", &by_git("e", &signers(&format!("{{name: a, keys: ['{KEY}', '{KEY} laptop']}}"))));
    assert_eq!(tree.run(&["plan", "lint", "."]).code, 0, "one person may have a key twice");
}

#[test]
fn what_is_no_object_at_all_is_named_with_its_file_and_line() {
    let tree = sound();
    tree.write("b.yaml", &format!("kind: Secret\n---\n{HEAD}kind: [\n---\n{HEAD}kind: ProxmoxPolice\n"));
    tree.write("a.yaml", &format!("{HEAD}kind: ProxmoxPolicy\nspec: {{}}\n"));
    tree.write("c.yaml", &HEAD.replace("v1alpha1", "v2"));
    std::os::unix::fs::symlink("/etc/hostname", tree.path().join("d.yaml")).unwrap();
    let linted = tree.run(&["plan", "lint", "."]);
    assert_eq!(linted.code, 1);
    let expected = [
        "./a.yaml:1: metadata.name: is required",
        "./b.yaml:2: no valid YAML, counted from line 2",
        "./b.yaml:5: kind: must be one of",
        "./c.yaml:1: apiVersion: must be proxmox-agent.io/v1alpha1",
        "./d.yaml:1: the link leads out of the directory",
    ];
    let lines: Vec<&str> = linted.stdout.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{linted:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "`{expected}`: {line}");
    }
}

#[test]
fn what_lives_elsewhere_is_noted_and_no_problem() {
    let tree = Tree::new();
    tree.write("p.yaml", &plan("p", GOOD));
    tree.write("a.yaml", &approval("a", "approved_by: you, environment: home, risk: critical"));
    let linted = tree.run(&["plan", "lint", "."]);
    assert_eq!((linted.code, linted.stdout.as_str()), (0, ""), "{linted:?}");
    for expected in ["no ProxmoxEnvironment `home` of namespace default", "no ProxmoxActionPlan `good`"] {
        assert!(linted.stderr.contains(expected), "`{expected}` is missing in {}", linted.stderr);
    }
}

#[test]
fn programs_read_the_same_as_json() {
    let tree = sound();
    tree.write("p.yaml", &plan("p", "action: start_guest"));
    let linted = tree.run(&["plan", "lint", ".", "-o", "json"]);
    assert_eq!(linted.code, 1);
    let found: Value = serde_json::from_str(&linted.stdout).unwrap();
    let [problem] = found.as_array().unwrap().as_slice() else { panic!("{found}") };
    for (field, value) in [
        ("file", "./p.yaml"),
        ("kind", "ProxmoxActionPlan"),
        ("namespace", "default"),
        ("name", "p"),
        ("severity", "problem"),
    ] {
        assert_eq!(problem[field], value, "{problem}");
    }
    assert_eq!(problem["line"], 1);
}

#[test]
fn a_file_that_is_named_twice_is_looked_at_once_and_standard_input_counts_too() {
    let tree = sound();
    let twice = tree.run(&["plan", "lint", ".", "plans/good.yaml", "plans"]);
    assert!(twice.code == 0 && twice.stderr.starts_with("2 objects looked at"), "{twice:?}");
    let piped = tree.run_reading(&plan("good", GOOD), &["plan", "lint", ".", "-"]);
    assert!(
        piped.code == 1 && piped.stdout.contains("-:1: ProxmoxActionPlan/good: declared more"),
        "{piped:?}"
    );
}

#[test]
fn wrong_usage_is_told_from_wrong_files() {
    let tree = sound();
    assert_eq!(tree.run(&["plan", "lint"]).code, 2);
    let nowhere = tree.run(&["plan", "lint", "nowhere"]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("failed to read nowhere"), "{nowhere:?}");
}
