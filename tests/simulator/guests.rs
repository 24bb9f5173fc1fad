//! What is done to guests, and what is there afterwards.
use proxmox_agent::pve::sim::{Options, World};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::setting::{Setting, data};

mod backups;
mod clones;
mod config;
mod disks;
mod life;
mod migrations;
mod snapshots;
mod storages;

/// One of each kind of storage, a template with a linked clone, and guests in states that matter.
const WORLD: &str = "
cluster: {name: lab}
nodes: {pve1: {}, pve2: {}}
guests:
  100:
    type: qemu
    node: pve1
    status: running
    config: {name: web, memory: '512', cores: 1, boot: order=scsi0, scsi0: 'tank:100/vm-100-disk-0.qcow2,size=1G', net0: 'virtio=BC:24:11:00:00:01,bridge=vmbr0', smbios1: uuid=7a4d6a52-54f6-4d1a-9d3e-2f1f6f0d0100}
  101:
    type: qemu
    node: pve1
    config: {name: idle, memory: '512', boot: order=scsi0, scsi0: 'tank:101/vm-101-disk-0.qcow2,size=1G', unused0: 'tank:101/vm-101-disk-7.raw', vmgenid: 3f0f7f0e-1a52-4a3b-8d0e-0d6c9a2b0101}
  102: {type: qemu, node: pve1, config: {name: kept, protection: 1, memory: '64', scsi0: 'tank:102/vm-102-disk-0.raw,size=1G', unused0: 'tank:102/vm-102-disk-1.raw'}}
  103: {type: qemu, node: pve1, config: {name: shared, memory: '64', scsi0: 'nas:103/vm-103-disk-0.qcow2,size=1G'}}
  200: {type: lxc, node: pve1, status: running, config: {hostname: dns, memory: 128, rootfs: 'zfs:subvol-200-disk-0,size=1G', unprivileged: 1}}
  201: {type: lxc, node: pve1, config: {hostname: spare, memory: 128, rootfs: 'zfs:subvol-201-disk-0,size=1G', unprivileged: 1}}
  900: {type: qemu, node: pve1, config: {name: base, template: 1, memory: '64', scsi0: 'tank:900/base-900-disk-0.qcow2,size=1G'}}
  901: {type: qemu, node: pve1, config: {name: leaf, memory: '64', scsi0: 'tank:900/base-900-disk-0.qcow2/901/vm-901-disk-0.qcow2,size=1G'}}
  910: {type: qemu, node: pve1, config: {name: thin, template: 1, memory: '64', scsi0: 'lvm:base-910-disk-0,size=1G'}}
  920: {type: qemu, node: pve1, config: {name: pool, template: 1, memory: '64', scsi0: 'zfs:base-920-disk-0,size=1G'}}
storages:
  tank:
    config: {type: dir, path: /srv/tank, content: 'images,iso,backup,vztmpl,import'}
    volumes:
      - {volid: 'tank:100/vm-100-disk-0.qcow2', content: images, format: qcow2, size: 1073741824, node: pve1}
      - {volid: 'tank:101/vm-101-disk-0.qcow2', content: images, format: qcow2, size: 1073741824, node: pve1}
      - {volid: 'tank:101/vm-101-disk-7.raw', content: images, format: raw, size: 1073741824, node: pve1}
      - {volid: 'tank:101/vm-101-disk-8.raw', content: images, format: raw, size: 1073741824, node: pve1}
      - {volid: 'tank:102/vm-102-disk-0.raw', content: images, format: raw, size: 1073741824, node: pve1}
      - {volid: 'tank:102/vm-102-disk-1.raw', content: images, format: raw, size: 1073741824, node: pve1}
      - {volid: 'tank:900/base-900-disk-0.qcow2', content: images, format: qcow2, size: 1073741824, node: pve1}
      - {volid: 'tank:900/base-900-disk-0.qcow2/901/vm-901-disk-0.qcow2', content: images, format: qcow2, size: 1073741824, node: pve1}
      - {volid: 'tank:iso/a.iso', content: iso, format: iso, size: 1048576}
      - {volid: 'tank:import/talos.qcow2', content: import, format: qcow2, size: 2147483648}
      - {volid: 'tank:backup/vzdump-qemu-101-2026_11_01-02_00_00.vma.zst', content: backup, format: vma.zst, size: 4096, node: pve1, ageSeconds: 7200, notes: old, config: {name: once, memory: '256', scsi0: 'tank:101/vm-101-disk-0.qcow2,size=2G'}}
  nas:
    config: {type: nfs, server: 192.0.2.1, export: /x, path: /mnt/nas, content: 'images,backup', shared: 1}
    volumes: [{volid: 'nas:103/vm-103-disk-0.qcow2', content: images, format: qcow2, size: 1073741824}]
  lvm:
    config: {type: lvmthin, vgname: pve, thinpool: data, content: 'images,rootdir'}
    volumes: [{volid: 'lvm:base-910-disk-0', content: images, format: raw, size: 1073741824, node: pve1}]
  zfs:
    config: {type: zfspool, pool: rpool, content: 'images,rootdir'}
    volumes:
      - {volid: 'zfs:subvol-200-disk-0', content: rootdir, format: subvol, size: 1073741824, node: pve1}
      - {volid: 'zfs:subvol-201-disk-0', content: rootdir, format: subvol, size: 1073741824, node: pve1}
      - {volid: 'zfs:base-920-disk-0', content: images, format: raw, size: 1073741824, node: pve1}
