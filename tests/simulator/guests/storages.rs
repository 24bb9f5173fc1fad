//! Definitions of storages, and what is on them.
use super::*;

#[tokio::test]
async fn a_storage_goes_although_guests_have_disks_there() {
    let lab = Lab::new().await;
    let (status, body) = lab.send(Method::DELETE, "/storage/tank", &[]).await;
    assert_eq!((status, &body["data"]), (StatusCode::OK, &Value::Null));
    let start = lab.post(&format!("{VM}/101/status/start"), &[]).await;
    assert_eq!(start, "storage 'tank' does not exist");
    let again = lab.refusal(Method::DELETE, "/storage/tank", &[]).await;
    assert_eq!(again, "delete storage failed: storage 'tank' does not exist");
}

#[tokio::test]
async fn what_was_on_a_storage_is_there_again_when_it_is_defined_again() {
    let lab = Lab::new().await;
    let before = lab.volumes("tank").await;
    lab.send(Method::DELETE, "/storage/tank", &[]).await;
    let tank = [("storage", "tank"), ("type", "dir"), ("path", "/srv/tank"), ("content", "images,iso")];
    let (status, _) = lab.send(Method::POST, "/storage", &tank).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(lab.volumes("tank").await, before);
}

#[tokio::test]
async fn a_disabled_storage_is_known_and_of_no_use() {
    let lab = Lab::new().await;
    lab.change("/storage/tank", &[("disable", "1")]).await;
    assert_eq!(lab.get("/storage/tank").await["disable"], 1);
    let list = lab.get("/nodes/pve1/storage").await;
    let tank = list.as_array().unwrap().iter().find(|row| row["storage"] == "tank").unwrap();
    assert_eq!((&tank["enabled"], &tank["active"]), (&json!(0), &json!(0)));
    let text = lab.refusal(Method::GET, "/nodes/pve1/storage/tank/content", &[]).await;
    assert_eq!(text, "storage 'tank' is disabled");
    assert_eq!(lab.post(&format!("{VM}/101/status/start"), &[]).await, "storage 'tank' is disabled");
}

#[tokio::test]
async fn a_definition_changes_only_as_it_was_read() {
    let lab = Lab::new().await;
    let digest = lab.get("/storage/tank").await["digest"].as_str().unwrap().to_owned();
    let change = [("content", "images,iso"), ("digest", digest.as_str())];
    lab.change("/storage/tank", &change).await;
    let stale = lab.refusal(Method::PUT, "/storage/tank", &change).await;
    assert_eq!(
        stale,
        "update storage failed: detected modified configuration - file changed by other user? Try again."
    );
}
