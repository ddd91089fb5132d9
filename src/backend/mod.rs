//! The side that listens: a link for each of its agents, and what it does with all of them.

mod accepting;
mod broadcast;
mod builder;
mod fan;
mod presence;

pub use self::broadcast::{Broadcast, Outcomes};
pub use self::builder::{Backend, BackendBuilder};
pub use self::presence::{AgentInfo, Presence};
