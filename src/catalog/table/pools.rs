//! Pools: groups of guests and storages that rights are given on.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, ParamType, Place, TargetKind, Touch, Undo,
    },
};

use super::params::{flag, param};

/// What all of them have in common.
const POOL: Action = Action {
    name: "",
    title: "",
    target: &[TargetKind::Pool],
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(CALL),
    base_risk: Risk::Medium,
    risk_reason: "",
    needs: &[Need::on_target(&["Pool.Allocate"])],
    plane: "cluster",
    domain: "pool",
    requires: &["cluster.quorum"],
    touches: &[Touch::Pool],
    fingerprint: Fingerprint::IdentityAndConfig,
    natural_key: NaturalKey::Settings(Again::Taken),
    undo: Undo::Nothing,
};

const CALL: Change = Change { fills: &[Filled::Id("poolid")], ..Change::new(Method::Post, "/pools") };

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "create_pool",
        title: "Create a pool",
        existence: Existence::Absent,
        params: &[&[param("comment", ParamType::Text { max: 1024 }, "a note")]],
        operation: Operation::Change(Change { changes: Changes::Created, ..CALL }),
        base_risk: Risk::Low,
        risk_reason: "an empty group",
        touches: &[],
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "delete_pool", fill: Fill::SameTarget, but: "" },
        ..POOL
    },
    Action {
        name: "change_pool",
        title: "Put guests or storages into a pool, take them out, or change its note",
        params: &[&[
            param("guests", ParamType::List { max: 1024 }, "numbers of guests").sent_as("vms"),
            param("storage", ParamType::List { max: 1024 }, "storages"),
            flag("delete", "take them out instead of putting them in"),
            flag("allowMove", "take guests out of the pools that they are in").sent_as("allow-move"),
            param("comment", ParamType::Text { max: 1024 }, "a note"),
        ]],
        operation: Operation::Change(Change { method: Method::Put, changes: Changes::Settings, ..CALL }),
        risk_reason: "whoever has rights on the pool has them on its members",
        needs: &[
            Need::on_target(&["Pool.Allocate"]),
            Need::at(&["Permissions.Modify", "VM.Allocate"], Place::Guest("guests")),
            Need::at(&["Permissions.Modify", "Datastore.Allocate"], Place::Storage("storage")),
        ],
        undo: Undo::Never("ask for change_pool with the opposite of `delete`"),
        ..POOL
    },
    Action {
        name: "delete_pool",
        title: "Delete an empty pool",
        operation: Operation::Change(Change { method: Method::Delete, changes: Changes::Gone, ..CALL }),
        base_risk: Risk::High,
        risk_reason: "rights that were given on it are gone",
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan {
            action: "create_pool",
            fill: Fill::OldObject,
            but: "rights that were given on it are not",
        },
        ..POOL
    },
];
