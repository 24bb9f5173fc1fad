//! The API contract of Proxmox VE as data: which operations a release has, who may call them, what they take.
//!
//! # Layout
//! - [`Release`] says which API a version speaks, and which privileges exist there
//! - `table` reads the operations of every release from one file, which `tools/api-contract` makes
//! - [`Contract::find`] and [`Contract::operation`] look one up, `judge` judges its parameters as the server does
//! - [`Contract::check`] says in words what is wrong with a call before it is sent
//!
//! It holds facts only, and the whole API, so that a call nobody has thought of is judged like all others.
//! docs/api-contract.md tells where the facts come from.
mod check;
mod fault;
mod formats;
mod given;
mod judge;
mod operation;
mod patterns;
mod permission;
mod privileges;
mod problem;
mod property;
mod property_string;
mod release;
mod table;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use fault::{Fault, Refused};
pub use given::Given;
pub use judge::judge;
pub use operation::{Matched, Operation};
pub use permission::{Check, Permission};
pub use problem::Problem;
pub use property::Property;
pub use property_string::PropertyString;
pub use release::{Release, UnsupportedVersion};

/// The operations of one release.
#[derive(Debug)]
pub struct Contract {
    pub release: Release,
    operations: Vec<Operation>,
}

impl Contract {
    /// The contract of a release; it is read when it is first asked for.
    pub fn of(release: Release) -> &'static Self {
        static V8_4: LazyLock<Contract> = LazyLock::new(|| Contract::load(Release::V8_4));
        static V9_2: LazyLock<Contract> = LazyLock::new(|| Contract::load(Release::V9_2));
        match release {
            Release::V8_4 => &V8_4,
            Release::V9_2 => &V9_2,
        }
    }

    fn load(release: Release) -> Self {
        // A test proves that the built-in file is sound; without it, no call would be known and all be refused.
        Self { release, operations: table::read(release).unwrap_or_default() }
    }

    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }

    /// Literal segments win over placeholders, so `/cluster/ha/resources` is never taken for an id.
    pub fn find(&self, method: &str, path: &[&str]) -> Option<Matched<'_>> {
        self.operations
            .iter()
            .filter(|operation| operation.method == method)
            .filter_map(|operation| operation.bind(path).map(|bound| Matched { operation, bound }))
            .max_by_key(|matched| matched.operation.literal_segments())
    }

    /// The operation behind a path below `/api2/json`, such as `/nodes/pve1/qemu/100/config` or its template.
    pub fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        Some(self.find(method, &segments(path))?.operation)
    }

    /// The schema that guards a guest's configuration keys: the parameters of the call that writes them.
    pub fn config_writer(&self, guest_type: &str) -> Option<&Operation> {
        self.operation("PUT", &format!("/nodes/{{node}}/{guest_type}/{{vmid}}/config"))
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}
