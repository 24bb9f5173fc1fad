//! The file that holds the operations of every release: JSON, compressed because it would be a tenth of the program.
use std::collections::BTreeMap;
use std::sync::Arc;

use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde::Deserialize;
use serde_json::Value;

use super::{Operation, Permission, Property, Release, segments};

const FILE: &[u8] = include_bytes!("operations.json.zz");

#[derive(Deserialize)]
struct Table {
    /// Every distinct parameter once.
    properties: Vec<Property>,
    operations: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The releases in which the operation is described like this.
    releases: Vec<String>,
    method: String,
    path: String,
    #[serde(default)]
    permissions: Value,
    #[serde(default)]
    on_node: u8,
    #[serde(default)]
    ticket_only: u8,
    #[serde(default)]
    open: u8,
    #[serde(default)]
    task: u8,
    /// Each name with the position of its property.
    parameters: BTreeMap<String, usize>,
}

/// The operations of a release; `None` if the file is broken.
pub(super) fn read(release: Release) -> Option<Vec<Operation>> {
    let text = decompress_to_vec_zlib(FILE).ok()?;
    let table: Table = serde_json::from_slice(&text).ok()?;
    let properties: Vec<Arc<Property>> = table.properties.into_iter().map(Arc::new).collect();
    let rows =
        table.operations.into_iter().filter(|row| row.releases.iter().any(|name| name == release.name()));
    rows.map(|row| row.resolve(release, &properties)).collect()
}

impl Row {
    fn resolve(self, release: Release, properties: &[Arc<Property>]) -> Option<Operation> {
        let described =
            |(name, position): (String, usize)| Some((name, Arc::clone(properties.get(position)?)));
        Some(Operation {
            release,
            segments: segments(&self.path).into_iter().map(str::to_owned).collect(),
            permission: Permission::read(&self.permissions),
            answers_with_task: self.task == 1,
            runs_on_node: self.on_node == 1,
            takes_tokens: self.ticket_only == 0,
            takes_anything: self.open == 1,
            method: self.method,
            path: self.path,
            parameters: self.parameters.into_iter().map(described).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_every_release_is_known() {
        assert_eq!(read(Release::V8_4).unwrap().len(), 605);
        assert_eq!(read(Release::V9_2).unwrap().len(), 675);
    }
}
