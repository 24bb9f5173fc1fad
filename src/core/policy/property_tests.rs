use std::collections::BTreeMap;

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    tz::{TimeZone, TimeZoneDatabase},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Complete, HOURLY_LIMIT_REACHED, Limits, Sent, calendar, expression, knobs::Layers, testing::Stage,
};
use crate::{
    api::{Preset, ProxmoxEnvironment, Risk, WeeklyHours},
    core::{demand::Demand, judge::Judged},
};

const ACTIONS: [&str; 4] = ["start_guest", "shutdown_guest", "delete_snapshot", "delete_guest"];

fn preset() -> impl Strategy<Value = Preset> {
    prop::sample::select(Preset::ALL.to_vec())
}

fn risk() -> impl Strategy<Value = Risk> {
    prop::sample::select(Risk::ALL.to_vec())
}

fn knobs() -> impl Strategy<Value = Value> {
    let count = || prop::option::of(0u32..5);
    (count(), count(), count(), count(), prop::option::of(1u32..4), any::<bool>()).prop_map(
        |(low, medium, high, critical, hits, warn)| {
            json!({
                "guards": if warn { "warn" } else { "stop" }, "hitsPerApprover": hits,
                "approvals": {"low": low, "medium": medium, "high": high, "critical": critical},
            })
        },
    )
}

fn rule() -> impl Strategy<Value = Value> {
    let when = prop::sample::select(vec![
        "true",
        "false",
        "risk == 'low'",
        "risk == 'medium'",
        "risk == 'high'",
        "riskLevel >= 2",
        "riskLevel < 2",
        "risk != 'critical'",
        "blastRadius.size > 2",
    ]);
    let people =
        prop::collection::vec((1u32..4, prop::option::of(prop::sample::select(vec!["a", "b"]))), 0..3);
    (when, prop::option::of(risk()), people).prop_map(|(when, raise, people)| {
        let approvals: Vec<Value> =
            people.into_iter().map(|(count, group)| json!({"count": count, "group": group})).collect();
        json!({"name": "r", "when": when, "raiseRiskTo": raise, "approvals": approvals})
    })
}

fn judged(action: &str, policy: Value, environment: Value) -> Judged {
    let params = if action == "delete_snapshot" { json!({"snapshot": "before"}) } else { json!({}) };
    let stage = Stage { policy: Some(policy), environment, ..Stage::new(action, params) };
    stage.judged().unwrap().judged
}

