use super::Release;

const SINCE_9: [&str; 6] = [
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Replicate",
];

const UNTIL_8: [&str; 1] = ["VM.Monitor"];

const ALWAYS: [&str; 41] = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Group.Allocate",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];

impl Release {
    /// Every privilege that exists in it.
    pub fn privileges(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::V8_4 => &UNTIL_8,
            Self::V9_2 => &SINCE_9,
        };
        ALWAYS.iter().chain(own).copied()
    }

    pub fn has_privilege(self, name: &str) -> bool {
        self.privileges().any(|known| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Check, Contract, Permission};
    use super::*;

    fn named(check: &Check, found: &mut Vec<String>) {
        match check {
            Check::All(checks) | Check::Any(checks) => checks.iter().for_each(|check| named(check, found)),
            Check::Privileges { privileges, .. } | Check::UserGroup { privileges, .. } => {
                found.extend(privileges.iter().cloned());
            }
            _ => {}
        }
    }

    #[test]
    fn every_privilege_that_an_operation_asks_for_exists_in_its_release() {
        for release in Release::ALL {
            let mut found = vec![];
            for operation in Contract::of(release).operations() {
                if let Permission::Check(check) = &operation.permission {
                    named(check, &mut found);
                }
            }
            assert!(found.len() > 100);
            found.retain(|name| !release.has_privilege(name));
            assert_eq!(found, Vec::<String>::new(), "{release}");
        }
    }

    #[test]
    fn the_guest_agent_has_privileges_of_its_own_since_9() {
        assert!(Release::V8_4.has_privilege("VM.Monitor") && !Release::V9_2.has_privilege("VM.Monitor"));
        let agent = "VM.GuestAgent.Audit";
        assert!(!Release::V8_4.has_privilege(agent) && Release::V9_2.has_privilege(agent));
    }
}
