//! Decides, and does nothing else: values in, values out. No I/O, no async, no clock, no randomness.

pub mod admission;
mod afterwards;
mod allowed;
pub mod approval;
pub mod audit;
pub mod call;
mod caution;
pub mod clock;
mod config_keys;
pub mod demand;
mod denial;
mod diff;
mod fingerprint;
pub mod ha;
pub mod handed_out;
pub mod hash;
pub mod identity;
pub mod judge;
pub mod lifecycle;
mod measure;
pub mod observe;
pub mod occupied;
pub mod outlook;
pub mod places;
pub mod policy;
mod preview;
pub mod privileges;
pub mod provenance;
mod quorum;
pub mod radius;
pub mod request;
pub mod risk;
mod space;
pub mod task;
#[cfg(test)]
pub(crate) mod testing;
mod undo;
