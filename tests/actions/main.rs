//! Every action that changes something, under every condition that it can meet: the real client and the real judgement
//! against the simulated Proxmox over a socket, with a token that may do what the catalogue says and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails, and says where")]

mod book;
mod completeness;
mod examine;
mod pattern;
mod play;
mod rights;
mod stage;
mod table;
mod traces;
mod worlds;

use table::holds;

#[tokio::test(flavor = "multi_thread")]
async fn power_is_switched_as_the_catalogue_says() {
    holds("power").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_handled_as_the_catalogue_says() {
    holds("snapshots").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_go_as_the_catalogue_says() {
    holds("removal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_changed_as_the_catalogue_says() {
    holds("changes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_is_changed_as_the_catalogue_says() {
    holds("settings").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_come_to_be_as_the_catalogue_says() {
    holds("creation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_and_restored_as_the_catalogue_says() {
    holds("backups").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storages_are_handled_as_the_catalogue_says() {
    holds("storage").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_handled_as_the_catalogue_says() {
    holds("pools").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_is_handled_as_the_catalogue_says() {
    holds("ha").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_handled_as_the_catalogue_says() {
    holds("network").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_handled_as_the_catalogue_says() {
    holds("nodes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_handled_as_the_catalogue_says() {
    holds("jobs").await;
}
