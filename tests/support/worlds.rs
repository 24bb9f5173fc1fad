//! Worlds that differ from the sample in one thing.

use proxmox_agent::pve::sim::World;

const SAMPLE: &str = include_str!("../../src/pve/sim/sample-world.yaml");

fn sample_with(more: &str) -> World {
    World::from_yaml(&format!("{SAMPLE}\n{more}\n")).unwrap()
}

/// Tasks of one type take so many seconds.
pub(crate) fn slow(task: &str, seconds: u32) -> World {
    sample_with(&format!("taskSeconds: {{{task}: {seconds}}}"))
}

/// Every start of a guest meets a fault.
pub(crate) fn start_meets(fault: &str) -> World {
    let when = r#"{method: POST, path: "/nodes/*/*/*/status/start", times: 0}"#;
    sample_with(&format!("faults: [{{{fault}, when: {when}}}]"))
}

/// The operator's token lacks a privilege.
pub(crate) fn without_privilege(privilege: &str) -> World {
    let line = format!("    - {privilege}\n");
    assert!(SAMPLE.contains(&line));
    World::from_yaml(&SAMPLE.replace(&line, "")).unwrap()
}

/// The HA manager looks after this guest, such as `vm:101`. It takes so long to start or stop one.
pub(crate) fn under_ha(sid: &str, resource: &str, seconds: u32) -> World {
    let tasks = ["qmstart", "vzstart", "qmshutdown", "vzshutdown", "qmigrate"]
        .map(|task| format!("{task}: {seconds}"));
    let may_migrate = SAMPLE.replace("    - VM.PowerMgmt\n", "    - VM.Migrate\n    - VM.PowerMgmt\n");
    let more = format!("taskSeconds: {{{}}}\nha: {{\"{sid}\": {resource}}}", tasks.join(", "));
    World::from_yaml(&format!("{may_migrate}\n{more}\n")).unwrap()
}

/// The operator's token may do anything.
pub(crate) fn with_every_privilege() -> World {
    with_every_privilege_and("")
}

fn with_every_privilege_and(more: &str) -> World {
    let sample = SAMPLE.replace("role: Operator}", "role: Administrator}");
    World::from_yaml(&format!("{sample}\n{more}\n")).unwrap()
}

/// Every change is carried out, its answer is lost, and no list shows its task. The operator's token may do anything.
pub(crate) fn without_a_word() -> World {
    let faults = "{fault: lostResponse, when: {times: 0}}, {fault: lossyTaskList}";
    with_every_privilege_and(&format!("faults: [{faults}]\nshutdownSeconds: 0"))
}
