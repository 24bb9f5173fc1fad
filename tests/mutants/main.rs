//! The planted mistakes still fit the source: `make campaign` applies each, and fails if no test notices.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that can't read a patch has to fail

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The parts of the campaign that can catch one.
const PARTS: &[&str] = &["model", "simulation", "endpoints"];

#[test]
fn every_mutant_says_what_it_breaks_and_who_catches_it_and_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut patches = 0;
    for file in fs::read_dir(root.join("tests/mutants")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        patches += 1;
        let name = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().ends_with('.'), "{name}: the first line is no sentence");
        let catcher = lines.next().unwrap().strip_prefix("Caught by: ").unwrap_or_default();
        let (part, test) = catcher.split_once(' ').unwrap_or_default();
        assert!(PARTS.contains(&part), "{name}: the second line names no part that catches it");
        assert!(has_test(&files_of(&root.join("tests"), part), test), "{name}: {part} has no test `{test}`");
        let check =
            Command::new("git").args(["apply", "--check"]).arg(&path).current_dir(root).output().unwrap();
        assert!(check.status.success(), "{name}: {}", String::from_utf8_lossy(&check.stderr));
    }
    assert!(patches >= 10, "only {patches} mutants are planted");
}

/// A part is a file or a folder.
fn files_of(tests: &Path, part: &str) -> Vec<PathBuf> {
    match fs::read_dir(tests.join(part)) {
        Ok(folder) => folder.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![tests.join(part).with_extension("rs")],
    }
}

fn has_test(files: &[PathBuf], name: &str) -> bool {
    let is_there =
        |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {name}()")));
    !name.is_empty() && files.iter().any(is_there)
}
