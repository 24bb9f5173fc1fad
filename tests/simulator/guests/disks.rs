//! Disks and volumes: growing, moving, giving away, deleting, downloading.
use super::*;

#[tokio::test]
async fn a_moved_disk_leaves_its_source_unless_it_shall_not() {
    let lab = Lab::new().await;
    let to_lvm = [("disk", "scsi0"), ("storage", "lvm")];
    assert_eq!(lab.post(&format!("{VM}/101/move_disk"), &to_lvm).await, "OK");
    let config = lab.config(101).await;
    assert_eq!(config["scsi0"], "lvm:vm-101-disk-0,size=1G");
    assert_eq!(config["unused1"], "tank:101/vm-101-disk-0.qcow2");
    let back = [("disk", "scsi0"), ("storage", "tank"), ("delete", "1")];
    assert_eq!(lab.post(&format!("{VM}/101/move_disk"), &back).await, "OK");
    assert!(!lab.volumes("lvm").await.contains(&"lvm:vm-101-disk-0".to_owned()));
    let again = lab.refusal(Method::POST, &format!("{VM}/101/move_disk"), &back).await;
    assert_eq!(again, "you can't move to the same storage with same format");
    let running = [("volume", "rootfs"), ("storage", "lvm")];
    let text = lab.refusal(Method::POST, &format!("{CT}/200/move_volume"), &running).await;
    assert_eq!(text, "cannot move volumes of a running container");
}

#[tokio::test]
async fn a_disk_with_snapshots_is_not_moved_away_from_them() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/101/snapshot"), &[("snapname", "first")]).await, "OK");
    let with_source = [("disk", "scsi0"), ("storage", "lvm"), ("delete", "1")];
    let text = lab.refusal(Method::POST, &format!("{VM}/101/move_disk"), &with_source).await;
    assert_eq!(text, "you can't move a disk with snapshots and delete the source");
}

#[tokio::test]
async fn a_disk_that_is_given_away_takes_the_name_of_its_new_owner() {
    let lab = Lab::new().await;
    let gift = [("disk", "unused0"), ("target-vmid", "103"), ("target-disk", "scsi1")];
    assert_eq!(lab.post(&format!("{VM}/101/move_disk"), &gift).await, "OK");
    assert_eq!(lab.config(103).await["scsi1"], "tank:103/vm-103-disk-0.raw");
    assert!(lab.config(101).await.get("unused0").is_none());
    let running = [("disk", "scsi0"), ("target-vmid", "103"), ("target-disk", "scsi2")];
    let text = lab.refusal(Method::POST, &format!("{VM}/100/move_disk"), &running).await;
    assert_eq!(text, "Cannot move disk to another VM while the source VM is running - detach first");
}

#[tokio::test]
async fn a_detached_disk_stays_until_it_is_deleted_as_unused() {
    let lab = Lab::new().await;
    let config = format!("{VM}/101/config");
    lab.change(&config, &[("delete", "scsi0")]).await;
    let detached = lab.config(101).await;
    assert_eq!(
        (&detached["unused1"], &detached["boot"]),
        (&json!("tank:101/vm-101-disk-0.qcow2"), &json!(" "))
    );
    lab.change(&config, &[("delete", "unused1")]).await;
    assert!(!lab.volumes("tank").await.contains(&"tank:101/vm-101-disk-0.qcow2".to_owned()));
    lab.change(&format!("{VM}/101/unlink"), &[("idlist", "unused0")]).await;
    assert!(!lab.volumes("tank").await.contains(&"tank:101/vm-101-disk-7.raw".to_owned()));
}

#[tokio::test]
async fn protection_keeps_disks() {
    let lab = Lab::new().await;
    let config = format!("{VM}/102/config");
    let disk = lab.refusal(Method::PUT, &config, &[("delete", "scsi0")]).await;
    assert_eq!(disk, "can't remove drive 'scsi0' - protection mode enabled");
    let unused = lab.refusal(Method::PUT, &config, &[("delete", "unused0")]).await;
    assert_eq!(unused, "can't remove unused disk 'tank:102/vm-102-disk-1.raw' - protection mode enabled");
}

#[tokio::test]
async fn a_volume_is_deleted_although_a_guest_uses_it() {
    let lab = Lab::new().await;
    let volume = "/nodes/pve1/storage/tank/content/tank:101%2Fvm-101-disk-0.qcow2";
    assert_eq!(lab.run(Method::DELETE, volume, &[]).await, "OK");
    assert!(!lab.volumes("tank").await.contains(&"tank:101/vm-101-disk-0.qcow2".to_owned()));
    let start = lab.post(&format!("{VM}/101/status/start"), &[]).await;
    assert_eq!(start, "volume 'tank:101/vm-101-disk-0.qcow2' does not exist");
}

#[tokio::test]
async fn a_disk_grows_and_does_not_shrink() {
    let lab = Lab::new().await;
    let resize = format!("{VM}/101/resize");
    assert_eq!(lab.run(Method::PUT, &resize, &[("disk", "scsi0"), ("size", "+1G")]).await, "OK");
    assert_eq!(lab.row("tank", "tank:101/vm-101-disk-0.qcow2").await["size"], 2_147_483_648_u64);
    let shrunk = lab.run(Method::PUT, &resize, &[("disk", "scsi0"), ("size", "1G")]).await;
    assert_eq!(shrunk, "shrinking disks is not supported");
}

#[tokio::test]
async fn a_download_has_the_declared_checksum_or_fails() {
    let lab = Lab::new().await;
    let url = "/nodes/pve1/storage/tank/download-url";
    let of = |checksum| {
        [
            ("url", "https://example.net/a.iso"),
            ("content", "iso"),
            ("filename", "b.iso"),
            ("checksum", checksum),
            ("checksum-algorithm", "md5"),
        ]
    };
    assert_eq!(lab.post(url, &of("bb22")).await, "checksum mismatch: got 'aa11' != expect 'bb22'");
    assert!(!lab.volumes("tank").await.contains(&"tank:iso/b.iso".to_owned()));
    assert_eq!(lab.post(url, &of("AA11")).await, "OK");
    assert_eq!(lab.row("tank", "tank:iso/b.iso").await["size"], 77);
    assert_eq!(lab.post(url, &of("aa11")).await, "OK");
    let other = lab.post(url, &of("bb22")).await;
    assert_eq!(other, "checksum mismatch: got 'aa11' != expect 'bb22', aborting");
    let blind = lab.post(url, &of("aa11")[..3]).await;
    assert_eq!(blind, "refusing to override existing file '/srv/tank/template/iso/b.iso'");
    let wrong = [("url", "https://example.net/a.iso"), ("content", "iso"), ("filename", "b.txt")];
    assert_eq!(lab.refusal(Method::POST, url, &wrong).await, "filename: wrong file extension");
}

#[tokio::test]
async fn disks_are_listed_for_whoever_may_configure_their_guests() {
    let lab = Lab::of("ada@pve!ci").await;
    let rows = lab.volumes("tank").await;
    assert!(rows.contains(&"tank:iso/a.iso".to_owned()));
    assert!(!rows.iter().any(|volid| volid.contains("disk")), "{rows:?}");
    assert!(
        rows.iter().any(|volid| volid.contains("vzdump")),
        "a user may back up, and so see backups: {rows:?}"
    );
}
