//! Approving in a directory: writes the approval's file beside the plans.

use std::{io::ErrorKind, path::PathBuf};

use clap::Args;
use kube::ResourceExt;

use crate::{api::ProxmoxActionApproval, ports::Clock, system::SystemClock};

use super::{
    Failure,
    choice::Choice,
    files::{Folder, write_new},
    render,
};

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The plan's name.
    plan: String,
    #[command(flatten)]
    folder: Folder,
    /// Who decides.
    #[arg(long = "by")]
    approved_by: String,
    #[command(flatten)]
    choice: Choice,
    /// Where to write the approval; `<plan>-approval-<who>.yaml` in the directory if absent.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = self.folder.plan(&self.plan)?;
        let decided = self.choice.on(&plan, &self.approved_by, SystemClock.now());
        let spec = decided.inspect_err(|refused| {
            if refused.has_to_be_read {
                println!("{}\n", render::plan(&plan));
            }
        })?;
        let name = self.choice.file_name(&self.plan, &self.approved_by);
        let mut approval = ProxmoxActionApproval::new(&name, spec);
        approval.metadata.namespace = plan.namespace();
        let file = self.out.unwrap_or_else(|| self.folder.dir.join(format!("{name}.yaml")));
        write_new(&file, &serde_saphyr::to_string(&approval)?).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                format!("{} is there already: delete it to take that decision back first", file.display())
            }
            _ => format!("failed to write {}: {error}", file.display()),
        })?;
        println!("{}\n\nwritten: {}", render::plan(&plan), file.display());
        Ok(())
    }
}
