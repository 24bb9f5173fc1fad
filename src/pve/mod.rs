//! Everything that knows how Proxmox VE speaks.
//!
//! Every request leaves through [`client`]; whatever changes something leaves through [`Client::send`], once.

mod acquaintance;
mod answer;
pub mod client;
mod doorway;
mod endpoint;
mod ha;
mod lenient;
mod members;
mod passage;
mod pinning;
mod proxmox;
mod read_error;
mod running;
pub mod sim;
pub mod survey;
pub mod tasks;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod token;
#[cfg(test)]
mod transport_tests;
mod wire;

pub use client::{Client, ConnectError};
pub use proxmox::{Connection, Proxmox, check_address};
pub use read_error::{Asked, ReadError};
pub use tls::{Trust, TrustError};
pub use token::{ApiToken, TokenError};
