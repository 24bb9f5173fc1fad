//! Everything that knows how Proxmox VE speaks.
pub mod sim;
