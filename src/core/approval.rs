//! Whether an approval counts.

use crate::api::Tier;

/// What stands behind the name in an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The API server let its writer create it.
    ApiServer,
    /// Its writer could write to the directory.
    DirectoryAccess,
}

impl Proof {
    /// In plain words, for the status.
    pub fn described(self) -> &'static str {
        match self {
            Self::ApiServer => {
                "an approval is worth the right to create approvals on the API server: role bindings decide who has it"
            }
            Self::DirectoryAccess => {
                "an approval is worth write access to this directory: whoever can write here can approve in any name"
            }
        }
    }

    /// Production wants more than write access to a directory.
    pub fn is_enough_for(self, tier: Tier) -> bool {
        self != Self::DirectoryAccess || tier != Tier::Production
    }
}
