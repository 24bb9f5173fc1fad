use proptest::{prelude::*, strategy::ValueTree};
use serde_json::Map;

use super::*;
use crate::{
    catalog::{Action, Param},
    core::request::normalise,
};

const EASILY_MISREAD: &[&str] =
    &["yes", "no", "on", "null", "~", "0777", "1_000", "0x1f", "1e3", "---", "- a", "{", "2026-01-01", "<<"];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(EASILY_MISREAD).prop_map(str::to_owned),
        "[ -~]{1,40}",
        "\\PC{1,20}",
        "[a-z]{1,6}\n[ a-z:#]{0,9}\n?",
    ]
}

/// A value that the catalogue takes, as a person would type it.
fn any_value(type_: ParamType) -> BoxedStrategy<String> {
    match type_ {
        ParamType::Bool => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        ParamType::Integer { min, max } => (min..=max).prop_map(|number| number.to_string()).boxed(),
        ParamType::Vmid => (100u32..=999_999_999).prop_map(|number| number.to_string()).boxed(),
        ParamType::OneOf(words) => prop::sample::select(words).prop_map(str::to_owned).boxed(),
        ParamType::ConfigId { .. } => "[a-z][-a-z0-9_]{1,12}".boxed(),
        ParamType::Name => "[a-z0-9][-a-z0-9]{0,12}".boxed(),
        ParamType::Volume => "[a-z]{2,8}:iso/[a-z]{1,8}\\.iso".boxed(),
        ParamType::Size => "\\+?[1-9][0-9]{0,3}[KMGT]?".boxed(),
        ParamType::Url => "https://[a-z]{1,8}\\.test/[a-z]{0,8}".boxed(),
        ParamType::Secret => "[a-z]{1,8}/[a-z]{1,8}".boxed(),
        ParamType::List { .. } => "(yes|no|[0-9]{1,4}|[a-z]{1,6})(,[a-z0-9]{1,6}){0,3}".boxed(),
        ParamType::Settings { .. } => "(on|0777|[a-z0-9=]{1,8})(,[a-z]{1,4}=[a-z0-9]{1,4}){0,2}".boxed(),
        ParamType::Text { .. } | ParamType::Notes { .. } | ParamType::PublicKeys => any_text().boxed(),
    }
}

fn any_params(action: &'static Action) -> impl Strategy<Value = Vec<(String, String)>> {
    let spelled = |param: &Param| param.name.replace("[n]", "0");
    let maybe = |param: &'static Param| {
        let value = any_value(param.type_);
        let given = if param.required { Just(true).boxed() } else { any::<bool>().boxed() };
        (Just(spelled(param)), value, given)
    };
    let all: Vec<_> = action.params().map(maybe).collect();
    all.prop_map(|params| {
        params.into_iter().filter(|(.., given)| *given).map(|(name, value, _)| (name, value)).collect()
    })
}

fn any_request() -> impl Strategy<Value = (&'static Action, &'static str, Vec<(String, String)>)> {
    let all: Vec<&'static Action> = catalog::actions().collect();
    prop::sample::select(all).prop_flat_map(|action| {
        let targets: Vec<&'static str> = action.target.iter().map(|kind| kind.example()).collect();
        (Just(action), prop::sample::select(targets), any_params(action))
    })
}

fn asked(action: &str, target: &str, params: Vec<(String, String)>, reason: String, by: String) -> New {
    New {
        action: action.to_owned(),
        target: target.to_owned(),
        environment: "home".to_owned(),
        params,
        param_files: vec![],
        reason,
        requested_by: Some(by),
        name: None,
        namespace: "home".to_owned(),
        not_before: None,
        not_after: None,
        valid_for: SignedDuration::from_hours(24),
        dry_run: false,
        dir: PathBuf::from("."),
        out: None,
        git_source: false,
        commit: false,
    }
}

#[test]
fn a_generated_name_is_one_that_a_store_takes_whatever_the_target_is() {
    let target = "volume/local:backup/vzdump-qemu-100-2026_01_01-00_00_00.vma.zst";
    let new = asked("delete_volume", target, vec![], String::new(), "me".into());
    let name = generated(&new.spec(SystemClock.now()).unwrap(), "0B5C1f5e-0000");
    assert_eq!(name, "delete-volume-volume-local-backup-vzdump-qemu-100-0b5c1f5e");
}

