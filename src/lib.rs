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
//!
//! `runtime` and `transport` need the feature `runtime`, WebSocket the feature `websocket`; both are on
//! unless switched off. `aws-lc` exchanges the provider of the primitives.
//!
//! A datagram arrives at most once, and nothing is sent again: delivery is the application's. The
//! package holds what else there is to read: `README.md`, `SECURITY.md` with the adversary and the
//! guarantees, `examples/`, and the protocol in `proto-spec/`.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod body;
#[cfg_attr(not(test), expect(dead_code, reason = "the floors above will ask for counts"))]
#[expect(unused_imports, reason = "the floors above will name what they store and tell")]
mod call;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "lists of channels belong to the floors above")
)]
mod channel;
mod crypto;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the floors above will ask for sums and dead letters")
)]
mod delivery;
mod error;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod ids;
pub mod limits;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the runtime will drive it"))]
mod link;
mod priority;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod session;
pub mod store;
mod time;
#[cfg(feature = "runtime")]
pub mod transport;
mod wire;

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
pub use crate::error::{Error, ErrorKind};
pub use crate::ids::{Generation, InvalidName, LinkId, PeerId, Realm, Role, SessionId};
pub use crate::priority::Class;
pub use crate::time::{Instant, Now, UnixTime};

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
