//! Pipes that carry whole records between two processes. They know where a record ends and how
//! long it may be; they hold no key, and nothing that happens to a pipe says anything about the
//! session that used it: a session outlives the loss, the end and the forged close of a transport.
//!
//! | pipe | for | a record is |
//! |---|---|---|
//! | [`memory::pair`] | tests, one process | one item of a bounded queue |
//! | [`framed::Framed`] | TCP, Unix sockets, any byte stream | its own header and body, one after the other |
//! | `websocket::WebSocket` | proxies, load balancers, browsers | one binary message |
//!
//! A pipe is driven by polls from one task. Every poll keeps what it has done in the pipe, so a
//! future around it may be dropped at any await point (see [`Transport`]). [`tap()`] shows a callback
//! what passes.

pub mod framed;
pub mod memory;
pub mod tcp;
#[cfg(feature = "websocket")]
pub mod websocket;

mod error;
mod pipe;
mod reading;
mod tap;

pub use error::TransportError;
pub use pipe::{Arrival, Delivery, Transport};
pub use tap::{Direction, Tapped, tap};
