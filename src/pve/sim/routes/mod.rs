//! A handler for every imitated operation.
//!
//! To imitate another one: write a function that takes a [`Call`], and add a row to the `ROUTES` of its file. Who may
//! call it and what it takes is known from the contract and has been judged before the handler runs.
mod access;
mod agent;
mod appliances;
mod archive;
mod backup_jobs;
mod bulk;
mod clone;
mod cluster;
mod config;
mod create;
mod definitions;
mod destroy;
mod features;
mod firewall;
mod groups;
mod guests;
mod ha;
mod identity;
mod migrate;
mod move_disk;
mod network;
mod node_power;
mod nodes;
mod pools;
mod power;
mod precondition;
mod reassign;
mod replication;
mod restore;
mod roles;
mod sdn;
mod snapshots;
mod storage;
mod suspend;
mod tasks;
mod template;
mod tokens;
mod transfers;
mod users;
mod vm_state;
mod volume_access;
mod volumes;
mod vzdump;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::contract::Operation;
use super::engine::Call;
use super::http::Answer;

pub(super) type Handler = fn(&mut Call<'_>) -> Answer;

/// Method, path as the contract writes it, handler.
type Route = (&'static str, &'static str, Handler);

#[derive(Debug)]
pub(super) struct Routes(BTreeMap<(&'static str, &'static str), Handler>);

impl Routes {
    pub(super) fn all() -> Self {
        let files = [
            access::ROUTES,
            agent::ROUTES,
            appliances::ROUTES,
            backup_jobs::ROUTES,
            bulk::ROUTES,
            cluster::ROUTES,
            clone::ROUTES,
            config::ROUTES,
            create::ROUTES,
            definitions::ROUTES,
            destroy::ROUTES,
            features::ROUTES,
            firewall::ROUTES,
            groups::ROUTES,
            guests::ROUTES,
            ha::ROUTES,
            ha::groups::ROUTES,
            ha::rules::ROUTES,
            ha::status::ROUTES,
            migrate::ROUTES,
            network::ROUTES,
            node_power::ROUTES,
            nodes::ROUTES,
            pools::ROUTES,
            power::ROUTES,
            replication::ROUTES,
            move_disk::ROUTES,
            precondition::ROUTES,
            roles::ROUTES,
            sdn::subnets::ROUTES,
            sdn::vnets::ROUTES,
            sdn::whole::ROUTES,
            sdn::zones::ROUTES,
            snapshots::ROUTES,
            storage::ROUTES,
            suspend::ROUTES,
            tasks::ROUTES,
            template::ROUTES,
            tokens::ROUTES,
            transfers::ROUTES,
            users::ROUTES,
            vzdump::ROUTES,
            volumes::ROUTES,
        ];
        Self(files.into_iter().flatten().map(|&(method, path, handler)| ((method, path), handler)).collect())
    }

    pub(super) fn find(&self, operation: &Operation) -> Option<Handler> {
        self.0.get(&(operation.method.as_str(), operation.path.as_str())).copied()
    }
}

pub(super) fn index_of_root() -> Value {
    index(&["version", "cluster", "nodes", "storage", "access", "pools"])
}

/// Directories of the API list their entries like this.
fn index(entries: &[&str]) -> Value {
    index_by("subdir", entries)
}

/// Some directories call the field otherwise.
fn index_by(field: &str, entries: &[&str]) -> Value {
    entries.iter().map(|entry| json!({ field: entry })).collect()
}

/// Nothing but "done".
fn nothing() -> Answer {
    data(Value::Null)
}

fn data(value: impl Into<Value>) -> Answer {
    Ok(super::http::Reply::Data(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::contract::{Contract, Release};

    #[test]
    fn every_route_is_an_operation_of_the_contract() {
        for (method, path) in Routes::all().0.keys() {
            let known = |release| {
                Contract::of(release).operation(method, path).is_some_and(|found| found.path == *path)
            };
            assert!(Release::ALL.into_iter().any(known), "{method} {path}");
        }
    }

    #[test]
    fn the_documentation_lists_every_route() {
        let documented = include_str!("../../../../docs/simulated-proxmox.md");
        for (method, path) in Routes::all().0.keys() {
            let listed = documented.lines().any(|line| {
                line.split_once(" /").is_some_and(|(methods, rest)| {
                    rest == &path[1..] && methods.split(", ").any(|listed| listed == *method)
                })
            });
            assert!(listed, "{method} {path} is not in docs/simulated-proxmox.md");
        }
    }
}
