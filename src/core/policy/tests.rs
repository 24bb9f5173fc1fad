use serde_json::{Value, json};

use super::{
    testing::{Stage, assert_one, policy, rule, under_rule},
    *,
};
use crate::{
    api::{Preset, Risk},
    core::{
        observe::{Guest, Pool, Seen, World},
        testing::{guest, world_of},
    },
};

#[test]
fn the_environment_beats_the_policy_and_the_policy_the_preset() {
    let preset = Stage::under(json!({}));
    assert_one(&preset.decisions(), "preset balanced: 1 approval for risk critical");
    let policy = Stage::under(json!({"knobs": {"approvals": {"critical": 3}}}));
    assert_eq!(policy.judged().unwrap().judged.demand.people(), 3);
    assert_one(&policy.decisions(), "knob approvals.critical of policy house: 3 approvals for risk critical");
    let knobs = json!({"policyKnobs": {"approvals": {"critical": 2}, "guards": "warn"}});
    let environment = Stage { environment: knobs, ..policy };
    assert_eq!(environment.judged().unwrap().judged.demand.people(), 2);
    assert_one(&environment.decisions(), "knob approvals.critical of environment home: 2 approvals");
    assert_one(&environment.decisions(), "knob guards of environment home: a guard that fails only warns");
}

#[test]
fn the_more_are_hit_the_more_people_are_asked() {
    let hits = Stage::under(json!({})).judged().unwrap().judged.preview.blast_radius.hits.len();
    let stage = Stage::under(json!({"knobs": {"hitsPerApprover": 1}}));
    assert_eq!(stage.judged().unwrap().judged.demand.people() as usize, 1 + hits);
    assert_one(&stage.decisions(), "knob hitsPerApprover of policy house");
    assert!(hits > 0, "nothing was tested");
}

#[test]
fn rules_demand_people_of_several_groups_and_all_of_them() {
    let both = json!({"approvals": [{"count": 2, "group": "dba"}, {"count": 1, "group": "net"}]});
    let stage = under_rule("true", both);
    let demand = stage.judged().unwrap().judged.demand;
    assert_eq!(demand.told(), "3, 2 of group dba, 1 of group net");
    assert_one(&stage.decisions(), "rule r: 2 approvals of group dba and 1 approval of group net");
    let many = json!({"approvals": [{"count": 16, "group": "a"}, {"count": 1, "group": "b"}]});
    assert!(under_rule("true", many).unusable().contains("r together want 17 people"));
}

#[test]
fn the_highest_raise_wins_and_says_whose_it_is() {
    let rules = json!([
        rule("worst", "true", json!({"raiseRiskTo": "critical"})),
        rule("bad", "true", json!({"raiseRiskTo": "high"})),
        rule("lower", "true", json!({"raiseRiskTo": "low"})),
    ]);
    let stage = Stage { policy: Some(json!({"rules": rules})), ..Stage::new("start_guest", json!({})) };
    let judged = stage.judged().unwrap().judged;
    assert_eq!((judged.risk, judged.demand.people()), (Risk::Critical, 1));
    assert_eq!(judged.risk_reasons[1..3], ["low -> high: rule bad", "high -> critical: rule worst"]);
    assert_one(&stage.decisions(), "rule worst: risk critical instead of low");
}

/// Otherwise a rule for high risks would not see what another rule calls high.
#[test]
fn a_rule_sees_the_risk_that_was_found_and_the_one_that_rules_make_of_it() {
    let people = |group: &str| json!({"approvals": [{"count": 1, "group": group}]});
    let rules = json!([
        rule("for-low", "risk == 'low'", people("of-low")),
        rule("for-high", "riskLevel >= 2", people("of-high")),
        rule("raise", "plan.action == 'start_guest'", json!({"raiseRiskTo": "high"})),
        rule("raise-again", "risk == 'high'", json!({"raiseRiskTo": "critical"})),
    ]);
    let stage = Stage { policy: Some(json!({"rules": rules})), ..Stage::new("start_guest", json!({})) };
    let judged = stage.judged().unwrap().judged;
    assert_eq!(judged.risk, Risk::Critical);
    assert_eq!(judged.demand.told(), "2, 1 of group of-high, 1 of group of-low");
}

#[test]
fn a_rule_that_denies_names_itself_its_policy_and_the_revision() {
    let stage = under_rule("requester == 'agent'", json!({"deny": "not by it"}));
    let (reason, message) = stage.refused();
    assert_eq!(reason, "PolicyDenied");
    assert_eq!(message, "rule r of policy house, revision 550e/3: not by it");
    let both = Stage::under(json!({"rules": [
        rule("one", "true", json!({"deny": "first"})), rule("two", "true", json!({"deny": "second"})),
    ]}));
    assert!(both.refused().1.contains("first; rule two of policy house"), "{:?}", both.refused());
}

