//! Which commit brought something.

use std::{cell::RefCell, collections::HashSet, fs};

use git2::{Commit, ErrorCode, Oid, Repository};

/// What is looked for in commits: whether each of them holds the same as the tip.
pub(super) type Holds<'a> = &'a dyn Fn(&Commit<'_>) -> Result<bool, git2::Error>;

/// The commit that brought what the tip holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Commit(Oid),
    /// It was there already in the oldest commit that was fetched.
    BeforeWhatIsHere,
}

pub(super) struct History<'r> {
    repository: &'r Repository,
    /// Commits whose parents were not fetched.
    oldest: HashSet<Oid>,
    /// Whether anything was left out when two lines of history were compared.
    incomplete: RefCell<bool>,
}

impl<'r> History<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        let listed = fs::read_to_string(repository.path().join("shallow")).unwrap_or_default();
        let oldest = listed.lines().filter_map(|line| Oid::from_str(line.trim()).ok()).collect();
        Self { repository, oldest, incomplete: RefCell::new(false) }
    }

    /// Goes back from the tip as long as a parent holds the same.
    pub(super) fn origin(&self, tip: Oid, holds: Holds<'_>) -> Result<Origin, git2::Error> {
        let mut commit = self.repository.find_commit(tip)?;
        loop {
            if self.oldest.contains(&commit.id()) {
                return Ok(Origin::BeforeWhatIsHere);
            }
            match self.parent_it_came_from(&commit, holds)? {
                Some(parent) => commit = parent,
                None if *self.incomplete.borrow() => return Ok(Origin::BeforeWhatIsHere),
                None => return Ok(Origin::Commit(commit.id())),
            }
        }
    }

    /// `None` if the commit itself brought it.
    fn parent_it_came_from(
        &self,
        commit: &Commit<'r>,
        holds: Holds<'_>,
    ) -> Result<Option<Commit<'r>>, git2::Error> {
        let (mut with, mut without) = (vec![], vec![]);
        for parent in commit.parents() {
            if holds(&parent)? { with.push(parent) } else { without.push(parent) }
        }
        for parent in with {
            if !self.was_given_up(&parent, &without, holds)? {
                return Ok(Some(parent));
            }
        }
        Ok(None)
    }

    /// One of the other lines once had it, and has dropped it since. A merge that has it nevertheless brings it anew:
    /// otherwise whoever may push could bring back what somebody signed and took back.
    fn was_given_up(
        &self,
        parent: &Commit<'_>,
        without: &[Commit<'_>],
        holds: Holds<'_>,
    ) -> Result<bool, git2::Error> {
        for other in without {
            let bases = match self.repository.merge_bases(parent.id(), other.id()) {
                Ok(bases) => bases,
                Err(error) if error.code() == ErrorCode::NotFound => {
                    // Where they met may lie before what was fetched. Otherwise they never did.
                    *self.incomplete.borrow_mut() |= !self.oldest.is_empty();
                    return Ok(true);
                }
                Err(error) => return Err(error),
            };
            for base in bases.iter() {
                if holds(&self.repository.find_commit(*base)?)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the tip's history holds this commit.
    pub(super) fn contains(&self, tip: Oid, commit: Oid) -> Result<bool, git2::Error> {
        match self.repository.graph_descendant_of(tip, commit) {
            Ok(found) => Ok(found || tip == commit),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
