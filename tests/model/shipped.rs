//! What the program does, under everything that can go wrong.

use crate::{
    explore::{Explored, Rules, explore},
    rows::{Row, scale},
    setting::{Class, Faults, Protocol, Setting, Stranger},
};

/// Says so if a rule is broken, and how.
fn holds(setting: Setting) {
    let Explored { situations, moves, states, violation } = explore(setting, Rules::All);
    let what = format!("{}: {moves} moves", setting.name);
    eprintln!("{what}, {situations} situations, {states} states of the plan's life");
    Row {
        part: "model",
        what: &what,
        tried: situations,
        unit: "situations",
        violations: violation.is_some().into(),
    }
    .note();
    if let Some(story) = violation {
        panic!("{}: {story}", setting.name);
    }
}

fn crashes() -> u8 {
    scale("CRASHES", 1)
}

/// Proxmox is out of reach so often, or an answer is lost.
fn wire() -> u8 {
    scale("WIRE", 1)
}

fn store() -> u8 {
    scale("STORE", 1)
}

fn crashes_and_lost_answers(name: &'static str, class: Class) -> Setting {
    Setting::of(name, class, Faults { crashes: crashes(), wire: wire(), ..Faults::default() })
}

#[test]
fn what_proxmox_refuses_the_second_time_is_done_at_most_once() {
    // It is sent again by itself if it was not carried out: a crash leads further here than elsewhere.
    let faults = Faults { crashes: crashes() - 1, wire: wire() - 1, ..Faults::default() };
    holds(Setting::of("crashes and lost answers, refusing key", Class::RefusingKey, faults));
}

#[test]
fn what_has_a_goal_is_done_at_most_once() {
    holds(crashes_and_lost_answers("crashes and lost answers, state goal", Class::Goal));
}

#[test]
fn what_leaves_no_trace_is_done_at_most_once() {
    holds(crashes_and_lost_answers("crashes and lost answers, no trace", Class::Untold));
}

#[test]
fn what_has_no_task_is_done_at_most_once() {
    holds(crashes_and_lost_answers("crashes and lost answers, no task", Class::Synchronous));
}

#[test]
fn what_the_ha_manager_does_is_asked_of_it_at_most_once() {
    let faults = Faults { crashes: crashes(), wire: wire() - 1, ..Faults::default() };
    holds(Setting::of("crashes and lost answers, HA manager", Class::Ha, faults));
}

#[test]
fn what_needs_no_approval_is_done_at_most_once() {
    let setting = crashes_and_lost_answers("crashes and lost answers, no approval needed", Class::Untold);
    holds(Setting { approvals: 0, ..setting });
}

#[test]
fn what_people_decide_to_send_again_is_sent_once_more_for_each_decision() {
    let all = [
        ("decisions to send again, no task", Class::Synchronous),
        ("decisions to send again, no trace", Class::Untold),
        ("decisions to send again, refusing key", Class::RefusingKey),
    ];
    for (name, class) in all.into_iter().take(scale("DECIDED", 1)) {
        holds(Setting { decisions: 1, ..Setting::of(name, class, Faults::default()) });
    }
}

#[test]
fn a_store_that_fails_in_between_changes_nothing_about_it() {
    let faults = Faults { crashes: crashes() - 1, store: store(), ..Faults::default() };
    holds(Setting::of("lost, late and refused writes", Class::Untold, faults));
}

#[test]
fn what_people_take_back_is_not_sent() {
    let faults = Faults { crashes: crashes() - 1, people: scale("PEOPLE", 1), ..Faults::default() };
    holds(Setting::of("revoked approvals and targets that move", Class::Untold, faults));
}

#[test]
fn a_plan_that_is_deleted_and_made_again_is_another_one() {
    let faults = Faults { crashes: crashes() - 1, people: 2, ..Faults::default() };
    let setting = Setting::of("plans that are deleted and made again", Class::Untold, faults);
    holds(Setting { deletes: true, ..setting });
}

#[test]
fn nothing_is_sent_when_its_time_is_over() {
    let faults = Faults { crashes: crashes(), ..Faults::default() };
    let setting = Setting { is_slow: true, ..Setting::of("approvals that end", Class::Untold, faults) };
    holds(Setting { approved_until: Some(1), ..setting });
    holds(Setting { not_after: Some(1), name: "plans that expire", ..setting });
}

#[test]
fn a_task_that_fails_or_is_forgotten_is_told_as_it_is() {
    let faults = Faults { crashes: crashes() - 1, tasks: 1, ..Faults::default() };
    holds(Setting::of("tasks that fail, are killed or forgotten", Class::Untold, faults));
    holds(Setting::of("tasks that fail, are killed or forgotten, HA manager", Class::Ha, faults));
}

#[test]
fn no_other_task_is_taken_for_its_own() {
    let faults = Faults { crashes: crashes(), ..Faults::default() };
    for (name, stranger) in [
        ("a task of another user at the same time", Stranger::OfAnotherUser),
        ("a task of another plan at the same time", Stranger::OfAnotherPlan),
        ("a task that could be another plan's", Stranger::Contested),
    ] {
        holds(Setting { stranger, ..Setting::of(name, Class::Untold, faults) });
    }
}

#[test]
fn clocks_that_differ_settle_nothing_too_early() {
    for (name, skew) in
        [("a clock that is ahead", 1), ("a clock that is behind", -1)].into_iter().take(scale("CLOCKS", 1))
    {
        let faults = Faults { crashes: crashes() - 1, ..Faults::default() };
        let setting = Setting { skew, ..Setting::of(name, Class::RefusingKey, faults) };
        // What is sent again here rests on the target, whatever the list tells.
        holds(Setting { protocol: Protocol { list_loses_entries: false, ..setting.protocol }, ..setting });
    }
}

#[test]
fn nothing_is_sent_that_could_not_be_put_on_the_audit_log() {
    let faults = Faults { crashes: crashes() - 1, audit: 1, ..Faults::default() };
    holds(Setting::of("an audit log that can't be written", Class::Untold, faults));
}
