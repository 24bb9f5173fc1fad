//! Making, running and deleting guests.
use super::*;

#[tokio::test]
async fn a_machine_is_made_from_an_image_with_all_its_drives() {
    let lab = Lab::new().await;
    let drives = [
        ("vmid", "400"),
        ("scsi0", "lvm:0,import-from=tank:import/talos.qcow2"),
        ("efidisk0", "tank:1,efitype=4m"),
        ("tpmstate0", "lvm:1,version=v2.0"),
        ("ide0", "tank:cloudinit"),
        ("ide2", "tank:iso/a.iso,media=cdrom"),
        ("cipassword", "secret"),
        ("start", "1"),
    ];
    assert_eq!(lab.post(VM, &drives).await, "OK");
    let config = lab.config(400).await;
    assert_eq!(config["scsi0"], "lvm:vm-400-disk-0,size=2G");
    assert_eq!(config["efidisk0"], "tank:400/vm-400-disk-0.raw,efitype=4m,size=528K");
    assert_eq!(config["tpmstate0"], "lvm:vm-400-disk-1,size=4M,version=v2.0");
    assert_eq!(config["ide0"], "tank:400/vm-400-cloudinit.qcow2,media=cdrom,size=4M");
    assert_eq!(config["cipassword"], "**********");
    assert_eq!(lab.get(&format!("{VM}/400/status/current")).await["status"], "running");
}

#[tokio::test]
async fn what_a_failed_creation_made_is_gone_and_nothing_else() {
    let lab = Lab::new().await;
    let missing = [("vmid", "401"), ("scsi0", "tank:1"), ("scsi1", "tank:401/vm-401-disk-9.raw")];
    let text = "unable to create VM 401 - volume 'tank:401/vm-401-disk-9.raw' does not exist";
    let before = lab.volumes("tank").await;
    assert_eq!(lab.post(VM, &missing).await, text);
    assert_eq!(lab.volumes("tank").await, before);
}

#[tokio::test]
async fn wrong_sources_and_storages_are_refused_at_once() {
    let lab = Lab::new().await;
    let import = [("vmid", "402"), ("scsi0", "lvm:0,import-from=tank:iso/a.iso")];
    let text = "scsi0: tank:iso/a.iso has wrong type 'iso' - needs to be 'images' or 'import'";
    assert_eq!(lab.refusal(Method::POST, VM, &import).await, text);
    let disk = [("vmid", "402"), ("rootfs", "tank:1"), ("ostemplate", "tank:vztmpl/d.tar.zst")];
    let text = "storage: storage 'tank' does not support container directories";
    assert_eq!(lab.refusal(Method::POST, CT, &disk).await, text);
}

#[tokio::test]
async fn a_deleted_guest_leaves_what_it_did_not_name_and_the_jobs_that_are_not_purged() {
    let lab = Lab::new().await;
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/101"), &[]).await, "OK");
    let volumes = lab.volumes("tank").await;
    assert!(!volumes.iter().any(|volid| volid.contains("vm-101-disk-0") || volid.contains("vm-101-disk-7")));
    assert!(volumes.contains(&"tank:101/vm-101-disk-8.raw".to_owned()));
    assert_eq!(lab.get("/cluster/backup/nightly").await["vmid"], "101,100");
}

#[tokio::test]
async fn a_purged_guest_leaves_its_jobs_and_unreferenced_disks_go_if_they_shall() {
    let lab = Lab::new().await;
    let all = [("purge", "1"), ("destroy-unreferenced-disks", "1")];
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/101"), &all).await, "OK");
    assert!(!lab.volumes("tank").await.iter().any(|volid| volid.contains("vm-101-disk")));
    assert_eq!(lab.get("/cluster/backup/nightly").await["vmid"], "100");
}

#[tokio::test]
async fn protected_and_running_guests_are_not_deleted() {
    let lab = Lab::new().await;
    let refusal = |vmid: u32| {
        let lab = &lab;
        async move { lab.refusal(Method::DELETE, &format!("{VM}/{vmid}"), &[]).await }
    };
    assert_eq!(refusal(102).await, "can't remove VM 102 - protection mode enabled");
    assert_eq!(refusal(100).await, "VM 100 is running - destroy failed");
    assert_eq!(refusal(555).await, "Configuration file 'nodes/pve1/qemu-server/555.conf' does not exist");
}

#[tokio::test]
async fn a_machine_suspended_to_disk_is_locked_until_it_goes_on() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/100/status/suspend"), &[("todisk", "1")]).await, "OK");
    let config = lab.config(100).await;
    assert_eq!(config["lock"], "suspended");
    let memory = config["vmstate"].as_str().unwrap().to_owned();
    assert!(memory.starts_with("tank:100/vm-100-state-suspend-"), "{memory}");
    assert!(lab.volumes("tank").await.contains(&memory));
    let locked = lab.refusal(Method::PUT, &format!("{VM}/100/config"), &[("cores", "2")]).await;
    assert_eq!(locked, "VM is locked (suspended)");
    assert_eq!(lab.post(&format!("{VM}/100/status/resume"), &[]).await, "OK");
    let config = lab.config(100).await;
    assert!(config.get("lock").is_none() && config.get("vmstate").is_none(), "{config}");
    assert!(!lab.volumes("tank").await.contains(&memory));
    assert_eq!(lab.get(&format!("{VM}/100/status/current")).await["status"], "running");
}

#[tokio::test]
async fn a_paused_machine_is_shut_down_by_force_alone() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/100/status/suspend"), &[]).await, "OK");
    let shutdown = format!("{VM}/100/status/shutdown");
    assert_eq!(lab.refusal(Method::POST, &shutdown, &[]).await, "VM is paused - cannot shutdown");
    assert_eq!(lab.post(&shutdown, &[("forceStop", "1")]).await, "OK");
    assert_eq!(lab.get(&format!("{VM}/100/status/current")).await["status"], "stopped");
}
