//! Records as binary messages of a WebSocket (RFC 6455), one each: the way through proxies and load
//! balancers. The WebSocket is a pipe and nothing more: its close frame, ping and pong say nothing
//! about the session.
//!
//! - What the URL and the headers say is read by every proxy on the way and ends up in logs: a URL
//!   names an address and a path, never a secret.
//! - Nothing is compressed (PROTOCOL attack 49). A server that switches an extension on is refused.
//!   A client that offers one is refused too, with HTTP 400, so that the setting is found where
//!   it stands; only a page of an allowed origin may offer, since no browser lets it choose, and
//!   its offer is declined.
//! - A client offers the subprotocol [`SUBPROTOCOL`] and a server that is offered it chooses it, for
//!   proxies that sort by it. Neither insists: a server that chooses none will do.
//! - Memory of one connection: 4 KiB to read, growing to one record while it arrives (what the
//!   session takes, 8 KiB at least); 16 KiB and one record to write, pongs included.

mod accept;
mod dial;
mod head;
mod pipe;

pub use accept::{AcceptOptions, accept};
pub use dial::{client, dial};
pub use pipe::{SUBPROTOCOL, WebSocket};
