//! Checking what an operation declares about its callers.
use super::login::Caller;
use super::rights::{Rights, is_path};
use crate::pve::sim::contract::{Check, Parameters, Permission};
use crate::pve::sim::world::World;

/// The answer to "may this caller do that": yes, or no with the words in brackets after the refusal.
pub(in crate::pve::sim) type Verdict = Result<(), Option<String>>;

pub(in crate::pve::sim) fn allowed(
    permission: &Permission,
    world: &World,
    caller: &Caller,
    parameters: &Parameters,
) -> Verdict {
    match permission {
        Permission::World | Permission::AnyUser => Ok(()),
        Permission::RootOnly if caller.is_root() => Ok(()),
        Permission::RootOnly => Err(Some("user != root@pam".to_owned())),
        Permission::Check(_) if caller.is_root() => Ok(()),
        Permission::Check(check) => Judge { world, caller, parameters }.judge(check),
    }
}

struct Judge<'a> {
    world: &'a World,
    caller: &'a Caller,
    parameters: &'a Parameters,
}

impl Judge<'_> {
    fn judge(&self, check: &Check) -> Verdict {
        match check {
            Check::All(checks) => checks.iter().try_for_each(|check| self.judge(check)),
            Check::Any(checks) if checks.iter().any(|check| self.judge(check).is_ok()) => Ok(()),
            Check::Any(_) => Err(None),
            Check::Privileges { only_with: Some(name), .. } if !self.parameters.has(name) => Err(None),
            Check::Privileges { path, privileges, any, .. } => {
                self.privileges(&self.fill(path), privileges, *any)
            }
            Check::Oneself => self.oneself(),
            Check::UserRealm => {
                let user = self.parameters.demanded("userid");
                let realm = user.rsplit_once('@').map_or("", |(_, realm)| realm);
                self.privileges(&format!("/access/realm/{realm}"), &["Realm.AllocateUser".to_owned()], false)
            }
            Check::UserGroup { privileges, creates, takes_groups } => {
                self.user_group(privileges, *creates, *takes_groups)
            }
            Check::ModifyPermissions { path } => self.modify_permissions(&self.fill(path)),
            Check::Unknown => Err(None),
        }
    }

    fn rights(&self) -> Rights<'_> {
        Rights::new(self.world, self.caller)
    }

    fn privileges(&self, path: &str, privileges: &[String], any: bool) -> Verdict {
        let held = self.rights().on(path);
        // A refusal doesn't show what is no path.
        let path = if is_path(path) { path } else { "" };
        if any {
            let found = privileges.iter().any(|privilege| held.contains_key(privilege));
            return if found { Ok(()) } else { Err(Some(format!("{path}, {}", privileges.join("|")))) };
        }
        match privileges.iter().find(|privilege| !held.contains_key(*privilege)) {
            None => Ok(()),
            Some(missing) => Err(Some(format!("{path}, {missing}"))),
        }
    }

    fn oneself(&self) -> Verdict {
        let named = self.parameters.demanded("userid");
        if named == self.caller.id() { Ok(()) } else { Err(None) }
    }

    fn user_group(&self, privileges: &[String], creates: bool, takes_groups: bool) -> Verdict {
        if self.privileges("/access/groups", privileges, true).is_ok() {
            return Ok(());
        }
        let groups = self.parameters.list("groups");
        if takes_groups {
            if groups.is_empty() {
                return Err(Some(format!("/access/groups, {}", privileges.join("|"))));
            }
            for group in &groups {
                self.privileges(&format!("/access/groups/{group}"), privileges, true)?;
            }
        }
        if creates {
            return Ok(());
        }
        let member_of = self.world.users.get(self.parameters.demanded("userid")).map(|user| &user.groups);
        let manages =
            |group: &String| self.privileges(&format!("/access/groups/{group}"), privileges, true).is_ok();
        if member_of.is_some_and(|groups| groups.iter().any(manages)) { Ok(()) } else { Err(None) }
    }

    /// Whoever allocates something below a path may also say who else may use it.
    fn modify_permissions(&self, path: &str) -> Verdict {
        let allocates = match path.split('/').nth(1) {
            Some("storage") => "Datastore.Allocate",
            Some("vms") => "VM.Allocate",
            Some("pool") => "Pool.Allocate",
            _ => "Permissions.Modify",
        };
        if self.rights().has_any(path, &["Permissions.Modify", allocates]) {
            return Ok(());
        }
        Err(Some(format!("{path}, Permissions.Modify")))
    }

    /// What the request does not name shows as a dash, because permissions are judged before parameters.
    fn fill(&self, template: &str) -> String {
        let filled = template.split('/').map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => self.parameters.text(name).unwrap_or("-"),
                None => part,
            }
        });
        filled.collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::contract::Contract;

    fn verdict(user: &str, method: &str, path: &[&str], given: &[(&str, &str)]) -> Verdict {
        let world = World::from_yaml(
            "nodes: {pve1: {}}\nusers: {alice@pve: {}}\nacl: [{path: /vms, who: alice@pve, role: PVEVMUser}]",
        )
        .unwrap();
        let found = Contract::of(world.release()).find(method, path).unwrap();
        let mut parameters = Parameters::default();
        for (name, value) in
            found.bound.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(given.iter().copied())
        {
            parameters.add(name, value.to_owned());
        }
        let caller = Caller { user: user.into(), token: None };
        allowed(&found.operation.permission, &world, &caller, &parameters)
    }

    #[test]
    fn a_missing_privilege_is_named_with_its_path() {
        let start = ["nodes", "pve1", "qemu", "100", "snapshot"];
        assert_eq!(verdict("alice@pve", "POST", &start, &[]), Err(Some("/vms/100, VM.Snapshot".into())));
    }

    #[test]
    fn a_parameter_that_is_missing_shows_as_a_dash() {
        assert_eq!(verdict("alice@pve", "POST", &["pools"], &[]), Err(Some("/pool/-, Pool.Allocate".into())));
    }

    #[test]
    fn alternatives_that_all_fail_name_nothing() {
        let clone = ["nodes", "pve1", "qemu", "100", "snapshot", "a", "rollback"];
        assert!(verdict("alice@pve", "POST", &clone, &[]).is_err());
    }

    #[test]
    fn root_passes_every_declared_check() {
        assert_eq!(verdict("root@pam", "POST", &["pools"], &[]), Ok(()));
    }
}
