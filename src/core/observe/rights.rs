use std::collections::{BTreeMap, BTreeSet};

/// What a token may do: by path, its privileges, and whether each holds below that path too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Every path that something is given on.
    given: BTreeMap<String, BTreeMap<String, bool>>,
    /// What holds at the paths that were asked for one by one, pools and all.
    exact: BTreeMap<String, BTreeSet<String>>,
}

impl Rights {
    pub fn new(
        given: BTreeMap<String, BTreeMap<String, bool>>,
        exact: BTreeMap<String, BTreeSet<String>>,
    ) -> Self {
        Self { given, exact }
    }

    /// Whether the token holds a privilege at a path.
    pub fn holds(&self, path: &str, privilege: &str) -> bool {
        match self.exact.get(path) {
            Some(held) => held.contains(privilege),
            None => self.inherits(path, privilege),
        }
    }

    /// The nearest path above that something is given on decides.
    fn inherits(&self, path: &str, privilege: &str) -> bool {
        let own = self.given.get(path);
        if let Some(own) = own {
            return own.contains_key(privilege);
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            above = if parent.is_empty() { "/" } else { parent };
            if let Some(given) = self.given.get(above) {
                return given.get(privilege) == Some(&true);
            }
            if above == "/" {
                return false;
            }
        }
        false
    }

    /// Whether the token holds a privilege at a path and everywhere below it: then nothing there is hidden from it.
    pub fn holds_below(&self, path: &str, privilege: &str) -> bool {
        let here = self
            .given
            .get(path)
            .map_or_else(|| self.inherits(path, privilege), |given| given.get(privilege) == Some(&true));
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        here && self
            .given
            .iter()
            .filter(|(below, _)| below.as_str() != path && below.starts_with(&prefix))
            .all(|(_, given)| given.contains_key(privilege))
    }

    /// Every path that something is given on, with what; `*` marks what does not hold below.
    pub fn given(&self) -> impl Iterator<Item = (&str, String)> {
        let words = |(name, below): (&String, &bool)| if *below { name.clone() } else { format!("{name}*") };
        self.given
            .iter()
            .map(move |(path, held)| (path.as_str(), held.iter().map(words).collect::<Vec<_>>().join(", ")))
    }

    /// Everything held anywhere, by privilege, with the shortest path that it is held at.
    pub fn anywhere(&self) -> BTreeMap<&str, &str> {
        let mut widest: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, given) in &self.given {
            for privilege in given.keys() {
                let best = widest.entry(privilege).or_insert(path);
                if path.len() < best.len() {
                    *best = path;
                }
            }
        }
        widest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(given: &[(&str, &[(&str, bool)])]) -> Rights {
        let given = given.iter().map(|(path, privileges)| {
            let privileges = privileges.iter().map(|(name, below)| ((*name).to_owned(), *below)).collect();
            ((*path).to_owned(), privileges)
        });
        Rights::new(given.collect(), BTreeMap::new())
    }

    #[test]
    fn what_is_given_for_one_path_alone_holds_nowhere_below() {
        let rights = rights(&[("/", &[("VM.Audit", false)])]);
        assert!(rights.holds("/", "VM.Audit"));
        assert!(!rights.holds("/vms/100", "VM.Audit"));
        assert!(!rights.holds_below("/", "VM.Audit"));
    }

    #[test]
    fn what_is_given_nearer_takes_the_place_of_what_is_given_above() {
        let rights = rights(&[("/", &[("VM.Audit", true)]), ("/vms/100", &[("VM.PowerMgmt", true)])]);
        assert!(rights.holds("/vms/101", "VM.Audit"));
        assert!(!rights.holds("/vms/100", "VM.Audit"));
        assert!(!rights.holds_below("/vms", "VM.Audit"), "guest 100 is hidden");
        assert!(rights.holds_below("/storage", "VM.Audit"));
    }
}
