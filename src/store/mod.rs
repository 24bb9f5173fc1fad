//! The two homes of the engine, behind one port: custom resources in a cluster, or a directory of the same YAML.

pub mod directory;
pub mod kube;
mod refusals;
