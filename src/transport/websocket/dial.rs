//! The client's half of the upgrade: where to, and whether the answer is what was asked for.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::head::{self, list};
use super::pipe::{SUBPROTOCOL, WebSocket, config};
use crate::transport::{TransportError, tcp};

/// Connects to `url` over TCP and upgrades to a WebSocket, all within `deadline`, which is not
/// renewed by bytes that arrive (use [`HANDSHAKE_TIME`](crate::limits::HANDSHAKE_TIME), 5 s). The
/// socket is set up as [`tcp::tune`] says.
///
/// `url` is `ws://host[:port]/path`, port 80 unless given. Every proxy on the way reads it: no
/// secret belongs into it. Redirects are not followed.
///
/// `record_bytes` are the plaintext bytes of the longest DATA record that is taken in: what the
/// session's [`Config`](crate::session::Config) says, [`RECORD_BYTES`](crate::limits::RECORD_BYTES)
/// by default. A longer message is refused by its announced length; a handshake record of 8 KiB always
/// passes.
///
/// # Errors
///
/// [`BadUrl`](TransportError::BadUrl), [`TlsUnavailable`](TransportError::TlsUnavailable) for
/// `wss`, [`Io`](TransportError::Io) if nothing answers,
/// [`UpgradeRefused`](TransportError::UpgradeRefused) with the server's HTTP status,
/// [`UpgradeTimedOut`](TransportError::UpgradeTimedOut); an answer that breaks a rule is
/// [`BadUpgrade`](TransportError::BadUpgrade), [`WrongSubprotocol`](TransportError::WrongSubprotocol),
/// [`CompressionImposed`](TransportError::CompressionImposed) or
/// [`UpgradeTooLarge`](TransportError::UpgradeTooLarge).
///
/// # Panics
///
/// Outside a tokio runtime with its timer and I/O switched on.
///
/// # Cancel safety
///
/// Dropping the future drops the socket; no record was sent.
pub async fn dial(
    url: &str,
    record_bytes: usize,
    deadline: Duration,
) -> Result<WebSocket<TcpStream>, TransportError> {
    let target = Target::read(url)?;
    if target.encrypted {
        return Err(TransportError::TlsUnavailable);
    }
    within(deadline, async {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        upgrade(stream, target.request, record_bytes).await
    })
    .await
}

/// Upgrades a stream that is already connected: TLS, a Unix socket, a simulated network. `url`
/// says what to ask for, with `ws` or `wss`; nothing is dialled. Otherwise as [`dial`].
///
/// # Errors
///
/// As [`dial`], without [`TlsUnavailable`](TransportError::TlsUnavailable).
///
/// # Panics
///
/// Outside a tokio runtime with its timer switched on.
///
/// # Cancel safety
///
/// Not cancel-safe: dropping the future drops the stream.
pub async fn client<S>(
    stream: S,
    url: &str,
    record_bytes: usize,
    deadline: Duration,
) -> Result<WebSocket<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let target = Target::read(url)?;
    within(deadline, upgrade(stream, target.request, record_bytes)).await
}

async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    timeout(deadline, work).await.unwrap_or(Err(TransportError::UpgradeTimedOut))
}

async fn upgrade<S>(
    mut stream: S,
    request: Request,
    record_bytes: usize,
) -> Result<WebSocket<S>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = tcp::tune_if_tcp(&stream)?;
    let (request, key) = generate_request(request).map_err(|_| TransportError::BadUrl)?;
    stream.write_all(&request).await?;
    stream.flush().await?;
    let head = head::read(&mut stream).await?;
    judge(&head.bytes, &key)?;
    let (rest, config) = (head.rest.into(), Some(config(record_bytes)));
    let messages = WebSocketStream::from_partially_read(stream, rest, Role::Client, config).await;
    Ok(WebSocket::new(messages, record_bytes, peer))
}

/// RFC 6455, 4.1, in its order. Not tungstenite's own, which checks no extensions (step 5) and takes
/// a server that chooses no subprotocol for an error, which proto-spec 2.2 does not.
fn judge(head: &[u8], key: &str) -> Result<(), TransportError> {
    let answer = match Response::try_parse(head) {
        Ok(Some((length, answer))) if length == head.len() => answer,
        _ => return Err(TransportError::BadUpgrade),
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(TransportError::UpgradeRefused(answer.status().as_u16()));
    }
    let headers = answer.headers();
    let upgraded = list(headers, UPGRADE).map(<[u8]>::to_ascii_lowercase).eq([b"websocket"])
        && list(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
        && list(headers, SEC_WEBSOCKET_ACCEPT).eq([derive_accept_key(key.as_bytes()).as_bytes()]);
    if !upgraded {
        return Err(TransportError::BadUpgrade);
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(TransportError::CompressionImposed);
    }
    if list(headers, SEC_WEBSOCKET_PROTOCOL).any(|chosen| chosen != SUBPROTOCOL.as_bytes()) {
        return Err(TransportError::WrongSubprotocol);
    }
    Ok(())
}

/// A URL, taken apart and checked.
struct Target {
    host: String,
    port: u16,
    encrypted: bool,
    request: Request,
}

impl Target {
    fn read(url: &str) -> Result<Self, TransportError> {
        Self::parse(url).ok_or(TransportError::BadUrl)
    }

    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (encrypted, default_port) = match uri.scheme_str()? {
            "ws" => (false, 80),
            "wss" => (true, 443),
            _ => return None,
        };
        let (authority, host) = (uri.authority()?.as_str(), uri.host()?);
        // A user name is a secret on its way into logs; a fragment never reaches the server.
        if host.is_empty() || authority.contains('@') || url.contains('#') {
            return None;
        }
        let port = match uri.port_u16() {
            Some(port) => port,
            None if authority == host => default_port,
            None => return None,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut request = uri.into_client_request().ok()?;
        let offer = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offer);
        Some(Self { host, port, encrypted, request })
    }
}
