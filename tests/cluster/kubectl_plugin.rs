//! kubectl-approve as a plugin: kubectl finds it, completes it, and krew can install it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    kubectl_approve::deletion,
    support::{
        cluster::Cluster,
        stage::{Setting, Stage},
    },
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder for the PATH, with the plugin in it as a person would put it there.
fn by_hand() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugin = env!("CARGO_BIN_EXE_kubectl-approve");
    std::os::unix::fs::symlink(plugin, folder.path().join("kubectl-approve")).unwrap();
    let script = folder.path().join("kubectl_complete-approve");
    fs::write(&script, printed(Command::new(plugin).args(["completion", "kubectl"]))).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// The real kubectl of somebody who has a folder more on the PATH.
fn kubectl(cluster: &Cluster, who: &str, folder: &Path) -> Command {
    let mut command = Command::new(cluster.dir().join("bin/kubectl"));
    let path = format!("{}:/usr/bin:/bin", folder.display());
    command.env("PATH", path).env("KUBECONFIG", cluster.kubeconfig(who)).env("HOME", cluster.dir());
    command
}

// ---- on the PATH

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_the_plugin_and_completes_it() {
    let stage = Stage::new().await;
    deletion(&stage, "delete-old").await;
    let folder = by_hand();
    let kubectl = |args: &[&str]| {
        let mut command = kubectl(&stage.cluster, "approver", folder.path());
        printed(command.args(args))
    };
    assert!(kubectl(&["plugin", "list"]).contains("/kubectl-approve\n"));
    let listed = kubectl(&["approve", "list", "-n", &stage.namespace, "-o", "name"]);
    assert_eq!(listed, "proxmoxactionplan.proxmox-agent.io/delete-old\n");

    let complete = |words: &[&str]| {
        let answer = kubectl(&[&["__complete", "approve"], words].concat());
        answer.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let namespace = stage.namespace.as_str();
    assert_eq!(complete(&["-n", namespace, ""]), ["delete-old", ":4"]);
    assert_eq!(complete(&["li"]), ["list", ":4"]);
    assert_eq!(complete(&["x", "--exp"]), ["--expires-in", ":4"]);
    assert_eq!(complete(&["x", "-o", "j"]), ["json", ":4"]);
    assert_eq!(complete(&["-n", namespace, "delete-old", ""]), [":4"]);
    assert_eq!(complete(&["x", "--git=pl"]), ["pl", ":16"]);
}

#[test]
fn bash_completes_options_commands_and_values() {
    let folder = by_hand();
    let complete = |words: &[&str]| {
        let script = format!(
            "source <(kubectl-approve completion bash); [[ $(complete -p kubectl-approve) =~ -F\\ ([^ ]+) ]]; \
             COMP_WORDS=(kubectl-approve {}); COMP_CWORD={}; \
             \"${{BASH_REMATCH[1]}}\" kubectl-approve \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len()
        );
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        printed(Command::new("bash").args(["--norc", "-c", &script]).env("PATH", path))
    };
    assert_eq!(complete(&["--exp"]), "--expires-in\n");
    assert_eq!(complete(&["li"]), "list\n");
    assert_eq!(complete(&["list", "--all-n"]), "--all-namespaces\n");
    assert_eq!(complete(&["--dry-run", "s"]), "server\n");
}

#[test]
fn every_shell_has_a_script() {
    for (shell, sign) in [("zsh", "#compdef kubectl-approve"), ("fish", "complete -c kubectl-approve")] {
        let plugin = env!("CARGO_BIN_EXE_kubectl-approve");
        let script = printed(Command::new(plugin).args(["completion", shell]));
        assert!(script.contains(sign), "{shell}");
    }
}

// ---- krew

struct Packaged {
    folder: TempDir,
    manifest: Value,
}

fn packaged() -> Packaged {
    let folder = tempfile::tempdir().unwrap();
    let binary = format!("linux/amd64={}", env!("CARGO_BIN_EXE_kubectl-approve"));
    printed(Command::new(root().join("tools/package-plugin")).arg(folder.path()).arg(binary));
    let text = fs::read_to_string(folder.path().join("approve.yaml")).unwrap();
    Packaged { folder, manifest: serde_saphyr::from_str(&text).unwrap() }
}

/// What krew's own validation asks for, and what its index adds to it.
fn faults(manifest: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let spec = &manifest["spec"];
    let mut check = |place: &Value, name: &str, pattern: &str| {
        let text = place.as_str().unwrap_or_default();
        if !Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text) {
            faults.push(format!("{name}: `{text}`"));
        }
    };
    check(&manifest["apiVersion"], "apiVersion", r"krew\.googlecontainertools\.github\.com/v1alpha2");
    check(&manifest["kind"], "kind", "Plugin");
    check(&manifest["metadata"]["name"], "metadata.name", "[a-z0-9-]+");
    check(&spec["version"], "spec.version", r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?");
    check(&spec["homepage"], "spec.homepage", r"https://\S+");
    check(&spec["shortDescription"], "spec.shortDescription", r"[^\n]{1,50}");
    check(&spec["description"], "spec.description", r"(?s:.+)");
    let platforms = spec["platforms"].as_array().cloned().unwrap_or_default();
    for platform in &platforms {
        check(&platform["uri"], "uri", r"https://\S+\.(tar\.gz|zip)");
        check(&platform["sha256"], "sha256", "[0-9a-f]{64}");
        check(&platform["bin"], "bin", r"[^/.][^/]*");
        check(&platform["selector"]["matchLabels"]["os"], "os", "linux|darwin|windows");
        check(&platform["selector"]["matchLabels"]["arch"], "arch", "amd64|arm64|arm|386");
        for file in platform["files"].as_array().into_iter().flatten() {
            check(&file["from"], "from", r"[^/.][^/]*");
            check(&file["to"], "to", r"\.");
        }
    }
    if platforms.is_empty() {
        faults.push("spec.platforms: is empty".to_owned());
    }
    let known = ["version", "homepage", "shortDescription", "description", "caveats", "platforms"];
    let unknown = spec.as_object().unwrap().keys().filter(|field| !known.contains(&field.as_str()));
    faults.extend(unknown.map(|field| format!("spec.{field}: is unknown")));
    faults
}

/// Unpacks and links as krew does: only what `files` names, only `bin` on the PATH.
fn install(packaged: &Packaged) -> PathBuf {
    let platform = &packaged.manifest["spec"]["platforms"][0];
    let home = packaged.folder.path();
    let archive = home.join(platform["uri"].as_str().unwrap().rsplit('/').next().unwrap());
    let sum = printed(Command::new("sha256sum").arg(&archive));
    assert_eq!(sum.split(' ').next(), platform["sha256"].as_str(), "the archive is another one");
    for folder in ["unpacked", "store", "bin"] {
        fs::create_dir(home.join(folder)).unwrap();
    }
    printed(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(home.join("unpacked")));
    for file in platform["files"].as_array().unwrap() {
        let name = file["from"].as_str().unwrap();
        let to = home.join("store").join(file["to"].as_str().unwrap()).join(name);
        fs::rename(home.join("unpacked").join(name), to).unwrap();
    }
    let left: BTreeSet<_> =
        fs::read_dir(home.join("unpacked")).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "nobody unpacks {left:?}");
    let bin = home.join("store").join(platform["bin"].as_str().unwrap());
    let name = format!("kubectl-{}", packaged.manifest["metadata"]["name"].as_str().unwrap());
    std::os::unix::fs::symlink(bin, home.join("bin").join(name)).unwrap();
    home.join("bin")
}

