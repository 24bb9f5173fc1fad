//! To the second: when a freeze begins and ends, and until when it holds plans up.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::testing::{Stage, policy};

/// Saturday.
const NOW: &str = "2026-11-21T12:30:00Z";

/// Until when a plan is held up: `None` if it may go, `Some(None)` if nobody knows.
fn held(policy: &Value, now: &str) -> Option<Option<String>> {
    let stage = Stage { now: now.parse().unwrap(), ..Stage::under(policy.clone()) };
    let hold = stage.judged().unwrap().hold?;
    Some(hold.until.map(|until: Timestamp| until.to_string()))
}

fn in_windows(windows: &Value) -> Option<Option<String>> {
    held(&json!({"freezeWindows": windows}), NOW)
}

fn until(moment: &str) -> Option<Option<String>> {
    Some(Some(moment.to_owned()))
}

#[test]
fn a_window_is_on_from_its_first_second_until_its_last() {
    for (from, to, expected) in [
        (None, None, Some(None)),
        (Some(NOW), None, Some(None)),
        (Some("2026-11-21T12:30:01Z"), None, None),
        (None, Some("2026-11-21T12:30:01Z"), until("2026-11-21T12:30:01Z")),
        (None, Some(NOW), None),
        (Some("2026-11-21T12:29:59Z"), Some("2026-11-21T13:00:00Z"), until("2026-11-21T13:00:00Z")),
    ] {
        let window = json!({"name": "w", "from": from, "until": to});
        assert_eq!(in_windows(&json!([window])), expected, "{window}");
    }
}

#[test]
fn weekly_hours_are_on_from_their_first_minute_until_their_last_also_over_midnight() {
    for (days, from, to, expected) in [
        (["Sat"], "12:30", "13:00", until("2026-11-21T13:00:00Z")),
        (["Sat"], "12:00", "12:30", None),
        (["Sat"], "12:31", "13:00", None),
        (["Sun"], "12:00", "13:00", None),
        (["Fri"], "22:00", "12:31", until("2026-11-21T12:31:00Z")),
        (["Fri"], "22:00", "12:30", None),
        (["Sat"], "22:00", "12:31", None),
        (["Sat"], "06:00", "06:00", until("2026-11-22T06:00:00Z")),
        (["Fri"], "12:30", "12:30", None),
    ] {
        let window = json!({"name": "w", "weekly": {"days": days, "from": from, "until": to}});
        assert_eq!(in_windows(&json!([window])), expected, "{window}");
    }
}

#[test]
fn weekly_hours_end_with_their_window_and_are_those_of_the_policy_s_time_zone() {
    let hours = json!({"days": ["Sat"], "from": "12:00", "until": "14:00"});
    let ends_first = json!({"name": "w", "until": "2026-11-21T13:00:00Z", "weekly": hours});
    assert_eq!(in_windows(&json!([ends_first])), until("2026-11-21T13:00:00Z"));
    let ends_later = json!({"name": "w", "until": "2026-12-24T00:00:00Z", "weekly": hours});
    assert_eq!(in_windows(&json!([ends_later])), until("2026-11-21T14:00:00Z"));
    let in_vienna = json!({"timeZone": "Europe/Vienna", "freezeWindows": [{"name": "w", "weekly": hours}]});
    assert_eq!(held(&in_vienna, NOW), until("2026-11-21T13:00:00Z"));
}

#[test]
fn of_several_freezes_the_last_one_lets_plans_go() {
    let window = |name: &str, until: Option<&str>| json!({"name": name, "until": until});
    let (soon, late) = (Some("2026-11-21T13:00:00Z"), Some("2026-11-21T15:00:00Z"));
    assert_eq!(in_windows(&json!([window("a", late), window("b", soon)])), until("2026-11-21T15:00:00Z"));
    assert_eq!(in_windows(&json!([window("a", late), window("b", None)])), Some(None));
}

#[test]
fn a_global_freeze_ends_at_its_end_whether_it_is_the_policy_s_own_or_stands_beside_it() {
    let frozen = json!({"globalFreeze": {"reason": "fire", "until": "2026-11-21T13:00:00Z"}});
    for (now, expected) in
        [("2026-11-21T12:59:59Z", until("2026-11-21T13:00:00Z")), ("2026-11-21T13:00:00Z", None)]
    {
        assert_eq!(held(&frozen, now), expected, "its own");
        let stage = Stage {
            beside: vec![policy("other", frozen.clone())],
            now: now.parse().unwrap(),
            ..Stage::under(json!({}))
        };
        assert_eq!(stage.judged().unwrap().hold.is_some(), expected.is_some(), "beside it");
    }
}
