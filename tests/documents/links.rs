//! Links lead somewhere, and every page and file that is named is there.

use std::{collections::BTreeSet, path::PathBuf};

use regex::Regex;

use crate::{
    markdown::{Page, markdown_below, page, pages},
    root,
};

/// Why a link leads nowhere, if it does.
fn broken(page: &Page, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.path.clone() } else { page.path.parent()?.join(file) };
    let Ok(target) = target.canonicalize() else { return Some("there is no such file".to_owned()) };
    if !target.starts_with(root()) {
        return Some("it leads out of the repository".to_owned());
    }
    let missing = |anchor: &&str| target.is_dir() || !Page::read(&target).anchors().contains(*anchor);
    anchor.filter(missing).map(|anchor| format!("there is no heading `{anchor}`"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = vec![];
    for page in pages() {
        for link in page.links() {
            wrong.extend(broken(&page, &link).map(|why| format!("{}: {link}: {why}", page.name())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_check_of_links_can_fail() {
    let page = page("docs/idempotency.md");
    for bad in ["nowhere.md", "#no-such-heading", "adr/README.md#nothing", "../../", "adr#x"] {
        assert!(broken(&page, bad).is_some(), "{bad}");
    }
    for good in ["#settling", "plan-id-rules.md#names", "adr/README.md", "https://example.test/x#y"] {
        assert_eq!(broken(&page, good), None, "{good}");
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let place = Regex::new(r"^(src|tests|docs|crds|charts|tools)/[A-Za-z0-9_./-]*$").unwrap();
    let mut wrong = vec![];
    for page in pages() {
        let named = page.code_spans().into_iter().filter(|span| place.is_match(span));
        let missing = named.filter(|path| !root().join(path).exists());
        wrong.extend(missing.map(|path| format!("{}: {path}", page.name())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_document_is_found_by_following_links() {
    let linked: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| {
            let folder = page.path.parent().unwrap().to_owned();
            let files =
                page.links().into_iter().map(move |link| folder.join(link.split('#').next().unwrap()));
            let others = files.filter_map(|path| path.canonicalize().ok()).filter(|path| *path != page.path);
            others.collect::<Vec<_>>()
        })
        .collect();
    let lost: Vec<PathBuf> =
        markdown_below(&root().join("docs")).into_iter().filter(|path| !linked.contains(path)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
