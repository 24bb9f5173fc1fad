//! Whole nodes, and all guests of one.

use crate::{
    api::Risk,
    catalog::{
        Action, Change, Existence, Fill, Fingerprint, Method, NaturalKey, Need, Operation, Param, ParamType,
        Place, TaskId, Touch, Undo,
    },
};

use super::params::{NODE, flag, param, task};

/// What all of them have in common.
const NODE_ACTION: Action = Action {
    name: "",
    title: "",
    target: NODE,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(STATUS),
    base_risk: Risk::Critical,
    risk_reason: "",
    needs: &[Need::on_target(&["Sys.PowerMgmt"])],
    plane: "compute",
    domain: "node",
    requires: &[],
    touches: &[Touch::Node],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::PowerState,
    undo: Undo::Nothing,
};

const STATUS: Change = Change::new(Method::Post, "/nodes/{node}/status");

const GUESTS: Param =
    param("guests", ParamType::List { max: 1024 }, "only these, by number; all if absent").sent_as("vms");
const WORKERS: Param =
    param("workers", ParamType::Integer { min: 1, max: 64 }, "how many at a time").sent_as("max-workers");

const ALL_GUESTS: Action = Action {
    needs: &[Need::at(&["VM.PowerMgmt"], Place::GuestsOrAll("guests"))],
    touches: &[Touch::NodeGuests],
    natural_key: NaturalKey::None,
    ..NODE_ACTION
};

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "shutdown_node",
        title: "Shut a node down",
        operation: Operation::Change(Change { fixed: &[("command", "shutdown")], ..STATUS }),
        risk_reason: "all its guests go off; somebody has to switch it on again",
        undo: Undo::Never("Proxmox can't switch a node on that is off"),
        ..NODE_ACTION
    },
    Action {
        name: "reboot_node",
        title: "Reboot a node",
        operation: Operation::Change(Change { fixed: &[("command", "reboot")], ..STATUS }),
        risk_reason: "all its guests go off; those with onboot come back if the node does",
        natural_key: NaturalKey::None,
        undo: Undo::Never("the outage has happened"),
        ..NODE_ACTION
    },
    Action {
        name: "start_node_guests",
        title: "Start the guests of a node that start with it",
        params: &[&[GUESTS, WORKERS, flag("force", "also those without onboot")]],
        operation: Operation::Change(Change {
            tasks: task(&["startall"], TaskId::Empty),
            ..Change::new(Method::Post, "/nodes/{node}/startall")
        }),
        base_risk: Risk::High,
        risk_reason: "many guests at once take memory and CPU",
        undo: Undo::Never("which guests were off is not known beforehand: shut them down one by one"),
        touches: &[Touch::NodeBoot],
        ..ALL_GUESTS
    },
    Action {
        name: "stop_node_guests",
        title: "Shut the guests of a node down, in their order",
        params: &[&[
            GUESTS,
            WORKERS,
            flag("forceStop", "cut the power of those that don't end in time").sent_as("force-stop"),
            param("timeout", ParamType::Integer { min: 0, max: 7200 }, "seconds that each one gets"),
        ]],
        operation: Operation::Change(Change {
            tasks: task(&["stopall"], TaskId::Empty),
            ..Change::new(Method::Post, "/nodes/{node}/stopall")
        }),
        risk_reason: "an outage of every guest of the node",
        undo: Undo::Plan {
            action: "start_node_guests",
            fill: Fill::SameParams(&["guests"]),
            but: "only those with onboot start again, also those that were off before",
        },
        ..ALL_GUESTS
    },
    Action {
        name: "migrate_node_guests",
        title: "Move the guests of a node to another one",
        params: &[&[
            param("destination", ParamType::Name, "the node that they go to").sent_as("target").required(),
            GUESTS,
            param("workers", ParamType::Integer { min: 1, max: 64 }, "how many at a time")
                .sent_as("max-workers")
                .required(),
            flag("withLocalDisks", "take along disks that are on this node alone")
                .sent_as("with-local-disks"),
        ]],
        operation: Operation::Change(Change {
            tasks: task(&["migrateall"], TaskId::Empty),
            ..Change::new(Method::Post, "/nodes/{node}/migrateall")
        }),
        base_risk: Risk::High,
        risk_reason: "the other node has to carry them all; the task is fine even if some don't move",
        needs: &[Need::at(&["VM.Migrate"], Place::GuestsOrAll("guests"))],
        undo: Undo::Never("which guests had moved is not known beforehand: move them back one by one"),
        ..ALL_GUESTS
    },
];
