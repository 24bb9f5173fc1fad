//! What is wrong with an environment's `spec.git`, as far as that can be told without asking the repository.

use crate::api::GitTrust;

use super::{place::Place, signature::Signers, upstream};

/// Everything that keeps commits from counting, each as the operator would say it.
pub fn check_trust(trust: &GitTrust) -> Vec<String> {
    let place = Place::of(&trust.repository).err();
    let authorities = trust.ca_bundle.as_deref().and_then(|pem| upstream::authorities(pem).err());
    place.into_iter().chain(authorities).chain(of_signers(trust)).collect()
}

fn of_signers(trust: &GitTrust) -> Vec<String> {
    let signers = match Signers::of(&trust.signers) {
        Ok(signers) => signers,
        Err(why) => return vec![why],
    };
    let told = |(key, names): (String, Vec<String>)| {
        let names = names.join(" and ");
        format!(
            "spec.git.signers: the key {key} is given to {names}: what is signed with it counts for nobody"
        )
    };
    signers.shared().into_iter().map(told).collect()
}
