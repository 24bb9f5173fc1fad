//! What the API server lets in: the rules of the definitions, and what the types themselves refuse.

use std::{collections::BTreeMap, sync::LazyLock};

use kube::{
    CustomResourceExt,
    core::cel::{CompiledSchema, Validator, compile_schema},
};
use proxmox_agent::api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy};
use serde::de::DeserializeOwned;
use serde_json::Value;

struct Definition {
    rules: CompiledSchema,
    parse: fn(&Value) -> Result<(), String>,
}

static DEFINITIONS: LazyLock<BTreeMap<String, Definition>> = LazyLock::new(|| {
    BTreeMap::from([
        of::<ProxmoxActionPlan>(),
        of::<ProxmoxActionApproval>(),
        of::<ProxmoxEnvironment>(),
        of::<ProxmoxPolicy>(),
    ])
});

fn of<K: CustomResourceExt + DeserializeOwned>() -> (String, Definition) {
    let crd = K::crd();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let rules = compile_schema(&serde_json::to_value(schema).unwrap());
    let parse = |object: &Value| K::deserialize(object).map(drop).map_err(|error| error.to_string());
    (crd.spec.names.plural, Definition { rules, parse })
}

pub(super) fn check(plural: &str, new: &Value, old: Option<&Value>) -> Result<(), String> {
    let definition = &DEFINITIONS[plural];
    (definition.parse)(new)?;
    let checked = Validator::new().validate_compiled(&definition.rules, new, old);
    checked.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}
