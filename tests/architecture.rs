//! The direction of the arrows, read off the source itself.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that can't read the source has to fail

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, ExprAsync, ExprAwait, File, Item, ItemMod, ItemUse, Signature, UseTree,
    visit::{self, Visit},
};

/// Rooms in flow order, with the rooms that each may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("catalog", &["api"]),
    ("core", &["api", "catalog"]),
    ("ports", &["api", "catalog", "core"]),
    ("yaml", &[]),
    ("audit", &["api", "catalog", "core", "ports"]),
    ("git", &["api", "catalog", "core", "ports", "yaml"]),
    ("pve", &["api", "catalog", "core", "ports"]),
    ("secrets", &["api", "catalog", "core", "ports"]),
    ("store", &["api", "catalog", "core", "ports", "yaml"]),
    ("system", &["ports"]),
    ("controllers", &["api", "catalog", "core", "ports"]),
    ("http", &["ports"]),
];

/// What the pure rooms may take from outside: values and how they are written, nothing that acts.
const PURE_CRATES: &[&str] = &[
    "jiff",
    "k8s_openapi",
    "kube",
    "miniz_oxide",
    "regex",
    "schemars",
    "serde",
    "serde_json",
    "serde_json_canonicalizer",
    "sha2",
    "std",
    "thiserror",
];

/// Of these crates only so much.
const PURE_PARTS: &[(&str, &[&str])] = &[
    (
        "std",
        &[
            "collections",
            "fmt",
            "iter",
            "marker",
            "mem",
            "net::IpAddr",
            "net::Ipv4Addr",
            "net::Ipv6Addr",
            "ops",
            // An expression in CEL is read and asked where there is room for it, and what breaks off is an answer.
            "panic::AssertUnwindSafe",
            "panic::catch_unwind",
            "slice",
            "str",
            "string",
            "sync::Arc",
            "sync::LazyLock",
            "thread::Builder",
            "thread::scope",
            "vec",
        ],
    ),
    ("kube", &["CustomResource", "CustomResourceExt", "KubeSchema", "ResourceExt", "core::cel"]),
];

