//! The documents are executed: their links lead somewhere, their YAML is taken, their hashes recompute, and what the code
//! calls a phase or a reason is explained.
// A test that can't read a document has to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod examples;
mod hashes;
mod links;
mod markdown;
mod policies;
mod previews;
mod reasons;
mod reliability;
mod sessions;

use std::{fs, path::Path};

use regex::Regex;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn all(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}
