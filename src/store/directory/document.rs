//! What one YAML document of a file turns out to be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{kinds::Kinds, schema::shortened};
use crate::{
    api::{GROUP, VERSION},
    ports::Key,
    yaml,
};

/// More objects in one file than anybody writes by hand.
const MAX_DOCUMENTS: usize = 1000;
/// A file's name must have room for the name, a uid and an ending.
const MAX_NAME: usize = 200;

/// An object in this store: which kind, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) kind: String,
    pub(super) key: Key,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// An object as somebody wrote it.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) line: usize,
    pub(super) id: Id,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Value,
    /// The whole of it, as an API server would judge it.
    pub(super) object: Value,
}

/// A document that was meant for us and says nothing that can be used.
#[derive(Clone, Debug)]
pub(super) struct Unusable {
    pub(super) line: usize,
    pub(super) id: Option<Id>,
    pub(super) why: String,
}

pub(super) type Document = Result<Declared, Unusable>;

/// The documents of a file that are ours.
pub(super) fn read(text: &str, kinds: &Kinds) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Who doesn't even mention the group is a Secret, a chart's template or an Argo CD app: none of our business,
    // and often no valid YAML at all.
    let mut ours = yaml::documents(text).into_iter().filter(|(_, document)| document.contains(GROUP));
    let mut found: Vec<Document> =
        ours.by_ref().take(MAX_DOCUMENTS).filter_map(|(line, document)| one(line, document, kinds)).collect();
    if let Some((line, _)) = ours.next() {
        let why =
            format!("more than {MAX_DOCUMENTS} documents in one file: the rest is not read, split the file");
        found.push(Err(Unusable { line, id: None, why }));
    }
    found
}

fn one(line: usize, text: &str, kinds: &Kinds) -> Option<Document> {
    let unusable = |id: Option<Id>, why: String| Some(Err(Unusable { line, id, why }));
    let object = match yaml::parse(text) {
        Ok(object) => object,
        Err(why) => return unusable(None, format!("no valid YAML, counted from line {line}: {why}")),
    };
    let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if api_version.split('/').next() != Some(GROUP) {
        return None;
    }
    if api_version != format!("{GROUP}/{VERSION}") {
        return unusable(
            None,
            format!("apiVersion: must be {GROUP}/{VERSION}, but is `{}`", shortened(&object["apiVersion"])),
        );
    }
    let Some(definition) = object["kind"].as_str().and_then(|kind| kinds.find(kind)) else {
        return unusable(
            None,
            format!("kind: must be one of {}, but is `{}`", kinds.names(), shortened(&object["kind"])),
        );
    };
    let id = match identity(&definition.kind, &object) {
        Ok(id) => id,
        Err(why) => return unusable(None, why),
    };
    let mut object = object;
    // As for any custom resource with a status, whatever a writer says there is not taken.
    if let Value::Object(fields) = &mut object {
        fields.remove("status");
    }
    definition.tidy(&mut object);
    let texts = |field| texts(&object["metadata"], field);
    let (labels, annotations) =
        match (known_metadata(&object["metadata"]), texts("labels"), texts("annotations")) {
            (Ok(()), Ok(labels), Ok(annotations)) => (labels, annotations),
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return unusable(Some(id), why),
        };
    object["metadata"] = json!({ "name": id.key.name, "namespace": id.key.namespace });
    let spec = object.get("spec").cloned().unwrap_or_default();
    Some(Ok(Declared { line, id, labels, annotations, spec, object }))
}

fn identity(kind: &str, object: &Value) -> Result<Id, String> {
    let metadata = &object["metadata"];
    let name = match &metadata["name"] {
        Value::String(name) if is_dns_name(name, MAX_NAME, true) => name,
        Value::Null => return Err("metadata.name: is required, but missing".to_owned()),
        other => {
            return Err(format!(
                "metadata.name: must be at most {MAX_NAME} lower case letters, digits, `-` and `.`, beginning and ending \
                 with a letter or digit, but is `{}`",
                shortened(other)
            ));
        }
    };
    let namespace = match &metadata["namespace"] {
        Value::Null => "default",
        Value::String(namespace) if is_dns_name(namespace, 63, false) => namespace,
        other => {
            return Err(format!(
                "metadata.namespace: must be at most 63 lower case letters, digits and `-`, but is `{}`",
                shortened(other)
            ));
        }
    };
    Ok(Id { kind: kind.to_owned(), key: Key::new(namespace, name) })
}

