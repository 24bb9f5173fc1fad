//! From a request and the state it meets to a judgement: how risky it is, what it needs, what exactly would be sent.

use std::collections::BTreeMap;

use serde_json::json;
use thiserror::Error;

use crate::{
    api::{PolicyDecision, Preview, PreviewedCall, ProxmoxEnvironment, ProxmoxPolicy, Risk},
    catalog::{Call, Fingerprint, Target},
};

use super::{
    call::{PlanIdentity, call_for},
    hash::{NotCanonical, PlanHash, RequestHash},
    observe::Guest,
    policy,
    request::Request,
    risk::{Assessment, assess},
};

/// A plan that was judged. Approvals bind to its `plan_hash`.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub request_hash: RequestHash,
    pub plan_hash: PlanHash,
    pub risk: Risk,
    pub risk_reasons: Vec<String>,
    pub policy: PolicyDecision,
    pub approvals_required: u32,
    pub fingerprint: BTreeMap<String, String>,
    pub preview: Preview,
}

/// Where and under which rules a request is judged.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub plan_uid: &'a str,
    pub environment: &'a ProxmoxEnvironment,
    pub policy: Option<&'a ProxmoxPolicy>,
}

/// Why there is no judgement.
#[derive(Debug, Error)]
pub enum Unjudged {
    #[error("{}", .0.message)]
    Denied(Denial),
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
}

/// A plan that can't be carried out, whoever approves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people, beginning with the field.
    pub message: String,
}

/// Judges a request by what its target is right now. `met` is `None` where there is no single target or none was found.
pub fn judge(request: &Request, met: Option<&Guest>, setting: Setting<'_>) -> Result<Judged, Unjudged> {
    let request_hash = request.hash()?;
    if let Some(denial) = denial(request, met) {
        return Err(Unjudged::Denied(denial));
    }
    let Assessment { risk, reasons: risk_reasons } = assess(request);
    let policy = policy::decision(setting.policy);
    let approvals_required =
        if request.action.is_read() { 0 } else { policy::approvals_required(policy.preset, risk) };
    let fingerprint = fingerprint(request, met, setting.environment)?;
    let plan_hash = PlanHash::of(
        "the plan",
        &json!({
            "version": 1,
            "request": request_hash.to_string(),
            "fingerprint": fingerprint,
            "policy": policy.revision,
            "risk": risk,
            "approvalsRequired": approvals_required,
        }),
    )?;
    let identity = PlanIdentity { hash: &plan_hash, uid: setting.plan_uid };
    let call = match met {
        Some(guest) => call_for(request, &guest.node, identity)?,
        None => None,
    };
    Ok(Judged {
        preview: preview(request, met, call),
        risk_reasons,
        request_hash,
        plan_hash,
        risk,
        policy,
        approvals_required,
        fingerprint,
    })
}

/// What can't be, can't be approved either.
fn denial(request: &Request, met: Option<&Guest>) -> Option<Denial> {
    let Target::Guest(reference) = request.target else { return None };
    let Some(guest) = met else {
        let message = format!(
            "spec.target: there is no {reference} in environment {}, or its token may not see it (VM.Audit)",
            request.environment
        );
        return Some(Denial { reason: "TargetNotFound", message });
    };
    let named = request.text("snapshot")?;
    let exists = guest.snapshots.iter().any(|snapshot| snapshot == named);
    match (request.action.name, exists) {
        ("create_snapshot", true) => Some(Denial {
            reason: "SnapshotExists",
            message: format!("spec.params.snapshot: {reference} already has a snapshot `{named}`"),
        }),
        ("delete_snapshot" | "rollback_snapshot", false) => Some(Denial {
            reason: "SnapshotNotFound",
            message: format!(
                "spec.params.snapshot: {reference} has no snapshot `{named}`; {}",
                listed(guest)
            ),
        }),
        _ => None,
    }
}

