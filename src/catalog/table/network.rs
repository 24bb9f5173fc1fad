//! Networks of nodes, virtual networks, firewalls.

use crate::{
    api::Risk,
    catalog::{
        Action, Again, Change, Changes, Existence, Fill, Filled, Fingerprint, Method, NaturalKey, Need,
        Operation, Param, ParamType, Place, TargetKind, TaskId, Touch, Undo,
    },
};

use super::params::{CLUSTER, GUEST, NODE, flag, param, task};

/// What all of them have in common.
const NETWORK: Action = Action {
    name: "",
    title: "",
    target: NODE,
    existence: Existence::Exists,
    params: &[],
    operation: Operation::Change(Change::new(Method::Post, "")),
    base_risk: Risk::High,
    risk_reason: "",
    needs: &[Need::on_target(&["Sys.Modify"])],
    plane: "network",
    domain: "network",
    requires: &[],
    touches: &[],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::None,
    undo: Undo::Nothing,
};

const FIREWALL: Action = Action {
    target: &[TargetKind::Qemu, TargetKind::Lxc, TargetKind::Node, TargetKind::Cluster],
    domain: "firewall",
    needs: &[
        Need::on_target(&["VM.Config.Network"]).only_for(GUEST),
        Need::on_target(&["Sys.Modify"]).only_for(&[TargetKind::Node, TargetKind::Cluster]),
    ],
    touches: &[Touch::Firewall],
    ..NETWORK
};

