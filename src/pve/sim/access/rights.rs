//! The effective rights of a caller on a path.
use std::collections::{BTreeMap, BTreeSet};

use super::login::Caller;
use super::privileges::privileges_of_role;
use crate::pve::sim::world::World;

/// Looks up what one caller may do in one world.
#[derive(Debug, Clone, Copy)]
pub(in crate::pve::sim) struct Rights<'a> {
    world: &'a World,
    caller: &'a Caller,
}

impl<'a> Rights<'a> {
    pub(in crate::pve::sim) fn new(world: &'a World, caller: &'a Caller) -> Self {
        Self { world, caller }
    }

    pub(in crate::pve::sim) fn has(self, path: &str, privilege: &str) -> bool {
        self.on(path).contains_key(privilege)
    }

    pub(in crate::pve::sim) fn has_any(self, path: &str, privileges: &[&str]) -> bool {
        let held = self.on(path);
        privileges.iter().any(|privilege| held.contains_key(*privilege))
    }

    /// The privileges on a path, each with whether it also holds below that path.
    pub(in crate::pve::sim) fn on(self, path: &str) -> BTreeMap<String, bool> {
        if !is_path(path) && !self.caller.is_root() {
            return BTreeMap::new();
        }
        match &self.caller.token {
            None => self.of_user(&self.caller.user, path),
            Some(token) if !token.separated => self.of_user(&self.caller.user, path),
            Some(token) => {
                let full = format!("{}!{}", self.caller.user, token.name);
                let own = self.held(path, |who| who == full, &|_| false);
                let owner = self.of_user(&self.caller.user, path);
                own.into_iter().filter(|(privilege, _)| owner.contains_key(privilege)).collect()
            }
        }
    }

    fn of_user(self, user: &str, path: &str) -> BTreeMap<String, bool> {
        if user == "root@pam" {
            return self.world.release().privileges().map(|privilege| (privilege.to_owned(), true)).collect();
        }
        let none = BTreeSet::new();
        let groups = self.world.users.get(user).map_or(&none, |found| &found.groups);
        self.held(path, |who| who == user, &|who| {
            who.strip_prefix('@').is_some_and(|group| groups.contains(group))
        })
    }

    /// A guest or storage in a pool also inherits what is granted on the pool.
    fn held(
        self,
        path: &str,
        is_self: impl Fn(&str) -> bool,
        is_group: &dyn Fn(&str) -> bool,
    ) -> BTreeMap<String, bool> {
        let mut held = self.held_on_path(path, &is_self, is_group);
        if let Some(pool) = self.pool_of(path) {
            for (privilege, propagates) in self.held_on_path(&format!("/pool/{pool}"), &is_self, is_group) {
                held.entry(privilege).or_insert(propagates);
            }
        }
        held
    }

    /// Deeper rules replace those above; a user's own rule replaces those of groups on the same path.
    fn held_on_path(
        self,
        path: &str,
        is_self: &dyn Fn(&str) -> bool,
        is_group: &dyn Fn(&str) -> bool,
    ) -> BTreeMap<String, bool> {
        let mut roles: BTreeMap<String, bool> = BTreeMap::new();
        for step in steps(path) {
            let is_last = step == path;
            let rules =
                || self.world.acl.iter().filter(|rule| rule.path == step && (rule.propagate || is_last));
            let own: Vec<_> = rules().filter(|rule| is_self(&rule.who)).collect();
            let chosen =
                if own.is_empty() { rules().filter(|rule| is_group(&rule.who)).collect() } else { own };
            if !chosen.is_empty() {
                roles = chosen.into_iter().map(|rule| (rule.role.clone(), rule.propagate)).collect();
            }
        }
        if roles.contains_key("NoAccess") {
            return BTreeMap::new();
        }
        let mut held = BTreeMap::new();
        for (role, propagates) in roles {
            for privilege in privileges_of_role(&role, &self.world.roles, self.world.release()) {
                let entry = held.entry(privilege).or_insert(propagates);
                *entry = *entry || propagates;
            }
        }
        held
    }

    fn pool_of(self, path: &str) -> Option<&'a str> {
        let (kind, name) = path.strip_prefix('/')?.split_once('/')?;
        let holds = |pool: &crate::pve::sim::world::Pool| match kind {
            "vms" => name.parse().is_ok_and(|vmid| pool.vms.contains(&vmid)),
            "storage" => pool.storage.contains(name),
            _ => false,
        };
        self.world.pools.iter().find(|(_, pool)| holds(pool)).map(|(name, _)| name.as_str())
    }
}

/// Nobody but root@pam itself has a right on a path with other characters; its tokens have none either.
pub(super) fn is_path(path: &str) -> bool {
    path.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
}

/// `/vms/100` is reached by way of `/` and `/vms`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(position, _)| &path[..position]);
    std::iter::once("/").chain(inner).chain((path != "/").then_some(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::access::login::CallerToken;

    const WORLD: &str = r#"
nodes: {pve1: {}}
pools: {team: {vms: [410]}}
users: {alice@pve: {groups: [ops], tokens: {ci: {}}}, bob@pve: {}}
groups: {ops: {}}
acl:
  - {path: /vms, who: alice@pve, role: PVEVMUser}
  - {path: /vms/200, who: alice@pve, role: NoAccess}
  - {path: /vms, who: "alice@pve!ci", role: PVEAuditor}
  - {path: /nodes, who: "@ops", role: PVEAuditor}
  - {path: /pool/team, who: bob@pve, role: PVEVMAdmin}
"#;

    fn caller(user: &str, token: Option<&str>, separated: bool) -> Caller {
        Caller { user: user.into(), token: token.map(|name| CallerToken { name: name.into(), separated }) }
    }

    fn holds(caller: &Caller, path: &str, privilege: &str) -> bool {
        Rights::new(&World::from_yaml(WORLD).unwrap(), caller).has(path, privilege)
    }

    #[test]
    fn a_deeper_rule_replaces_the_one_above() {
        let alice = caller("alice@pve", None, false);
        assert!(holds(&alice, "/vms/100", "VM.PowerMgmt"));
        assert!(!holds(&alice, "/vms/200", "VM.PowerMgmt"));
    }

    #[test]
    fn a_separated_token_has_only_what_it_shares_with_its_user() {
        let token = caller("alice@pve", Some("ci"), true);
        assert!(holds(&token, "/vms/100", "VM.Audit"));
        assert!(!holds(&token, "/vms/100", "VM.PowerMgmt"));
        assert!(!holds(&token, "/nodes/pve1", "Sys.Audit"));
    }

    #[test]
    fn a_token_that_is_not_separated_has_all_its_user_has() {
        assert!(holds(&caller("alice@pve", Some("ci"), false), "/vms/100", "VM.PowerMgmt"));
    }

    #[test]
    fn only_root_itself_has_rights_on_what_is_no_path() {
        assert!(holds(&caller("root@pam", None, false), "/pool/bad name", "Pool.Allocate"));
        assert!(holds(&caller("root@pam", Some("full"), false), "/pool/good-name", "Pool.Allocate"));
        assert!(!holds(&caller("root@pam", Some("full"), false), "/pool/bad name", "Pool.Allocate"));
    }

    #[test]
    fn a_group_grants_to_its_members() {
        assert!(holds(&caller("alice@pve", None, false), "/nodes/pve1", "Sys.Audit"));
    }

    #[test]
    fn rights_on_a_pool_reach_its_members() {
        let bob = caller("bob@pve", None, false);
        assert!(holds(&bob, "/vms/410", "VM.Allocate"));
        assert!(!holds(&bob, "/vms/411", "VM.Allocate"));
    }
}
