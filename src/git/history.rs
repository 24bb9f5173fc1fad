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

    /// Goes back from the tip on every line that holds the same. Where one line brought it and another one brought it
    /// anew after that was given up, only the latter counts.
    pub(super) fn origin(&self, tip: Oid, holds: Holds<'_>) -> Result<Origin, git2::Error> {
        let mut newest: Option<Oid> = None;
        let mut seen = HashSet::from([tip]);
        let mut ahead = vec![self.repository.find_commit(tip)?];
        while let Some(commit) = ahead.pop() {
            let Some(parents) = self.parents(&commit)? else { return Ok(Origin::BeforeWhatIsHere) };
            let came_from = self.it_came_from(parents, holds)?;
            if *self.incomplete.borrow() {
                return Ok(Origin::BeforeWhatIsHere);
            }
            if came_from.is_empty() {
                newest = Some(self.newer(newest, commit.id())?);
            }
            ahead.extend(came_from.into_iter().rev().filter(|parent| seen.insert(parent.id())));
        }
        Ok(newest.map_or(Origin::BeforeWhatIsHere, Origin::Commit))
    }

    /// `None` if one of them is not here, whether or not whoever sent the commit has said so.
    fn parents(&self, commit: &Commit<'_>) -> Result<Option<Vec<Commit<'r>>>, git2::Error> {
        if self.oldest.contains(&commit.id()) {
            return Ok(None);
        }
        let mut parents = vec![];
        for number in 0..commit.parent_count() {
            match self.repository.find_commit(commit.parent_id(number)?) {
                Ok(parent) => parents.push(parent),
                Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(parents))
    }

    /// The one found first, unless the other one comes after it.
    fn newer(&self, found: Option<Oid>, other: Oid) -> Result<Oid, git2::Error> {
        match found {
            Some(found) if !self.repository.graph_descendant_of(other, found)? => Ok(found),
            _ => Ok(other),
        }
    }

    /// The parents that hold it already. None if the commit itself brought it.
    fn it_came_from(
        &self,
        parents: Vec<Commit<'r>>,
        holds: Holds<'_>,
    ) -> Result<Vec<Commit<'r>>, git2::Error> {
        let (mut with, mut without) = (vec![], vec![]);
        for parent in parents {
            if holds(&parent)? { with.push(parent) } else { without.push(parent) }
        }
        for parent in &with {
            if self.was_given_up(parent, &without, holds)? {
                return Ok(vec![]);
            }
        }
        Ok(with)
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

#[cfg(test)]
mod tests {
    use git2::{Signature, Time};
    use proptest::prelude::*;

    use super::*;

    /// Who the parents of a commit are, as numbers of earlier ones, and whether it holds the object.
    type Made = (Vec<prop::sample::Index>, bool);

    fn any_history() -> impl Strategy<Value = Vec<Made>> {
        let made = (prop::collection::vec(any::<prop::sample::Index>(), 1..=2), any::<bool>());
        prop::collection::vec(made, 2..12)
    }

    /// The object is a file, `p`. The last commit holds it.
    fn committed(repository: &Repository, history: &[Made]) -> Vec<Oid> {
        let who = Signature::new("m", "m@example.test", &Time::new(0, 0)).unwrap();
        let file = repository.blob(b"it").unwrap();
        let mut commits: Vec<Oid> = vec![];
        for (number, (parents, holds)) in history.iter().enumerate() {
            let mut tree = repository.treebuilder(None).unwrap();
            if *holds || number + 1 == history.len() {
                tree.insert("p", file, 0o100_644).unwrap();
            }
            let tree = repository.find_tree(tree.write().unwrap()).unwrap();
            let parents: HashSet<Oid> =
                parents.iter().filter(|_| number > 0).map(|parent| commits[parent.index(number)]).collect();
            let parents: Vec<Commit<'_>> =
                parents.into_iter().map(|parent| repository.find_commit(parent).unwrap()).collect();
            let parents: Vec<&Commit<'_>> = parents.iter().collect();
            let message = number.to_string();
            commits.push(repository.commit(None, &who, &who, &message, &tree, &parents).unwrap());
        }
        commits
    }

    fn holds(commit: &Commit<'_>) -> Result<bool, git2::Error> {
        Ok(commit.tree()?.get_name("p").is_some())
    }

    proptest! {
        #[test]
        fn nothing_speaks_for_what_was_given_up_after_it(history in any_history()) {
            let folder = tempfile::tempdir().unwrap();
            let repository = Repository::init_bare(folder.path()).unwrap();
            let commits = committed(&repository, &history);
            let tip = commits[commits.len() - 1];
            let looked = History::of(&repository);
            let Origin::Commit(origin) = looked.origin(tip, &holds).unwrap() else { panic!("all of it is here") };
            prop_assert!(looked.contains(tip, origin).unwrap());
            for commit in commits {
                let lies_between = looked.contains(tip, commit).unwrap() && looked.contains(commit, origin).unwrap();
                let held = holds(&repository.find_commit(commit).unwrap()).unwrap();
                prop_assert!(held || !lies_between, "{commit} lies between {origin} and the tip");
            }
        }
    }
}
