//! What rules can ask about.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use jiff::{Timestamp, tz::TimeZone};
use kube::core::cel::cel;
use serde_json::{Value, json};

use crate::{
    api::{Preview, ProxmoxActionPlan, ProxmoxEnvironment},
    core::{observe::World, radius::Radius, request::Request, risk::Assessment},
};

/// A plan as far as it is judged without the policy.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub plan: &'a ProxmoxActionPlan,
    pub environment: &'a ProxmoxEnvironment,
    pub request: &'a Request,
    pub world: &'a World,
    pub radius: &'a Radius,
    pub preview: &'a Preview,
    pub assessment: &'a Assessment,
    pub now: Timestamp,
}

/// Every variable with its fields, and what stands there where nothing is known: a rule never fails for want of a
/// field. A list shows what is in it. `{}` has whatever names the plan has there.
pub static BLANK: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "plan": {
            "name": "", "namespace": "", "environment": "", "action": "", "target": "", "params": {},
            "dryRun": false, "reason": "", "notBefore": "", "notAfter": "", "source": "",
        },
        "requester": "",
        "environment": {"name": "", "tier": "", "site": ""},
        "action": {"name": "", "title": "", "plane": "", "domain": "", "baseRisk": "", "reads": false},
        "target": {
            "kind": "", "id": "", "name": "", "node": "", "pool": "", "tags": [""], "status": "",
            "template": false, "protected": false, "ha": false,
        },
        "preview": {
            "summary": "",
            "calls": [{"method": "", "path": "", "params": {}}],
            "meets": {},
            "changes": [{"what": "", "from": "", "to": ""}],
            "privileges": {"needed": [""], "beyond": [""]},
            "afterwards": [""],
            "warnings": [""],
            "undo": {"how": ""},
        },
        "blastRadius": {
            "hits": [{"subject": "", "effect": "", "detail": ""}], "unknown": [""], "size": 0,
        },
        "risk": "",
        "riskLevel": 0,
        "time": {"now": "", "hour": 0, "minute": 0, "weekday": "", "date": ""},
    })
});

/// The value of every variable but the risk.
pub(super) fn facts(case: Case<'_>, zone: &TimeZone) -> BTreeMap<String, Value> {
    let known = json!({
        "plan": plan(case),
        "requester": case.plan.spec.requested_by,
        "environment": {
            "name": case.environment.metadata.name,
            "tier": case.environment.spec.tier,
            "site": case.environment.spec.site,
        },
        "action": {
            "name": case.request.action.name,
            "title": case.request.action.title,
            "plane": case.request.action.plane,
            "domain": case.request.action.domain,
            "baseRisk": case.request.action.base_risk,
            "reads": case.request.action.is_read(),
        },
        "target": target(case),
        "preview": case.preview,
        "blastRadius": {
            "hits": case.preview.blast_radius.hits,
            "unknown": case.preview.blast_radius.unknown,
            "size": case.radius.hits.len(),
        },
        "time": time(case.now, zone),
    });
    let fields = BLANK.as_object().into_iter().flatten();
    fields.map(|(name, blank)| (name.clone(), filled(blank, known.get(name)))).collect()
}

fn plan(case: Case<'_>) -> Value {
    let spec = &case.plan.spec;
    json!({
        "name": case.plan.metadata.name,
        "namespace": case.request.namespace,
        "environment": spec.environment,
        "action": spec.action,
        "target": spec.target,
        "params": spec.params,
        "dryRun": spec.dry_run,
        "reason": spec.reason,
        "notBefore": spec.not_before,
        "notAfter": spec.not_after,
        "source": spec.source,
    })
}

fn target(case: Case<'_>) -> Value {
    let target = case.request.target.to_string();
    let (kind, id) = target.split_once('/').unwrap_or((&target, ""));
    let Some(guest) = case.world.guest() else { return json!({"kind": kind, "id": id}) };
    json!({
        "kind": kind,
        "id": id,
        "name": guest.name,
        "node": guest.node,
        "pool": guest.pool,
        "tags": guest.tags,
        "status": guest.status,
        "template": guest.template,
        "protected": guest.protected,
        "ha": guest.ha_managed,
    })
}

/// By the clock on the wall there.
fn time(now: Timestamp, zone: &TimeZone) -> Value {
    let there = now.to_zoned(zone.clone());
    json!({
        "now": now.to_string(),
        "hour": there.hour(),
        "minute": there.minute(),
        "weekday": there.strftime("%a").to_string(),
        "date": there.date().to_string(),
    })
}

/// What is known, in the form of the blank: nothing is missing, and nothing is there that nobody has been told of.
fn filled(blank: &Value, known: Option<&Value>) -> Value {
    let known = known.filter(|known| !known.is_null());
    match (blank, known) {
        (Value::Object(fields), known) if !fields.is_empty() => {
            let field = |(name, blank): (&String, &Value)| {
                (name.clone(), filled(blank, known.and_then(|known| known.get(name))))
            };
            Value::Object(fields.iter().map(field).collect())
        }
        (Value::Array(items), Some(Value::Array(known))) => {
            let item = items.first().unwrap_or(&Value::Null);
            Value::Array(known.iter().map(|known| filled(item, Some(known))).collect())
        }
        (Value::Array(_), _) => json!([]),
        (blank, known) => known.unwrap_or(blank).clone(),
    }
}

/// As CEL has it. Every whole number is an `int`: numbers of different types are never equal there.
pub(super) fn cel_value(json: &Value) -> cel::Value {
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(held) => (*held).into(),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| cel::Value::Float(number.as_f64().unwrap_or_default()), cel::Value::Int),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(cel_value).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            let fields: HashMap<String, cel::Value> =
                fields.iter().map(|(name, value)| (name.clone(), cel_value(value))).collect();
            fields.into()
        }
    }
}
