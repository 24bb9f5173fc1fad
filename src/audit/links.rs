//! Whether chains fit together, and what others have kept of them.

use std::{collections::BTreeMap, io};

use crate::core::audit::Head;

use super::verify::{Chain, Problem};

/// A line that somebody else knows of: another chain, or an environment's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Where it is told.
    pub at: String,
    pub head: Head,
}

/// What is wrong between these chains, and between them and what others witness of them.
pub fn compare(chains: &[Chain], witnesses: &[Witness]) -> io::Result<Vec<Problem>> {
    let mut problems = of_one_name(chains);
    let links = chains.iter().flat_map(|chain| &chain.links);
    let links = links.map(|(at, head)| Witness { at: at.clone(), head: head.clone() });
    let mut by_chain: BTreeMap<String, Vec<Witness>> = BTreeMap::new();
    for witness in links.chain(witnesses.iter().cloned()) {
        by_chain.entry(witness.head.chain.clone()).or_default().push(witness);
    }
    for (name, witnesses) in by_chain {
        match chains.iter().find(|chain| chain.name() == name) {
            Some(chain) => problems.extend(held_against(chain, witnesses)?),
            None => problems.extend(witnesses.into_iter().take(1).map(|Witness { at, head }| Problem {
                at,
                what: format!(
                    "chain {name} is missing: it had at least {} lines; give the audit folder of replica {} too",
                    head.sequence,
                    replica_of(&name)
                ),
            })),
        }
    }
    Ok(problems)
}

/// Whose chain it is: behind the replica's name stands a random word.
fn replica_of(chain: &str) -> &str {
    chain.rsplit_once('-').map_or(chain, |(replica, _)| replica)
}

/// Two copies of a chain would hide that they differ.
fn of_one_name(chains: &[Chain]) -> Vec<Problem> {
    let twice = chains.iter().enumerate().filter(|(index, chain)| {
        !chain.name().is_empty() && chains[..*index].iter().any(|other| other.name() == chain.name())
    });
    twice
        .map(|(_, chain)| Problem {
            at: chain.folder.display().to_string(),
            what: format!("chain {} is there twice: give one folder of it", chain.name()),
        })
        .collect()
}

fn held_against(chain: &Chain, witnesses: Vec<Witness>) -> io::Result<Vec<Problem>> {
    let wanted: Vec<u64> = witnesses.iter().map(|witness| witness.head.sequence).collect();
    let hashes = chain.hashes(&wanted)?;
    let wrong = |Witness { at, head }: Witness| {
        let (name, end) = (&head.chain, chain.head.as_ref().map_or(0, |head| head.sequence));
        let what = match hashes.get(&head.sequence) {
            Some(hash) if *hash == head.hash => return None,
            Some(_) => format!(
                "chain {name} is forked or was written anew: its line {} is not the one that was seen then",
                head.sequence
            ),
            None if head.sequence > end => {
                format!(
                    "chain {name} is cut off: line {} was seen, and it ends with line {end}",
                    head.sequence
                )
            }
            None => format!("line {} of chain {name} was seen, and is not there", head.sequence),
        };
        Some(Problem { at, what })
    };
    Ok(witnesses.into_iter().filter_map(wrong).collect())
}
