//! Moving guests, and what is told beforehand.
use super::*;

#[tokio::test]
async fn the_precondition_tells_what_is_local() {
    let lab = Lab::new().await;
    let told = lab.get(&format!("{VM}/100/migrate?target=pve2")).await;
    assert_eq!((&told["running"], &told["allowed_nodes"]), (&json!(1), &json!(["pve2"])));
    assert_eq!(told["local_disks"][0]["volid"], "tank:100/vm-100-disk-0.qcow2");
    let shared = lab.get(&format!("{VM}/103/migrate")).await;
    assert_eq!(shared["local_disks"], json!([]));
    assert_eq!(lab.get(&format!("{CT}/200/migrate")).await["allowed-nodes"], json!(["pve2"]));
}

#[tokio::test]
async fn a_running_machine_takes_local_disks_along_only_when_told_to() {
    let lab = Lab::new().await;
    let migrate = format!("{VM}/100/migrate");
    let offline = lab.refusal(Method::POST, &migrate, &[("target", "pve2")]).await;
    assert_eq!(offline, "can't migrate running VM without --online");
    let online = [("target", "pve2"), ("online", "1"), ("with-local-disks", "1"), ("targetstorage", "lvm")];
    assert_eq!(lab.post(&migrate, &online[..2]).await, "migration aborted");
    assert_eq!(lab.post(&migrate, &online).await, "OK");
    let moved = lab.get("/nodes/pve2/qemu/100/config").await;
    assert_eq!(moved["scsi0"], "lvm:vm-100-disk-0,size=1G");
    let there = lab.get("/nodes/pve2/storage/lvm/content").await;
    assert_eq!(there[0]["volid"], "lvm:vm-100-disk-0");
    assert!(!lab.volumes("tank").await.contains(&"tank:100/vm-100-disk-0.qcow2".to_owned()));
}

#[tokio::test]
async fn what_others_build_on_stays_and_so_does_a_local_cd() {
    let lab = Lab::new().await;
    assert_eq!(lab.post(&format!("{VM}/900/migrate"), &[("target", "pve2")]).await, "migration aborted");
    assert_eq!(lab.post(&format!("{VM}/901/migrate"), &[("target", "pve2")]).await, "migration aborted");
    lab.change(&format!("{VM}/103/config"), &[("ide2", "tank:iso/a.iso,media=cdrom")]).await;
    assert_eq!(lab.post(&format!("{VM}/103/migrate"), &[("target", "pve2")]).await, "migration aborted");
    lab.change(&format!("{VM}/103/config"), &[("ide2", "none,media=cdrom")]).await;
    assert_eq!(lab.post(&format!("{VM}/103/migrate"), &[("target", "pve2")]).await, "OK");
}

#[tokio::test]
async fn a_running_container_moves_by_a_restart() {
    let lab = Lab::new().await;
    let migrate = format!("{CT}/200/migrate");
    let refused = lab.refusal(Method::POST, &migrate, &[("target", "pve2")]).await;
    assert_eq!(refused, "can't migrate running container without --online or --restart");
    assert_eq!(lab.post(&migrate, &[("target", "pve2"), ("online", "1")]).await, "migration aborted");
    assert_eq!(lab.post(&migrate, &[("target", "pve2"), ("restart", "1")]).await, "OK");
    assert_eq!(lab.get("/nodes/pve2/lxc/200/status/current").await["status"], "running");
}
