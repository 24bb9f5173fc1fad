//! The homes of the engine: one `ports::Store`, and what keeps plans and approvals behind it.

pub mod directory;