#[test]
fn a_rule_that_denies_is_no_guard_and_refuses_where_guards_only_warn() {
    let rules = json!([rule("r", "true", json!({"deny": "never"}))]);
    let stage = Stage::under(json!({"preset": "permissive", "rules": rules}));
    assert_eq!(stage.refused().0, "PolicyDenied");
}

#[test]
fn rules_that_want_the_same_group_want_the_larger_number_and_not_both() {
    let of_dba = |count: u32| json!({"approvals": [{"count": count, "group": "dba"}]});
    for counts in [[1, 3], [3, 1]] {
        let rules = json!([rule("a", "true", of_dba(counts[0])), rule("b", "true", of_dba(counts[1]))]);
        let demand = Stage::under(json!({"rules": rules})).judged().unwrap().judged.demand;
        assert_eq!(demand.told(), "3, 3 of group dba");
    }
}

#[test]
fn a_rule_asks_for_the_risk_and_for_those_who_are_hit_as_they_are_shown() {
    let judged = under_rule("true", json!({"warn": "x"})).judged().unwrap().judged;
    let hits = judged.preview.blast_radius.hits.len();
    assert_eq!(judged.risk, Risk::Critical);
    let applies =
        |when: &str| under_rule(when, json!({"warn": "x"})).warnings().contains(&"x (rule r)".to_owned());
    assert!(applies("riskLevel == 3 && risk == 'critical'"));
    assert!(applies(&format!("blastRadius.size == {hits} && blastRadius.hits.size() == {hits}")));
}

#[test]
fn a_guard_stops_or_warns_as_the_preset_says() {
    for preset in Preset::ALL {
        let guards = json!({
            "preset": preset, "protection": {"targets": ["qemu/100"]},
            "rules": [rule("careful", "true", json!({"guard": "look twice"}))],
        });
        let stage = Stage::under(guards);
        if preset == Preset::Permissive {
            assert_one(&stage.warnings(), "look twice (rule careful; only a warning by preset permissive)");
            assert_one(
                &stage.warnings(),
                "qemu/100 is named as protected: nothing of risk critical may hit it",
            );
        } else {
            let (reason, message) = stage.refused();
            assert_eq!(reason, "TargetProtected");
            assert!(message.contains("look twice"), "{message}");
        }
    }
}

#[test]
fn a_rule_that_warns_comes_before_everything_else_and_no_guard_is_lost() {
    let stage = under_rule("true", json!({"warn": "mind the backup"}));
    assert_eq!(stage.warnings()[0], "mind the backup (rule r)");
    let guards: Vec<Value> =
        (0..64).map(|n| rule(&format!("g{n}"), "true", json!({"guard": "no", "warn": "w"}))).collect();
    let stage = Stage::under(json!({"preset": "permissive", "rules": guards}));
    let warnings = stage.warnings();
    assert_eq!(warnings.len(), 16);
    assert!(warnings[..15].iter().all(|warning| warning.starts_with("no (rule g")), "{warnings:#?}");
    assert!(warnings[15].starts_with("and 113 more warnings"), "{warnings:#?}");
    let decisions = stage.judged().unwrap().judged.policy.decisions;
    assert_eq!(decisions.len(), 32);
    assert!(decisions[31].what.ends_with("more decisions"), "{decisions:?}");
}

#[test]
fn who_is_protected_is_not_hit_by_high_risks_neither_as_the_target_nor_beside_it() {
    let tagged = Guest { tags: vec!["crown".into()], pool: Some("vault".into()), ..guest("qemu/100") };
    for protection in
        [json!({"targets": ["qemu/100"]}), json!({"tags": ["crown"]}), json!({"pools": ["vault"]})]
    {
        let stage =
            Stage { world: world_of(tagged.clone()), ..Stage::under(json!({"protection": protection})) };
        let (reason, message) = stage.refused();
        assert_eq!(reason, "TargetProtected", "{message}");
        assert!(message.starts_with("protection of policy house, revision 550e/3: qemu/100 is"), "{message}");
        let harmless = Stage {
            policy: Some(json!({"protection": protection})),
            world: world_of(tagged.clone()),
            ..Stage::new("start_guest", json!({}))
        };
        assert!(harmless.judged().is_ok());
        let raise =
            json!({"protection": protection, "rules": [rule("r", "true", json!({"raiseRiskTo": "high"}))]});
        assert_eq!(Stage { policy: Some(raise), ..harmless }.refused().0, "TargetProtected");
    }
}

#[test]
fn a_guest_is_in_a_pool_also_if_only_the_pool_says_so() {
    let vault =
        Pool { id: "vault".into(), guests: vec![guest("qemu/100").reference.vmid], ..Pool::default() };
    let stage = Stage {
        world: World { pools: Seen::Known(vec![vault]), ..world_of(guest("qemu/100")) },
        ..Stage::under(json!({"protection": {"pools": ["vault"]}}))
    };
    assert!(stage.refused().1.contains("qemu/100 is protected by its pool vault"));
}

