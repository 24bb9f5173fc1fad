//! One address of a cluster's API, and what may be asked there.

use std::fmt;

use reqwest::Url;

use super::client::ConnectError;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl Endpoint {
    pub(super) fn parse(endpoint: &str) -> Result<Self, ConnectError> {
        // Whoever writes a password into an address must not find it in a message.
        let shown =
            if endpoint.contains('@') { "it".to_owned() } else { endpoint.chars().take(128).collect() };
        let bad = |why| ConnectError::BadEndpoint { endpoint: shown.clone(), why };
        let url = Url::parse(endpoint).map_err(|_| bad("it is not an address"))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(bad("its scheme is neither https nor http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it has a user in it, but only an API token is used"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has more than a host and a port"));
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses a path that would mean another one on the wire, such as one with `..`, `?` or a space in it.
    pub(super) fn url(&self, path: &str) -> Result<Url, &'static str> {
        let whole = format!("/api2/json{path}");
        Url::parse(&format!("{}{whole}", self.0))
            .ok()
            .filter(|url| path.starts_with('/') && url.path() == whole)
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or("the path can't be sent as it is written, so nothing was sent")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port_and_nothing_else() {
        assert_eq!(Endpoint::parse("https://PVE1.lan:8006/").unwrap().as_str(), "https://pve1.lan:8006");
        assert_eq!(Endpoint::parse("https://[fd00::1]:8006").unwrap().as_str(), "https://[fd00::1]:8006");
        for endpoint in
            ["", "pve1", "pve1:8006", "ftp://pve1", "https://pve1/api2", "https://pve1?x", "https://pve1#x"]
        {
            assert!(matches!(Endpoint::parse(endpoint), Err(ConnectError::BadEndpoint { .. })), "{endpoint}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
        let error = Endpoint::parse("https://root:hunter2@pve1:8006").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_path_that_means_another_one_on_the_wire_is_not_sent() {
        let endpoint = Endpoint::parse("https://pve1:8006").unwrap();
        assert!(endpoint.url("/nodes/pve1/tasks/UPID:pve1:0:0:0:qmstart:100:root@pam!x:/status").is_ok());
        for path in
            ["", "version", "/a/../b", "/%2e%2e/b", "/a?b", "/a#b", "/a b", "/a\tb", "/a\\b", "/é", "/./a"]
        {
            assert!(endpoint.url(path).is_err(), "{path}");
        }
    }
}
