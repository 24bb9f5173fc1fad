use std::path::PathBuf;

use clap::Args;
use kube::ResourceExt;

use crate::api;

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct Crd {
    /// Write one file for each kind into this directory instead of printing all.
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Crd {
    pub(super) fn run(self) -> Result<(), Failure> {
        for crd in api::crd::all() {
            let yaml = serde_saphyr::to_string(&crd)?;
            match &self.dir {
                None => print!("---\n{yaml}"),
                Some(dir) => {
                    let file = dir.join(format!("{}.yaml", crd.name_any()));
                    std::fs::write(&file, yaml)
                        .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
                }
            }
        }
        Ok(())
    }
}