fn is_at_least(more: &Demand, less: &Demand) -> bool {
    let groups: BTreeMap<String, u32> = more.groups().into_iter().map(|of| (of.group, of.count)).collect();
    more.people() >= less.people()
        && less.groups().iter().all(|of| groups.get(&of.group).is_some_and(|count| *count >= of.count))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_of_high_risk_passes_without_a_person_whatever_is_set(
        action in prop::sample::select(ACTIONS.to_vec()), preset in preset(), policy in knobs(), environment in knobs(),
        rules in prop::collection::vec(rule(), 0..4),
    ) {
        let policy = json!({"preset": preset, "knobs": policy, "rules": rules});
        let judged = judged(action, policy, json!({"policyKnobs": environment}));
        prop_assert!(judged.risk < Risk::High || judged.demand.people() >= 1, "{:?}", judged);
        prop_assert!(judged.demand.people() <= 16 && !judged.policy.decisions.is_empty());
    }

    #[test]
    fn one_more_rule_never_lowers_the_risk_or_the_demand(
        action in prop::sample::select(ACTIONS.to_vec()), preset in preset(), knobs in knobs(), rules in prop::collection::vec(rule(), 1..5),
    ) {
        let knobs = json!({"guards": knobs["guards"], "hitsPerApprover": knobs["hitsPerApprover"]});
        let with = |rules: &[Value]| {
            judged(action, json!({"preset": preset, "knobs": knobs, "rules": rules}), json!({}))
        };
        let (fewer, all) = (with(&rules[1..]), with(&rules));
        prop_assert!(all.risk >= fewer.risk);
        prop_assert!(is_at_least(&all.demand, &fewer.demand), "{:?} after {:?}", all.demand, fewer.demand);
    }

    #[test]
    fn the_order_of_rules_does_not_matter(action in prop::sample::select(ACTIONS.to_vec()), rules in prop::collection::vec(rule(), 2..5)) {
        let with = |rules: Vec<Value>| judged(action, json!({"rules": rules}), json!({}));
        let reversed = with(rules.iter().rev().cloned().collect());
        let judged = with(rules);
        prop_assert_eq!((judged.risk, judged.demand), (reversed.risk, reversed.demand));
    }

    #[test]
    fn a_stricter_preset_never_demands_less(action in prop::sample::select(ACTIONS.to_vec()), rules in prop::collection::vec(rule(), 0..4)) {
        let under = |preset| judged(action, json!({"preset": preset, "rules": rules}), json!({})).demand;
        for presets in Preset::ALL.windows(2) {
            prop_assert!(is_at_least(&under(presets[1]), &under(presets[0])), "{}", presets[1]);
        }
    }

    #[test]
    fn what_the_environment_sets_counts_then_what_the_policy_sets_then_the_preset(
        preset in preset(), policy in prop::option::of(1u32..9), environment in prop::option::of(1u32..9),
    ) {
        let knobs = |count: Option<u32>| json!({"approvals": {"critical": count}, "hitsPerApprover": 100_000});
        let judged = judged("delete_guest", json!({"preset": preset, "knobs": knobs(policy)}), json!({"policyKnobs": knobs(environment)}));
        let expected = environment.or(policy).unwrap_or(Complete::of(preset).approvals(Risk::Critical));
        prop_assert_eq!((judged.risk, judged.demand.people()), (Risk::Critical, expected));
    }

    #[test]
    fn no_text_breaks_the_compiler(text in "\\PC{0,60}", words in prop::collection::vec(prop::sample::select(vec![
        "target", ".tags", ".all(", "t, ", ")", " && ", "'x'", " == ", "!", "[", "]", "{", "}", "?", ":", "1", "-", "in ", "has(", "true",
    ]), 0..24)) {
        let _ = super::room::with_room(|| (expression::compile(&text).is_ok(), expression::compile(&words.concat()).is_ok())).unwrap();
    }

    /// Nobody has to think of daylight saving: as long as the clock on the wall shows a frozen hour, it is frozen.
    #[test]
    fn a_weekly_window_is_on_whenever_the_clock_on_the_wall_says_so(
        zone in prop::sample::select(vec!["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Africa/Cairo"]),
        minute in 0i64..(3 * 366 * 24 * 60), days in 1u8..128, from in 0u32..(24 * 60), until in 0u32..(24 * 60),
    ) {
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let now = Timestamp::from_second(1_767_225_600 + minute * 60 + 17).unwrap();
        let hours = hours(days, from, until);
        let on = calendar::until(&hours, now, &zone);
        let wall = on_the_wall(&hours, (from, until), now, &zone);
        prop_assert!(on.is_some() || !wall, "{} is not frozen", now.to_zoned(zone.clone()));
        if !changes_around(now, &zone) {
            prop_assert_eq!(on.is_some(), wall, "{}", now.to_zoned(zone.clone()));
        }
        if let Some(until) = on {
            prop_assert!(now < until && until.duration_since(now) <= SignedDuration::from_hours(26));
            let last = until - SignedDuration::from_secs(1);
            prop_assert!(calendar::until(&hours, last, &zone).is_some(), "it ends before {}", until);
        }
    }

    #[test]
    fn no_hour_ever_holds_more_than_its_limit(limit in 0u32..4, risky in 0u32..3, asks in prop::collection::vec((0i64..600, risk()), 1..40)) {
        let limits = limits(limit, risky);
        let (mut sent, mut now) = (Vec::<Sent>::new(), Timestamp::UNIX_EPOCH);
        for (pause, risk) in asks {
            now += SignedDuration::from_secs(pause);
            match limits.reached(risk, &sent, now) {
                None => sent.push(Sent { at: now, risk }),
                Some(hold) => {
                    prop_assert_eq!(hold.reason, HOURLY_LIMIT_REACHED);
                    prop_assert!(hold.until.is_none_or(|until| now < until && limits.reached(risk, &sent, until).is_none()));
                }
            }
            let within = |risk: Risk| sent.iter().filter(|sent| sent.is_counted(now) && sent.risk >= risk).count();
            prop_assert!(within(Risk::Low) <= limit as usize && within(Risk::High) <= risky as usize);
        }
    }
}

#[test]
fn what_is_of_low_risk_uses_up_nothing_that_is_reserved_for_high_risk() {
    let now = Timestamp::UNIX_EPOCH;
    let sent = |risk: Risk| [Sent { at: now, risk }; 3];
    let limits = limits(9, 2);
    assert!(limits.reached(Risk::High, &sent(Risk::Medium), now).is_none());
    assert!(limits.reached(Risk::High, &sent(Risk::High), now).is_some());
    assert!(limits.reached(Risk::Medium, &sent(Risk::High), now).is_none());
}

fn limits(changes: u32, high_risk: u32) -> Limits {
    let spec = json!({
        "endpoints": ["https://pve1"], "credentials": {"secretRef": {"name": "s"}},
        "policyKnobs": {"hourly": {"changes": changes, "highRisk": high_risk}},
    });
    let environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
    Limits::of(&Layers::of(None, &environment))
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn hours(days: u8, from: u32, until: u32) -> WeeklyHours {
    let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let days: Vec<&str> =
        DAYS.iter().enumerate().filter(|(n, _)| days >> n & 1 == 1).map(|(_, day)| *day).collect();
    serde_json::from_value(json!({"days": days, "from": clock(from), "until": clock(until)})).unwrap()
}

/// What somebody says who looks at a clock and a calendar.
fn on_the_wall(hours: &WeeklyHours, (from, until): (u32, u32), now: Timestamp, zone: &TimeZone) -> bool {
    let there = now.to_zoned(zone.clone()).datetime();
    let minute = u32::try_from(there.hour()).unwrap() * 60 + u32::try_from(there.minute()).unwrap();
    let begins = |days_ago: i64| {
        let day = there.date() - days_ago.days();
        let name = DAYS[usize::try_from(day.weekday().to_monday_zero_offset()).unwrap()];
        hours.days.iter().any(|wanted| format!("{wanted:?}") == name)
    };
    if from < until {
        begins(0) && (from..until).contains(&minute)
    } else {
        (begins(0) && minute >= from) || (begins(1) && minute < until)
    }
}

/// The clock is put forward or back within three days.
fn changes_around(now: Timestamp, zone: &TimeZone) -> bool {
    let before = now - SignedDuration::from_hours(72);
    zone.following(before).next().is_some_and(|next| next.timestamp() < now + SignedDuration::from_hours(72))
}
