//! Decides, and does nothing else: values in, values out. No I/O, no async, no clock, no randomness.

pub mod approval;
pub mod audit;
pub mod observe;
pub mod task;
