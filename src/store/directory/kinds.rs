//! Our kinds as data, so that files can be judged before anybody asks for a type.

use kube::core::cel::{CompiledSchema, ValidationErrors, Validator, apply_defaults, compile_schema};
use serde_json::Value;

use super::schema::{self, Patterns};
use crate::{
    api::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy},
    ports::Kind,
};

/// Everything that is checked of one kind.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) kind: String,
    pub(super) plural: String,
    schema: Value,
    patterns: Patterns,
    rules: CompiledSchema,
    parse: fn(&Value) -> Result<(), String>,
}

/// Every kind that a directory can hold.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Definition>);

impl Kinds {
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self(vec![
            Definition::of::<ProxmoxActionPlan>()?,
            Definition::of::<ProxmoxActionApproval>()?,
            Definition::of::<ProxmoxEnvironment>()?,
            Definition::of::<ProxmoxPolicy>()?,
        ]))
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Definition> {
        self.0.iter().find(|definition| definition.kind == kind)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.0.iter()
    }

    pub(super) fn names(&self) -> String {
        self.0.iter().map(|d| d.kind.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Definition {
    fn of<K: Kind>() -> Result<Self, String> {
        let crd = K::crd();
        let names = crd.spec.names;
        let in_kind = |what: &str| format!("the definition of {} has {what}", names.kind);
        let schema = crd
            .spec
            .versions
            .into_iter()
            .next()
            .and_then(|version| version.schema?.open_api_v3_schema)
            .ok_or_else(|| in_kind("no schema"))?;
        let schema = serde_json::to_value(schema).map_err(|e| in_kind(&format!("a bad schema: {e}")))?;
        let mut patterns = Patterns::new();
        schema::patterns(&schema, &mut patterns).map_err(|e| in_kind(&format!("a bad {e}")))?;
        Ok(Self {
            rules: compile_schema(&schema),
            kind: names.kind,
            plural: names.plural,
            schema,
            patterns,
            parse: |object| K::deserialize(object).map(drop).map_err(|e| e.to_string()),
        })
    }

    /// `null`s that say nothing are taken out.
    pub(super) fn tidy(&self, object: &mut Value) {
        schema::without_nulls(&self.schema, object);
    }

    /// Whether an API server would create this object.
    pub(super) fn check_new(&self, object: &Value) -> Result<(), String> {
        self.check(object, None)
    }

    /// Whether an API server would let `new` take the place of `old`.
    pub(super) fn check_change(&self, new: &Value, old: &Value) -> Result<(), String> {
        self.check(new, Some(old))
    }

    /// Whether two specs ask for the same thing, whatever they leave to defaults.
    pub(super) fn same_spec(&self, one: &Value, other: &Value) -> bool {
        let of_spec = &self.schema["properties"]["spec"];
        one == other || apply_defaults(of_spec, one) == apply_defaults(of_spec, other)
    }

    fn check(&self, object: &Value, old: Option<&Value>) -> Result<(), String> {
        // apiVersion, kind and metadata stand in no CRD schema: they are checked where files are read.
        let mut own = object.clone();
        if let Value::Object(fields) = &mut own {
            fields.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
        }
        let problems = schema::problems(&self.schema, &self.patterns, "", &own);
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        Validator::new().validate_compiled(&self.rules, object, old).map_err(|e| in_words(&e))?;
        // What only the types know, such as the range of an unsigned number.
        (self.parse)(object)
    }
}

fn in_words(errors: &ValidationErrors) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Kinds;

    fn environment(spec: &Value) -> Value {
        json!({
            "apiVersion": "proxmox-agent.io/v1alpha1", "kind": "ProxmoxEnvironment",
            "metadata": { "name": "home", "namespace": "default" }, "spec": spec,
        })
    }

    /// The keywords that `schema` checks, and those that say nothing about a value's structure.
    const KNOWN: &[&str] = &[
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "nullable",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ];

    fn unknown_keywords(schema: &Value, found: &mut Vec<String>) {
        let Value::Object(fields) = schema else { return };
        found.extend(fields.keys().filter(|k| !KNOWN.contains(&k.as_str())).cloned());
        let known = [
            ("type", &["object", "array", "string", "boolean", "integer", "number"][..]),
            ("format", &["date-time", "int32", "int64", "uint32", "uint64"]),
            ("x-kubernetes-list-type", &["map", "atomic"]),
        ];
        for (keyword, values) in known {
            if let Some(value) = fields.get(keyword)
                && !value.as_str().is_some_and(|v| values.contains(&v))
            {
                found.push(format!("{keyword}: {value}"));
            }
        }
        fields
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|p| p.values())
            .chain(fields.get("items"))
            .chain(fields.get("additionalProperties"))
            .for_each(|inner| unknown_keywords(inner, found));
    }

    #[test]
    fn no_definition_uses_a_keyword_that_is_not_checked() {
        for definition in Kinds::new().unwrap().iter() {
            let mut found = Vec::new();
            unknown_keywords(&definition.schema, &mut found);
            assert!(found.is_empty(), "{}: {found:?}", definition.kind);
        }
    }

    fn problem_of(spec: &Value) -> String {
        let kinds = Kinds::new().unwrap();
        kinds.find("ProxmoxEnvironment").unwrap().check_new(&environment(spec)).unwrap_err()
    }

    #[test]
    fn every_problem_names_its_field_and_what_is_allowed() {
        let text = problem_of(&json!({
            "endpoints": ["ftp://pve"], "credentials": { "secretRef": { "name": "x", "kye": "y" } },
            "tier": "prod", "requestTimeoutSeconds": 301, "site": 5, "tls": { "fingerprint": "zz" },
        }));
        for expected in [
            "spec.endpoints[0]: must match ^https?://",
            "spec.credentials.secretRef.kye: is not known; known here: key, name",
            "spec.tier: must be one of production, staging, lab, but is `prod`",
            "spec.requestTimeoutSeconds: must be at most 300, but is 301",
            "spec.site: must be a string, but is the number 5",
            "spec.tls.fingerprint: must be at least 64 characters long, but is 2",
        ] {
            assert!(text.contains(expected), "`{expected}` is missing in: {text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_long_is_shortened() {
        assert!(
            problem_of(&json!({ "endpoints": [] })).contains("spec.credentials: is required, but missing")
        );
        let text = problem_of(&json!({
            "endpoints": ["https://a"], "credentials": { "secretRef": { "name": "N".repeat(1_000_000) } },
        }));
        assert!(text.contains(
            "spec.credentials.secretRef.name: must be at most 253 characters long, but is 1000000"
        ));
        assert!(text.len() < 1000, "{text}");
    }

    #[test]
    fn a_field_that_says_nothing_is_a_field_that_is_not_there() {
        let kinds = Kinds::new().unwrap();
        let definition = kinds.find("ProxmoxEnvironment").unwrap();
        let spec = json!({
            "endpoints": ["https://a"], "credentials": { "secretRef": { "name": "x", "key": null } }, "tls": null,
        });
        let mut object = environment(&spec);
        definition.tidy(&mut object);
        assert_eq!(definition.check_new(&object), Ok(()));
        object["spec"]["credentials"] = json!(null);
        definition.tidy(&mut object);
        assert!(definition.check_new(&object).unwrap_err().contains("spec.credentials: is required"));
    }

    #[test]
    fn rules_between_fields_are_checked_too() {
        let text = problem_of(&json!({
            "endpoints": ["https://a"], "credentials": { "secretRef": { "name": "x" } }, "tls": { "insecureSkipVerify": true },
        }));
        assert!(text.contains("insecureSkipVerify is refused where tier is production"), "{text}");
    }

    #[test]
    fn nothing_that_can_be_written_makes_it_panic() {
        let kinds = Kinds::new().unwrap();
        let mut deep = json!(1);
        for _ in 0..60 {
            deep = json!({ "spec": [deep] });
        }
        for value in [
            json!(null),
            json!([]),
            json!("x"),
            json!({}),
            json!({ "spec": null }),
            json!({ "spec": [null] }),
            deep,
        ] {
            for definition in kinds.iter() {
                assert!(definition.check_new(&value).is_err(), "{}: {value}", definition.kind);
            }
        }
    }

    #[test]
    fn a_default_that_is_spelled_out_is_no_change() {
        let kinds = Kinds::new().unwrap();
        let definition = kinds.find("ProxmoxPolicy").unwrap();
        assert!(definition.same_spec(&json!({}), &json!({ "preset": "balanced" })));
        assert!(!definition.same_spec(&json!({}), &json!({ "preset": "strict" })));
    }
}