const TEXT: ParamType = ParamType::Settings { max: 512 };
const IFACE: Param =
    param("iface", ParamType::ConfigId { max: 20 }, "the interface, such as `vmbr1`").required();

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "create_bridge",
        title: "Write a new bridge into a node's network settings, without applying them",
        params: &[&[
            IFACE,
            param("ports", ParamType::List { max: 256 }, "the interfaces that it joins")
                .sent_as("bridge_ports"),
            param("cidr", TEXT, "the node's address on it, such as `10.0.0.2/24`"),
            param("gateway", TEXT, "the node's gateway"),
            flag("vlanAware", "let guests use VLAN tags").sent_as("bridge_vlan_aware"),
            param("mtu", ParamType::Integer { min: 1280, max: 65520 }, "MTU"),
            param("comment", ParamType::Text { max: 512 }, "a note").sent_as("comments"),
        ]],
        operation: Operation::Change(Change {
            fixed: &[("type", "bridge"), ("autostart", "1")],
            changes: Changes::Settings,
            ..Change::new(Method::Post, "/nodes/{node}/network")
        }),
        risk_reason: "takes effect only with apply_network or a reboot, then for everything that waits",
        touches: &[Touch::NodeNetwork],
        natural_key: NaturalKey::Present(Again::Refused),
        undo: Undo::Plan { action: "delete_bridge", fill: Fill::SameParams(&["iface"]), but: "" },
        ..NETWORK
    },
    Action {
        name: "delete_bridge",
        title: "Take a bridge out of a node's network settings, without applying them",
        params: &[&[IFACE.not_sent()]],
        operation: Operation::Change(Change {
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/nodes/{node}/network/{iface}")
        }),
        base_risk: Risk::Critical,
        risk_reason: "guests on it lose their network when it is applied; Proxmox does not ask",
        touches: &[Touch::Bridge],
        natural_key: NaturalKey::Absent(Again::Refused),
        undo: Undo::Plan {
            action: "revert_network",
            fill: Fill::SameTarget,
            but: "only until it is applied, with all that waits",
        },
        ..NETWORK
    },
    Action {
        name: "apply_network",
        title: "Apply the waiting changes of a node's network settings",
        operation: Operation::Change(Change {
            tasks: task(&["srvreload"], TaskId::Word("networking")),
            changes: Changes::WaitingApplied,
            ..Change::new(Method::Put, "/nodes/{node}/network")
        }),
        base_risk: Risk::Critical,
        risk_reason: "can cut the node off; Proxmox does not go back by itself",
        touches: &[Touch::NodeNetwork],
        undo: Undo::Never(
            "what was applied can only be changed back by hand, if the node can still be reached",
        ),
        ..NETWORK
    },
    Action {
        name: "revert_network",
        title: "Drop the waiting changes of a node's network settings",
        operation: Operation::Change(Change::new(Method::Delete, "/nodes/{node}/network")),
        base_risk: Risk::Medium,
        risk_reason: "drops what others have written and not yet applied, too",
        touches: &[Touch::NodeNetwork],
        undo: Undo::Never("dropped changes have to be written anew"),
        ..NETWORK
    },
    Action {
        name: "add_firewall_rule",
        title: "Add a firewall rule to a guest, a node or the cluster, before all others",
        params: &[&[
            param("type", ParamType::OneOf(&["in", "out", "forward", "group"]), "which traffic").required(),
            param("action", TEXT, "`ACCEPT`, `DROP`, `REJECT`, or a security group").required(),
            flag("enable", "follow it; without this it is only written down"),
            param("macro", TEXT, "a well-known service"),
            param("proto", TEXT, "protocol"),
            param("source", TEXT, "from where"),
            param("dest", TEXT, "to where"),
            param("sport", TEXT, "source ports"),
            param("dport", TEXT, "destination ports"),
            param("iface", TEXT, "the interface"),
            param(
                "log",
                ParamType::OneOf(&[
                    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
                ]),
                "log level",
            ),
            param("comment", TEXT, "a note, on one line: each line of the file is a rule"),
        ]],
        operation: Operation::Change(Change {
            fills: &[Filled::Marker("comment")],
            changes: Changes::Settings,
            ..Change::new(Method::Post, "/{scope}/firewall/rules")
        }),
        risk_reason: "can lock everybody out; a second one like it would be another rule",
        natural_key: NaturalKey::Present(Again::Taken),
        undo: Undo::Plan {
            action: "remove_firewall_rule",
            fill: Fill::Fixed(&[("position", "0")]),
            but: "only as long as no other rule was added before it",
        },
        ..FIREWALL
    },
    Action {
        name: "remove_firewall_rule",
        title: "Remove a firewall rule of a guest, a node or the cluster",
        params: &[&[param(
            "position",
            ParamType::Integer { min: 0, max: 10_000 },
            "which rule, counted from 0",
        )
        .not_sent()
        .required()]],
        operation: Operation::Change(Change {
            fills: &[Filled::RulesDigest],
            changes: Changes::Gone,
            ..Change::new(Method::Delete, "/{scope}/firewall/rules/{position}")
        }),
        risk_reason: "lets through what it kept out, or the other way round; positions of others shift",
        needs: &[
            Need::on_target(&["VM.Config.Network"]).only_for(GUEST),
            Need::on_target(&["Sys.Modify"]).only_for(&[TargetKind::Node, TargetKind::Cluster]),
            // Without it nobody sees which rule stands at the position. Who sees a guest sees its rules.
            Need::on_target(&["Sys.Audit"]).only_for(&[TargetKind::Node, TargetKind::Cluster]),
        ],
        fingerprint: Fingerprint::IdentityAndConfig,
        undo: Undo::Plan {
            action: "add_firewall_rule",
            fill: Fill::OldObject,
            but: "it comes back before all others",
        },
        ..FIREWALL
    },
    Action {
        name: "apply_sdn",
        title: "Apply the waiting changes of the virtual networks on all nodes",
        target: CLUSTER,
        existence: Existence::Given,
        operation: Operation::Change(Change {
            tasks: task(&["reloadnetworkall"], TaskId::Empty),
            ..Change::new(Method::Put, "/cluster/sdn")
        }),
        base_risk: Risk::Critical,
        risk_reason: "reloads the network of every node; guests on what goes lose their network",
        needs: &[
            Need::at(&["SDN.Allocate"], Place::At("/sdn")),
            // Without it nobody tells which nodes there are, and the task can't be looked for.
            Need::at(&["Sys.Audit"], Place::At("/")),
        ],
        domain: "sdn",
        touches: &[Touch::Sdn],
        fingerprint: Fingerprint::None,
        undo: Undo::Never("what was applied can only be changed back by hand"),
        ..NETWORK
    },
];
