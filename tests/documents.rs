//! The documents are executed: their links lead somewhere, their YAML is taken, their hashes recompute, and what the code
//! calls a phase or a reason is explained.
// A test that can't read a document has to fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "documents/previews.rs"]
mod previews;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::ResourceExt;
use proxmox_agent::{
    api::{
        GROUP, Phase, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxActionPlanSpec, ProxmoxEnvironment,
        ProxmoxPolicy,
    },
    catalog::Target,
    core::{
        approval::{Bench, Proof, admit},
        call::{PlanIdentity, snapshot_name},
        judge::{Judged, Setting, judge},
        observe::{Guest, Ha, Met, Rights, Seen, Snapshot, Volume, World},
        request::normalise,
    },
    ports::{Key, Kind, Store},
    pve::sim,
    store::directory::{DirectoryOptions, DirectoryStore},
    system::SystemClock,
};
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn all(pattern: &str, text: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

// ---- Markdown, as far as these documents use it

struct Page {
    path: PathBuf,
    /// What stands outside of fenced blocks.
    prose: Vec<String>,
    blocks: Vec<Block>,
}

struct Block {
    language: String,
    text: String,
}

impl Page {
    fn read(path: &Path) -> Self {
        let mut page = Self { path: path.to_owned(), prose: vec![], blocks: vec![] };
        let mut open = false;
        for line in read(path).lines() {
            match (line.trim_start().strip_prefix("```"), open) {
                (Some(language), false) => {
                    page.blocks.push(Block { language: language.to_owned(), text: String::new() });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let block = page.blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, false) => page.prose.push(line.to_owned()),
            }
        }
        assert!(!open, "{}: a fenced block does not end", path.display());
        page
    }

    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// Targets of links, without those that only an inline code span shows.
    fn links(&self) -> Vec<String> {
        let code = Regex::new("`[^`]*`").unwrap();
        self.prose.iter().flat_map(|line| all(r"\]\(([^)\s]+)\)", &code.replace_all(line, ""))).collect()
    }

    fn code_spans(&self) -> Vec<String> {
        self.prose.iter().flat_map(|line| all("`([^`]+)`", line)).collect()
    }

    /// Where links to this page may lead, as GitHub names its headings.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose.iter().filter_map(|line| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then(|| text.trim())
        });
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        headings
            .map(|text| text.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
            .collect()
    }

    /// The lines of the section under this heading of the second level.
    fn section(&self, heading: &str) -> Vec<&str> {
        let mut lines = self.prose.iter().map(String::as_str).skip_while(|line| *line != heading).skip(1);
        let level = heading.chars().take_while(|c| *c == '#').count();
        let ends =
            |line: &str| line.starts_with('#') && line.chars().take_while(|c| *c == '#').count() <= level;
        let section: Vec<&str> = lines.by_ref().take_while(|line| !ends(line)).collect();
        assert!(!section.is_empty(), "{} has no section `{heading}`", self.name());
        section
    }
}

fn markdown_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(markdown_below(&path));
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Everything in docs/, and the pages beside it.
fn pages() -> Vec<Page> {
    let beside = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let beside = beside.filter(|path| path.extension().is_some_and(|end| end == "md"));
    markdown_below(&root().join("docs")).into_iter().chain(beside).map(|path| Page::read(&path)).collect()
}

fn page(name: &str) -> Page {
    Page::read(&root().join(name))
}

// ---- links

