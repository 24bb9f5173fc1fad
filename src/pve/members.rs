//! Which cluster an endpoint belongs to.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::observe::NodeRow;

use super::{client::Client, lenient, read_error::ReadError};

pub(super) const PATH: &str = "/nodes";

#[derive(Deserialize)]
pub(super) struct Row {
    node: String,
    #[serde(default, deserialize_with = "lenient::text")]
    status: String,
    #[serde(default, deserialize_with = "lenient::text")]
    ssl_fingerprint: String,
}

/// The nodes of a cluster with the fingerprints of their certificates, as every member lists them for every token.
///
/// Names alone prove nothing: half of all clusters of one node call it `pve`. Certificates are unique, and the whole
/// cluster knows those of all its nodes, also of the ones that are down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members(BTreeMap<String, String>);

impl Members {
    pub(super) fn of(rows: &[Row]) -> Self {
        Self::met(rows.iter().map(|row| (row.node.as_str(), row.ssl_fingerprint.as_str())))
    }

    /// Names and certificates that were met before.
    pub(super) fn met<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let named = nodes.filter(|(_, certificate)| !certificate.is_empty());
        Self(named.map(|(name, certificate)| (name.to_owned(), certificate.to_uppercase())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One node with one certificate in both is enough: others may have come, gone or renewed theirs meanwhile.
    pub(super) fn same_cluster(&self, other: &Self) -> bool {
        self.0.iter().any(|(name, certificate)| other.0.get(name) == Some(certificate))
    }

    pub(super) fn names(&self) -> String {
        self.0.keys().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// The nodes as the cluster lists them now.
pub(super) async fn nodes(client: &Client) -> Result<Vec<NodeRow>, ReadError> {
    let rows: Vec<Row> = client.get(PATH, &[]).await?;
    let node = |row: Row| NodeRow {
        name: row.node,
        online: row.status == "online",
        certificate: row.ssl_fingerprint.to_uppercase(),
    };
    Ok(rows.into_iter().map(node).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(nodes: &[(&str, &str)]) -> Members {
        Members::met(nodes.iter().copied())
    }

    #[test]
    fn nodes_of_the_same_name_with_other_certificates_are_other_nodes() {
        assert!(!members(&[("pve", "AA")]).same_cluster(&members(&[("pve", "BB")])));
        assert!(!members(&[("pve", "AA")]).same_cluster(&members(&[("pve2", "AA")])));
        assert!(!members(&[("pve", "")]).same_cluster(&members(&[("pve", "")])));
    }

    #[test]
    fn a_cluster_stays_the_same_while_nodes_come_and_go_and_renew_their_certificates() {
        let before = members(&[("pve1", "AA"), ("pve2", "BB")]);
        assert!(before.same_cluster(&members(&[("pve2", "bb"), ("pve1", "A2"), ("pve3", "CC")])));
    }
}
