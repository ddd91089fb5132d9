//! Primitives, each wrapped once so that it cannot be held wrongly.
//!
//! Two providers offer the same operations with the same bytes: `rustcrypto` (default) and `awslc`
//! (feature `aws-lc`); the choice is made at build time, so no record pays for a dispatch. No file
//! here knows a message, a transcript or a session.

#[cfg(feature = "runtime")]
mod at_rest;
#[cfg(feature = "aws-lc")]
mod awslc;
#[cfg(feature = "__fuzz")]
pub mod bare;
mod ed25519;
mod exchange;
mod hash;
mod identity;
mod keyfile;
#[cfg(fuzzing)]
mod mock;
mod rustcrypto;
mod schedule;
mod sealing;
mod seed;
mod stack;
#[cfg(test)]
mod tests;

#[cfg(feature = "aws-lc")]
use self::awslc as provider;
#[cfg(not(feature = "aws-lc"))]
use self::rustcrypto as provider;

#[cfg(feature = "runtime")]
pub use self::at_rest::StoreKey;
pub use self::ed25519::{Fingerprint, InvalidFingerprint, KeyError, PublicKey};
pub use self::exchange::Suite;
pub use self::identity::{Identity, PemError};
pub use self::keyfile::KeyFileError;
pub use self::schedule::ExportError;
pub use self::seed::Seed;

#[cfg(feature = "runtime")]
pub(crate) use self::at_rest::{AtRest, Naming};
pub(crate) use self::ed25519::Context;
pub(crate) use self::exchange::{Answer, ExchangeError, Offer, answer};
pub(crate) use self::hash::{Digest, hash, mac, same};
pub(crate) use self::schedule::{Secret, extract};
pub(crate) use self::sealing::Sealing;
