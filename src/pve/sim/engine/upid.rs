//! The unique id of a task.
use std::fmt;

/// `UPID:pve1:00001619:00062D39:6B00EAFE:qmcreate:101:root@pam!token:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pve::sim) struct Upid {
    pub(in crate::pve::sim) node: String,
    pub(in crate::pve::sim) pid: u32,
    pub(in crate::pve::sim) pstart: u64,
    pub(in crate::pve::sim) starttime: i64,
    pub(in crate::pve::sim) kind: String,
    pub(in crate::pve::sim) id: String,
    /// With the token's name where a token started the task.
    pub(in crate::pve::sim) who: String,
}

impl Upid {
    pub(in crate::pve::sim) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("UPID:")?.split(':');
        let mut next = || parts.next();
        let node = next()?.to_owned();
        let pid = u32::from_str_radix(next()?, 16).ok()?;
        let pstart = u64::from_str_radix(next()?, 16).ok()?;
        let starttime = i64::from_str_radix(next()?, 16).ok()?;
        let (kind, id, who) = (next()?.to_owned(), next()?.to_owned(), next()?.to_owned());
        (next()?.is_empty() && next().is_none()).then_some(())?;
        Some(Self { node, pid, pstart, starttime, kind, id, who })
    }

    pub(in crate::pve::sim) fn user(&self) -> &str {
        self.who.split('!').next().unwrap_or_default()
    }

    pub(in crate::pve::sim) fn token(&self) -> Option<&str> {
        self.who.split_once('!').map(|(_, token)| token)
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, pid, pstart, starttime, kind, id, who } = self;
        write!(formatter, "UPID:{node}:{pid:08X}:{pstart:08X}:{starttime:08X}:{kind}:{id}:{who}:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upid_reads_back_as_it_was_written() {
        for text in [
            "UPID:pve1:00001619:00062D39:6B00EAFE:qmcreate:101:root@pam:",
            "UPID:pve:00004675:0005B36F:6A4A8EED:qmcreate:9101:root@pam!sdk:",
            "UPID:pve1:00001C52:00068C26:6B00EBF1:imgcopy::root@pam:",
            "UPID:pve1:00001C47:123456789:6B00EBF0:imgdel:400@tank:root@pam:",
        ] {
            assert_eq!(Upid::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn user_and_token_are_apart() {
        let upid = Upid::parse("UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:100:a@pve!b:").unwrap();
        assert_eq!((upid.user(), upid.token()), ("a@pve", Some("b")));
    }

    #[test]
    fn garbage_is_no_upid() {
        assert_eq!(Upid::parse("UPID:pve1:zz:0:0:a:b:c:"), None);
        assert_eq!(Upid::parse("UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:100:root@pam"), None);
    }
}
