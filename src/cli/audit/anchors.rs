//! What environments have kept of logs, as kubectl prints them or a state directory holds them.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{api::AuditAnchor, audit::Witness, cli::Failure, core::audit::Head, yaml};

pub(super) fn read(file: &Path) -> Result<Vec<Witness>, Failure> {
    let failed = |why: String| format!("failed to read anchors from {}: {why}", file.display());
    let text = fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let mut found = Vec::new();
    let mut environments = 0;
    for (_, document) in yaml::documents(&text) {
        let document = yaml::parse(document).map_err(failed)?;
        let all = match document["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![document],
        };
        for object in all.iter().filter(|object| object["kind"] == "ProxmoxEnvironment") {
            environments += 1;
            found.extend(of(object).map_err(failed)?);
        }
    }
    if environments == 0 {
        return Err(failed(
            "there is no ProxmoxEnvironment in it; try `kubectl get pxe -A -o yaml`".to_owned(),
        )
        .into());
    }
    Ok(found)
}

fn of(environment: &Value) -> Result<Vec<Witness>, String> {
    let metadata = &environment["metadata"];
    let name = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let at = format!("environment {}/{}", name("namespace"), name("name"));
    let anchors = environment["status"]["audit"].clone();
    if anchors.is_null() {
        return Ok(vec![]);
    }
    let anchors: Vec<AuditAnchor> =
        serde_json::from_value(anchors).map_err(|error| format!("{at}: status.audit: {error}"))?;
    let witness = |AuditAnchor { chain, sequence, hash, at: moment }| Witness {
        at: format!("{at} at {}", moment.0),
        head: Head { chain, sequence, hash },
    };
    Ok(anchors.into_iter().map(witness).collect())
}