#[test]
fn who_stands_beside_the_target_is_known_by_its_tag_where_it_was_looked_at() {
    let clone_of = |tags: Vec<String>| {
        let disk = |volume: &str| [("scsi0".to_owned(), volume.to_owned())].into();
        let base =
            Guest { template: true, config: disk("local:100/base-100-disk-0.qcow2"), ..guest("qemu/100") };
        let clone = Guest {
            tags,
            config: disk("local:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2"),
            ..guest("qemu/101")
        };
        World { guests: Seen::Known(vec![base.clone(), clone]), ..world_of(base) }
    };
    let stage = |tags: &[&str]| Stage {
        world: clone_of(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        ..Stage::under(json!({"protection": {"tags": ["crown"]}}))
    };
    let hits = stage(&[]).judged().unwrap().judged.preview.blast_radius.hits;
    assert!(hits.iter().any(|hit| hit.subject == "qemu/101"), "nothing was tested: {hits:?}");
    assert!(stage(&["crown"]).refused().1.contains("qemu/101 is protected by its tag crown"));
}

#[test]
fn a_frozen_plan_is_judged_and_held_until_the_freeze_ends() {
    let window =
        json!({"name": "christmas", "from": "2026-11-21T00:00:00Z", "until": "2026-11-22T00:00:00Z"});
    let stage = Stage::under(json!({"freezeWindows": [window]}));
    let hold = stage.judged().unwrap().hold.unwrap();
    assert_eq!((hold.reason, hold.until), (FROZEN, Some("2026-11-22T00:00:00Z".parse().unwrap())));
    assert_eq!(
        stage.warnings()[0],
        "frozen until 2026-11-22T00:00:00Z by freeze window christmas of policy house"
    );
    let later = Stage { now: "2026-11-22T00:00:00Z".parse().unwrap(), ..stage };
    assert!(later.judged().unwrap().hold.is_none());
}

#[test]
fn a_global_freeze_of_any_policy_beside_holds_everything_but_reads_and_dry_runs() {
    let stop = json!({"globalFreeze": {"reason": "fire"}});
    let beside = vec![policy("other", stop)];
    let stage = |action: &str| Stage { beside: beside.clone(), ..Stage::new(action, json!({})) };
    let hold = stage("start_guest").judged().unwrap().hold.unwrap();
    assert_eq!(hold.until, None);
    assert_eq!(hold.message, "frozen until it is taken away by globalFreeze of policy other: fire");
    assert!(stage("read_guest").judged().unwrap().hold.is_none());
    let mut dry = stage("start_guest");
    dry.plan.spec.dry_run = true;
    assert!(dry.judged().unwrap().hold.is_none());
    let warned = Stage { environment: json!({"policyKnobs": {"guards": "warn"}}), ..stage("start_guest") };
    assert!(warned.judged().unwrap().hold.is_none());
    assert_one(&warned.warnings(), "fire; only a warning by knob guards of environment home");
}

#[test]
fn a_freeze_that_comes_or_goes_voids_no_approval_and_a_new_rule_does() {
    let hash = |spec: Value| Stage::under(spec).judged().unwrap().judged.plan_hash;
    let plain = hash(json!({}));
    assert_eq!(plain, hash(json!({"globalFreeze": {"reason": "fire"}, "knobs": {"hourly": {"changes": 1}}})));
    for other in [
        json!({"rules": [rule("r", "false", json!({"warn": "x"}))]}),
        json!({"protection": {"tags": ["x"]}}),
        json!({"timeZone": "Europe/Vienna"}),
        json!({"knobs": {"guards": "warn"}}),
        json!({"knobs": {"approvals": {"critical": 2}}}),
    ] {
        assert_ne!(plain, hash(other.clone()), "{other}");
    }
}

#[test]
fn a_policy_that_can_not_be_applied_judges_nothing_and_says_where() {
    for (when, words) in [
        ("requester = 'x'", "rule r: line 1, column 11: "),
        ("", "rule r: line 1, column 1: "),
        ("reqester == 'x'", "there is no `reqester`; there are action, blastRadius"),
        ("target.naem == 'x'", "`target` has no field `naem`; it has ha, id"),
        ("target.name.first == 'x'", "`target.name` has no fields, so no `first`"),
        ("target['naem'] == 'x'", "`target` has no field `naem`"),
        ("preview.calls[0].pth == 'x'", "`preview.calls[...]` has no field `pth`"),
        ("blastRadius.hits.exists(h, h.subjct == 'x')", "`h` has no field `subjct`"),
        ("has(target.naem)", "`target` has no field `naem`"),
        ("target.tags.exists(t)", "there is no function `exists`"),
        ("nosuch(requester)", "there is no function `nosuch`"),
        ("lists.range(9).size() > 1", "the function `lists.range` is not offered"),
        ("plan.reason.replace('', 'xx').replace('', 'xx') == ''", "the function `replace` is not offered"),
        ("plan.reason.split('').join('xx') == ''", "the function `join` is not offered"),
        ("'%.999999999f'.format([1.5]) == ''", "the function `format` is not offered"),
        ("strings.quote(strings.quote('\"')) == ''", "the function `strings.quote` is not offered"),
        ("base64.encode(bytes('x')) == ''", "the function `base64.encode` is not offered"),
        ("jsonpatch.escapeKey('~') == ''", "the function `jsonpatch.escapeKey` is not offered"),
        ("Foo{} == Foo{}", "there are no messages to be made here"),
        ("requester", "is no condition"),
        ("plan.params.size() + 1", "is no condition"),
        ("[1]", "is no condition"),
        ("[1].map(a, a)", "is no condition"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "more than 2 loops inside each other"),
    ] {
        let told = under_rule(when, json!({"warn": "x"})).unusable();
        assert!(
            told.starts_with("policy house can't be applied, so no plan is judged by it: rule r: "),
            "{told}"
        );
        assert!(told.contains(words), "{when}: {told}");
    }
    let zone = Stage::under(json!({"timeZone": "Europe/Wien"}));
    assert!(zone.unusable().contains("timeZone: there is no time zone `Europe/Wien`"));
}

#[test]
fn a_rule_that_fails_while_it_runs_lets_nothing_pass() {
    for (when, words) in [
        ("plan.params['missing'] == 'x'", "rule r: No such key: missing"),
        ("target.tags[0] == 'x'", "rule r: Index out of bounds"),
        ("plan.params.size()", "rule r: is neither true nor false, but a int"),
        ("1 / target.tags.size() > 0", "Division by zero"),
    ] {
        let told = under_rule(when, json!({"warn": "x"})).unusable();
        assert!(told.contains(words), "{when}: {told}");
    }
}

/// The parser takes up to 200 KB of stack for a bracket, and a thread has two megabytes.
#[test]
fn no_expression_however_deep_takes_the_process_along() {
    let deep = [
        format!("{}true{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}true{}", "(".repeat(90), ")".repeat(90)),
        format!("{}true", "true==".repeat(500)),
        format!("target{} == 1", ".name".repeat(500)),
        format!("{}{} == 1", "[".repeat(95), "]".repeat(95)),
        format!("{}true", "!".repeat(500)),
        format!("{}1 == 1", "1+".repeat(250)),
        format!("{}1 == 1", "1+".repeat(500)),
        format!("{}true", "true?true:".repeat(400)),
        format!("{}true", "true && ".repeat(500)),
    ];
    for when in deep {
        let _ = under_rule(&when, json!({"warn": "x"})).judged();
    }
    let fits = format!("{}1 == 251", "1+".repeat(250));
    assert!(under_rule(&fits, json!({"warn": "x"})).judged().is_ok());
}

#[test]
fn a_read_needs_nobody_unless_a_rule_says_so() {
    for preset in Preset::ALL {
        let read = |rules: Value| Stage {
            policy: Some(json!({"preset": preset, "rules": rules})),
            ..Stage::new("read_guest", json!({}))
        };
        let people = |rules: Value| read(rules).judged().unwrap().judged.demand.people();
        assert_eq!(people(json!([])), 0);
        assert_eq!(people(json!([rule("r", "action.reads", json!({"approvals": [{"count": 1}]}))])), 1);
        assert!(people(json!([rule("r", "action.reads", json!({"raiseRiskTo": "high"}))])) >= 1);
    }
}

#[test]
fn nobody_is_let_through_by_a_knob_that_no_schema_would_take() {
    let stage = Stage::under(json!({"knobs": {"approvals": {"critical": 0}}}));
    assert_eq!(stage.judged().unwrap().judged.demand.people(), 1);
    assert_one(&stage.decisions(), "the floor of high risks: 1 approval for risk critical, whatever is set");
}

#[test]
fn an_hour_by_the_wall_clock_is_that_of_the_policy_s_time_zone() {
    let at = |zone: &str| {
        let when = "time.hour == 13 && time.minute == 30 && time.weekday == 'Sat' && time.date == '2026-11-21' \
                    && time.now == timestamp('2026-11-21T12:30:00Z')";
        let policy = json!({"timeZone": zone, "rules": [rule("r", when, json!({"warn": "lunch"}))]});
        Stage::under(policy).warnings().contains(&"lunch (rule r)".to_owned())
    };
    assert!(at("Europe/Vienna"));
    assert!(!at("UTC"));
}
