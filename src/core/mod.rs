//! Decides, and does nothing else: values in, values out. No I/O, no async, no clock, no randomness.

pub mod approval;
pub mod audit;
pub mod call;
pub mod clock;
pub mod hash;
pub mod judge;
pub mod lifecycle;
pub mod observe;
pub mod places;
pub mod policy;
pub mod request;
pub mod risk;
pub mod task;
