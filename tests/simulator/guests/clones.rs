//! Templates, and clones of both kinds.
use super::*;

#[tokio::test]
async fn a_linked_clone_in_a_folder_names_its_base_in_its_volume() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/900/clone"), &[("newid", "300")]).await, "OK");
    let volid = "tank:900/base-900-disk-0.qcow2/300/vm-300-disk-0.qcow2";
    assert!(lab.config(300).await["scsi0"].as_str().unwrap().starts_with(volid));
    let row = lab.row("tank", volid).await;
    assert_eq!((&row["vmid"], &row["parent"]), (&json!(300), &json!("../900/base-900-disk-0.qcow2")));
}

#[tokio::test]
async fn a_linked_clone_on_zfs_names_its_base_and_one_on_lvm_can_not() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/920/clone"), &[("newid", "301")]).await, "OK");
    let row = lab.row("zfs", "zfs:base-920-disk-0/vm-301-disk-0").await;
    assert_eq!(row["parent"], "base-920-disk-0@__base__");
    assert_eq!(lab.post(&format!("{VM}/910/clone"), &[("newid", "302")]).await, "OK");
    let row = lab.row("lvm", "lvm:vm-302-disk-0").await;
    assert_eq!(row["vmid"], 302);
    assert!(row.get("parent").is_none());
}

#[tokio::test]
async fn a_template_stays_while_linked_clones_build_on_it() {
    let lab = Lab::new().await;
    let text = "base volume 'tank:900/base-900-disk-0.qcow2' is still in use by linked cloned";
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/900"), &[]).await, text);
    let volume = "/nodes/pve1/storage/tank/content/tank:900%2Fbase-900-disk-0.qcow2";
    let text = "base volume '900/base-900-disk-0.qcow2' is still in use by linked clones";
    assert_eq!(lab.run(Method::DELETE, volume, &[]).await, text);
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/901"), &[]).await, "OK");
    assert_eq!(lab.run(Method::DELETE, &format!("{VM}/900"), &[]).await, "OK");
}

#[tokio::test]
async fn a_clone_is_another_machine_with_the_same_settings() {
    let lab = Lab::new().await;
    lab.change(
        &format!("{VM}/101/config"),
        &[
            ("protection", "1"),
            ("smbios1", "uuid=7a4d6a52-54f6-4d1a-9d3e-2f1f6f0d0101,serial=c2VyaWFs,base64=1"),
        ],
    )
    .await;
    assert_eq!(lab.post(&format!("{VM}/101/clone"), &[("newid", "303"), ("storage", "lvm")]).await, "OK");
    let (old, new) = (lab.config(101).await, lab.config(303).await);
    assert_eq!(new["name"], "Copy-of-VM-idle");
    assert_eq!(new["protection"], 1);
    assert_eq!(new["scsi0"], "lvm:vm-303-disk-0,size=1G");
    assert!(new["smbios1"].as_str().unwrap().contains("serial=c2VyaWFs"));
    assert_ne!(new["smbios1"], old["smbios1"]);
    assert_ne!(new["vmgenid"], old["vmgenid"]);
    assert!(new.get("unused0").is_none());
}

#[tokio::test]
async fn clones_that_can_not_be_are_refused_in_proxmox_words() {
    let lab = Lab::new().await;
    let clone = |vmid: u32| format!("{VM}/{vmid}/clone");
    let linked = lab.refusal(Method::POST, &clone(101), &[("newid", "304"), ("full", "0")]).await;
    assert_eq!(linked, "Linked clone feature is not supported for 'tank:101/vm-101-disk-0.qcow2' (scsi0)");
    let storage = lab.refusal(Method::POST, &clone(900), &[("newid", "304"), ("storage", "lvm")]).await;
    assert_eq!(storage, "parameter 'storage' not allowed for linked clones");
    let taken = lab.refusal(Method::POST, &clone(101), &[("newid", "100")]).await;
    assert_eq!(taken, "unable to create VM 100: config file already exists");
    let away = lab.refusal(Method::POST, &clone(101), &[("newid", "304"), ("target", "pve2")]).await;
    assert_eq!(away, "can't clone VM to node 'pve2' (VM uses local storage)");
    assert_eq!(lab.post(&clone(103), &[("newid", "304"), ("target", "pve2")]).await, "OK");
    let running = lab.refusal(Method::POST, &format!("{CT}/200/clone"), &[("newid", "305")]).await;
    assert_eq!(running, "Full clone of a running container is only possible from a snapshot");
}

#[tokio::test]
async fn a_template_has_base_volumes() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/101/template"), &[]).await, "OK");
    let config = lab.config(101).await;
    assert_eq!(
        (&config["template"], &config["scsi0"]),
        (&json!(1), &json!("tank:101/base-101-disk-0.qcow2,size=1G"))
    );
    let again = lab.refusal(Method::POST, &format!("{VM}/101/template"), &[]).await;
    assert_eq!(again, "you can't convert a template to a template");
}
