//! What people give by mistake, and what they are told to give instead.

use std::{fs, path::Path};

use crate::{
    desk::{Key, audit, carried_out, checked, exported, log},
    support::house::{Ended, House},
};

#[track_caller]
fn told(ended: &Ended, code: i32, parts: &[&str]) {
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, code, "{all}");
    for part in parts {
        assert!(all.contains(part), "no `{part}` in: {all}");
    }
    assert!(!all.contains("os error 2"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_no_folder_of_a_log_is_told_which_one_to_give() {
    let house = carried_out().await;
    let folder = log(&house);
    let file = format!("{folder}/00000001.jsonl");
    let empty = house.dir().join("empty");
    fs::create_dir(&empty).unwrap();
    let (above, empty) = (house.dir().display().to_string(), empty.display().to_string());
    let state = house.state().display().to_string();
    for command in ["verify", "show"] {
        let missing = audit(&[command, "/nowhere/audit"]);
        told(&missing, 1, &["/nowhere/audit: there is no such folder", "the one that holds 00000001.jsonl"]);
        told(&audit(&[command, &file]), 1, &["it is a file: give the folder that it lies in", &folder]);
        told(&audit(&[command, &above]), 1, &["no line of an audit log in it", &format!("give {folder}")]);
        told(&audit(&[command, &state]), 1, &["no line of an audit log in it", &format!("give {folder}")]);
        told(&audit(&[command, &empty]), 1, &["give the folder that holds 00000001.jsonl"]);
        told(&audit(&[command, &folder]), 0, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_can_not_be_used_is_called_what_it_is_and_nothing_is_written() {
    let house = carried_out().await;
    let (key, folder) = (Key::new("ed25519"), log(&house));
    let out = house.dir().join("b.json").display().to_string();
    let whole = fs::read_to_string(key.file("key")).unwrap();
    fs::write(key.file("text"), "my key").unwrap();
    fs::write(key.file("noise"), b"\xff\0\xfe").unwrap();
    fs::write(key.file("half"), &whole[..whole.len() / 2]).unwrap();
    for (file, why) in [
        ("key.pub", "it is a public key, no OpenSSH private key: give the file beside it, without .pub"),
        ("text", "it is no OpenSSH private key: those begin with"),
        ("noise", "it is no OpenSSH private key: those begin with"),
        ("half", "it is an OpenSSH private key that can't be read"),
    ] {
        let ended = audit(&["export", "delete", &folder, "--out", &out, "--key", &key.file(file)]);
        told(&ended, 1, &[why, "leave out --key"]);
        assert!(!Path::new(&out).exists(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over_and_no_bundle_is_left_without_the_signature_it_should_have() {
    let house = carried_out().await;
    let (key, folder) = (Key::new("ed25519"), log(&house));
    let out = house.dir().join("b.json").display().to_string();
    let signature = format!("{out}.sig");
    for there in [&out, &signature] {
        fs::write(there, "mine").unwrap();
        let ended = audit(&["export", "delete", &folder, "--out", &out, "--key", &key.file("key")]);
        told(&ended, 1, &[there, "it is there already: choose another name with --out"]);
        assert_eq!(fs::read_to_string(there).unwrap(), "mine");
        fs::remove_file(there).unwrap();
        assert!(!Path::new(&out).exists() && !Path::new(&signature).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_without_its_signature_says_where_that_comes_from() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    let bundle = exported(&house, &key);
    let signature = format!("{}.sig", bundle.display());
    fs::write(&signature, b"\xff\xfe").unwrap();
    told(&checked(&bundle, &key), 1, &["the signature can't be read"]);
    fs::remove_file(&signature).unwrap();
    let by_hand = format!("ssh-keygen -Y sign -n proxmox-agent-audit -f KEY {}", bundle.display());
    told(&checked(&bundle, &key), 1, &[&signature, "its signature", &by_hand]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_list_of_signers_it_is_said_which_lines_were_passed_over_and_why() {
    let house = carried_out().await;
    let key = Key::new("ed25519");
    let bundle = exported(&house, &key);
    let public = fs::read_to_string(key.file("key.pub")).unwrap();
    let unnamed = "line 1 was passed over: there is no name before the key";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (public.clone().into(), unnamed),
        ("these are\nour people\n".into(), "line 2 was passed over: it is no `NAME KEY`"),
        (b"\xff\xfe\0".to_vec(), "line 1 was passed over: it is no `NAME KEY`"),
        (
            format!("# us\na namespaces=\"git\" {public}").into(),
            "line 2 was passed over: it is for namespace git",
        ),
        (
            format!("a valid-before=\"20200101\" {public}").into(),
            "not checked here, only namespaces are: valid-",
        ),
        (
            format!("a namespaces=\"proxmox-agent-audit,git\",valid-before=\"20200101\" {public}").into(),
            "not checked here, only namespaces are",
        ),
        (format!("a cert-authority {public}").into(), "only namespaces are: cert-authority"),
        ("x\n".repeat(9).into(), "and 4 more lines"),
    ];
    for (signers, why) in cases {
        fs::write(key.file("signers"), signers).unwrap();
        told(&checked(&bundle, &key), 1, &["nobody among the allowed signers has key SHA256:", why]);
    }
    fs::write(key.file("signers"), "").unwrap();
    let nobody = checked(&bundle, &key);
    told(&nobody, 1, &["nobody among the allowed signers"]);
    assert!(!nobody.stdout.contains(';'), "{nobody:?}");
    fs::write(key.file("signers"), format!("a namespaces=\"git,proxmox-agent-audit\" {public}")).unwrap();
    told(&checked(&bundle, &key), 0, &["signed by a"]);
}

#[test]
fn what_would_be_passed_over_in_silence_is_refused() {
    told(&audit(&["verify", "folder", "--signers", "file"]), 2, &["--signers <FILE>"]);
    told(&audit(&["verify", "--signers", "file"]), 2, &["--bundle <FILE>"]);
    told(&audit(&["verify", "--bundle", "b", "--signers", "s", "--anchors", "a"]), 2, &["--anchors"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_matches_it_is_said_how_much_was_read_and_what_was_looked_for() {
    let house = carried_out().await;
    let folder = log(&house);
    let none = audit(&["show", &folder, "--plan", "delete", "-n", "elsewhere"]);
    let wanted = "were read, and none is about plan delete, in namespace elsewhere";
    told(&none, 0, &["note: nothing matched: ", wanted]);
    assert!(none.stdout.is_empty(), "{none:?}");
    told(&audit(&["show", &folder, "--open"]), 0, &["no call is open"]);
    let some = audit(&["show", &folder, "--plan", "delete"]);
    assert!(some.stderr.is_empty(), "{some:?}");
    assert!(some.stdout.lines().any(|line| line.contains("(approved by approver@example.test)")), "{some:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_shown_with_its_kind_and_name_if_it_has_them_and_its_file() {
    let house = House::new("lab").await;
    for (file, name) in [("named.yaml", "name: x"), ("unnamed.yaml", "")] {
        let head = "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxEnvironment\n";
        house.write(file, &format!("{head}metadata: {{{name}}}\nspec: {{}}\n"));
    }
    house.once();
    let shown = audit(&["show", &log(&house)]).stdout;
    for about in ["ProxmoxEnvironment x named.yaml", "unnamed.yaml"] {
        assert!(shown.contains(&format!("{:<15}  {about}  unknown: ", "refused")), "{about}: {shown}");
    }
}