#[test]
fn the_time_that_a_plan_is_valid_begins_when_it_may_be_sent() {
    let mut new = asked("start_guest", "qemu/100", vec![], String::new(), "me".into());
    let not_after = |new: &New| new.spec(Timestamp::UNIX_EPOCH).unwrap().not_after.unwrap().0.to_string();
    assert_eq!(not_after(&new), "1970-01-02T00:00:00Z");
    new.not_before = Some("2030-05-01T12:00:00.5Z".parse().unwrap());
    assert_eq!(not_after(&new), "2030-05-02T12:00:00Z");
}

proptest! {
    /// Whatever is asked for, the file says exactly that, to a store and to kubectl alike. Only Proxmox's own schema may
    /// still object.
    #[test]
    fn a_written_plan_lints_clean_and_asks_for_what_was_typed(
        (action, target, params) in any_request(),
        reason in prop_oneof![Just(String::new()), any_text()],
        by in prop_oneof!["[a-z]{1,8}@example\\.test", "(yes|no|on|off|null|0777|1e3)"],
    ) {
        let new = asked(action.name, target, params, reason, by);
        let spec = new.spec(SystemClock.now()).unwrap();
        let Ok(request) = normalise(&new.namespace, &spec) else { return Ok(()) };
        let mut plan = ProxmoxActionPlan::new("p", spec.clone());
        plan.metadata.namespace = Some(new.namespace.clone());
        let text = offline::print(&serde_json::to_value(&plan).unwrap()).unwrap();
        let set = Set::of_text("p.yaml", &text).unwrap();
        let problems = check::findings(&set, SystemClock.now()).into_iter();
        let problems: Vec<String> =
            problems.filter(|finding| finding.severity == Severity::Problem).map(|finding| finding.message).collect();
        prop_assert_eq!(problems, check::refusals(&new.namespace, &spec), "{}", text);
        let read = set.plans().next().unwrap();
        prop_assert_eq!(&read.spec, &spec);
        prop_assert_eq!(normalise("home", &read.spec).unwrap().hash().unwrap(), request.hash().unwrap());
    }
}

#[test]
fn most_of_what_the_property_is_about_is_taken_by_the_catalogue() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let taken = (0..200).filter(|_| {
        let (action, target, params) = any_request().new_tree(&mut runner).unwrap().current();
        let new = asked(action.name, target, params, String::new(), "me".into());
        normalise("home", &new.spec(SystemClock.now()).unwrap()).is_ok()
    });
    let taken = taken.count();
    assert!(taken > 100, "only {taken} of 200 get past the catalogue");
}

/// Requests that the simulated Proxmox has carried out: every action, by the files of `tests/data/actions`.
fn requests() -> Vec<(String, String, Map<String, Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/actions");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| !file.ends_with("world.yaml"));
    let entries = files
        .flat_map(|file| serde_saphyr::from_str::<Vec<Value>>(&fs::read_to_string(file).unwrap()).unwrap());
    entries.flat_map(|entry| successes(&entry)).collect()
}

fn successes(entry: &Value) -> Vec<(String, String, Map<String, Value>)> {
    let cases = match &entry["success"] {
        Value::Array(cases) => cases.clone(),
        Value::Object(case) => vec![Value::Object(case.clone())],
        _ => vec![],
    };
    let request = |case: &Value| {
        let target = case["target"].as_str().or(entry["target"].as_str()).unwrap();
        let mut params = entry["params"].as_object().cloned().unwrap_or_default();
        params.extend(case["params"].as_object().cloned().unwrap_or_default());
        params.retain(|_, value| !value.is_null());
        (entry["action"].as_str().unwrap().to_owned(), target.to_owned(), params)
    };
    cases.iter().map(request).collect()
}

#[test]
fn everything_that_proxmox_carries_out_can_be_asked_for_here() {
    let requests = requests();
    assert!(requests.len() > 100, "{}", requests.len());
    for (action, target, params) in requests {
        let typed_by_hand = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let given = params.iter().map(|(name, value)| (name.clone(), typed_by_hand(value))).collect();
        let new = asked(&action, &target, given, String::new(), "me".to_owned());
        let spec = new.spec(SystemClock.now()).unwrap();
        assert_eq!(spec.params, params.into_iter().collect(), "{action} on {target}");
        new.refuse_invalid(&spec).unwrap_or_else(|failure| panic!("{action} on {target}: {failure}"));
        new.text("p", &spec).unwrap_or_else(|failure| panic!("{action} on {target}: {failure}"));
    }
}
