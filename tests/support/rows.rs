//! What a campaign has tried and found, row by row: `tools/campaign` makes one table of all of them.

use std::{fmt::Display, fs::OpenOptions, io::Write, str::FromStr};

/// One line of the table.
pub(crate) struct Row<'a> {
    /// The part of the campaign, such as `model` or `crash grid`.
    pub(crate) part: &'a str,
    /// What was tried, for people.
    pub(crate) what: &'a str,
    pub(crate) tried: u64,
    /// What was counted, in the plural, such as `states`.
    pub(crate) unit: &'a str,
    pub(crate) violations: u64,
}

impl Row<'_> {
    /// Shows it, and hands it on if a campaign collects.
    pub(crate) fn note(&self) {
        let Self { part, what, tried, unit, violations } = self;
        let line = format!("{part}\t{what}\t{tried}\t{unit}\t{violations}\n");
        print!("{line}");
        if let Some(file) = std::env::var_os("CAMPAIGN_ROWS") {
            let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
    }
}

/// How much of it to do: what the variable of this name says, else what a quick run has time for.
pub(crate) fn scale<T: FromStr<Err: Display>>(variable: &str, quick: T) -> T {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => quick,
    }
}
