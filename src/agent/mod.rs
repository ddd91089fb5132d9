//! The side that dials: one link to its backend, which outlives every session.

mod builder;
mod dialling;
mod reconnect;

pub use self::builder::{Agent, AgentBuilder};
pub use self::reconnect::Reconnect;
