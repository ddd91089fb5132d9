//! A WebSocket after its upgrade, as a pipe for records.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::header::{HEADER_BYTES, Header, TAG_BYTES};
use crate::limits::{HANDSHAKE_BYTES, READ_BUFFER_BYTES, RECORD_BYTES_MAX, WRITE_BUFFER_BYTES};
use crate::transport::error::shut_down;
use crate::transport::reading::Reading;
use crate::transport::{Arrival, Transport, TransportError};

/// The WebSocket subprotocol that a client offers and a server chooses.
pub const SUBPROTOCOL: &str = "waxwire.1";

/// The longest message that is sent: the longest record of any peer.
const MESSAGE_BYTES: usize = HEADER_BYTES + RECORD_BYTES_MAX + TAG_BYTES;
/// The longest WebSocket frame header: two bytes, a length of eight, a mask of four.
const FRAME_HEADER_BYTES: usize = 14;

/// A WebSocket that carries records. Made by [`dial`](super::dial()), [`client`](super::client) and
/// [`accept`](super::accept()).
///
/// A message is copied out as it is read and tungstenite's buffer is reused. The length a frame
/// announces is refused before anything is reserved for it.
#[derive(Debug)]
pub struct WebSocket<S> {
    messages: WebSocketStream<S>,
    reading: Reading,
    closing: Closing,
    /// Bytes of records taken since everything was last written out.
    unflushed: usize,
    /// A record that found no room because pongs had filled the buffer.
    held: Option<Bytes>,
    record_bytes: usize,
    peer: Option<SocketAddr>,
}

#[derive(Debug, Eq, PartialEq)]
enum Closing {
    Open,
    /// A close frame is on its way out.
    Saying,
    /// The close frame was written; the stream is being shut down.
    Said,
}

impl<S> WebSocket<S> {
    pub(super) fn new(
        messages: WebSocketStream<S>,
        record_bytes: usize,
        peer: Option<SocketAddr>,
    ) -> Self {
        let (reading, closing) = (Reading::Open, Closing::Open);
        Self { messages, reading, closing, unflushed: 0, held: None, record_bytes, peer }
    }

    /// What lies below the rule that a message is a record.
    #[cfg(feature = "__fuzz")]
    pub(crate) fn into_messages(self) -> WebSocketStream<S> {
        self.messages
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn has_room(&self) -> bool {
        self.held.is_none() && self.unflushed < WRITE_BUFFER_BYTES
    }

    /// Hands `record` to tungstenite, or keeps it until the pongs before it are written.
    fn give(&mut self, record: Bytes) -> Result<(), TransportError> {
        match Pin::new(&mut self.messages).start_send(Message::Binary(record.clone())) {
            Ok(()) => {
                self.unflushed += record.len();
                Ok(())
            }
            Err(Error::WriteBufferFull(_)) => {
                self.held = Some(record);
                Ok(())
            }
            Err(error) => Err(broken(&error)),
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        let message = match ready!(Pin::new(&mut self.messages).poll_next(cx)) {
            None => return Poll::Ready(Ok(Arrival::End)),
            Some(Ok(message)) => message,
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                return Poll::Ready(Ok(Arrival::End));
            }
            Some(Err(error)) => return Poll::Ready(Err(broken(&error))),
        };
        match message {
            Message::Binary(record) => {
                Header::of_record(&record)?;
                into.extend_from_slice(&record);
                Poll::Ready(Ok(Arrival::Record))
            }
            Message::Text(_) => Poll::Ready(Err(TransportError::NotBinary)),
            Message::Close(_) => {
                // tungstenite has queued the answer (RFC 6455, 5.5.1) and writes it as it is asked
                // for more, of which there is none; who hears of the end drops the pipe. An answer
                // that finds no room is not waited for.
                let _ = Pin::new(&mut self.messages).poll_next(cx);
                Poll::Ready(Ok(Arrival::End))
            }
            // One control frame ends the poll, so that a flood of them shares the task. tungstenite
            // has queued the pong and forgets all but the last that did not fit.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for WebSocket<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.closing != Closing::Open {
            return Poll::Ready(Err(TransportError::Closed));
        }
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(cx)
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
        if self.closing != Closing::Open {
            return Err(TransportError::Closed);
        }
        if !self.has_room() {
            return Err(TransportError::NotReady);
        }
        Header::of_record(&record)?;
        self.give(record)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        loop {
            let flushed = ready!(Pin::new(&mut self.messages).poll_flush(cx));
            flushed.map_err(|error| broken(&error))?;
            self.unflushed = 0;
            match self.held.take() {
                None => return Poll::Ready(Ok(())),
                Some(record) => self.give(record)?,
            }
        }
    }

    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        if self.reading == Reading::Ended {
            return Poll::Ready(Ok(Arrival::End));
        }
        let given = self.poll_next(cx, into);
        self.reading.note(given)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.closing == Closing::Open {
            match ready!(self.poll_flush(cx)) {
                Ok(()) | Err(TransportError::Closed) => self.closing = Closing::Saying,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.closing == Closing::Saying {
            match ready!(Pin::new(&mut self.messages).poll_close(cx)) {
                Ok(()) | Err(Error::AlreadyClosed) => self.closing = Closing::Said,
                Err(error) => return Poll::Ready(Err(broken(&error))),
            }
        }
        Pin::new(self.messages.get_mut()).poll_shutdown(cx).map(shut_down)
    }

    fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }
}

/// Nothing is left at a default: tungstenite's own read buffer is 128 KiB a connection, its
/// messages may be 64 MiB, and its write buffer has no end.
///
/// A message may be as long as a DATA record of `record_bytes`, or as a handshake record.
pub(super) fn config(record_bytes: usize) -> WebSocketConfig {
    let longest_frame = MESSAGE_BYTES + FRAME_HEADER_BYTES;
    let taken =
        HEADER_BYTES + (record_bytes.min(RECORD_BYTES_MAX) + TAG_BYTES).max(HANDSHAKE_BYTES);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES + longest_frame)
        .max_message_size(Some(taken))
        .max_frame_size(Some(taken))
        .accept_unmasked_frames(false)
}

fn broken(error: &Error) -> TransportError {
    match error {
        Error::Io(error) => TransportError::Io(error.kind()),
        Error::Capacity(_) => TransportError::TooLarge,
        Error::Utf8(_) => TransportError::NotBinary,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::SendAfterClosing) => TransportError::Closed,
        Error::WriteBufferFull(_) => TransportError::NotReady,
        _ => TransportError::NotWebSocket,
    }
}
