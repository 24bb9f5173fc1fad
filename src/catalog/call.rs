use std::{collections::BTreeMap, fmt};

use super::SecretValue;

/// One request that changes something, exactly as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: Method,
    /// Below `/api2/json`, such as `/nodes/pve1/qemu/100/status/start`.
    pub path: String,
    /// The form of a POST or PUT, the query of a DELETE.
    pub params: BTreeMap<String, String>,
    /// A task carries it out; otherwise it is done when it is answered.
    pub starts_task: bool,
    /// Parameters whose values are in a Secret, and are read only when the call is sent.
    pub secrets: BTreeMap<String, SecretValue>,
}

/// The methods by which Proxmox is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Put,
    Delete,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}
