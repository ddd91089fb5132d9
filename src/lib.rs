//! One mutually authenticated, end-to-end encrypted link between an agent and its backend.

mod crypto;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
mod ids;
pub mod limits;
mod priority;
pub mod session;
mod time;
mod wire;

pub use crate::crypto::{
    ExportError, Fingerprint, Identity, InvalidFingerprint, KeyError, KeyFileError, PemError,
    PublicKey, Seed, Suite,
};
pub use crate::ids::{Generation, InvalidName, LinkId, PeerId, Realm, Role, SessionId};
pub use crate::priority::Class;
pub use crate::time::{Instant, Now, UnixTime};