fn listed(guest: &Guest) -> String {
    if guest.snapshots.is_empty() {
        return "it has none".to_owned();
    }
    let shown: Vec<&str> = guest.snapshots.iter().take(10).map(String::as_str).collect();
    format!("it has {}", shown.join(", "))
}

/// What an approval takes for granted about the target.
fn fingerprint(
    request: &Request,
    met: Option<&Guest>,
    environment: &ProxmoxEnvironment,
) -> Result<BTreeMap<String, String>, NotCanonical> {
    let mut facts = BTreeMap::from([("environment".to_owned(), which_proxmox(environment)?)]);
    let Some(guest) = met else { return Ok(facts) };
    let mut add = |name: &str, value: &str| facts.insert(name.to_owned(), value.chars().take(512).collect());
    if request.action.fingerprint != Fingerprint::None {
        add("guest", &guest.reference.to_string());
        add("name", &guest.name);
        add("node", &guest.node);
        if let Some(uuid) = &guest.smbios_uuid {
            add("smbiosUuid", uuid);
        }
    }
    if request.action.fingerprint == Fingerprint::IdentityAndConfig {
        add("configDigest", &guest.config_digest);
    }
    Ok(facts)
}

/// Which Proxmox it is and how it is reached; its site and time-outs may change under an approval.
fn which_proxmox(environment: &ProxmoxEnvironment) -> Result<String, NotCanonical> {
    let spec = &environment.spec;
    let reached =
        RequestHash::of("the environment", &(&spec.endpoints, &spec.credentials, &spec.tls, spec.tier))?;
    Ok(format!("{}/{}", environment.metadata.uid.as_deref().unwrap_or_default(), reached.short()))
}

/// What differs between the target as it was approved and as it is, in words.
pub fn moved(before: &Judged, now: &Judged) -> Vec<String> {
    let absent = "absent".to_owned();
    let keys: std::collections::BTreeSet<&String> =
        before.fingerprint.keys().chain(now.fingerprint.keys()).collect();
    let mut moved: Vec<String> = keys
        .into_iter()
        .filter_map(|key| {
            let (was, is) = (before.fingerprint.get(key), now.fingerprint.get(key));
            (was != is).then(|| format!("{key}: {} -> {}", was.unwrap_or(&absent), is.unwrap_or(&absent)))
        })
        .collect();
    if before.policy.revision != now.policy.revision {
        moved.push(format!("policy: {} -> {}", before.policy.revision, now.policy.revision));
    }
    if moved.is_empty() && before.plan_hash != now.plan_hash {
        moved.push(format!("planHash: {} -> {}", before.plan_hash, now.plan_hash));
    }
    moved
}

fn preview(request: &Request, met: Option<&Guest>, call: Option<Call>) -> Preview {
    let calls = call.into_iter().map(|call| PreviewedCall {
        method: call.method.as_str().to_owned(),
        path: call.path,
        params: call
            .params
            .into_iter()
            .map(|(name, value)| (name, value.chars().take(512).collect()))
            .collect(),
    });
    Preview {
        summary: summary(request, met),
        calls: calls.collect(),
        warnings: met.map(|guest| warnings(request, guest)).unwrap_or_default(),
        undo: request.action.undo.to_owned(),
    }
}

fn summary(request: &Request, met: Option<&Guest>) -> String {
    let title = request.action.title;
    let text = match met {
        Some(guest) => format!(
            "{title}: {} {} `{}` on {}, now {}",
            guest.reference.kind.noun(),
            guest.reference.vmid,
            guest.name,
            guest.node,
            guest.status
        ),
        None => format!("{title}: {}", request.target),
    };
    text.chars().take(512).collect()
}

