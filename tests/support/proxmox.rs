//! What somebody else does to the simulated Proxmox, behind the operator's back.

use std::time::Duration;

use proxmox_agent::{
    catalog::{Call, Method},
    core::task::Sent,
    pve::{
        ApiToken, Client, Trust,
        sim::{Fault, Simulator, Trigger},
    },
};
use secrecy::SecretString;

/// Changes something with another token than the operator's.
pub(crate) async fn put(sim: &Simulator, token: &str, path: &str, params: &[(&str, &str)]) {
    let secret = SecretString::from(format!("{token}={}", sim.tokens()[token]));
    let token = ApiToken::try_from(&secret).unwrap();
    let client = Client::new(&[sim.url()], token, &Trust::Anyone, Duration::from_secs(10)).unwrap();
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sent = client
        .send(&Call { method: Method::Put, path: path.to_owned(), params }, Duration::from_secs(5))
        .await;
    assert_eq!(sent, Sent::Done);
}

/// The daemon restarts at the next request, whatever it is, and loses its running tasks.
pub(crate) fn restart(sim: &Simulator) {
    let when = Trigger { method: Some("*".to_owned()), ..Trigger::default() };
    sim.set_faults(vec![Fault::Restart { when, executed: false }]);
}