/// Why a link leads nowhere, if it does.
fn broken(page: &Page, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.path.clone() } else { page.path.parent()?.join(file) };
    let Ok(target) = target.canonicalize() else { return Some("there is no such file".to_owned()) };
    if !target.starts_with(root()) {
        return Some("it leads out of the repository".to_owned());
    }
    let missing = |anchor: &&str| target.is_dir() || !Page::read(&target).anchors().contains(*anchor);
    anchor.filter(missing).map(|anchor| format!("there is no heading `{anchor}`"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = vec![];
    for page in pages() {
        for link in page.links() {
            wrong.extend(broken(&page, &link).map(|why| format!("{}: {link}: {why}", page.name())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_check_of_links_can_fail() {
    let page = page("docs/idempotency.md");
    for bad in ["nowhere.md", "#no-such-heading", "adr/README.md#nothing", "../../", "adr#x"] {
        assert!(broken(&page, bad).is_some(), "{bad}");
    }
    for good in ["#settling", "plan-id-rules.md#names", "adr/README.md", "https://example.test/x#y"] {
        assert_eq!(broken(&page, good), None, "{good}");
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let place = Regex::new(r"^(src|tests|docs|crds|tools)/[A-Za-z0-9_./-]*$").unwrap();
    let mut wrong = vec![];
    for page in pages() {
        let named = page.code_spans().into_iter().filter(|span| place.is_match(span));
        let missing = named.filter(|path| !root().join(path).exists());
        wrong.extend(missing.map(|path| format!("{}: {path}", page.name())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_document_is_found_by_following_links() {
    let linked: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| {
            let folder = page.path.parent().unwrap().to_owned();
            let files =
                page.links().into_iter().map(move |link| folder.join(link.split('#').next().unwrap()));
            let others = files.filter_map(|path| path.canonicalize().ok()).filter(|path| *path != page.path);
            others.collect::<Vec<_>>()
        })
        .collect();
    let lost: Vec<PathBuf> =
        markdown_below(&root().join("docs")).into_iter().filter(|path| !linked.contains(path)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

// ---- examples

fn parse<T: DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn of_ours(yaml: &str) -> bool {
    yaml.contains(&format!("apiVersion: {GROUP}/"))
}

/// Kind, namespace and name.
fn identity(yaml: &str) -> [String; 3] {
    let object: Value = parse(yaml);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]].map(text)
}

/// An object of ours as a store takes it: schema, bounds and CEL rules.
async fn taken<K: Kind>(yaml: &str) -> K {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("example.yaml"), yaml).unwrap();
    let state = folder.path().join("state");
    let store = DirectoryStore::open(DirectoryOptions { dir, state, clock: Arc::new(SystemClock) }).unwrap();
    let [_, namespace, name] = identity(yaml);
    let read = store.get::<K>(&Key::new(&namespace, &name)).await;
    read.unwrap_or_else(|error| panic!("{error}\n{yaml}"))
        .unwrap_or_else(|| panic!("it is not taken:\n{yaml}"))
}

async fn is_valid(yaml: &str) {
    let [kind, namespace, _] = identity(yaml);
    match kind.as_str() {
        "ProxmoxActionPlan" => {
            let plan: ProxmoxActionPlan = taken(yaml).await;
            let violations = normalise(&namespace, &plan.spec).err();
            assert!(violations.is_none(), "{violations:?}\n{yaml}");
        }
        "ProxmoxActionApproval" => drop(taken::<ProxmoxActionApproval>(yaml).await),
        "ProxmoxEnvironment" => drop(taken::<ProxmoxEnvironment>(yaml).await),
        "ProxmoxPolicy" => drop(taken::<ProxmoxPolicy>(yaml).await),
        "ClusterRole" => drop(parse::<ClusterRole>(yaml)),
        "Role" => drop(parse::<Role>(yaml)),
        "RoleBinding" => drop(parse::<RoleBinding>(yaml)),
        "" => drop(sim::World::from_yaml(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))),
        other => panic!("an example of kind {other} is checked by nobody"),
    }
}

/// Every file of docs/examples, with its text.
fn examples() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("docs/examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> =
        files.map(|path| (path.file_name().unwrap().display().to_string(), read(&path))).collect();
    all.sort();
    all
}

fn example<K: DeserializeOwned>(file: &str) -> K {
    parse(&read(&root().join("docs/examples").join(file)))
}

/// Every block of YAML that holds an object of ours, with the name of its page.
fn shown() -> Vec<(String, String)> {
    let of_page = |page: Page| {
        let name = page.name();
        let ours = page.blocks.into_iter().filter(|block| block.language == "yaml" && of_ours(&block.text));
        ours.map(move |block| (name.clone(), block.text)).collect::<Vec<_>>()
    };
    pages().into_iter().flat_map(of_page).collect()
}

#[tokio::test]
async fn every_example_is_taken() {
    let examples = examples();
    assert!(examples.len() >= 6);
    for (_, text) in &examples {
        for document in text.split("\n---\n") {
            is_valid(document).await;
        }
    }
}

#[tokio::test]
async fn every_object_that_a_document_shows_is_taken() {
    let shown = shown();
    assert!(shown.len() >= 5);
    for (_, text) in &shown {
        for document in text.split("\n---\n") {
            is_valid(document).await;
        }
    }
}

#[tokio::test]
#[should_panic(expected = "spec.dryrun")]
async fn the_check_of_examples_can_fail() {
    is_valid(&read(&root().join("docs/examples/plan-low.yaml")).replace("reason:", "dryrun:")).await;
}

#[test]
fn an_object_that_has_a_file_is_shown_as_it_stands_there() {
    let shown = shown();
    for (file, text) in examples().into_iter().filter(|(_, text)| of_ours(text)) {
        let mut times = 0;
        let same_object = |(page, block): &&(String, String)| {
            page.starts_with("docs/") && identity(block) == identity(&text)
        };
        for (page, block) in shown.iter().filter(same_object) {
            assert_eq!(*block, text, "{page} shows another {file}");
            times += 1;
        }
        assert!(times > 0, "{file} is shown in no document");
    }
}

#[test]
fn every_role_that_is_bound_is_there() {
    let text = read(&root().join("docs/examples/roles.yaml"));
    let (bindings, roles): (Vec<&str>, Vec<&str>) =
        text.split("\n---\n").partition(|document| document.contains("kind: RoleBinding"));
    let roles: BTreeSet<[String; 2]> = roles
        .iter()
        .map(|role| {
            let [kind, _, name] = identity(role);
            [kind, name]
        })
        .collect();
    assert!(!bindings.is_empty());
    for binding in bindings {
        let role = parse::<RoleBinding>(binding).role_ref;
        assert!(roles.contains(&[role.kind.clone(), role.name.clone()]), "{role:?}");
    }
}

// ---- hashes

/// The lines that a reader may run, each with the digits that are promised.
fn hash_lines() -> Vec<(String, String)> {
    let text = read(&root().join("docs/request-hashing.md"));
    let line = Regex::new(r"(?m)^(printf '%s' '.*' \| sha256sum)\n# ([0-9a-f]{64})$").unwrap();
    line.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[test]
fn the_hashes_of_the_worked_example_come_out_as_they_are_written() {
    let lines = hash_lines();
    assert_eq!(lines.len(), 4);
    for (line, digits) in lines {
        let ran = Command::new("sh").args(["-c", &line]).output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(printed.split_whitespace().next(), Some(digits.as_str()), "{line}");
    }
}

/// The plan of the worked example, judged by the program itself.
fn judged_example() -> Judged {
    let plan: ProxmoxActionPlan = example("plan-high.yaml");
    let mut environment: ProxmoxEnvironment = example("environment.yaml");
    environment.metadata.uid = Some(ENVIRONMENT_UID.to_owned());
    let mut policy: ProxmoxPolicy = example("policy.yaml");
    policy.metadata.uid = Some("550e8400-e29b-41d4-a716-446655440000".to_owned());
    policy.metadata.generation = Some(1);
    assert_eq!(environment.spec.policy_ref.as_ref().map(|policy| policy.name.clone()), policy.metadata.name);
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
        tags: vec![],
        pool: None,
        onboot: false,
        memory: 512 << 20,
        config: BTreeMap::new(),
        pending: BTreeMap::new(),
        snapshots: vec![Snapshot {
            name: "before-upgrade".to_owned(),
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
    let setting = Setting {
        plan_uid: PLAN_UID,
        environment: &environment,
        policy: Some(&policy),
        now: "2026-11-21T12:00:00Z".parse().unwrap(),
    };
    judge(&normalise("home", &plan.spec).unwrap(), &world, setting).unwrap().0
}

const ENVIRONMENT_UID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const PLAN_UID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

#[test]
fn the_program_hashes_the_worked_example_as_the_document_does() {
    let [request, environment, plan, snapshot] = hash_lines().try_into().unwrap();
    let judged = judged_example();
    assert_eq!(judged.fingerprint["environment"], format!("{ENVIRONMENT_UID}/{}", &environment.1[..12]));
    assert_eq!(judged.request_hash.to_string(), format!("sha256:{}", request.1));
    assert_eq!(judged.plan_hash.to_string(), format!("sha256:{}", plan.1));

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
    let approval: ProxmoxActionApproval = example("approval.yaml");
    let mut metadata = plan.metadata.clone();
    metadata.uid = Some(PLAN_UID.to_owned());
    let environment: ProxmoxEnvironment = example("environment.yaml");
    let bench = Bench {
        plan: &metadata,
        requested_by: &plan.spec.requested_by,
        environment: &environment.name_any(),
        tier: environment.spec.tier,
        judged: &judged_example(),
        proof: Proof::ApiServer,
        now: "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap(),
    };
    let counted = admit(&approval, bench).unwrap();
    assert_eq!(counted.granted.approved_by, "approver@example.test");
}

// ---- phases and reasons

const LIFECYCLE: &str = "docs/plan-apply-lifecycle.md";

/// Where reasons are written down in the code.
const SPOKEN_IN: &[&str] = &[
    "core/approval.rs",
    "core/allowed.rs",
    "core/denial.rs",
    "core/identity.rs",
    "core/judge.rs",
    "core/lifecycle/ending.rs",
    "core/lifecycle/handed_over.rs",
    "core/lifecycle/in_flight.rs",
    "core/lifecycle/recheck.rs",
    "core/lifecycle/report.rs",
    "core/lifecycle/step.rs",
    "core/places.rs",
    "controllers/approval.rs",
    "controllers/environment.rs",
    "controllers/plan/in_flight.rs",
    "controllers/plan/mod.rs",
    "controllers/plan/report.rs",
    "controllers/scene.rs",
    "store/directory/contents.rs",
    "store/kube.rs",
];

/// Words of the same form that are no reasons: statuses of a condition, an Event's action, names of types.
const NO_REASONS: &[&str] = &["False", "KubeSecrets", "KubeStore", "Reconcile", "True"];

fn source(file: &str) -> String {
    let text = read(&root().join("src").join(file));
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// Every text in the code that has the form of a reason: one word in camel case.
fn reasons_in(file: &str) -> BTreeSet<String> {
    let found = all(r#""([A-Z][a-z]+(?:[A-Z][a-z]+)*)""#, &source(file));
    found.into_iter().filter(|word| !NO_REASONS.contains(&word.as_str())).collect()
}

fn all_reasons() -> BTreeSet<String> {
    SPOKEN_IN.iter().flat_map(|file| reasons_in(file)).collect()
}

#[test]
fn every_phase_is_explained() {
    let spans = page(LIFECYCLE).code_spans();
    for phase in Phase::ALL {
        assert!(spans.contains(&phase.to_string()), "{phase}");
    }
}

#[test]
fn every_reason_and_every_event_in_the_code_is_explained() {
    let (reasons, spans) = (all_reasons(), page(LIFECYCLE).code_spans());
    assert!(reasons.len() > 40, "too few to be all: {reasons:?}");
    let lacking: Vec<&String> = reasons.iter().filter(|reason| !spans.contains(reason)).collect();
    assert!(lacking.is_empty(), "{LIFECYCLE} does not explain {lacking:?}");
}

#[test]
fn every_refusal_of_an_approval_has_its_row() {
    let page = page(LIFECYCLE);
    let rows: BTreeSet<String> =
        page.section("## Approvals").iter().flat_map(|line| all(r"^\| `([A-Za-z]+)` \|", line)).collect();
    let refusals = all(r#"refuse\(\s*"([A-Za-z]+)""#, &source("core/approval.rs"));
    assert!(refusals.len() >= 10, "too few to be all: {refusals:?}");
    for refusal in refusals {
        assert!(rows.contains(&refusal), "{refusal}");
    }
    let known: BTreeSet<String> =
        reasons_in("core/approval.rs").union(&reasons_in("controllers/approval.rs")).cloned().collect();
    assert!(rows.is_subset(&known), "not in the code: {:?}", rows.difference(&known));
}

#[test]
fn no_transition_is_explained_that_the_code_does_not_make() {
    let page = page(LIFECYCLE);
    let known = all_reasons();
    let rows = page.section("## Transitions").into_iter().filter(|line| line.starts_with("| `"));
    let reasons: Vec<String> = rows
        .flat_map(|row| all("`([A-Za-z]+)`", row.split('|').nth(3).unwrap()))
        .filter(|reason| !known.contains(reason))
        .collect();
    assert!(reasons.is_empty(), "{reasons:?}");
}
