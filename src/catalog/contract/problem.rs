use std::fmt;

/// Something about a call that Proxmox would refuse; it reads as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The parameter, and after a dot the part of its property string: `scsi0.cache`. `None` if it is the call itself.
    pub parameter: Option<String>,
    /// What was given, in words that are short and hold no secret.
    pub given: Option<String>,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter} ")?;
        }
        f.write_str(&self.reason)?;
        match &self.given {
            Some(given) => write!(f, ", not {given}"),
            None => Ok(()),
        }
    }
}

/// A value as it may be shown to anybody.
pub(super) fn shown(name: &str, value: &str) -> String {
    if name.split('.').any(is_secret) {
        return "the hidden value".to_owned();
    }
    match value.chars().count() {
        0 => "nothing".to_owned(),
        1..=64 if !value.chars().any(char::is_control) => format!("`{value}`"),
        1..=64 => format!("`{}`", value.escape_default()),
        length => format!("a text of {length} characters"),
    }
}

/// What names the secrets of the API, beside everything that speaks of a password or a secret.
const SECRETS: [&str; 17] = [
    "certkey",
    "challenge",
    "client-key",
    "eab-hmac-key",
    "encryption-key",
    "input-data",
    "key",
    "keyring",
    "keys",
    "otp",
    "response",
    "ssh-public-keys",
    "tfa",
    "tfa-challenge",
    "ticket",
    "token",
    "totp",
];

/// Parameters whose values nobody but Proxmox may see.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.contains(&name.as_str()) || ["password", "secret"].iter().any(|word| name.contains(word))
}

/// A name as it was given, if it was not garbage.
pub(super) fn shortened(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_by_their_name_wherever_it_stands() {
        let secrets = SECRETS.into_iter().chain([
            "password",
            "cipassword",
            "Secret",
            "confirmation-password",
            "tfa.key",
        ]);
        for name in secrets {
            assert_eq!(shown(name, "hunter2"), "the hidden value", "{name}");
        }
        for name in ["tokenid", "keyboard", "description", "scsi0.cache"] {
            assert_eq!(shown(name, "hunter2"), "`hunter2`", "{name}");
        }
    }

    #[test]
    fn what_is_shown_stays_on_its_line() {
        assert_eq!(shown("name", ""), "nothing");
        assert_eq!(shown("name", "a\nb"), "`a\\nb`");
        assert_eq!(shown("name", &"x".repeat(65)), "a text of 65 characters");
    }
}
