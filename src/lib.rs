//! One mutually authenticated, end-to-end encrypted link between an agent and the backend that
//! commands it, over any transport and through relays and load balancers that can read nothing.
//!
//! Each side has an [`Identity`] and says in its [`session::Config`] whom it speaks with: keys that it
//! [pins](session::Pinned), or whoever a [root](session::Roots) vouches for. An [`Agent`] dials its
//! backend, and dials again; a [`Backend`] listens, and has a [`Link`] to each agent:
//!
//! ```no_run
//! use waxwire::runtime::new_identity;
//! use waxwire::session::{Config, Pinned};
//! use waxwire::{Agent, Backend, Fingerprint, Level, PeerId, Realm, Role, topics};
//!
//! # async fn agent(backend_key: Fingerprint) -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, backend_key);
//! let config = Config::agent(Realm::new("prod")?, new_identity()?).peer(backend);
//! let agent = Agent::open(PeerId::new("edge-7")?, config).await?;
//! agent.connect("ws://127.0.0.1:7400/").await?; // both ends are proven
//! agent.publish(topics::STATUS, "all quiet").confirm(Level::Processed).await?;
//! # Ok(())
//! # }
//! # async fn backend(agent_key: Fingerprint) -> Result<(), Box<dyn std::error::Error>> {
//!
//! // The other process:
//! let agents = Pinned::one(PeerId::new("edge-7")?, Role::Agent, agent_key);
//! let config = Config::backend(Realm::new("prod")?, new_identity()?).peer(agents);
//! let backend = Backend::open(config).await?;
//! let mut statuses = backend.subscribe("agent.*.status").await?;
//! backend.listen("ws://127.0.0.1:7400").await?;
//! while let Some(status) = statuses.next().await {
//!     println!("{}: {:?}", status.agent(), status.payload());
//!     status.done(); // its sender may forget it
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | to | call |
//! |---|---|
//! | tell | [`Link::publish`], [`Backend::broadcast`]; heard by [`Link::subscribe`], [`Backend::subscribe`] |
//! | ask | [`Link::request`]; answered by [`Link::on_request`], [`Backend::on_request`] |
//! | command, now or once the agent is back | [`Link::command`]; run by [`Link::on_command`] |
//! | follow a link, or who is here | [`Link::events`], [`Backend::presence`] |
//! | outlive the process | [`AgentBuilder::with_store`], [`BackendBuilder::with_store`] |
//!
//! | module | for |
//! |---|---|
//! | [`runtime`] | keys from the operating system, and sessions without links: [`Dialer`](runtime::Dialer), [`Acceptor`](runtime::Acceptor) |
//! | [`session`] | the protocol alone, bytes in and bytes out, and what both sides configure |
//! | [`body`] | what messages say, in MessagePack, and their headers |
//! | [`store`] | what outlives the process, in memory or in a file |
//! | [`transport`] | what carries records: TCP, WebSocket, any byte stream, memory, one of your own |
//! | [`header`] | the 24 bytes in front of every record, for relays |
//! | [`limits`] | every bound and default, with its reason |
//! | `testing` | links in memory, for tests of your own handlers; needs the feature `test-utils` |
//!
//! `Agent`, `Backend`, `runtime` and `transport` need the feature `runtime`, WebSocket the feature `websocket`;
//! both are on unless switched off. `store-redb` adds the store in a file, and `aws-lc` exchanges the provider
//! of the primitives.
//!
//! A message comes again if its receiver died before it said [`Message::done`]: an effect that must happen
//! once is stored together with [`Message::key`]. The package holds what else there is to read:
//! `README.md`, `SECURITY.md` with the adversary and the guarantees, `examples/`, and the protocol in
//! `proto-spec/`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "runtime")]
mod agent;
#[cfg(feature = "runtime")]
mod backend;
pub mod body;
#[cfg_attr(
    any(not(test), not(feature = "runtime")),
    allow(dead_code, unused_imports, reason = "not all builds have a runtime")
)]
mod call;
#[cfg_attr(
    any(not(test), not(feature = "runtime")),
    allow(dead_code, unused_imports, reason = "not all builds have a runtime")
)]
mod channel;
mod crypto;
#[cfg_attr(
    any(not(test), not(feature = "runtime")),
    allow(dead_code, unused_imports, reason = "not all builds have a runtime")
)]
mod delivery;
mod error;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod ids;
pub mod limits;
#[cfg_attr(
    any(not(test), not(feature = "runtime")),
    allow(dead_code, unused_imports, reason = "not all builds have a runtime")
)]
mod link;
mod priority;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod session;
pub mod store;
#[cfg(feature = "test-utils")]
pub mod testing;
mod time;
#[cfg(feature = "runtime")]
pub mod transport;
mod wire;

#[cfg(feature = "runtime")]
pub use crate::agent::{Agent, AgentBuilder, Reconnect};
#[cfg(feature = "runtime")]
pub use crate::backend::{AgentInfo, Backend, BackendBuilder, Broadcast, Outcomes, Presence};
pub use crate::call::{
    CommandId, ErrorCode as FailureCode, Failure, Progress, Retry, Status as CommandStatus,
};
pub use crate::channel::{
    Act, BadChannel, ChannelError, ChannelName, ChannelState, ChannelStats, Pattern, Policy,
    Reason, Rule, SubscribeError, Unauthorized, topics,
};
#[cfg(feature = "runtime")]
pub use crate::crypto::StoreKey;
pub use crate::crypto::{
    ExportError, Fingerprint, Identity, InvalidFingerprint, KeyError, KeyFileError, PemError,
    PublicKey, Seed, Suite,
};
pub use crate::error::{ChannelRefusal, Error, ErrorKind, Undelivered};
pub use crate::ids::{Generation, InvalidName, LinkId, PeerId, Realm, Role, SessionId};
pub use crate::priority::Class;
#[cfg(feature = "runtime")]
pub use crate::runtime::live::{
    Body, Command, CommandBuilder, Context, DeadLetter, FromPayload, Handler, IntoAnswer,
    IntoPayload, Level, Link, LinkEvent, LinkOptions, LinkState, Message, Overflow, Publish,
    Publishing, Receipt, Recovery, Request, Responses, Subscribe, Subscription,
};
pub use crate::time::{Instant, Now, UnixTime};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
