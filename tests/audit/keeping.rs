//! How a log is linked to others.

use proxmox_agent::{
    audit::{Witness, compare, verify},
    controllers,
    core::audit::Head,
};

use crate::support::{home::Home, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_the_lead_links_its_chain_to_what_was_seen_of_the_others() {
    let (one, _sim) = Home::beside(worlds::with_every_privilege()).await;
    one.settle().await;
    let anchor = one.environment_status("home").await.audit[0].clone();
    let seen = Head { chain: anchor.chain, sequence: anchor.sequence, hash: anchor.hash };
    assert_eq!(seen, one.ports.audit.head());

    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    let log = proxmox_agent::audit::AuditFolder::open(&other, "other", &proxmox_agent::system::SystemClock);
    let mut ports = one.ports.clone();
    ports.audit = std::sync::Arc::new(log.unwrap());
    ports.store.taken_in().await.unwrap();
    controllers::took_over(&ports).await.unwrap();
    drop(ports);

    let read = |folder: &std::path::Path| verify(folder, |_, _, _| Ok(())).unwrap();
    let (first, second) = (read(&one.audit_folder()), read(&other));
    assert_eq!(second.lines, 2);
    assert!(compare(&[read(&other), first], &[]).unwrap().is_empty());
    let alone = compare(&[second], &[]).unwrap();
    assert!(alone[0].what.contains(&format!("chain {} is missing", seen.chain)), "{alone:?}");
    let later = Witness { at: "x".to_owned(), head: Head { sequence: seen.sequence + 1, ..seen } };
    assert!(compare(&[read(&one.audit_folder())], &[later]).unwrap()[0].what.contains("is cut off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_only_written_when_the_log_has_moved() {
    let (home, _sim) = Home::beside(worlds::with_every_privilege()).await;
    home.settle().await;
    let first = home.environment_status("home").await.audit;
    home.settle().await;
    assert_eq!(home.environment_status("home").await.audit, first);
    home.plan("start", "start_guest", "qemu/101", &serde_json::json!({}));
    home.settle().await;
    let moved = home.environment_status("home").await.audit;
    assert_eq!(moved.len(), 1);
    assert!(moved[0].sequence > first[0].sequence, "{moved:?} {first:?}");
}