/// What a person should know before saying yes.
fn warnings(request: &Request, guest: &Guest) -> Vec<String> {
    let action = request.action.name;
    let running = guest.status == "running";
    let deletes = action == "delete_guest";
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, text: String| {
        if holds {
            warnings.push(text);
        }
    };
    warn(
        deletes && guest.protected,
        "it is protected: Proxmox will refuse until the protection is taken off".into(),
    );
    warn(
        deletes && running && !request.flag("force"),
        "it is running: Proxmox will refuse until it is stopped".into(),
    );
    warn(deletes && running && request.flag("force"), "it is running and will be stopped by force".into());
    warn(
        deletes && !guest.snapshots.is_empty(),
        format!("its snapshots go with it: {}", guest.snapshots.len()),
    );
    warn(action == "rollback_snapshot" && running, "it is running and will be stopped by force".into());
    warn(
        action == "start_guest" && guest.template,
        "it is a template: Proxmox will refuse to start it".into(),
    );
    warn(action == "start_guest" && running, "it is already running".into());
    warn(
        matches!(action, "stop_guest" | "shutdown_guest" | "reboot_guest") && !running,
        format!("it is not running: it is {}", guest.status),
    );
    if let Some(lock) = &guest.lock {
        warn(true, format!("Proxmox has it locked: {}", lock.chars().take(64).collect::<String>()));
    }
    warn(
        guest.ha_managed,
        "the HA manager looks after it: Proxmox only hands the request over, and HA acts in its own time"
            .into(),
    );
    warn(
        action == "create_snapshot" && request.text("snapshot").is_none(),
        "its name is made from the plan, so that it can be found again".into(),
    );
    warnings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        api::Preset,
        core::request::{normalise, tests::spec},
    };

    fn guest(reference: &str) -> Guest {
        let Ok(Target::Guest(reference)) = reference.parse() else { panic!("{reference} is no guest") };
        Guest {
            reference,
            node: "pve1".into(),
            name: "web".into(),
            status: "stopped".into(),
            smbios_uuid: Some("7a4d6a52".into()),
            config_digest: "d1".into(),
            template: false,
            protected: false,
            lock: None,
            ha_managed: false,
            snapshots: vec!["before".into()],
            storages: vec!["tank".into()],
        }
    }

    fn environment(number: u8) -> ProxmoxEnvironment {
        let endpoint = format!("https://pve{number}");
        let spec = json!({"endpoints": [endpoint], "credentials": {"secretRef": {"name": "s"}}});
        let mut environment = ProxmoxEnvironment::new("home", serde_json::from_value(spec).unwrap());
        environment.metadata.uid = Some("env".into());
        environment
    }

    fn policy(preset: Preset) -> ProxmoxPolicy {
        let mut policy = ProxmoxPolicy::new("house", crate::api::ProxmoxPolicySpec { preset });
        policy.metadata.uid = Some(format!("policy-{preset}"));
        policy
    }

    fn judged(action: &str, params: serde_json::Value, met: &Guest) -> Result<Judged, Unjudged> {
        judged_in(action, params, met, &environment(1), None)
    }

    fn judged_in(
        action: &str,
        params: serde_json::Value,
        met: &Guest,
        environment: &ProxmoxEnvironment,
        policy: Option<&ProxmoxPolicy>,
    ) -> Result<Judged, Unjudged> {
        let request = normalise("default", &spec(action, &met.reference.to_string(), params)).unwrap();
        judge(&request, Some(met), Setting { plan_uid: "uid", environment, policy })
    }

    fn denied(result: Result<Judged, Unjudged>) -> &'static str {
        match result {
            Err(Unjudged::Denied(denial)) => denial.reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_not_be_is_denied_before_anybody_is_asked() {
        let met = guest("qemu/100");
        let name = |name: &str| json!({"snapshot": name});
        assert_eq!(denied(judged("create_snapshot", name("before"), &met)), "SnapshotExists");
        assert_eq!(denied(judged("rollback_snapshot", name("after"), &met)), "SnapshotNotFound");
        assert!(judged("rollback_snapshot", name("before"), &met).is_ok());
        let request = normalise("default", &spec("start_guest", "qemu/999", json!({}))).unwrap();
        let environment = environment(1);
        let setting = Setting { plan_uid: "uid", environment: &environment, policy: None };
        assert_eq!(denied(judge(&request, None, setting)), "TargetNotFound");
    }

    #[test]
    fn an_approval_is_void_when_the_target_is_another_one() {
        let before = judged("delete_guest", json!({}), &guest("qemu/100")).unwrap();
        for (change, what) in [
            (Guest { node: "pve2".into(), ..guest("qemu/100") }, "node: pve1 -> pve2"),
            (Guest { name: "db".into(), ..guest("qemu/100") }, "name: web -> db"),
            (
                Guest { smbios_uuid: Some("other".into()), ..guest("qemu/100") },
                "smbiosUuid: 7a4d6a52 -> other",
            ),
            (Guest { config_digest: "d2".into(), ..guest("qemu/100") }, "configDigest: d1 -> d2"),
        ] {
            let now = judged("delete_guest", json!({}), &change).unwrap();
            assert_ne!(before.plan_hash, now.plan_hash, "{what}");
            assert_eq!(moved(&before, &now), [what]);
        }
    }

    #[test]
    fn a_power_cut_does_not_depend_on_the_configuration() {
        let before = judged("stop_guest", json!({}), &guest("qemu/100")).unwrap();
        let edited = Guest { config_digest: "d2".into(), ..guest("qemu/100") };
        assert_eq!(before.plan_hash, judged("stop_guest", json!({}), &edited).unwrap().plan_hash);
    }

    #[test]
    fn another_environment_or_policy_makes_another_plan_hash() {
        let met = guest("qemu/100");
        let judge = |number, preset: Option<Preset>| {
            let policy = preset.map(policy);
            judged_in("stop_guest", json!({}), &met, &environment(number), policy.as_ref()).unwrap()
        };
        let before = judge(1, None);
        let elsewhere = moved(&before, &judge(2, None));
        assert!(elsewhere.len() == 1 && elsewhere[0].starts_with("environment: env/"), "{elsewhere:?}");
        let moved = moved(&before, &judge(1, Some(Preset::Strict)));
        assert_eq!(moved, ["policy: balanced/1 -> policy-strict/0"]);
    }

    #[test]
    fn a_new_site_or_time_out_voids_no_approval() {
        let before = environment(1);
        let mut after = before.clone();
        after.spec.site = "cellar".into();
        after.spec.request_timeout_seconds = 7;
        let judge =
            |environment| judged_in("stop_guest", json!({}), &guest("qemu/100"), environment, None).unwrap();
        assert_eq!(judge(&before).plan_hash, judge(&after).plan_hash);
    }

    #[test]
    fn what_proxmox_would_refuse_is_said_beforehand() {
        let met = Guest {
            protected: true,
            status: "running".into(),
            lock: Some("backup".into()),
            ..guest("qemu/100")
        };
        let warnings = judged("delete_guest", json!({}), &met).unwrap().preview.warnings;
        for word in ["protected", "running", "snapshots go with it", "locked: backup"] {
            assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}: {warnings:?}");
        }
    }

    proptest! {
        /// What Proxmox or a writer sends must never make the API server refuse the status.
        #[test]
        fn no_guest_makes_a_preview_that_is_too_long(name in ".{0,2000}", lock in ".{0,2000}", count in 0usize..300) {
            let met = Guest {
                name,
                lock: Some(lock),
                snapshots: (0..count).map(|n| format!("s{n}")).collect(),
                ..guest("qemu/100")
            };
            let judged = judged("delete_guest", json!({}), &met).unwrap();
            prop_assert!(judged.preview.summary.chars().count() <= 512);
            prop_assert!(judged.preview.warnings.len() <= 16);
            prop_assert!(judged.preview.warnings.iter().all(|warning| warning.chars().count() <= 512));
            prop_assert!(judged.fingerprint.values().all(|value| value.chars().count() <= 512));
        }
    }
}
