//! Who may do what: privileges, roles, access rules, tokens and tickets.
mod declared;
mod login;
mod privileges;
mod rights;

pub(super) use declared::allowed;
pub(super) use login::{Caller, CallerToken, Tickets};
pub(super) use privileges::{BUILT_IN_ROLES, is_built_in_role, privileges_of_role};
pub(super) use rights::Rights;
