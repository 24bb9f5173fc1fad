//! How long a call may still arrive after it was announced.

use jiff::SignedDuration;

use crate::api::ProxmoxEnvironmentSpec;

use super::observe::NodeRow;

/// How late a call may leave after its announcement, and what is lost on the way to the clock.
pub const MARGIN: SignedDuration = SignedDuration::from_secs(8);

/// For so long the proxy of a node tries to connect to the one that is to carry a call out. It goes on when whoever asked
/// it has gone, so this comes on top of all that was waited for there.
const PASSING_ON: SignedDuration = SignedDuration::from_secs(30);

/// How long after its announcement a call for this node may arrive there. `nodes` are those of the cluster.
pub fn time_to_settle(spec: &ProxmoxEnvironmentSpec, nodes: &[NodeRow], node: &str) -> SignedDuration {
    let on_the_wire = SignedDuration::from_secs(spec.request_timeout_seconds.into());
    let inside = if is_asked_itself(spec, nodes, node) { SignedDuration::ZERO } else { PASSING_ON };
    on_the_wire + inside + MARGIN
}

/// Whether nobody but this node can take the call. An address proves nothing, since it may be that of several nodes; nor
/// does what a node says of itself, since the next connection may lead to another. So either there is no other, or the
/// one endpoint has to show a certificate that is this node's alone.
fn is_asked_itself(spec: &ProxmoxEnvironmentSpec, nodes: &[NodeRow], node: &str) -> bool {
    if let [only] = nodes {
        return only.name == node;
    }
    let (Some(trusted), [_]) = (&spec.tls.fingerprint, spec.endpoints.as_slice()) else { return false };
    let showing: Vec<&NodeRow> =
        nodes.iter().filter(|row| digits(&row.certificate) == digits(trusted)).collect();
    matches!(showing.as_slice(), [row] if row.name == node)
}

fn digits(fingerprint: &str) -> String {
    fingerprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(spec: &serde_json::Value, nodes: &[(&str, &str)]) -> i64 {
        let mut whole = json!({
            "endpoints": ["https://192.0.2.11:8006"], "tier": "lab", "requestTimeoutSeconds": 10,
            "credentials": {"secretRef": {"name": "pve"}}, "tls": {"fingerprint": "ab".repeat(32)},
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let spec = serde_json::from_value(whole).unwrap();
        let row = |(name, byte): &(&str, &str)| NodeRow {
            name: (*name).to_owned(),
            online: true,
            certificate: vec![*byte; 32].join(":"),
        };
        let nodes: Vec<NodeRow> = nodes.iter().map(row).collect();
        time_to_settle(&spec, &nodes, "pve1").as_secs()
    }

    #[test]
    fn a_call_settles_when_it_can_not_be_on_its_way_to_the_node_that_was_asked() {
        let elsewhere = ("pve2", "CD");
        assert_eq!(seconds(&json!({}), &[("pve1", "AB"), elsewhere]), 10 + 8);
        assert_eq!(seconds(&json!({"tls": {"insecureSkipVerify": true}}), &[("pve1", "AB")]), 10 + 8);
    }

    #[test]
    fn a_call_that_may_be_passed_on_settles_half_a_minute_later() {
        let later = 10 + 30 + 8;
        let two = [("pve1", "AB"), ("pve2", "CD")];
        assert_eq!(seconds(&json!({"tls": {"insecureSkipVerify": true}}), &two), later, "whoever it is");
        assert_eq!(seconds(&json!({"endpoints": ["https://a", "https://b"]}), &two), later, "either of them");
        assert_eq!(seconds(&json!({}), &[("pve1", "CD"), ("pve2", "AB")]), later, "the other one is asked");
        assert_eq!(seconds(&json!({}), &[("pve1", "AB"), ("pve2", "AB")]), later, "both show it");
        assert_eq!(seconds(&json!({}), &[("pve2", "AB")]), later, "it is not seen");
        assert_eq!(seconds(&json!({}), &[]), later, "nobody is seen");
    }
}
