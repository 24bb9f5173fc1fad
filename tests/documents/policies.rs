//! What is said about rules is asked of the program: every condition is evaluated, every variable is told.

use proxmox_agent::{
    api::{ProxmoxPolicy, ProxmoxPolicySpec},
    core::policy::{BLANK, faults},
};
use serde_json::{Value, json};

use crate::{all, hashes::judged_under, markdown::page, read, root};

fn text() -> String {
    read(&root().join("docs/policies.md"))
}

/// The names of the rules that apply to the worked example.
fn applying(rules: &Value) -> Vec<String> {
    let spec = json!({"preset": "permissive", "timeZone": "Europe/Vienna", "rules": rules});
    let spec: ProxmoxPolicySpec = serde_json::from_value(spec).unwrap();
    let warnings = judged_under(&ProxmoxPolicy::new("shown", spec)).preview.warnings;
    warnings
        .iter()
        .filter_map(|line| Some(line.split_once("(rule ")?.1.trim_end_matches(')').to_owned()))
        .collect()
}

#[test]
fn every_condition_says_of_the_worked_example_what_stands_beside_it() {
    let block = text().split("```cel\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let lines: Vec<&str> = block.lines().collect();
    assert!(lines.len() > 10, "too few to be all");
    for line in lines {
        let (condition, told) = line.rsplit_once("// ").unwrap();
        let applies = !applying(&json!([{"name": "it", "when": condition, "warn": "x"}])).is_empty();
        assert_eq!(applies.to_string(), told, "{condition}");
    }
}

#[test]
fn every_policy_that_is_shown_can_be_applied() {
    let shown = all(r"(?s)```yaml\n(.*?)```", &text());
    assert!(!shown.is_empty());
    for yaml in shown {
        let policy: ProxmoxPolicy = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(faults(&policy), []);
    }
}

#[test]
fn every_variable_of_a_rule_is_told_and_none_that_is_not_there() {
    let told = page("docs/policies.md").code_spans();
    let mut known = vec![];
    for (name, fields) in BLANK.as_object().unwrap() {
        match fields.as_object() {
            Some(fields) => known.extend(fields.keys().map(|field| format!("{name}.{field}"))),
            None => known.push(name.clone()),
        }
    }
    assert!(known.len() > 30);
    let is_told = |name: &str| told.iter().any(|span| span == name || span.starts_with(&format!("{name}.")));
    let untold: Vec<&String> = known.iter().filter(|name| !is_told(name)).collect();
    assert!(untold.is_empty(), "{untold:?}");
    let rows = text();
    let rows = rows.lines().filter(|line| line.starts_with("| `") && line.split('|').count() == 4);
    let roots: Vec<&String> = BLANK.as_object().unwrap().keys().collect();
    for span in rows.flat_map(|row| all("`([a-zA-Z]+\\.[a-zA-Z]+)[^`]*`", row.split('|').nth(1).unwrap())) {
        let is_variable = roots.iter().any(|name| span.starts_with(&format!("{name}.")));
        assert!(!is_variable || known.contains(&span), "{span}");
    }
}