/// DNS-1123, which also keeps a name from leading out of the state directory.
pub(super) fn is_dns_name(name: &str, longest: usize, dots: bool) -> bool {
    let labels = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= longest && (dots || !name.contains('.')) && name.split('.').all(labels)
}

/// What `kubectl get -o yaml` prints is taken, a misspelled word is not.
fn known_metadata(metadata: &Value) -> Result<(), String> {
    const KNOWN: &[&str] = &[
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    match metadata.as_object().into_iter().flat_map(Map::keys).find(|name| !KNOWN.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("metadata.{}: is not known", shortened(&name.as_str().into()))),
    }
}

fn texts(metadata: &Value, field: &str) -> Result<BTreeMap<String, String>, String> {
    let fields = match &metadata[field] {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(fields) => fields,
        _ => return Err(format!("metadata.{field}: must be a map of strings")),
    };
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        other => {
            let name = shortened(&name.as_str().into());
            Err(format!(
                "metadata.{field}.{name}: must be a string, but is {}: put it in quotes",
                shortened(other)
            ))
        }
    };
    fields.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> Option<Document> {
        read(text, &Kinds::new().unwrap()).into_iter().next()
    }

    fn why(text: &str) -> String {
        read_one(text).unwrap().unwrap_err().why
    }

    const POLICY: &str = "apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxPolicy\nspec: {}\n";

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for text in [
            "",
            "kind: Secret\n",
            "{{ if .Values.x }}\n",
            "apiVersion: apiextensions.k8s.io/v1\nspec: {group: proxmox-agent.io}\n",
            "- proxmox-agent.io\n",
            "\u{0}\u{1}",
        ] {
            assert!(read_one(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_could_lead_astray_is_refused() {
        for name in ["../x", "a/b", "..", ".x", "A", "a_b", "''", "a..b", "-a", "5", "[a]"] {
            let text = format!("{POLICY}metadata: {{name: {name}}}\n");
            assert!(why(&text).starts_with("metadata.name: must be"), "{name}: {}", why(&text));
        }
        assert!(why(&format!("{POLICY}metadata: {{name: {}}}\n", "a".repeat(201))).len() < 300);
        assert!(
            why(&format!("{POLICY}metadata: {{name: a, namespace: ../b}}\n"))
                .starts_with("metadata.namespace:")
        );
    }

    #[test]
    fn whoever_means_us_is_told_what_is_wrong() {
        assert!(
            why("apiVersion: proxmox-agent.io/v2\n")
                .starts_with("apiVersion: must be proxmox-agent.io/v1alpha1")
        );
        assert!(
            why("apiVersion: proxmox-agent.io/v1alpha1\nkind: ProxmoxActionPlann\n")
                .starts_with("kind: must be one of")
        );
        assert_eq!(why(POLICY), "metadata.name: is required, but missing");
        assert!(why("x: [proxmox-agent.io\n").contains("no valid YAML"));
        assert_eq!(
            why(&format!("{POLICY}metadata: {{name: a, lables: {{}}}}\n")),
            "metadata.lables: is not known"
        );
        assert!(
            why(&format!("{POLICY}metadata: {{name: a, labels: {{x: 1}}}}\n")).contains("metadata.labels.x")
        );
    }

    #[test]
    fn what_kubectl_prints_is_taken_without_what_the_store_decides() {
        let text = format!(
            "{POLICY}metadata: {{name: a, uid: x, creationTimestamp: null, labels: {{x: y}}}}\nstatus: {{x: 1}}\n"
        );
        let declared = read_one(&text).unwrap().unwrap();
        assert_eq!(declared.id.to_string(), "ProxmoxPolicy default/a");
        assert_eq!(declared.object["metadata"], json!({ "name": "a", "namespace": "default" }));
        assert!(declared.object.get("status").is_none());
        assert_eq!(declared.labels["x"], "y");
    }
}