#[tokio::test(flavor = "multi_thread")]
async fn krew_can_install_it_and_kubectl_runs_it() {
    let packaged = packaged();
    assert_eq!(faults(&packaged.manifest), Vec::<String>::new());
    assert_eq!(packaged.manifest["spec"]["version"], format!("v{VERSION}"));
    let bin = install(&packaged);
    let stage = Stage::without_operator(Setting::default()).await;
    let asked = printed(kubectl(&stage.cluster, "admin", &bin).args(["approve", "--version"]));
    assert_eq!(asked, format!("kubectl-approve {VERSION}\n"));
    let listed = kubectl(&stage.cluster, "approver", &bin).args(["plugin", "list"]).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("/bin/kubectl-approve\n"));
}

#[test]
fn a_manifest_that_krew_would_refuse_is_noticed() {
    let good = packaged().manifest;
    let broken = |change: fn(&mut Value)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        faults(&manifest).len()
    };
    assert_eq!(broken(|_| ()), 0);
    assert_eq!(broken(|it| it["spec"]["version"] = json!("0.1.0")), 1);
    assert_eq!(broken(|it| it["spec"]["platforms"] = json!([])), 1);
    assert_eq!(broken(|it| it["spec"]["platforms"][0]["sha256"] = json!("unknown")), 1);
    assert_eq!(broken(|it| it["spec"]["platforms"][0]["bin"] = json!("../kubectl")), 1);
    assert_eq!(broken(|it| it["spec"]["licence"] = json!("Apache-2.0")), 1);
}

#[test]
fn the_same_program_makes_the_same_archive() {
    let sum = |packaged: Packaged| packaged.manifest["spec"]["platforms"][0]["sha256"].clone();
    assert_eq!(sum(packaged()), sum(packaged()));
}
