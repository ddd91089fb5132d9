//! The only clock, entropy and tasks of the crate: handshakes over a transport, a connection that
//! its holder drives, and one driver task for those who would rather hold handles.

mod acceptor;
mod chains;
mod clock;
mod connection;
mod dialer;
mod driver;
mod endpoint;
mod entropy;
mod keep;
mod listener;
pub(crate) mod live;
mod shake;
#[cfg(feature = "__fuzz")]
mod simulated;

pub use self::acceptor::{Acceptor, ListenerOptions, Place};
pub use self::connection::Connection;
pub use self::dialer::Dialer;
pub use self::driver::{Receiver, Sender};
pub use self::entropy::{new_identity, seed};
pub use self::listener::Listener;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub use self::simulated::{dangerous_entropy, dangerous_wall_clock};

pub(crate) use self::clock::Clock;
pub(crate) use self::endpoint::Endpoint;
pub(crate) use self::entropy::random;
pub(crate) use self::keep::{Committer, Keeper};
