//! Names of channels, who may use them, and who hears what is published on them.
//!
//! ```text
//! publish    ChannelName ─► Policy ─► Registry ─► Router::matches ─► SubId, SubId, …
//! subscribe  Pattern ─────► Policy ─────────────► Router::subscribe
//! ```
//!
//! A channel is an address: `agent.<id>.<topic>` carries what an agent says to its backend,
//! `backend.<id>.<topic>` what the backend says to that agent. Whoever's id stands in the second token
//! is the only agent that has a part in it, and the id is the one that the handshake proved.
//!
//! A name of a request or a push, such as `secrets:get_static` or `cert:expiring`, is no channel: `:` is
//! outside the alphabet, and it is refused, not rewritten, since two spellings of a channel would
//! pass two different rules. Such a name goes into the payload of a message on one channel; or, where
//! each of them is to have its own rules and subscribers, it becomes a topic of two tokens:
//! `agent.<id>.secrets.get_static`, `backend.<id>.cert.expiring`, which `agent.*.secrets.>` finds.
//!
//! Knows no session, delivery or frame: identities come in as arguments, subscribers are numbers.

mod code;
mod name;
mod pattern;
mod policy;
mod registry;
mod router;
#[cfg(test)]
mod tests;
pub mod topics;
mod trie;

pub use self::name::{BadChannel, ChannelName};
pub use self::pattern::Pattern;
pub use self::policy::{Act, Policy, Reason, Rule, Unauthorized};
pub use self::registry::{ChannelError, ChannelState, ChannelStats};
pub use self::router::SubscribeError;

pub(crate) use self::code::ChannelCode;
pub(crate) use self::policy::Party;
pub(crate) use self::registry::{Registry, RegistryLimits, Unlisted};
pub(crate) use self::router::{Matches, Owner, Router, RouterLimits, SubId};
