//! The simulated Proxmox VE.