/// Everything that a file refers to by a path of more than one word, and whether it is asynchronous.
#[derive(Default)]
struct References {
    /// What each imported name stands for.
    imports: BTreeMap<String, Vec<String>>,
    paths: BTreeSet<Vec<String>>,
    is_async: bool,
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for References {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test_only(&module.attrs) {
            self.import(module.ident.to_string(), vec!["self".to_owned(), module.ident.to_string()]);
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.collect(&item.tree, &mut vec![]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        self.is_async |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {
        self.is_async = true;
    }

    fn visit_expr_await(&mut self, _: &'ast ExprAwait) {
        self.is_async = true;
    }
}

impl References {
    fn of(path: &Path) -> Self {
        let file: File = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
        let mut references = Self::default();
        references.visit_file(&file);
        let imports = std::mem::take(&mut references.imports);
        references.paths = references
            .paths
            .into_iter()
            // Twice, because an import may begin with a module that is declared in the same file.
            .map(|path| resolved(resolved(path, &imports), &imports))
            .collect();
        references
    }

    fn import(&mut self, name: String, path: Vec<String>) {
        self.paths.insert(path.clone());
        // A module and a function of it may share a name: what is declared here comes first.
        self.imports.entry(name).or_insert(path);
    }

    fn collect(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.collect(&path.tree, prefix);
                prefix.pop();
            }
            // `use fmt::{self, Display}` names the folder itself.
            UseTree::Name(name) if name.ident == "self" => {
                self.import(prefix.last().unwrap().clone(), prefix.clone());
            }
            UseTree::Name(name) => {
                let path = [prefix.as_slice(), &[name.ident.to_string()]].concat();
                self.import(name.ident.to_string(), path);
            }
            UseTree::Rename(name) => {
                let path = [prefix.as_slice(), &[name.ident.to_string()]].concat();
                self.import(name.rename.to_string(), path);
            }
            UseTree::Glob(_) => {
                self.paths.insert(prefix.clone());
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.collect(tree, prefix)),
        }
    }
}

/// A path with its first word replaced by what the file has imported under that name.
fn resolved(path: Vec<String>, imports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    match imports.get(&path[0]) {
        Some(full) if *full != path => [full.as_slice(), &path[1..]].concat(),
        _ => path,
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a room, without those that only tests compile.
fn files_of(room: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let file = source().join(format!("{room}.rs"));
    if file.exists() {
        found.push(file);
    }
    walk(&source().join(room), &mut found);
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !path.to_string_lossy().ends_with("tests.rs")
        {
            found.push(path);
        }
    }
}

#[test]
fn no_arrow_points_backwards() {
    let mut wrong = vec![];
    for (room, allowed) in ROOMS {
        for file in files_of(room) {
            for path in References::of(&file).paths {
                let [root, target, ..] = path.as_slice() else { continue };
                let inside = target == room || allowed.contains(&target.as_str());
                if (root == "crate" || root == "proxmox_agent") && !inside {
                    wrong.push(format!("{} uses {}", file.display(), path.join("::")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_is_on_the_map() {
    let lib: File = syn::parse_file(&fs::read_to_string(source().join("lib.rs")).unwrap()).unwrap();
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).chain(["cli", "telemetry"]).collect();
    for item in lib.items {
        if let Item::Mod(module) = item {
            assert!(known.contains(module.ident.to_string().as_str()), "{} is in no room", module.ident);
        }
    }
}

#[test]
fn the_pure_rooms_take_nothing_from_outside_that_acts() {
    let mut wrong = vec![];
    for room in ["catalog", "core"] {
        for file in files_of(room) {
            let references = References::of(&file);
            if references.is_async {
                wrong.push(format!("{} is asynchronous", file.display()));
            }
            wrong.extend(references.paths.iter().filter_map(|path| {
                impure(path).map(|why| format!("{}: {} {why}", file.display(), path.join("::")))
            }));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Why a path has no place in a pure room, if it has none.
fn impure(path: &[String]) -> Option<&'static str> {
    let root = path[0].as_str();
    // A clock by any name: `Timestamp::now`, `Zoned::now`, `Instant::now`.
    if path.len() > 1 && path.last().unwrap() == "now" {
        return Some("reads a clock");
    }
    let is_type_of_this_file = root.starts_with(char::is_uppercase);
    if is_type_of_this_file || ["crate", "self", "super"].contains(&root) || PRIMITIVES.contains(&root) {
        return None;
    }
    if !PURE_CRATES.contains(&root) {
        return Some("is not among the crates of the pure rooms");
    }
    let parts = PURE_PARTS.iter().find(|(name, _)| *name == root).map(|(_, parts)| parts);
    let is_below = |part: &&str| {
        let part: Vec<&str> = part.split("::").collect();
        path[1..].iter().map(String::as_str).take(part.len()).eq(part)
    };
    parts.is_some_and(|parts| !parts.iter().any(is_below)).then_some("is not among the allowed parts")
}

const PRIMITIVES: &[&str] = &["bool", "char", "f64", "i64", "str", "u8", "u16", "u32", "u64", "usize"];

#[test]
fn the_check_of_purity_can_fail() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    for bad in [
        "std::fs::read",
        "std::net::TcpStream",
        "std::sync::Mutex",
        "std::time::Instant",
        "tokio::spawn",
        "jiff::Timestamp::now",
        "kube::Client",
        "std::thread::spawn",
        "uuid::Uuid",
    ] {
        assert!(impure(&path(bad)).is_some(), "{bad}");
    }
    for good in [
        "std::collections::BTreeMap",
        "std::sync::Arc::clone",
        "crate::api::Risk",
        "super::hash",
        "Timestamp::MAX",
    ] {
        assert!(impure(&path(good)).is_none(), "{good}");
    }
}
