//! The documentation gives every difference that the lists allow, and no other.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::recording::{differences, yaml};

/// Which of these a list has depends on what it compares with.
#[derive(Debug, Deserialize)]
struct Difference {
    reason: String,
    #[serde(default)]
    scenario: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    walk: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    exchanges: BTreeMap<String, Vec<u32>>,
}

#[test]
fn every_difference_from_the_recordings_is_documented() {
    let page = page();
    let (_, known) = page.split_once("## Known differences").unwrap();
    let missing: Vec<String> = differences()
        .into_iter()
        .map(|difference| difference.reason)
        .filter(|reason| !known.contains(reason.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/simulated-proxmox.md doesn't give these reasons: {missing:#?}");
}

#[test]
fn every_difference_from_others_is_documented_with_its_places_and_no_other() {
    let page = page();
    let table =
        page.split("<!-- differences -->").nth(1).and_then(|rest| rest.split("<!-- /differences -->").next());
    let documented: BTreeSet<&str> = table.unwrap().lines().filter(|line| line.starts_with("| `")).collect();
    let listed =
        [("fakepve", "fakepve"), ("SDK", "sdk-recordings")].into_iter().flat_map(|(name, folder)| {
            let list: Vec<Difference> = yaml(&format!("{folder}/differences.yaml"));
            list.into_iter().map(move |difference| row(name, difference))
        });
    let listed: BTreeSet<String> = listed.collect();
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let missing: Vec<_> = listed.difference(&documented).collect();
    let too_many: Vec<_> = documented.difference(&listed).collect();
    assert!(missing.is_empty(), "docs/simulated-proxmox.md lacks these rows: {missing:#?}");
    assert!(too_many.is_empty(), "docs/simulated-proxmox.md has rows that no list has: {too_many:#?}");
}

fn row(source: &str, difference: Difference) -> String {
    let numbered = difference.exchanges.into_iter().map(|(name, numbers)| {
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        format!("{name} {}", numbers.join(" "))
    });
    let places: Vec<String> =
        difference.scenario.into_keys().chain(difference.walk.into_keys()).chain(numbered).collect();
    format!("| `{source}` | {} | `{}` |", difference.reason, places.join("`, `"))
}

fn page() -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/simulated-proxmox.md");
    std::fs::read_to_string(file).unwrap()
}
