use clap::Args;

use super::{Failure, files::Folder, render};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The plan's name.
    plan: String,
    #[command(flatten)]
    folder: Folder,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        println!("{}", render::plan(&self.folder.plan(&self.plan)?));
        Ok(())
    }
}
