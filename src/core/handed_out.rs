//! What a plan may have sent from a Secret.

/// Why a value can't be sent as a password or key, if it can't.
///
/// Whoever makes plans may name any Secret of the namespace, the one of an environment's own token among them: sent as a
/// password to a guest or a storage of theirs, it would be theirs.
pub fn unfit(value: &str) -> Option<&'static str> {
    if value.trim_end_matches('\n').is_empty() {
        return Some("it is empty: write the value into it");
    }
    is_api_token(value)
        .then_some("it is an API token of Proxmox, which no plan may hand out: name another Secret")
}

/// Of the form `user@realm!name=secret`.
fn is_api_token(text: &str) -> bool {
    let parts = text.trim().split_once('!').and_then(|(user, rest)| Some((user, rest.split_once('=')?.0)));
    parts.is_some_and(|(user, name)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        user.contains('@')
            && !user.contains(char::is_whitespace)
            && !name.is_empty()
            && name.chars().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_handed_out_and_nothing_empty_is_sent() {
        for token in ["root@pam!full=7d1f4a4e-0000", " agent@pve!plans=x\n", "PVEAPIToken=agent@pve!plans=x"]
        {
            assert!(unfit(token).is_some_and(|why| why.contains("API token")), "{token}");
        }
        assert!(unfit("\n\n").is_some_and(|why| why.contains("empty")));
        for password in ["hunter2", "a@b!c", "p@ss !word=1", "x!y=z", " "] {
            assert_eq!(unfit(password), None, "{password}");
        }
    }
}
