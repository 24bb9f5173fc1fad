//! Backups, and what comes back from them.
use super::*;

async fn only_backup(lab: &Lab, storage: &str, vmid: u32) -> Value {
    lab.get(&format!("/nodes/pve1/storage/{storage}/content?content=backup&vmid={vmid}")).await[0].take()
}

#[tokio::test]
async fn a_backup_is_listed_with_what_was_said_about_it() {
    let lab = Lab::new().await;
    let job = [
        ("vmid", "100"),
        ("storage", "nas"),
        ("compress", "zstd"),
        ("notes-template", "{{guestname}} on {{node}}"),
        ("protected", "1"),
    ];
    assert_eq!(lab.post("/nodes/pve1/vzdump", &job).await, "OK");
    let row = only_backup(&lab, "nas", 100).await;
    assert_eq!(
        (&row["notes"], &row["protected"], &row["format"]),
        (&json!("web on pve1"), &json!(1), &json!("vma.zst"))
    );
    let volid = row["volid"].as_str().unwrap().replace('/', "%2F");
    let kept = lab.run(Method::DELETE, &format!("/nodes/pve1/storage/nas/content/{volid}"), &[]).await;
    assert!(kept.starts_with("cannot remove protected volume 'backup/vzdump-qemu-100-"), "{kept}");
    let text =
        lab.get(&format!("/nodes/pve1/vzdump/extractconfig?volume={}", row["volid"].as_str().unwrap())).await;
    assert!(text.as_str().unwrap().contains("name: web\n"), "{text}");
}

#[tokio::test]
async fn several_guests_make_one_task_without_an_id_and_none_makes_no_task() {
    let lab = Lab::new().await;
    let (_, body) =
        lab.send(Method::POST, "/nodes/pve1/vzdump", &[("vmid", "100,101"), ("storage", "nas")]).await;
    let upid = body["data"].as_str().unwrap();
    assert!(upid.contains(":vzdump::root@pam!full:"), "{upid}");
    assert_eq!(lab.0.exit_of(upid).await, "OK");
    let (_, body) =
        lab.send(Method::POST, "/nodes/pve2/vzdump", &[("vmid", "100,101"), ("storage", "nas")]).await;
    assert_eq!(body["data"], "OK");
    let wrong = lab.post("/nodes/pve1/vzdump", &[("vmid", "100"), ("storage", "lvm")]).await;
    assert_eq!(
        wrong,
        "could not get storage information for 'lvm': can't use storage 'lvm' for backups - wrong content type"
    );
}

#[tokio::test]
async fn older_backups_are_pruned_and_protected_ones_stay() {
    let lab = Lab::new().await;
    let job = [("vmid", "101"), ("storage", "tank"), ("prune-backups", "keep-last=1")];
    let old = format!("/nodes/pve1/storage/tank/content/{}", OLD.replace('/', "%2F"));
    lab.change(&old, &[("protected", "1")]).await;
    assert_eq!(lab.post("/nodes/pve1/vzdump", &job).await, "OK");
    assert!(lab.volumes("tank").await.contains(&OLD.to_owned()));
    lab.change(&old, &[("protected", "0")]).await;
    assert_eq!(lab.post("/nodes/pve1/vzdump", &job).await, "OK");
    assert!(!lab.volumes("tank").await.contains(&OLD.to_owned()));
}

const OLD: &str = "tank:backup/vzdump-qemu-101-2026_11_01-02_00_00.vma.zst";

#[tokio::test]
async fn a_restore_over_a_guest_takes_the_place_of_its_disks_and_snapshots() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/101/snapshot"), &[("snapname", "first")]).await, "OK");
    assert_eq!(
        lab.post(VM, &[("vmid", "101"), ("archive", OLD), ("force", "1"), ("storage", "lvm")]).await,
        "OK"
    );
    let config = lab.config(101).await;
    assert_eq!((&config["name"], &config["memory"]), (&json!("once"), &json!("256")));
    assert_eq!(config["scsi0"], "lvm:vm-101-disk-0,size=2G");
    assert_eq!(config["unused0"], "tank:101/vm-101-disk-7.raw", "what was detached stays");
    assert!(!lab.volumes("tank").await.contains(&"tank:101/vm-101-disk-0.qcow2".to_owned()));
    assert_eq!(lab.get(&format!("{VM}/101/snapshot")).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_restore_makes_a_new_guest_with_addresses_of_its_own() {
    let lab = Lab::new().await;
    assert_eq!(lab.post("/nodes/pve1/vzdump", &[("vmid", "100"), ("storage", "nas")]).await, "OK");
    let archive = only_backup(&lab, "nas", 100).await["volid"].as_str().unwrap().to_owned();
    assert_eq!(
        lab.post(VM, &[("vmid", "500"), ("archive", &archive), ("unique", "1"), ("name", "twin")]).await,
        "OK"
    );
    let (old, new) = (lab.config(100).await, lab.config(500).await);
    assert_eq!((&new["name"], &new["memory"]), (&json!("twin"), &old["memory"]));
    assert_ne!(new["net0"], old["net0"]);
    assert_ne!(new["smbios1"], old["smbios1"]);
    assert_eq!(new["scsi0"], "tank:500/vm-500-disk-0.qcow2,size=1G");
}

#[tokio::test]
async fn a_restore_that_may_not_be_changes_nothing() {
    let lab = Lab::new().await;
    let taken = lab.refusal(Method::POST, VM, &[("vmid", "101"), ("archive", OLD)]).await;
    assert_eq!(taken, "unable to restore VM 101 - VM 101 already exists on node 'pve1'");
    let running = lab.post(VM, &[("vmid", "100"), ("archive", OLD), ("force", "1")]).await;
    assert_eq!(running, "unable to restore VM 100 - vm is running");
    let kept = lab.post(VM, &[("vmid", "102"), ("archive", OLD), ("force", "1")]).await;
    assert_eq!(kept, "unable to restore VM 102 - protection mode enabled");
    assert!(lab.config(102).await.get("lock").is_none());
    let image = lab.refusal(Method::POST, VM, &[("vmid", "600"), ("archive", "tank:iso/a.iso")]).await;
    assert_eq!(image, "unable to use volume tank:iso/a.iso - content type needs to be 'backup'");
}

#[tokio::test]
async fn a_container_is_restored_over_itself_when_it_is_stopped() {
    let lab = Lab::new().await;
    assert_eq!(lab.post("/nodes/pve1/vzdump", &[("vmid", "201"), ("storage", "nas")]).await, "OK");
    let archive = only_backup(&lab, "nas", 201).await["volid"].as_str().unwrap().to_owned();
    let over = |vmid| {
        [
            ("vmid", vmid),
            ("ostemplate", archive.as_str()),
            ("restore", "1"),
            ("force", "1"),
            ("storage", "lvm"),
        ]
    };
    assert_eq!(lab.refusal(Method::POST, CT, &over("200")).await, "can't overwrite running container");
    assert_eq!(lab.post(CT, &over("201")).await, "OK");
    assert_eq!(lab.config(201).await["rootfs"], "lvm:vm-201-disk-0,size=1G");
    assert!(!lab.volumes("zfs").await.contains(&"zfs:subvol-201-disk-0".to_owned()));
}
