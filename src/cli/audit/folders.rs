//! Logs by the folders that somebody names, and what those who name another place are told.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    audit::{Chain, Problem, compare, verify},
    cli::Failure,
    core::audit::Stamp,
    store::directory::USUAL_STATE,
};

use super::anchors;

/// What every log has.
const FIRST_SEGMENT: &str = "00000001.jsonl";
/// Whoever gives no anchors should know it.
pub(super) const WITHOUT_ANCHORS: &str = "that the end of a log is missing only shows with --anchors";

/// Reads a whole log. `see` is shown every line that is as it was written.
pub(in crate::cli) fn read(
    folder: &Path,
    see: impl FnMut(&Path, &Stamp, &[u8]) -> io::Result<()>,
) -> Result<Chain, Failure> {
    if let Some(why) = why_not(folder) {
        return Err(format!("failed to read the audit log {}: {why}", folder.display()).into());
    }
    let mut chain = verify(folder, see)?;
    if chain.segments() == 0 {
        for problem in &mut chain.problems {
            problem.what = format!("{}: {}", problem.what, instead(folder));
        }
    }
    Ok(chain)
}

fn why_not(folder: &Path) -> Option<String> {
    match fs::read_dir(folder) {
        Ok(_) => None,
        Err(error) => Some(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no such folder: give the one that holds {FIRST_SEGMENT}")
            }
            io::ErrorKind::NotADirectory => match folder.parent().filter(|parent| parent.is_dir()) {
                Some(parent) => {
                    format!("it is a file: give the folder that it lies in, {}", parent.display())
                }
                None => format!("it is a file: give the folder that holds {FIRST_SEGMENT}"),
            },
            io::ErrorKind::PermissionDenied => {
                "only the user that writes it may read it: run this as that user".to_owned()
            }
            _ => error.to_string(),
        }),
    }
}

fn instead(folder: &Path) -> String {
    // A directory of plans, its state and a volume are easily given instead.
    let near = [folder.join(USUAL_STATE).join("audit"), folder.join("audit")];
    match near.into_iter().find(|place| place.join(FIRST_SEGMENT).exists()) {
        Some(place) => format!("give {}", place.display()),
        None => format!("give the folder that holds {FIRST_SEGMENT}"),
    }
}

/// What is wrong between logs, and between them and what environments have kept of them.
pub(super) fn between(chains: &[Chain], anchors: &[PathBuf]) -> Result<Vec<Problem>, Failure> {
    let mut witnesses = Vec::new();
    for file in anchors {
        witnesses.extend(anchors::read(file)?);
    }
    Ok(compare(chains, &witnesses)?)
}
