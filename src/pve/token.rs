//! The credential. Its secret is readable here and nowhere else.

use std::{fmt, str::FromStr};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// A Proxmox API token. Neither `Debug` nor any error shows its secret.
#[derive(Clone)]
pub struct ApiToken {
    /// `user@realm!tokenid`.
    id: String,
    secret: SecretString,
}

/// Why a text is no API token. Quotes nothing of it: whatever was given may be a secret in the wrong place.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the API token is not usable: {0}; it has to read user@realm!tokenid=secret, such as agent@pve!plans=<uuid>"
)]
pub struct TokenError(&'static str);

impl ApiToken {
    /// `user@realm!tokenid`, as Proxmox writes it into task ids.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.expose_secret() == other.secret.expose_secret()
    }

    /// The value of the `Authorization` header, marked as sensitive so that no log shows it.
    pub(super) fn header(&self) -> Result<HeaderValue, TokenError> {
        let text = format!("PVEAPIToken={}={}", self.id, self.secret.expose_secret());
        let mut value =
            HeaderValue::try_from(text).map_err(|_| TokenError("it does not fit into an HTTP header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A server or a proxy may repeat what it was sent; what goes into a status must not.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(self.secret.expose_secret(), "[redacted]")
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("id", &self.id).field("secret", &"[redacted]").finish()
    }
}

impl TryFrom<&SecretString> for ApiToken {
    type Error = TokenError;

    fn try_from(text: &SecretString) -> Result<Self, TokenError> {
        text.expose_secret().parse()
    }
}

impl FromStr for ApiToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        // An editor leaves a line end in a Secret easily, and no token begins or ends with white space.
        let text = text.trim();
        let (user, rest) = text.split_once('!').ok_or(TokenError("it has no `!`"))?;
        let (name, secret) = rest.split_once('=').ok_or(TokenError("it has no `=` after its `!`"))?;
        let (account, realm) = user.rsplit_once('@').ok_or(TokenError("it has no `@` before its `!`"))?;
        if account.starts_with("PVEAPIToken=") {
            return Err(TokenError("it begins with `PVEAPIToken=`, which belongs to the HTTP header only"));
        }
        if account.is_empty() || account.contains(|c: char| c.is_whitespace() || c == ':' || c == '/') {
            return Err(TokenError("its user is empty or has characters that Proxmox does not allow"));
        }
        if user.len() + name.len() > 252 {
            return Err(TokenError("its user and name are longer than Proxmox allows"));
        }
        if !is_config_id(realm) || !is_config_id(name) {
            return Err(TokenError(
                "its realm or token id is empty or has characters that Proxmox does not allow",
            ));
        }
        if secret.is_empty() || !secret.chars().all(|c| c.is_ascii_graphic()) {
            return Err(TokenError("its secret is empty or has characters that no secret of Proxmox has"));
        }
        Ok(Self { id: format!("{user}!{name}"), secret: secret.into() })
    }
}

/// The form of realms and token ids: a letter, then letters, digits, `.`, `-` and `_`.
fn is_config_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "7d1f4a4e-canary-4cc3-9c3f-2f6a1f3c0e55";

    #[test]
    fn a_token_is_known_by_its_id() {
        let token: ApiToken = format!("agent@pve!plans={SECRET}\n").parse().unwrap();
        assert_eq!(token.id(), "agent@pve!plans");
        assert_eq!(
            token.header().unwrap().to_str().unwrap(),
            format!("PVEAPIToken=agent@pve!plans={SECRET}")
        );
    }

    #[test]
    fn no_view_of_a_token_shows_its_secret() {
        let token: ApiToken = format!("agent@pve!plans={SECRET}").parse().unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("canary"));
        assert_eq!(token.redact(&format!("you sent {SECRET}, right?")), "you sent [redacted], right?");
    }

    #[test]
    fn a_text_that_is_no_token_is_refused_with_what_is_expected_and_not_repeated() {
        for text in [
            String::new(),
            SECRET.to_owned(),
            format!("agent@pve={SECRET}"),
            format!("agent!plans={SECRET}"),
            format!("@pve!plans={SECRET}"),
            format!("agent@pve!={SECRET}"),
            format!("agent@!plans={SECRET}"),
            format!("agent@pve!plans:{SECRET}"),
            format!("PVEAPIToken=agent@pve!plans={SECRET}"),
            format!("agent@pve!plans={SECRET}\nX-Evil: 1"),
            format!("a b@pve!plans={SECRET}"),
            "agent@pve!plans=".to_owned(),
        ] {
            let error = text.parse::<ApiToken>().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("user@realm!tokenid=secret"), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
