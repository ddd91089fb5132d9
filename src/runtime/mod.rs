//! The only clock, entropy and tasks of the crate: handshakes over a transport, a connection that
//! its holder drives, and one driver task for those who would rather hold handles.

mod acceptor;
mod chains;
mod clock;
mod connection;
mod dialer;
mod driver;
mod entropy;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "agents and backends will open stores")
)]
mod keep;
mod listener;
mod shake;

pub use self::acceptor::{Acceptor, ListenerOptions, Place};
pub use self::connection::Connection;
pub use self::dialer::Dialer;
pub use self::driver::{Receiver, Sender};
pub use self::entropy::{new_identity, seed};
pub use self::listener::Listener;
