//! One mutually authenticated, end-to-end encrypted link between an agent and the backend that
//! commands it, over any transport and through relays and load balancers that can read nothing.
//!
//! Each side has an [`Identity`] and says in its [`session::Config`] whom it speaks with: keys that it
//! [pins](session::Pinned), or whoever a [root](session::Roots) vouches for. A
//! [`Dialer`](runtime::Dialer) opens [`Connection`](runtime::Connection)s, a
//! [`Listener`](runtime::Listener) accepts them:
//!
//! ```no_run
//! use waxwire::runtime::{Dialer, new_identity};
//! use waxwire::session::{Config, Pinned};
//! use waxwire::{Fingerprint, PeerId, Realm, Role};
//!
//! # async fn example(backend_key: Fingerprint) -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, backend_key);
//! let agent = Dialer::new(Config::agent(Realm::new("prod")?, new_identity()?).peer(backend));
//! let mut link = agent.websocket("ws://127.0.0.1:7400/").await?; // both ends are proven
//! link.send(b"all quiet").await?;
//! let answer = link.recv().await?; // `None` once the backend closed
//! # Ok(())
//! # }
//! ```
//!
//! | module | for |
//! |---|---|
//! | [`runtime`] | links over tokio; where most programs begin |
//! | [`session`] | the protocol alone, bytes in and bytes out, and what both sides configure |
//! | [`body`] | what messages say, in MessagePack, and their headers |
//! | [`transport`] | what carries records: TCP, WebSocket, any byte stream, memory, one of your own |
//! | [`header`] | the 24 bytes in front of every record, for relays |
//! | [`limits`] | every bound and default, with its reason |
//! | `testing` | links in memory, for tests of your own handlers; needs the feature `test-utils` |
//!
//! `runtime` and `transport` need the feature `runtime`, WebSocket the feature `websocket`; both are on
//! unless switched off. `aws-lc` exchanges the provider of the primitives.
//!
//! A datagram arrives at most once, and nothing is sent again: delivery is the application's. The
//! package holds what else there is to read: `README.md`, `SECURITY.md` with the adversary and the
//! guarantees, `examples/`, and the protocol in `proto-spec/`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "runtime")]
mod agent;
#[cfg(feature = "runtime")]
mod backend;
pub mod body;
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "not all builds have a runtime"))]
mod call;
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "not all builds have a runtime"))]
mod channel;
mod crypto;
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "not all builds have a runtime"))]
mod delivery;
mod error;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod ids;
pub mod limits;
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "not all builds have a runtime"))]
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
pub use crate::error::{Error, ErrorKind, Undelivered};
pub use crate::ids::{Generation, InvalidName, LinkId, PeerId, Realm, Role, SessionId};
pub use crate::priority::Class;
#[cfg(feature = "runtime")]
pub use crate::runtime::live::{
    Body, Command, CommandBuilder, Context, DeadLetter, FromPayload, Handler, IntoAnswer,
    IntoPayload, Level, Link, LinkEvent, LinkOptions, LinkState, Message, Overflow, Publish,
    Receipt, Recovery, Request, Responses, Subscribe, Subscription,
};
pub use crate::time::{Instant, Now, UnixTime};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
