//! What can be asked of a running process.

pub mod health;
