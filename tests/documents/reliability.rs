//! The numbers of the campaign are those of the last one, and none of them is a violation.

use std::fs;

use crate::{read, root};

const PARTS: &[&str] = &["model", "simulation", "crash grid", "takeover", "watches", "endurance", "mutants"];

fn rows() -> Vec<Vec<String>> {
    let text = read(&root().join("docs/reliability.md"));
    let (_, rest) = text.split_once("<!-- numbers: begin").unwrap();
    let (table, _) = rest.split_once("<!-- numbers: end -->").unwrap();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    table.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

#[test]
fn the_last_campaign_found_no_violation() {
    let rows = rows();
    assert!(!rows.is_empty(), "`make campaign` writes them");
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(PARTS.contains(&row[0].as_str()), "{row:?}: is no part of the campaign");
        assert_eq!(row[3], "0", "{row:?}");
    }
}

#[test]
fn every_mutant_was_planted_in_the_last_campaign() {
    let rows = rows();
    for file in fs::read_dir(root().join("tests/mutants")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = read(&path);
            let what = text.lines().next().unwrap();
            let caught =
                |row: &Vec<String>| row[0] == "mutants" && row[1] == what && row[2].contains("caught by");
            assert!(rows.iter().any(caught), "{}: {what}", path.display());
        }
    }
}
