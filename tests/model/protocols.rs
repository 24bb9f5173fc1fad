//! The model is no better than what it finds: protocols that are known to be wrong are found out, and those that are known to
//! hold are not.

use crate::{
    explore::{Rules, explore},
    rows::Row,
    rules::AT_MOST_ONCE,
    setting::{Class, Faults, Protocol, SHIPPED, Setting},
};

const FAULTS: Faults = Faults { crashes: 1, wire: 1, store: 0, tasks: 0, people: 0, audit: 0, lease: 0 };

/// How many moves lead to a second change, if any do.
fn second_change(name: &'static str, protocol: Protocol, faults: Faults) -> Option<usize> {
    let setting = Setting { protocol, ..Setting::of(name, Class::Untold, faults) };
    let explored = explore(setting, Rules::Only(AT_MOST_ONCE));
    let found = explored.violation.map(|story| {
        eprintln!("{name}: {story}");
        story.steps
    });
    let what = match found {
        Some(steps) => format!(
            "protocol that is wrong: {name}: found out after {} moves, by a story of {steps}",
            explored.moves
        ),
        None => format!("protocol that is right: {name}: {} moves", explored.moves),
    };
    Row { part: "model", what: &what, tried: explored.situations, unit: "situations", violations: 0 }.note();
    found
}

fn is_found_out(name: &'static str, protocol: Protocol) {
    assert!(second_change(name, protocol, FAULTS).is_some(), "the model misses it: {name}");
}

fn holds(name: &'static str, protocol: Protocol) {
    assert_eq!(second_change(name, protocol, FAULTS), None, "{name}");
}

#[test]
fn sending_without_an_intent_on_record_is_found_out() {
    is_found_out("send, then save the task", Protocol { intent_on_record: false, ..SHIPPED });
}

#[test]
fn a_lease_alone_is_found_out() {
    let protocol = Protocol { intent_on_record: false, asks_the_lease: true, ..SHIPPED };
    let faults = Faults { crashes: 0, lease: 1, ..FAULTS };
    assert!(second_change("ask the lease, send, then save the task", protocol, faults).is_some());
}

#[test]
fn an_intent_without_a_fence_is_found_out() {
    is_found_out("intent without resourceVersion", Protocol { fenced: false, ruled: false, ..SHIPPED });
}

#[test]
fn sending_again_after_a_timeout_is_found_out() {
    is_found_out("send again after a time-out", Protocol { sends_again_without_answer: true, ..SHIPPED });
}

#[test]
fn sending_again_before_it_has_settled_is_found_out() {
    let protocol = Protocol {
        sends_again_if_nothing_is_found: true,
        waits_until_settled: false,
        list_loses_entries: false,
        ..SHIPPED
    };
    is_found_out("look at once, send again if nothing is found", protocol);
}

#[test]
fn sending_again_rests_on_a_list_that_is_whole() {
    let protocol = Protocol { sends_again_if_nothing_is_found: true, ..SHIPPED };
    is_found_out("settle, send again if nothing is found", protocol);
}

#[test]
fn stopping_where_nothing_is_known_holds() {
    holds("intent, stop without an answer", Protocol { reads_the_task_list: false, ..SHIPPED });
    holds("what the program does", SHIPPED);
}

/// It is not a second change, but one that nobody wants any more.
#[test]
fn sending_after_the_deadline_is_found_out() {
    let protocol = Protocol { keeps_the_deadline: false, ..SHIPPED };
    let setting = Setting::of("send whenever it gets round to it", Class::Untold, Faults::default());
    let explored = explore(Setting { protocol, not_after: Some(1), ..setting }, Rules::All);
    assert_eq!(explored.violation.unwrap().broken(), "nothing is sent after notAfter");
}
