//! The server's half of the upgrade: who may have one, and the answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{
    Request, Response, create_response, write_response,
};
use tokio_tungstenite::tungstenite::http::header::{
    HeaderValue, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::head::{self, list};
use super::pipe::{SUBPROTOCOL, WebSocket, config};
use crate::limits::RECORD_BYTES;
use crate::transport::{TransportError, tcp};

/// Which clients may have a WebSocket. Default: every client that is not a browser page.
#[derive(Clone, Debug)]
pub struct AcceptOptions {
    origins: Vec<String>,
    record_bytes: usize,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self { origins: Vec::new(), record_bytes: RECORD_BYTES }
    }
}

impl AcceptOptions {
    /// The default: a request with an `Origin` header is refused, because any page a user visits
    /// could send it to a backend on their machine or in their network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also serves browser pages of `origin`, which is compared byte for byte with the `Origin`
    /// header: scheme, host and port without a default, such as `https://console.example` or
    /// `http://localhost:8080`. The page still has to prove itself in the session's handshake.
    #[must_use]
    pub fn with_allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Plaintext bytes of the longest DATA record that is taken in: what the session's
    /// [`Config`](crate::session::Config) says, if that is not the default. A longer message is
    /// refused by its announced length. Default 16 KiB; a handshake record of 8 KiB always passes. A
    /// [`Listener`](crate::runtime::Listener) sets it.
    #[must_use]
    pub fn with_record_bytes(self, bytes: usize) -> Self {
        Self { record_bytes: bytes, ..self }
    }

    fn allow(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }
}

/// Answers the upgrade request on `stream` within `deadline`, counted from the call and not renewed
/// by bytes that arrive (use [`HANDSHAKE_TIME`](crate::limits::HANDSHAKE_TIME), 5 s). A TCP socket
/// is set up as [`tcp::tune`] says. The path of the request is not looked at.
///
/// Until it returns it holds at most [`UPGRADE_BYTES`](crate::limits::UPGRADE_BYTES) of the request.
/// A refused client is told an HTTP status without text: 403 for its origin, 431 for headers that
/// are too long, 400 for the rest; one that ran out of time is told nothing.
///
/// # Errors
///
/// [`OriginRefused`](TransportError::OriginRefused),
/// [`CompressionOffered`](TransportError::CompressionOffered),
/// [`UpgradeTooLarge`](TransportError::UpgradeTooLarge),
/// [`UpgradeTimedOut`](TransportError::UpgradeTimedOut),
/// [`BadUpgrade`](TransportError::BadUpgrade) for any other request, [`Io`](TransportError::Io).
///
/// # Panics
///
/// Outside a tokio runtime with its timer switched on.
///
/// # Cancel safety
///
/// Not cancel-safe: dropping the future drops the stream.
pub async fn accept<S>(
    stream: S,
    options: &AcceptOptions,
    deadline: Duration,
) -> Result<WebSocket<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgraded = timeout(deadline, upgrade(stream, options)).await;
    upgraded.unwrap_or(Err(TransportError::UpgradeTimedOut))
}

async fn upgrade<S>(mut stream: S, options: &AcceptOptions) -> Result<WebSocket<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = tcp::tune_if_tcp(&stream)?;
    let answer = match head::read(&mut stream).await {
        // A client has nothing to say before the answer.
        Ok(head) if !head.rest.is_empty() => Err(TransportError::BadUpgrade),
        Ok(head) => answer(&head.bytes, options),
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => stream.write_all(&answer).await?,
        Err(error) => {
            if let Some(refusal) = refusal(error) {
                stream.write_all(refusal).await?;
                stream.shutdown().await?;
            }
            return Err(error);
        }
    }
    stream.flush().await?;
    let config = config(options.record_bytes);
    let messages = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    Ok(WebSocket::new(messages, options.record_bytes, peer))
}

/// The bytes that grant the upgrade.
fn answer(head: &[u8], options: &AcceptOptions) -> Result<Vec<u8>, TransportError> {
    let request = match Request::try_parse(head) {
        Ok(Some((length, request))) if length == head.len() => request,
        _ => return Err(TransportError::BadUpgrade),
    };
    let response = judge(&request, options)?;
    let mut answer = Vec::new();
    write_response(&mut answer, &response).map_err(|_| TransportError::BadUpgrade)?;
    Ok(answer)
}

fn judge(request: &Request, options: &AcceptOptions) -> Result<Response, TransportError> {
    let mut origins = request.headers().get_all(ORIGIN).iter().peekable();
    let from_browser = origins.peek().is_some();
    if !origins.all(|origin| options.allow(origin)) {
        return Err(TransportError::OriginRefused);
    }
    if request.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) && !from_browser {
        return Err(TransportError::CompressionOffered);
    }
    let mut response = create_response(request).map_err(|_| TransportError::BadUpgrade)?;
    let mut offers = list(request.headers(), SEC_WEBSOCKET_PROTOCOL);
    if offers.any(|offer| offer == SUBPROTOCOL.as_bytes()) {
        let chosen = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(response)
}

/// What a client is told; nothing if there is no one to tell.
fn refusal(error: TransportError) -> Option<&'static [u8]> {
    match error {
        TransportError::Io(_) => None,
        TransportError::OriginRefused => Some(
            b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        TransportError::UpgradeTooLarge => Some(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        _ => Some(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
        ),
    }
}
