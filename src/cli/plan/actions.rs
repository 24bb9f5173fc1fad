use clap::Args;

use crate::{
    catalog::{self, Action, similar::listed},
    cli::{Failure, docs},
};

#[derive(Debug, Args)]
pub(super) struct Actions {
    /// Explain this one.
    action: Option<String>,
}

impl Actions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(name) = self.action else {
            catalog::actions().for_each(print_row);
            return Ok(());
        };
        let action = catalog::find(&name).ok_or_else(|| {
            let known = listed(catalog::actions().map(|action| action.name), &name);
            format!("`{name}` is not an action: known are {known}. `proxmox-agent plan actions` lists all")
        })?;
        explain(action);
        Ok(())
    }
}

fn print_row(action: &Action) {
    println!("{:<28} {:<9} {:<28} {}", action.name, action.base_risk, targets(action), action.title);
}

fn explain(action: &Action) {
    println!("{}: {}", action.name, action.title);
    println!("  target     {}", targets(action));
    println!("  risk       {} at least: {}", action.base_risk, action.risk_reason);
    for param in action.params() {
        let only = param.only_for.map(|kind| format!(", only for a {}", kind.noun())).unwrap_or_default();
        let must = if param.required { ", required" } else { "" };
        println!(
            "  --param    {}={}{must}{only}: {}",
            docs::spelled(param, ".."),
            param.type_.allowed(),
            param.doc
        );
    }
}

fn targets(action: &Action) -> String {
    action.target.iter().map(|kind| kind.pattern()).collect::<Vec<_>>().join(" or ")
}
