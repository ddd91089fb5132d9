//! The messages of a WebSocket that the transport accepted, for `tests/autobahn.rs`. Knows no
//! records.

use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use crate::limits::{HANDSHAKE_TIME, RECORD_BYTES_MAX};
use crate::transport::TransportError;
use crate::transport::websocket::{AcceptOptions, accept};

/// The transport's own upgrade and configuration, for records of any length.
///
/// # Errors
///
/// As [`accept`].
pub async fn accept_messages(
    stream: TcpStream,
) -> Result<WebSocketStream<TcpStream>, TransportError> {
    let options = AcceptOptions::new().with_record_bytes(RECORD_BYTES_MAX);
    Ok(accept(stream, &options, HANDSHAKE_TIME).await?.into_messages())
}
