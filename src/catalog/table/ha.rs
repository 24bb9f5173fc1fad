//! High availability: which guests it looks after, where they may run, and whether it acts at all.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, Param, ParamType, Place, TargetKind, Touch, Undo,
    },
};

use super::params::{CLUSTER, GUEST, flag, param};

/// What all of them have in common.
const HA: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(Change::new(Method::Post, "")),
    base_risk: Risk::High,
    risk_reason: "",
    needs: &[Need::at(&["Sys.Console"], Place::At("/"))],
    plane: "cluster",
    domain: "ha",
    requires: &["cluster.quorum"],
    touches: &[Touch::HaResource],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::Settings(Again::Taken),
    undo: Undo::Nothing,
};

static RESOURCE: &[Param] = &[
    param("state", ParamType::OneOf(&["started", "stopped", "disabled", "ignored"]), "what HA keeps it as"),
    param(
        "maxRestart",
        ParamType::Integer { min: 0, max: 1000 },
        "how often it is started again on its node",
    )
    .sent_as("max_restart"),
    param("maxRelocate", ParamType::Integer { min: 0, max: 1000 }, "how often it is tried on other nodes")
        .sent_as("max_relocate"),
    flag("failback", "bring it back to the node that it belongs to"),
    param("comment", ParamType::Text { max: 1024 }, "a note"),
];

const RULE: Action = Action {
    target: &[TargetKind::HaRule],
    base_risk: Risk::Medium,
    risk_reason: "HA may move guests at once to keep the rule",
    touches: &[Touch::HaRule],
    fingerprint: Fingerprint::IdentityAndConfig,
    ..HA
};

static RULE_SETTINGS: &[Param] = &[
    param(
        "type",
        ParamType::OneOf(&["node-affinity", "resource-affinity"]),
        "whether it binds guests to nodes or to each other",
    )
    .required(),
    param("nodes", ParamType::List { max: 512 }, "nodes, with priorities such as `pve1:2,pve2`"),
    param("affinity", ParamType::OneOf(&["positive", "negative"]), "whether guests stay together or apart"),
    flag("strict", "run on no other node, even if none of these is left"),
    flag("disable", "keep it without following it"),
    param("comment", ParamType::Text { max: 1024 }, "a note"),
];

const RESOURCES: Param =
    param("resources", ParamType::List { max: 1024 }, "guests as HA calls them, such as `vm:100,ct:200`");

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "add_ha_resource",
        title: "Let HA look after a VM or container",
        params: &[RESOURCE],
        operation: Operation::Change(Change {
            fills: &[Filled::Sid("sid")],
            changes: Changes::Created,
            ..Change::new(Method::Post, "/cluster/ha/resources")
        }),
        risk_reason: "HA starts, stops and moves it from now on; a node that loses touch is fenced",
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "remove_ha_resource", fill: Fill::SameTarget, but: "" },
        ..HA
    },
    Action {
        name: "change_ha_resource",
        title: "Change how HA looks after a VM or container",
        params: &[RESOURCE, &[param("delete", ParamType::List { max: 128 }, "settings to remove")]],
        operation: Operation::Change(Change {
            changes: Changes::Settings,
            ..Change::new(Method::Put, "/cluster/ha/resources/{sid}")
        }),
        risk_reason: "HA may start, stop or move it at once",
        undo: Undo::Plan { action: "change_ha_resource", fill: Fill::OldSettings, but: "" },
        ..HA
    },
    Action {
        name: "remove_ha_resource",
        title: "Let HA no longer look after a VM or container",
        params: &[&[flag("purge", "take it out of the rules that name it too")]],
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/cluster/ha/resources/{sid}")
        }),
        risk_reason: "it stays down if its node fails",
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan {
            action: "add_ha_resource",
            fill: Fill::OldObject,
            but: "rules that it was purged from don't name it again",
        },
        ..HA
    },
    Action {
        name: "create_ha_rule",
        title: "Create a rule by which HA places guests",
        existence: Existence::Absent,
        params: &[RULE_SETTINGS, &[RESOURCES.required()]],
        operation: Operation::Change(Change {
            fills: &[Filled::Id("rule")],
            changes: Changes::Created,
            ..Change::new(Method::Post, "/cluster/ha/rules")
        }),
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan {
            action: "delete_ha_rule",
            fill: Fill::SameTarget,
            but: "guests that it moved stay there",
        },
        ..RULE
    },
    Action {
        name: "change_ha_rule",
        title: "Change a rule by which HA places guests",
        params: &[
            RULE_SETTINGS,
            &[RESOURCES, param("delete", ParamType::List { max: 128 }, "settings to remove")],
        ],
        operation: Operation::Change(Change {
            changes: Changes::Settings,
            ..Change::new(Method::Put, "/cluster/ha/rules/{id}")
        }),
        undo: Undo::Plan {
            action: "change_ha_rule",
            fill: Fill::OldSettings,
            but: "guests that it moved stay there",
        },
        ..RULE
    },
    Action {
        name: "delete_ha_rule",
        title: "Delete a rule by which HA places guests",
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/cluster/ha/rules/{id}")
        }),
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan {
            action: "create_ha_rule",
            fill: Fill::OldObject,
            but: "guests that were moved stay there",
        },
        base_risk: Risk::High,
        ..RULE
    },
    Action {
        name: "arm_ha",
        title: "Let HA act again after it was disarmed",
        target: CLUSTER,
        existence: Existence::Given,
        operation: Operation::Change(Change::new(Method::Post, "/cluster/ha/status/arm-ha")),
        base_risk: Risk::Critical,
        risk_reason: "HA may start, move and fence at once, all over the cluster",
        touches: &[Touch::HaOn],
        fingerprint: Fingerprint::None,
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan {
            action: "disarm_ha",
            fill: Fill::Fixed(&[("resourceMode", "freeze")]),
            but: "what HA has done in between stays done",
        },
        ..HA
    },
    Action {
        name: "disarm_ha",
        title: "Keep HA from acting, all over the cluster",
        target: CLUSTER,
        existence: Existence::Given,
        params: &[&[param(
            "resourceMode",
            ParamType::OneOf(&["freeze", "ignore"]),
            "whether guests stay as they are, or can be handled as if HA were not there",
        )
        .sent_as("resource-mode")
        .required()]],
        operation: Operation::Change(Change::new(Method::Post, "/cluster/ha/status/disarm-ha")),
        base_risk: Risk::Critical,
        risk_reason: "no guest is brought back if a node fails",
        touches: &[Touch::HaOff],
        fingerprint: Fingerprint::None,
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan { action: "arm_ha", fill: Fill::SameTarget, but: "" },
        ..HA
    },
];
