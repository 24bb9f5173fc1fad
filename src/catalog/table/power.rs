//! Guests on and off.

use crate::{
    api::Risk,
    catalog::{
        Action, Change, Changes, Existence, Fill, Fingerprint, GuestKind, Method, NaturalKey, Need,
        Operation, ParamType, Place, TaskId, Tasks, Touch, Undo,
    },
};

use super::params::{GUEST, VM, flag, param, timeout};

/// What all of them have in common.
const POWER: Action = Action {
    name: "",
    title: "",
    target: GUEST,
    existence: Existence::Exists,
    params: &[],
    operation: status("", "", Tasks::NONE),
    base_risk: Risk::Medium,
    risk_reason: "",
    needs: &[Need::on_target(&["VM.PowerMgmt"])],
    plane: "compute",
    domain: "guest",
    requires: &[],
    touches: &[Touch::Power],
    fingerprint: Fingerprint::Identity,
    natural_key: NaturalKey::None,
    undo: Undo::Nothing,
};

const fn status(path: &'static str, becomes: &'static str, tasks: Tasks) -> Operation {
    Operation::Change(Change {
        method: Method::Post,
        path,
        lxc_path: None,
        fixed: &[],
        lxc_fixed: &[],
        fills: &[],
        tasks,
        changes: Changes::Power(becomes),
    })
}

const fn tasks(qemu: &'static [&'static str], lxc: &'static [&'static str]) -> Tasks {
    Tasks { qemu, lxc, id: TaskId::Vmid }
}

pub(super) static ACTIONS: &[Action] = &[
    Action {
        name: "start_guest",
        title: "Start a VM or container",
        params: &[&[timeout("seconds to wait for the VM to come up").only_for(GuestKind::Qemu)]],
        operation: status(
            "/nodes/{node}/{kind}/{vmid}/status/start",
            "running",
            tasks(&["qmstart", "hastart"], &["vzstart", "hastart"]),
        ),
        base_risk: Risk::Low,
        risk_reason: "can be taken back at once; takes memory and CPU of its node",
        requires: &["cluster.quorum"],
        touches: &[Touch::Boot],
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan { action: "shutdown_guest", fill: Fill::SameTarget, but: "" },
        ..POWER
    },
    Action {
        name: "stop_guest",
        title: "Cut the power of a VM or container",
        params: &[&[
            timeout("seconds to wait for the VM to end").only_for(GuestKind::Qemu),
            flag("overruleShutdown", "abort a shutdown that is under way").sent_as("overrule-shutdown"),
        ]],
        operation: status(
            "/nodes/{node}/{kind}/{vmid}/status/stop",
            "stopped",
            tasks(&["qmstop", "hastop"], &["vzstop", "hastop"]),
        ),
        base_risk: Risk::High,
        risk_reason: "a power cut: what the guest has not written to disk is lost",
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan {
            action: "start_guest",
            fill: Fill::SameTarget,
            but: "what the guest had not yet written to disk is lost",
        },
        ..POWER
    },
    Action {
        name: "shutdown_guest",
        title: "Shut a VM or container down in order",
        params: &[&[
            timeout("seconds to wait for the guest to end"),
            flag("forceStop", "cut the power when the time is over"),
        ]],
        operation: status(
            "/nodes/{node}/{kind}/{vmid}/status/shutdown",
            "stopped",
            tasks(&["qmshutdown", "hastop"], &["vzshutdown", "hastop"]),
        ),
        risk_reason: "an outage until the guest is started again",
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan { action: "start_guest", fill: Fill::SameTarget, but: "" },
        ..POWER
    },
    Action {
        name: "reboot_guest",
        title: "Shut a VM or container down and start it again",
        params: &[&[timeout("seconds to wait for the shutdown")]],
        operation: status(
            "/nodes/{node}/{kind}/{vmid}/status/reboot",
            "running",
            tasks(&["qmreboot"], &["vzreboot"]),
        ),
        risk_reason: "a short outage; pending settings take effect",
        undo: Undo::Never("the outage has happened"),
        ..POWER
    },
    Action {
        name: "reset_guest",
        title: "Reset a VM, as the button on its front would",
        target: VM,
        operation: status("/nodes/{node}/{kind}/{vmid}/status/reset", "running", tasks(&["qmreset"], &[])),
        base_risk: Risk::High,
        risk_reason: "a hard reset: what the guest has not written to disk is lost",
        undo: Undo::Never("the reset has happened"),
        ..POWER
    },
    Action {
        name: "suspend_guest",
        title: "Pause a VM, or put it to sleep on disk",
        target: VM,
        params: &[&[
            flag("toDisk", "write its memory to disk and switch it off").sent_as("todisk"),
            param("stateStorage", ParamType::Name, "the storage that its memory is written to")
                .sent_as("statestorage"),
        ]],
        operation: status(
            "/nodes/{node}/{kind}/{vmid}/status/suspend",
            "paused",
            tasks(&["qmpause", "qmsuspend"], &[]),
        ),
        needs: &[
            Need::on_target(&["VM.PowerMgmt"]),
            Need::on_target(&["VM.Config.Disk"]).when_given("toDisk"),
            Need::at(&["Datastore.AllocateSpace"], Place::Storage("stateStorage")),
        ],
        risk_reason: "an outage until the VM is resumed",
        undo: Undo::Plan { action: "resume_guest", fill: Fill::SameTarget, but: "" },
        ..POWER
    },
    Action {
        name: "resume_guest",
        title: "Let a paused VM run on",
        target: VM,
        operation: status("/nodes/{node}/{kind}/{vmid}/status/resume", "running", tasks(&["qmresume"], &[])),
        base_risk: Risk::Low,
        risk_reason: "can be taken back at once",
        touches: &[Touch::Boot],
        natural_key: NaturalKey::PowerState,
        undo: Undo::Plan { action: "suspend_guest", fill: Fill::SameTarget, but: "" },
        ..POWER
    },
];
