//! Where API tokens are kept.

mod mounted;

pub use mounted::MountedSecrets;
