//! What plans can ask for, as the catalogue knows it.

use clap::Args;

use crate::{
    catalog::{self, Action, similar::listed},
    cli::{Failure, docs},
};

use super::print;

#[derive(Debug, Args)]
pub(super) struct Actions {
    /// Explain this one.
    action: Option<String>,
}

impl Actions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(name) = self.action else {
            return print(&catalog::actions().map(row).collect::<String>());
        };
        let action = catalog::find(&name).ok_or_else(|| {
            let known = listed(catalog::actions().map(|action| action.name), &name);
            format!("`{name}` is not an action: known are {known}. `proxmox-agent plan actions` lists all")
        })?;
        print(&explained(action))
    }
}

fn row(action: &Action) -> String {
    format!(
        "{:<26} {:<9} {:<26} {}\n",
        action.name,
        action.base_risk.to_string(),
        targets(action),
        action.title
    )
}

fn explained(action: &Action) -> String {
    let mut lines = vec![
        format!("{}: {}", action.name, action.title),
        format!("  target     {}", targets(action)),
        format!("  risk       {} at least: {}", action.base_risk, action.risk_reason),
    ];
    lines.extend(action.params().map(|param| {
        let only = param.only_for.map(|kind| format!(" (only for a {})", kind.noun())).unwrap_or_default();
        let must = if param.required { "required: " } else { "" };
        let name = docs::spelled(param, " to ");
        format!("  --param    {name}: {must}{}{only}; {}", param.doc, param.type_.allowed())
    }));
    lines.join("\n") + "\n"
}

fn targets(action: &Action) -> String {
    action.target.iter().map(|kind| kind.pattern()).collect::<Vec<_>>().join(" or ")
}
