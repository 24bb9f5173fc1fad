//! Markdown, as far as these documents use it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

use crate::{all, read, root};

pub(crate) struct Page {
    pub(crate) path: PathBuf,
    /// What stands outside of fenced blocks.
    pub(crate) prose: Vec<String>,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let mut page = Self { path: path.to_owned(), prose: vec![], blocks: vec![] };
        let mut open = false;
        for line in read(path).lines() {
            match (line.trim_start().strip_prefix("```"), open) {
                (Some(language), false) => {
                    page.blocks.push(Block { language: language.to_owned(), text: String::new() });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let block = page.blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, false) => page.prose.push(line.to_owned()),
            }
        }
        assert!(!open, "{}: a fenced block does not end", path.display());
        page
    }

    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// Targets of links, without those that only an inline code span shows.
    pub(crate) fn links(&self) -> Vec<String> {
        let code = Regex::new("`[^`]*`").unwrap();
        self.prose.iter().flat_map(|line| all(r"\]\(([^)\s]+)\)", &code.replace_all(line, ""))).collect()
    }

    pub(crate) fn code_spans(&self) -> Vec<String> {
        self.prose.iter().flat_map(|line| all("`([^`]+)`", line)).collect()
    }

    /// Where links to this page may lead, as GitHub names its headings.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose.iter().filter_map(|line| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.trim())
        });
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        headings
            .map(|text| text.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
            .collect()
    }

    /// The lines of the section under this heading of the second level.
    pub(crate) fn section(&self, heading: &str) -> Vec<&str> {
        let mut lines = self.prose.iter().map(String::as_str).skip_while(|line| *line != heading).skip(1);
        let level = heading.chars().take_while(|c| *c == '#').count();
        let ends =
            |line: &str| line.starts_with('#') && line.chars().take_while(|c| *c == '#').count() <= level;
        let section: Vec<&str> = lines.by_ref().take_while(|line| !ends(line)).collect();
        assert!(!section.is_empty(), "{} has no section `{heading}`", self.name());
        section
    }
}

pub(crate) fn markdown_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(markdown_below(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Everything in docs/, and the pages beside it.
pub(crate) fn pages() -> Vec<Page> {
    let beside = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let beside = beside.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let charts = markdown_below(&root().join("charts"));
    markdown_below(&root().join("docs"))
        .into_iter()
        .chain(charts)
        .chain(beside)
        .map(|path| Page::read(&path))
        .collect()
}

pub(crate) fn page(name: &str) -> Page {
    Page::read(&root().join(name))
}
