//! Where a directory's home is, and how a new file comes into it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{api::ProxmoxActionPlan, store::directory::USUAL_STATE};

use super::Failure;

#[derive(Clone, Debug, Args)]
pub(super) struct Folder {
    /// The directory with the YAML, such as a git working tree.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Where statuses, events and the audit log are kept; `.proxmox-agent` in the directory if absent.
    #[arg(long)]
    state: Option<PathBuf>,
    /// The namespace of what is named.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
}

impl Folder {
    pub(super) fn state(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| self.dir.join(USUAL_STATE))
    }

    /// A plan with its status, as it was last written. Needs no lock: the files are replaced whole.
    pub(super) fn plan(&self, name: &str) -> Result<ProxmoxActionPlan, Failure> {
        // The name becomes part of a path.
        if name.contains(['/', '\\']) || self.namespace.contains(['/', '\\']) {
            return Err(format!("`{name}` is not the name of a plan").into());
        }
        let folder = self.state().join("objects/proxmoxactionplans").join(&self.namespace);
        let file = folder.join(format!("{name}.yaml"));
        let text = fs::read_to_string(&file).map_err(|error| {
            format!(
                "there is no plan `{name}` in namespace {} yet ({}: {error}). Is its file in {}, and has proxmox-agent standalone seen it?",
                self.namespace,
                file.display(),
                self.dir.display()
            )
        })?;
        serde_saphyr::from_str(&text)
            .map_err(|error| format!("failed to read {}: {error}", file.display()).into())
    }
}

/// Never over what is there, and all of it or nothing.
pub(super) fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut created = fs::File::create_new(file)?;
    created.write_all(text.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(file);
    })
}
