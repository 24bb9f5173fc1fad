//! Everything on record about one plan, in one file that can be checked without the log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::audit::{AuditRecord, Head, stamp_of};

/// The form of the file.
const FORMAT: &str = "proxmox-agent-audit/1";

/// The evidence for one plan. What comes before the records is taken out of them, for whoever reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    format: String,
    pub namespace: String,
    pub plan: String,
    pub plan_uid: String,
    request: Value,
    preview: Value,
    approvals: Value,
    from_git: Value,
    task: Value,
    outcome: Value,
    records: Vec<Excerpt>,
    /// Where each chain ended when this was taken from it.
    heads: Vec<Head>,
}

/// A line as it stands in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excerpt {
    pub line: String,
}

impl Bundle {
    pub fn of(named: (&str, &str, &str), records: Vec<Excerpt>, heads: Vec<Head>) -> Self {
        let (namespace, plan, plan_uid) = named;
        let read: Vec<Value> =
            records.iter().filter_map(|excerpt| serde_json::from_str(&excerpt.line).ok()).collect();
        let first =
            |field: &str| read.iter().find_map(|record| record.get(field)).cloned().unwrap_or_default();
        let last =
            |field: &str| read.iter().rev().find_map(|record| record.get(field)).cloned().unwrap_or_default();
        let mut intents = read.iter().rev().filter(|record| record["event"] == "intent");
        let approvals = intents.next().map(|intent| intent["approvals"].clone()).unwrap_or_default();
        Self {
            format: FORMAT.to_owned(),
            namespace: namespace.to_owned(),
            plan: plan.to_owned(),
            plan_uid: plan_uid.to_owned(),
            request: first("request"),
            preview: last("preview"),
            approvals,
            from_git: with_proofs(last("fromGit"), &read),
            task: last("task"),
            outcome: last("outcome"),
            records,
            heads,
        }
    }

    /// What its lines tell, as far as they can be read.
    pub fn records(&self) -> Vec<AuditRecord> {
        self.records.iter().filter_map(|excerpt| serde_json::from_str(&excerpt.line).ok()).collect()
    }

    /// What is wrong with it in itself.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        if self.format != FORMAT {
            problems.push(format!("its format is `{}`, and this program knows {FORMAT}", self.format));
        }
        for (index, excerpt) in self.records.iter().enumerate() {
            if let Err(why) = self.holds(excerpt) {
                problems.push(format!("record {}: {why}", index + 1));
            }
        }
        let named = (self.namespace.as_str(), self.plan.as_str(), self.plan_uid.as_str());
        if Self::of(named, self.records.clone(), self.heads.clone()) != *self {
            problems.push("what it tells of the plan is not what its records say".to_owned());
        }
        problems
    }

    fn holds(&self, excerpt: &Excerpt) -> Result<(), String> {
        let stamp = stamp_of(excerpt.line.as_bytes()).map_err(|error| error.to_string())?;
        let record: Value = serde_json::from_str(&excerpt.line).map_err(|error| error.to_string())?;
        if record["planUid"] != *self.plan_uid || record["plan"] != *self.plan {
            return Err("it is about another plan".to_owned());
        }
        let head = self.heads.iter().find(|head| head.chain == stamp.chain);
        match head {
            Some(head) if head.sequence >= stamp.sequence => Ok(()),
            _ => Err("it is in no chain that this was taken from".to_owned()),
        }
    }
}

/// What was told last of the commits, each with what proves it: that stands only on some lines.
fn with_proofs(mut from_git: Value, records: &[Value]) -> Value {
    for told in from_git.as_array_mut().into_iter().flatten() {
        let is_the_same = |other: &&Value| {
            ["object", "repository", "file", "commit", "key"].iter().all(|field| told[field] == other[field])
        };
        let all = records.iter().rev().filter_map(|record| record["fromGit"].as_array()).flatten();
        let proof = all.filter(is_the_same).find_map(|other| {
            let kept = |field: &'static str| Some((field, other.get(field)?.clone()));
            kept("proof").or_else(|| kept("proofMissing"))
        });
        if let Some((field, proof)) = proof {
            told[field] = proof;
        }
    }
    from_git
}
