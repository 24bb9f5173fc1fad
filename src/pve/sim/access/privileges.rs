//! The roles that come with Proxmox VE.
use std::collections::{BTreeMap, BTreeSet};

use crate::pve::sim::contract::Release;
use crate::pve::sim::world::Role;

/// What only the administrator's role holds.
const ROOT_PRIVILEGES: [&str; 7] = [
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "VM.GuestAgent.Unrestricted",
];

/// What a user of a guest has beyond looking at it.
const GUEST_USER: [&str; 6] = [
    "VM.Backup",
    "VM.Config.CDROM",
    "VM.Config.Cloudinit",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.PowerMgmt",
];

pub(in crate::pve::sim) const BUILT_IN_ROLES: [&str; 18] = [
    "Administrator",
    "NoAccess",
    "PVEAdmin",
    "PVEAuditor",
    "PVEDatastoreAdmin",
    "PVEDatastoreUser",
    "PVEMappingAdmin",
    "PVEMappingAudit",
    "PVEMappingUser",
    "PVEPoolAdmin",
    "PVEPoolUser",
    "PVESDNAdmin",
    "PVESDNUser",
    "PVESysAdmin",
    "PVETemplateUser",
    "PVEUserAdmin",
    "PVEVMAdmin",
    "PVEVMUser",
];

pub(in crate::pve::sim) fn is_built_in_role(name: &str) -> bool {
    BUILT_IN_ROLES.contains(&name)
}

/// The privileges behind a role's name; a role that nobody defined grants nothing.
pub(in crate::pve::sim) fn privileges_of_role(
    name: &str,
    custom: &BTreeMap<String, Role>,
    release: Release,
) -> BTreeSet<String> {
    if let Some(role) = custom.get(name) {
        return role.clone();
    }
    release.privileges().filter(|privilege| built_in_role_has(name, privilege)).map(str::to_owned).collect()
}

fn built_in_role_has(role: &str, privilege: &str) -> bool {
    let root_only = ROOT_PRIVILEGES.contains(&privilege);
    let of = |family: &str| privilege.starts_with(family);
    let audit = privilege.ends_with(".Audit");
    match role {
        "Administrator" => true,
        "PVEAdmin" => !root_only || privilege == "VM.GuestAgent.Unrestricted",
        "PVEAuditor" => audit,
        "PVEDatastoreAdmin" => of("Datastore."),
        "PVEDatastoreUser" => matches!(privilege, "Datastore.AllocateSpace" | "Datastore.Audit"),
        "PVEMappingAdmin" => of("Mapping."),
        "PVEMappingAudit" => privilege == "Mapping.Audit",
        "PVEMappingUser" => matches!(privilege, "Mapping.Use" | "Mapping.Audit"),
        "PVEPoolAdmin" => of("Pool."),
        "PVEPoolUser" => privilege == "Pool.Audit",
        "PVESDNAdmin" => of("SDN."),
        "PVESDNUser" => matches!(privilege, "SDN.Use" | "SDN.Audit"),
        "PVESysAdmin" => matches!(privilege, "Sys.Audit" | "Sys.Console" | "Sys.Syslog"),
        "PVETemplateUser" => matches!(privilege, "VM.Audit" | "VM.Clone"),
        "PVEUserAdmin" => matches!(privilege, "User.Modify" | "Group.Allocate" | "Realm.AllocateUser"),
        "PVEVMAdmin" => of("VM."),
        "PVEVMUser" => privilege == "VM.Audit" || GUEST_USER.contains(&privilege),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_guests_switches_them_and_does_not_configure_them() {
        let role = privileges_of_role("PVEVMUser", &BTreeMap::new(), Release::V9_2);
        assert!(role.contains("VM.PowerMgmt"));
        assert!(!role.contains("VM.Config.Memory"));
    }

    #[test]
    fn an_auditor_only_looks() {
        let role = privileges_of_role("PVEAuditor", &BTreeMap::new(), Release::V9_2);
        assert!(role.iter().all(|privilege| privilege.ends_with(".Audit")));
    }

    #[test]
    fn a_role_that_nobody_defined_grants_nothing() {
        assert!(privileges_of_role("Ghost", &BTreeMap::new(), Release::V9_2).is_empty());
    }

    #[test]
    fn administrators_of_guests_reach_the_agent_by_the_privileges_of_their_release() {
        let admin = |release| privileges_of_role("PVEVMAdmin", &BTreeMap::new(), release);
        assert!(admin(Release::V8_4).contains("VM.Monitor"));
        assert!(admin(Release::V9_2).contains("VM.GuestAgent.Unrestricted"));
    }
}
