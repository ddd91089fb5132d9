//! One mutually authenticated, end-to-end encrypted link between an agent and its backend.

#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod crypto;
#[cfg_attr(not(test), expect(dead_code, reason = "link composes it"))]
mod delivery;
mod error;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod ids;
pub mod limits;
mod priority;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod session;
mod time;
#[cfg(feature = "runtime")]
pub mod transport;
mod wire;

pub use crate::crypto::{
    ExportError, Fingerprint, Identity, InvalidFingerprint, KeyError, KeyFileError, PemError,
    PublicKey, Seed, Suite,
};
pub use crate::error::{Error, ErrorKind};
pub use crate::ids::{Generation, InvalidName, LinkId, PeerId, Realm, Role, SessionId};
pub use crate::priority::Class;
pub use crate::time::{Instant, Now, UnixTime};