definitions: {backupJobs: {nightly: {vmid: '101,100', storage: tank}}}
users: {root@pam: {tokens: {full: {privsep: 0}}}, ada@pve: {tokens: {ci: {privsep: 0}}}}
acl: [{path: /vms, who: ada@pve, role: PVEVMUser}, {path: /storage/tank, who: ada@pve, role: PVEDatastoreUser}]
downloads: {'https://example.net/a.iso': {checksum: aa11, size: 77}}
taskSeconds: {default: 0.02, qmcreate: 0.02, qmclone: 0.02, qmrestore: 0.02, vzrestore: 0.02, vzdump: 0.02, qmigrate: 0.02, vzmigrate: 0.02, qmmove: 0.02}
";

pub(crate) struct Lab(Setting);

impl Lab {
    async fn new() -> Self {
        Self::of("root@pam!full").await
    }

    async fn of(token: &str) -> Self {
        let world = World::from_yaml(WORLD).unwrap();
        let options = Options { world, plain_http: true, ..Options::default() };
        Self(Setting::with(options, token).await)
    }

    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.0.request(method.clone(), path);
        let request = if method == Method::DELETE { request.query(form) } else { request.form(form) };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Does something that a task does, and answers how that ended.
    async fn run(&self, method: Method, path: &str, form: &[(&str, &str)]) -> String {
        let (status, body) = self.send(method, path, form).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        self.0.exit_of(body["data"].as_str().unwrap()).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        self.run(Method::POST, path, form).await
    }

    async fn change(&self, path: &str, form: &[(&str, &str)]) {
        let (status, body) = self.send(Method::PUT, path, form).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }

    /// The text of a refusal that comes before any task.
    async fn refusal(&self, method: Method, path: &str, form: &[(&str, &str)]) -> String {
        let (status, body) = self.send(method, path, form).await;
        assert_ne!(status, StatusCode::OK, "{path}: {body}");
        let errors = body["errors"].as_object().into_iter().flatten();
        let errors: String =
            errors.map(|(name, text)| format!("{name}: {}", text.as_str().unwrap())).collect();
        if errors.is_empty() { body["message"].as_str().unwrap().trim_end().to_owned() } else { errors }
    }

    async fn get(&self, path: &str) -> Value {
        self.0.get(path).await
    }

    async fn config(&self, vmid: u32) -> Value {
        let kind = if (200..300).contains(&vmid) { "lxc" } else { "qemu" };
        self.get(&format!("/nodes/pve1/{kind}/{vmid}/config?current=1")).await
    }

    async fn volumes(&self, storage: &str) -> Vec<String> {
        let rows = self.get(&format!("/nodes/pve1/storage/{storage}/content")).await;
        rows.as_array().unwrap().iter().map(|row| row["volid"].as_str().unwrap().to_owned()).collect()
    }

    async fn row(&self, storage: &str, volid: &str) -> Value {
        let rows = self.get(&format!("/nodes/pve1/storage/{storage}/content")).await;
        rows.as_array().unwrap().iter().find(|row| row["volid"] == volid).cloned().unwrap_or_default()
    }
}

const VM: &str = "/nodes/pve1/qemu";
const CT: &str = "/nodes/pve1/lxc";

#[tokio::test]
async fn the_lab_is_what_its_world_says() {
    let lab = Lab::new().await;
    assert_eq!(lab.config(100).await["name"], "web");
    let backups = lab.get("/nodes/pve1/storage/tank/content?content=backup&vmid=101").await;
    assert_eq!(backups[0]["notes"], "old");
    let now = lab.get("/nodes/pve1/time").await["time"].as_i64().unwrap();
    assert!((7200..7260).contains(&(now - backups[0]["ctime"].as_i64().unwrap())), "{backups}");
    let answer = lab.0.request(Method::GET, "/version").send().await.unwrap();
    assert_eq!(data(answer).await["release"], json!("9.2"));
}
