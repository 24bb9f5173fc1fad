use std::fmt;

/// A release of Proxmox VE whose API is known here. Later ones of the same major version only add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    V8_4,
    V9_2,
}

/// A version of Proxmox VE that no known API fits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Proxmox VE `{}` is not supported: supported are 8.x (by the API of 8.4) and 9.x and later (by that of 9.2); \
     upgrade it, or name a supported version",
    .0.chars().take(32).collect::<String>()
)]
pub struct UnsupportedVersion(pub String);

impl Release {
    pub const ALL: [Self; 2] = [Self::V8_4, Self::V9_2];

    /// The release whose API a version speaks, such as 9.2 for `9.2.11`.
    ///
    /// # Errors
    /// Names the supported releases if the version is older or no version at all.
    pub fn of(version: &str) -> Result<Self, UnsupportedVersion> {
        let major = version.split('.').next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(8) => Ok(Self::V8_4),
            Ok(9..) => Ok(Self::V9_2),
            _ => Err(UnsupportedVersion(version.to_owned())),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::V8_4 => "8.4",
            Self::V9_2 => "9.2",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_judged_by_the_release_of_its_major_version() {
        for (version, release) in [
            ("8", Release::V8_4),
            ("8.0.3", Release::V8_4),
            ("8.4.14", Release::V8_4),
            ("9.0.3", Release::V9_2),
            ("9.2.11", Release::V9_2),
            ("10.1", Release::V9_2),
        ] {
            assert_eq!(Release::of(version), Ok(release), "{version}");
        }
    }

    #[test]
    fn an_older_or_unreadable_version_is_refused_with_those_that_are_supported() {
        for version in ["7.4-17", "", "pve", "-9", "9b"] {
            let message = Release::of(version).unwrap_err().to_string();
            assert!(message.contains("supported are 8.x"), "{message}");
        }
        assert!(Release::of(&"x".repeat(1 << 20)).unwrap_err().to_string().len() < 300);
    }
}
