//! Everything that knows how Proxmox VE speaks.

mod pinning;
pub mod sim;
pub mod tls;
pub mod token;

pub use tls::{Trust, TrustError};
pub use token::{ApiToken, TokenError};
