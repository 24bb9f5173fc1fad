//! What is generated is what the code says, and no schema lets an object grow without limit.
#![allow(clippy::unwrap_used, clippy::panic)] // a test that can't read a file has to fail

use std::{fs, path::Path, process::Command};

use kube::ResourceExt;
use proxmox_agent::api;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program with a folder to write to, and compares every file with the one in the repository.
fn same_as_written(args: &[&str], folder: &str) {
    let fresh = tempfile::tempdir().unwrap();
    let ran =
        Command::new(env!("CARGO_BIN_EXE_proxmox-agent")).args(args).arg(fresh.path()).status().unwrap();
    assert!(ran.success());
    let mut count = 0;
    for entry in fs::read_dir(fresh.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let written = fs::read_to_string(root().join(folder).join(&name)).unwrap_or_default();
        let now = fs::read_to_string(fresh.path().join(&name)).unwrap();
        assert!(written == now, "{folder}/{} is stale: run `make {folder}`", name.display());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_crds_are_those_of_the_types() {
    same_as_written(&["crd", "--dir"], "crds");
    let files = fs::read_dir(root().join("crds")).unwrap().count();
    assert_eq!(files, api::crd::all().len(), "a file in crds/ belongs to no kind");
}

#[test]
fn the_tables_in_the_documents_are_those_of_the_catalogue() {
    same_as_written(&["docs", "--dir"], "docs");
}

#[test]
fn all_crds_are_printed_as_one_stream() {
    let printed = Command::new(env!("CARGO_BIN_EXE_proxmox-agent")).arg("crd").output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    for crd in api::crd::all() {
        assert!(text.contains(&format!("name: {}", crd.name_any())));
    }
    assert_eq!(text.matches("---\n").count(), api::crd::all().len());
}

/// Calls `check` with every schema and its path.
fn each_schema(schema: &Value, path: &str, check: &mut impl FnMut(&str, &Value)) {
    check(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            each_schema(property, &format!("{path}.{name}"), check);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            each_schema(&schema[inner], &format!("{path}.{inner}"), check);
        }
    }
}

#[test]
fn every_string_list_and_map_has_a_bound() {
    let mut unbounded = vec![];
    for crd in api::crd::all() {
        let name = crd.name_any();
        for version in crd.spec.versions {
            let schema = serde_json::to_value(version.schema.unwrap().open_api_v3_schema.unwrap()).unwrap();
            for part in ["spec", "status"] {
                each_schema(&schema["properties"][part], part, &mut |path, schema| {
                    let bounded = match schema["type"].as_str() {
                        Some("string") => {
                            schema["maxLength"].is_number()
                                || schema["enum"].is_array()
                                || schema["format"] == "date-time"
                        }
                        Some("array") => schema["maxItems"].is_number(),
                        Some("object") => {
                            schema["properties"].is_object() || schema["maxProperties"].is_number()
                        }
                        _ => true,
                    };
                    if !bounded {
                        unbounded.push(format!("{name}: {path}"));
                    }
                });
            }
        }
    }
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn every_kind_can_be_found_and_watched_as_people_expect() {
    for crd in api::crd::all() {
        let names = &crd.spec.names;
        assert!(names.categories.as_ref().unwrap().contains(&"proxmox".to_owned()), "{}", names.kind);
        assert!(!names.short_names.as_ref().unwrap().is_empty(), "{}", names.kind);
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{}", names.kind);
        assert!(!version.additional_printer_columns.as_ref().unwrap().is_empty(), "{}", names.kind);
        assert!(!version.selectable_fields.as_ref().unwrap().is_empty(), "{}", names.kind);
    }
}
