//! Changing the configuration of guests.
use super::*;

#[tokio::test]
async fn a_running_machine_takes_some_keys_at_once_and_the_rest_later() {
    let lab = Lab::new().await;
    let config = format!("{VM}/100/config");
    lab.change(&config, &[("name", "now"), ("cores", "2"), ("net1", "virtio,bridge=vmbr0")]).await;
    let current = lab.config(100).await;
    assert_eq!((&current["name"], &current["cores"]), (&json!("now"), &json!(1)));
    assert!(current["net1"].is_string());
    assert_eq!(lab.get(&config).await["cores"], 2);
    lab.change(&config, &[("revert", "cores")]).await;
    assert_eq!(lab.get(&config).await["cores"], 1);
}

#[tokio::test]
async fn a_running_container_takes_memory_at_once_and_its_resolver_later() {
    let lab = Lab::new().await;
    lab.change(&format!("{CT}/200/config"), &[("memory", "256"), ("nameserver", "192.0.2.53")]).await;
    let current = lab.config(200).await;
    assert_eq!(current["memory"], 256);
    assert!(current.get("nameserver").is_none());
    let pending = lab.get(&format!("{CT}/200/pending")).await;
    assert!(pending.as_array().unwrap().iter().any(|row| row["pending"] == "192.0.2.53"), "{pending}");
}

#[tokio::test]
async fn a_password_is_never_given_back() {
    let lab = Lab::new().await;
    lab.change(&format!("{VM}/100/config"), &[("cipassword", "hunter2"), ("ciuser", "ada")]).await;
    for path in ["config", "config?current=1", "pending", "cloudinit"] {
        let text = lab.get(&format!("{VM}/100/{path}")).await.to_string();
        assert!(
            text.contains("**********") && !text.contains("hunter2") && !text.contains("$5$"),
            "{path}: {text}"
        );
    }
    let world = lab.0.client.get(format!("{}/_sim/world", lab.0.simulator.url())).send().await.unwrap();
    assert!(!world.text().await.unwrap().contains("hunter2"));
}

#[tokio::test]
async fn a_cloud_init_drive_says_the_old_until_it_is_made_anew() {
    let lab = Lab::new().await;
    lab.change(&format!("{VM}/101/config"), &[("ide0", "tank:cloudinit"), ("ciuser", "old")]).await;
    assert_eq!(lab.post(&format!("{VM}/101/status/start"), &[]).await, "OK");
    lab.change(&format!("{VM}/101/config"), &[("ciuser", "new")]).await;
    let rows = lab.get(&format!("{VM}/101/cloudinit")).await;
    assert_eq!(rows, json!([{ "key": "ciuser", "value": "old", "pending": "new" }]));
    lab.change(&format!("{VM}/101/cloudinit"), &[]).await;
    let rows = lab.get(&format!("{VM}/101/cloudinit")).await;
    assert_eq!(rows, json!([{ "key": "ciuser", "value": "new" }]));
}

#[tokio::test]
async fn a_change_of_something_older_is_refused() {
    let lab = Lab::new().await;
    let digest = lab.config(101).await["digest"].as_str().unwrap().to_owned();
    let change = [("tags", "B;a b"), ("digest", digest.as_str())];
    lab.change(&format!("{VM}/101/config"), &change).await;
    assert_eq!(lab.config(101).await["tags"], "b;a");
    let stale = lab.refusal(Method::PUT, &format!("{VM}/101/config"), &change).await;
    assert_eq!(stale, "checksum mismatch (file change by other user?)");
}

#[tokio::test]
async fn each_key_asks_for_its_own_privilege() {
    let lab = Lab::of("ada@pve!ci").await;
    let config = format!("{VM}/101/config");
    let refusal = |key: &'static str, value: &'static str| {
        let (lab, config) = (&lab, config.clone());
        async move { lab.refusal(Method::PUT, &config, &[(key, value)]).await }
    };
    assert_eq!(refusal("memory", "1024").await, "Permission check failed (/vms/101, VM.Config.Memory)");
    assert_eq!(
        refusal("net0", "virtio,bridge=vmbr0").await,
        "Permission check failed (/vms/101, VM.Config.Network)"
    );
    assert_eq!(refusal("onboot", "1").await, "Permission check failed (/vms/101, VM.Config.Options)");
    assert_eq!(refusal("args", "-x").await, "only root can set 'args' config");
    lab.change(&config, &[("ide2", "tank:iso/a.iso,media=cdrom")]).await;
}

#[tokio::test]
async fn a_boot_order_and_a_balloon_have_to_fit() {
    let lab = Lab::new().await;
    let config = format!("{VM}/101/config");
    let boot = lab.refusal(Method::PUT, &config, &[("boot", "order=scsi5")]).await;
    assert_eq!(boot, "invalid bootorder: device 'scsi5' does not exist'");
    let balloon = lab.refusal(Method::PUT, &config, &[("balloon", "4096")]).await;
    assert_eq!(balloon, "balloon value too large (must be smaller than assigned memory)");
    lab.change(&config, &[("ide2", "tank:iso/a.iso,media=cdrom")]).await;
    assert_eq!(lab.config(101).await["boot"], "order=scsi0;ide2");
}
