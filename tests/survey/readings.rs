//! What the reading actions show.

use proxmox_agent::catalog::Reading;

use crate::place::{NARROW, ROOT, SAMPLE, read, sample_and, sample_for, start};

#[tokio::test]
async fn an_inventory_lists_the_guests() {
    let sim = start(SAMPLE).await;
    let all = read(&sim, ROOT, Reading::Inventory, "inventory/all").await;
    assert_eq!(all.summary, "7 guests, 2 running");
    assert_eq!(all.rows[0], "qemu/100 web-1 on pve1: running");
    let running = read(&sim, ROOT, Reading::Inventory, "inventory/running").await;
    assert_eq!(running.rows.len(), 2);
}

#[tokio::test]
async fn an_inventory_says_that_it_may_be_short() {
    let sim = start(&sample_for(&[("/vms/100", &["VM.Audit"])])).await;
    let some = read(&sim, NARROW, Reading::Inventory, "inventory/all").await;
    assert_eq!(
        some.summary,
        "1 guests, 1 running; the guests can't all be seen: the token lacks VM.Audit on /vms and below \
         and Sys.Audit or Permissions.Modify on /access"
    );
}

#[tokio::test]
async fn nodes_are_listed_with_their_quorum() {
    let sim = start(SAMPLE).await;
    let nodes = read(&sim, ROOT, Reading::Nodes, "cluster/all").await;
    assert_eq!(nodes.summary, "3 nodes, 3 online, quorate");
    assert_eq!(nodes.rows[0], "pve1: online, 6 GiB of 64 GiB memory used");
    let sim = start(&sample_for(&[("/vms/100", &["VM.Audit"])])).await;
    let hidden = read(&sim, NARROW, Reading::Nodes, "cluster/all").await;
    assert!(hidden.summary.contains("the token lacks Sys.Audit on /"), "{}", hidden.summary);
}

#[tokio::test]
async fn a_guest_is_shown_with_its_settings_and_snapshots_and_without_its_secrets() {
    let world =
        SAMPLE.replacen("name: web-1", "name: web-1\n      cipassword: canary\n      sshkeys: canary", 1);
    let sim = start(&world).await;
    let guest = read(&sim, ROOT, Reading::Guest, "qemu/100").await;
    assert_eq!(guest.summary, "qemu/100 web-1 on pve1: running");
    assert!(guest.rows.contains(&"cores: 2".to_owned()), "{:?}", guest.rows);
    assert!(guest.rows.iter().any(|row| row.starts_with("snapshot before-upgrade: ")), "{:?}", guest.rows);
    assert!(!guest.rows.concat().contains("canary"), "{:?}", guest.rows);
}

#[tokio::test]
async fn the_tasks_of_a_node_are_listed_and_those_that_are_hidden_are_said_to_be() {
    let tasks = "tasks: [{type: vzdump, node: pve1, id: \"100\", user: root@pam, exit: job errors}]";
    let sim = start(&sample_and(tasks)).await;
    let tasks = read(&sim, ROOT, Reading::Tasks, "node/pve1").await;
    assert_eq!((tasks.summary.as_str(), tasks.rows.len()), ("the latest 1 tasks", 1));
    assert!(tasks.rows[0].ends_with("vzdump 100 by root@pam: job errors"), "{:?}", tasks.rows);
    let sim = start(&sample_for(&[("/vms/100", &["VM.Audit"])])).await;
    let hidden = read(&sim, NARROW, Reading::Tasks, "node/pve1").await;
    assert!(hidden.summary.contains("lacks Sys.Audit on /nodes/pve1"), "{}", hidden.summary);
}

#[tokio::test]
async fn a_storage_is_shown_with_what_lies_on_it() {
    let sim = start(SAMPLE).await;
    let storage = read(&sim, ROOT, Reading::Storage, "storage/shared").await;
    assert_eq!(storage.summary, "storage shared (nfs): 3 volumes");
    assert!(storage.rows.contains(&"server: 192.0.2.50".to_owned()), "{:?}", storage.rows);
    assert!(storage.rows.contains(&"free on pve2: 974 GiB".to_owned()), "{:?}", storage.rows);
    assert!(
        storage.rows.contains(&"shared:102/vm-102-disk-0.qcow2: images, 8 GiB".to_owned()),
        "{:?}",
        storage.rows
    );
    let sim = start(&sample_for(&[("/storage", &["Datastore.Audit"])])).await;
    let short = read(&sim, NARROW, Reading::Storage, "storage/shared").await;
    assert!(short.summary.contains("lacks Datastore.AllocateSpace on /storage"), "{}", short.summary);
}

#[tokio::test]
async fn the_rights_of_the_token_are_shown_by_path() {
    let sim = start(&sample_for(&[("/vms/100", &["VM.Audit", "VM.PowerMgmt"])])).await;
    let rights = read(&sim, NARROW, Reading::Rights, "cluster/all").await;
    assert!(rights.rows.contains(&"/vms/100: VM.Audit, VM.PowerMgmt".to_owned()), "{:?}", rights.rows);
}
