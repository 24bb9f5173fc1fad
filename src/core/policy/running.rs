//! Asks conditions about one plan.

use std::collections::BTreeMap;

use kube::core::cel::{
    KubeCelExt,
    cel::{Context, Program, Value},
};
use serde_json::Value as Json;

use crate::api::Risk;

use super::{facts::cel_value, room::unless_it_breaks};

/// As much of an error as anybody reads: some hold the whole plan.
const TEXT: usize = 240;

/// A plan that conditions are asked about.
pub(super) struct Asked {
    context: Context<'static>,
}

impl Asked {
    pub(super) fn about(facts: &BTreeMap<String, Json>) -> Self {
        let mut context = Context::default().with_all();
        for (name, fact) in facts {
            context.add_variable_from_value(name.as_str(), cel_value(fact));
        }
        let mut asked = Self { context };
        asked.set_time(facts);
        asked
    }

    /// `time.now` as a point in time: only CEL itself can make one.
    fn set_time(&mut self, facts: &BTreeMap<String, Json>) {
        let Some(Json::Object(time)) = facts.get("time") else { return };
        let now = Program::compile("timestamp(time.now)")
            .ok()
            .and_then(|program| program.execute(&self.context).ok());
        let fields = time.iter().map(|(name, value)| {
            let value = if name == "now" { now.clone() } else { None }.unwrap_or_else(|| cel_value(value));
            (name.clone(), value)
        });
        let fields: std::collections::HashMap<String, Value> = fields.collect();
        self.context.add_variable_from_value("time", fields);
    }

    /// As if this were its risk.
    pub(super) fn suppose(&mut self, risk: Risk) {
        let level = Risk::ALL.iter().take_while(|lower| **lower < risk).count();
        self.context.add_variable_from_value("risk", risk.as_str());
        self.context.add_variable_from_value("riskLevel", i64::try_from(level).unwrap_or(i64::MAX));
    }

    pub(super) fn holds(&self, condition: &Program) -> Result<bool, String> {
        match unless_it_breaks(|| condition.execute(&self.context)) {
            Some(Ok(Value::Bool(holds))) => Ok(holds),
            Some(Ok(other)) => Err(format!("is neither true nor false, but a {}", other.type_of())),
            Some(Err(error)) => Err(error.to_string().chars().take(TEXT).collect()),
            None => Err("can't be evaluated: it asks for what this CEL does not know".to_owned()),
        }
    }
}
