//! Why a pipe could not be had, or broke. Says nothing about the session that used it.

use std::io;

use crate::header::HeaderError;

/// Why a pipe could not be had, or broke. The pipe is dropped; the session goes on over the next
/// one. Holds no text of the peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The stream below failed. Dial again.
    #[error("the stream below failed: {0}")]
    Io(io::ErrorKind),
    /// What arrived, or was given to send, is not one whole record. [`HeaderError::Truncated`] also
    /// if the stream ended inside a record.
    #[error("not one whole record: {0}")]
    Header(#[from] HeaderError),
    /// A text message; records are binary. The peer speaks something else on this address.
    #[error("the peer sent a text message; records are binary messages")]
    NotBinary,
    /// A record longer than the pipe takes in. Refused by its announced length.
    #[error("the peer announced a record longer than this side takes")]
    TooLarge,
    /// The peer broke the WebSocket protocol (RFC 6455): reserved bits, a missing mask, an unknown
    /// frame.
    #[error("the peer broke the WebSocket protocol")]
    NotWebSocket,
    /// The client asked to compress messages. Switch permessage-deflate off in the client: records
    /// are ciphertext, and compression beside encryption leaks.
    #[error("the client offered a WebSocket extension; switch compression off in the client")]
    CompressionOffered,
    /// The server switched an extension on that was never offered. Something on the path is broken.
    #[error("the server switched on a WebSocket extension that was not offered")]
    CompressionImposed,
    /// A browser page of an origin that is not allowed. If the page is yours, allow its origin.
    #[error("a browser page of an origin that is not allowed asked for the upgrade")]
    OriginRefused,
    /// The server answered the upgrade with this HTTP status instead of 101. Redirects are not
    /// followed: give the address they lead to.
    #[error("the server refused the WebSocket upgrade with HTTP status {0}")]
    UpgradeRefused(u16),
    /// The upgrade request or its answer is no valid WebSocket upgrade. Check address and proxy.
    #[error("the upgrade request or its answer is not valid HTTP for a WebSocket")]
    BadUpgrade,
    /// The upgrade request or its answer is longer than
    /// [`UPGRADE_BYTES`](crate::limits::UPGRADE_BYTES). Something on the path adds headers.
    #[error("the headers of the upgrade are too long")]
    UpgradeTooLarge,
    /// The connection and its upgrade were not over in time. Dial again; if it persists, something
    /// between the two sides does not forward.
    #[error("the connection and its upgrade took longer than allowed")]
    UpgradeTimedOut,
    /// The server chose a subprotocol that was not offered. It is not a waxwire backend, or
    /// another version of one.
    #[error("the server chose another subprotocol than waxwire.1")]
    WrongSubprotocol,
    /// Not a URL of the form `ws://host[:port]/path`, or one with a user name or a fragment.
    #[error("not a URL of the form ws://host[:port]/path")]
    BadUrl,
    /// The URL asks for TLS, which `dial` does not bring along: open the TLS stream yourself and
    /// pass it to `websocket::client`.
    #[error("wss needs a TLS stream; open one and upgrade it with websocket::client")]
    TlsUnavailable,
    /// A record was given to a pipe that had not said it is ready. A bug of the caller.
    #[error("a record was given to a pipe that was not ready for it")]
    NotReady,
    /// The pipe was closed before, by this side or by the peer. Dial again.
    #[error("the pipe is closed")]
    Closed,
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// What shutting a stream down came to: a peer that is already gone needs no goodbye.
pub(super) fn shut_down(result: io::Result<()>) -> Result<(), TransportError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error.into()),
        _ => Ok(()),
    }
}
