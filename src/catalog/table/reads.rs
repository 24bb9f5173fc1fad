//! What only reads.

use crate::{
    api::Risk,
    catalog::{
        Action, Existence, Fingerprint, NaturalKey, Need, Operation, ParamType, Place, Reading, TargetKind,
        Undo,
    },
};

use super::params::{CLUSTER, GUEST, NODE, param};

/// What all of them have in common.
const READ: Action = Action {
    name: "",
    title: "",
    target: CLUSTER,
    existence: Existence::Given,
    params: &[],
    operation: Operation::Read(Reading::Inventory),
    base_risk: Risk::Low,
    risk_reason: "reads only",
    needs: &[],
    plane: "observe",
    domain: "inventory",
    requires: &[],
    touches: &[],
    fingerprint: Fingerprint::None,
    natural_key: NaturalKey::None,
    undo: Undo::Nothing,
};

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "read_inventory",
        title: "List the guests of the environment",
        target: &[TargetKind::Inventory],
        operation: Operation::Read(Reading::Inventory),
        needs: &[Need::at(&["VM.Audit"], Place::At("/vms"))],
        ..READ
    },
    Action {
        name: "read_nodes",
        title: "List the nodes with their memory, and whether they are quorate",
        operation: Operation::Read(Reading::Nodes),
        needs: &[Need::at(&["Sys.Audit"], Place::At("/"))],
        ..READ
    },
    Action {
        name: "read_guest",
        title: "Show one VM or container with its settings and snapshots",
        target: GUEST,
        existence: Existence::Exists,
        operation: Operation::Read(Reading::Guest),
        needs: &[Need::on_target(&["VM.Audit"])],
        domain: "guest",
        fingerprint: Fingerprint::Identity,
        ..READ
    },
    Action {
        name: "read_tasks",
        title: "List the latest tasks of a node",
        target: NODE,
        existence: Existence::Exists,
        params: &[&[param(
            "limit",
            ParamType::Integer { min: 1, max: 200 },
            "how many, the latest first; 50 if absent",
        )]],
        operation: Operation::Read(Reading::Tasks),
        needs: &[Need::on_target(&["Sys.Audit"])],
        domain: "node",
        ..READ
    },
    Action {
        name: "read_storage",
        title: "Show a storage and what lies on it",
        target: &[TargetKind::Storage],
        existence: Existence::Exists,
        operation: Operation::Read(Reading::Storage),
        needs: &[Need::on_target(&["Datastore.Audit", "Datastore.AllocateSpace"])],
        domain: "storage",
        ..READ
    },
    Action {
        name: "read_rights",
        title: "Show what the environment's own token may do",
        operation: Operation::Read(Reading::Rights),
        domain: "access",
        ..READ
    },
];
