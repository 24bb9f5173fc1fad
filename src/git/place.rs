//! Where a repository is, and whether it may be read there.

use reqwest::Url;

/// Where a repository is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder of this machine, as `file://` says it.
    Folder(String),
    Server(Url),
}

impl Place {
    pub(super) fn of(repository: &str) -> Result<Self, String> {
        let url =
            Url::parse(repository).map_err(|error| format!("spec.git.repository: is no address: {error}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("spec.git.repository: holds a name or a password, which everybody could read: put them into spec.git.credentials".to_owned());
        }
        match url.scheme() {
            "file" => Ok(Self::Folder(repository.to_owned())),
            "https" => Ok(Self::Server(url)),
            "http" if is_this_machine(&url) => Ok(Self::Server(url)),
            "http" => Err("spec.git.repository: http:// would send everything unencrypted, and anybody on the way could hide commits: write https://".to_owned()),
            other => Err(format!("spec.git.repository: {other}:// is not supported: write https:// or file://")),
        }
    }
}

/// What never leaves this machine needs no encryption.
fn is_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(repository: &str) -> String {
        Place::of(repository).unwrap_err()
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for here in ["http://localhost/r", "http://127.0.0.1:8080/r", "http://[::1]/r"] {
            assert!(matches!(Place::of(here), Ok(Place::Server(_))), "{here}");
        }
        for there in ["http://git.example.test/r", "http://10.0.0.1/r", "http://127.0.0.1.example.test/r"] {
            assert!(refused(there).contains("https://"), "{there}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        for address in ["https://me:hunter2@git.example.test/r", "https://hunter2@git.example.test/r"] {
            let why = refused(address);
            assert!(why.contains("spec.git.credentials") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_remote_over_ssh_is_refused() {
        assert!(refused("ssh://git@git.example.test/r").contains("spec.git"));
        assert!(refused("ssh://git.example.test/r").contains("not supported"));
    }
}
