//! The worked example of hashing comes out as it is written, by hand and by the program.

use std::{collections::BTreeMap, process::Command};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use proxmox_agent::{
    api::{
        ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxActionPlanSpec, ProxmoxEnvironment, ProxmoxPolicy,
    },
    catalog::Target,
    core::{
        approval::{Bench, Candidate, Proof, admit},
        call::{PlanIdentity, snapshot_name},
        judge::{Judged, Setting, judge},
        observe::{Guest, Ha, Met, Rights, Seen, Snapshot, Volume, World},
        policy::Policy,
        request::normalise,
    },
};
use regex::Regex;

use crate::{examples::example, markdown::page, read, root};

/// The lines that a reader may run, each with the digits that are promised.
fn hash_lines() -> Vec<(String, String)> {
    let text = read(&root().join("docs/request-hashing.md"));
    let line = Regex::new(r"(?m)^(printf '%s' '.*' \| sha256sum)\n# ([0-9a-f]{64})$").unwrap();
    line.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn the_hashes_of_the_worked_example_come_out_as_they_are_written() {
    let lines = hash_lines();
    assert_eq!(lines.len(), 5);
    for (line, digits) in lines {
        let ran = Command::new("sh").args(["-c", &line]).output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(printed.split_whitespace().next(), Some(digits.as_str()), "{line}");
    }
}

/// The plan of the worked example, judged by the program itself.
fn judged_example() -> Judged {
    let mut policy: ProxmoxPolicy = example("policy.yaml");
    policy.metadata.uid = Some("550e8400-e29b-41d4-a716-446655440000".to_owned());
    policy.metadata.generation = Some(1);
    let environment: ProxmoxEnvironment = example("environment.yaml");
    assert_eq!(environment.spec.policy_ref.map(|policy| policy.name), policy.metadata.name);
    judged_under(&policy)
}

/// The same plan under another policy.
pub(crate) fn judged_under(policy: &ProxmoxPolicy) -> Judged {
    let mut plan: ProxmoxActionPlan = example("plan-high.yaml");
    let mut environment: ProxmoxEnvironment = example("environment.yaml");
    environment.metadata.uid = Some(ENVIRONMENT_UID.to_owned());
    let guest = Guest {
        reference: match plan.spec.target.parse().unwrap() {
            proxmox_agent::catalog::Target::Guest(guest) => guest,
            other => panic!("{other}"),
        },
        node: "pve1".to_owned(),
        name: "web-1".to_owned(),
        status: "running".to_owned(),
        smbios_uuid: Some("98837c76-051a-445f-95c5-2ea7ba0ca283".to_owned()),
        config_digest: "7953239c9a7e53e1398b93137532c87520b1f2e1".to_owned(),
        template: false,
        protected: false,
        lock: None,
        ha_managed: false,
        detail: None,
        uptime: None,
        tags: vec![],
        pool: None,
        onboot: false,
        memory: 512 << 20,
        config: BTreeMap::new(),
        pending: BTreeMap::new(),
        snapshots: vec![Snapshot {
            name: "before-upgrade".to_owned(),
            description: String::new(),
            parent: None,
            taken_at: None,
            with_memory: false,
            config: BTreeMap::new(),
        }],
    };
    let may = BTreeMap::from([("VM.Snapshot".to_owned(), true), ("VM.PowerMgmt".to_owned(), true)]);
    let world = World {
        version: "9.2.11".to_owned(),
        target: Met::Guest(Box::new(guest)),
        rights: Rights::new(BTreeMap::from([("/".to_owned(), may)]), BTreeMap::new()),
        // Last night's backup: the snapshot is not the last restore point.
        volumes: Seen::Known(vec![Volume {
            id: "vault:backup/vzdump-qemu-101-2026_11_21-01_00_00.vma.zst".to_owned(),
            storage: "vault".to_owned(),
            content: "backup".to_owned(),
            vmid: plan.spec.target.parse::<Target>().unwrap().guest().map(|guest| guest.vmid),
            created_at: Some(1_795_222_800),
            ..Volume::default()
        }]),
        storages: Seen::Known(vec![]),
        replication: Seen::Known(vec![]),
        ha: Seen::Known(Ha::default()),
        ..World::default()
    };
    let policy = Policy::of(Some(policy), &environment, &[]).unwrap();
    plan.metadata.uid = Some(PLAN_UID.to_owned());
    let setting = Setting {
        plan: &plan,
        environment: &environment,
        policy: &policy,
        now: "2026-11-21T12:30:00Z".parse().unwrap(),
    };
    judge(&normalise("home", &plan.spec).unwrap(), &world, setting).unwrap().judged
}

const ENVIRONMENT_UID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const PLAN_UID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

#[test]
fn the_program_hashes_the_worked_example_as_the_document_does() {
    let [request, environment, policy, plan, snapshot] = hash_lines().try_into().unwrap();
    let judged = judged_example();
    assert_eq!(judged.fingerprint["environment"], format!("{ENVIRONMENT_UID}/{}", &environment.1[..12]));
    assert_eq!(judged.request_hash.to_string(), format!("sha256:{}", request.1));
    assert_eq!(judged.plan_hash.to_string(), format!("sha256:{}", plan.1));
    assert!(plan.0.contains(&format!("\"policy\":\"{}\"", &policy.1[..12])), "{}", plan.0);

    let nameless = ProxmoxActionPlanSpec {
        action: "create_snapshot".to_owned(),
        params: Default::default(),
        ..example::<ProxmoxActionPlan>("plan-high.yaml").spec
    };
    let identity = PlanIdentity { hash: &judged.plan_hash, uid: PLAN_UID };
    let name = format!("h{}", &snapshot.1[..12]);
    assert_eq!(snapshot_name(&normalise("home", &nameless).unwrap(), identity).unwrap(), name);
    assert!(page("docs/request-hashing.md").code_spans().contains(&name));
}

#[test]
fn the_approval_of_the_examples_fits_their_plan() {
    let plan: ProxmoxActionPlan = example("plan-high.yaml");
    let mut approval: ProxmoxActionApproval = example("approval.yaml");
    let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    approval.metadata.creation_timestamp = Some(Time(noon));
    let mut metadata = plan.metadata.clone();
    metadata.uid = Some(PLAN_UID.to_owned());
    let environment: ProxmoxEnvironment = example("environment.yaml");
    let bench = Bench {
        plan: &metadata,
        requested_by: &plan.spec.requested_by,
        environment: &environment.name_any(),
        tier: environment.spec.tier,
        judged: &judged_example(),
        question: None,
        proof: &Proof::ApiServer,
        now: noon,
    };
    let counted = admit(&Candidate { approval, traced: None }, bench).unwrap();
    assert_eq!(counted.granted.approved_by, "approver@example.test");
}
