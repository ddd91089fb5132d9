//! Records one after the other on a byte stream. The header says where each ends; nothing stands
//! between them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs};

use super::error::shut_down;
use super::reading::Reading;
use super::{Arrival, Transport, TransportError, tcp};
use crate::header::{HEADER_BYTES, Header, HeaderError, RecordType, TAG_BYTES};
use crate::limits::{READ_BUFFER_BYTES, RECORD_BYTES, RECORD_BYTES_MAX, WRITE_BUFFER_BYTES};

/// Connects to `address` over TCP and sets the socket up as [`tcp::tune`] says. There is no time
/// limit but the system's (about two minutes on Linux): put one around it.
///
/// # Errors
///
/// [`TransportError::Io`] if no address answers.
///
/// # Cancel safety
///
/// Dropping the future drops the socket; nothing was sent.
pub async fn dial(address: impl ToSocketAddrs) -> Result<Framed<TcpStream>, TransportError> {
    accepted(TcpStream::connect(address).await?)
}

/// Sets an accepted socket up as [`tcp::tune`] says.
///
/// # Errors
///
/// [`TransportError::Io`] if the socket is already unusable.
pub fn accepted(stream: TcpStream) -> Result<Framed<TcpStream>, TransportError> {
    let peer = tcp::tune_if_tcp(&stream)?;
    Ok(Framed { peer, ..Framed::new(stream) })
}

/// A pipe over any byte stream: TCP, a Unix socket, TLS, a simulated network.
///
/// In memory while in use: the read buffer, which starts at [`READ_BUFFER_BYTES`] on the first read,
/// doubles as bytes of a longer record arrive and ends at that record's length, at most what
/// [`Framed::with_record_bytes`] says for DATA and 8 KiB for a handshake record; and the write
/// buffer, at most [`WRITE_BUFFER_BYTES`] and one record. Both are reused, so records of the usual
/// length allocate nothing.
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    inbox: Inbox,
    outbox: Outbox,
    reading: Reading,
    writing: Writing,
    record_bytes: usize,
    peer: Option<SocketAddr>,
}

#[derive(Debug, Eq, PartialEq)]
enum Writing {
    Open,
    Closed,
}

impl<S> Framed<S> {
    /// A pipe over `stream`, which carries nothing but records from here on.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            reading: Reading::Open,
            writing: Writing::Open,
            record_bytes: RECORD_BYTES,
            peer: None,
        }
    }

    /// Plaintext bytes of the longest DATA record that is taken in: what the session's
    /// [`Config`](crate::session::Config) says, if that is not the default. A longer one breaks the
    /// pipe by its header, before anything is buffered for it. Default 16 KiB.
    #[must_use]
    pub fn with_record_bytes(self, bytes: usize) -> Self {
        Self { record_bytes: bytes.min(RECORD_BYTES_MAX), ..self }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Framed<S> {
    /// Handshake records have bounds of their own, which their headers were held to.
    fn is_too_long(&self, header: &Header) -> bool {
        let bound = self.record_bytes + TAG_BYTES;
        header.kind == RecordType::Data && usize::from(header.length) > bound
    }

    /// Writes until no more than `keep` bytes wait.
    fn poll_drain(&mut self, cx: &mut Context<'_>, keep: usize) -> Poll<io::Result<()>> {
        while self.outbox.waiting().len() > keep {
            let stream = Pin::new(&mut self.stream);
            let written = ready!(stream.poll_write(cx, self.outbox.waiting()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        loop {
            let wanted = match Header::decode(self.inbox.waiting()) {
                Ok(header) if self.is_too_long(&header) => {
                    return Poll::Ready(Err(TransportError::TooLarge));
                }
                Ok(header) => header.record_bytes(),
                Err(HeaderError::Truncated) => HEADER_BYTES,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            if let Some(record) = self.inbox.waiting().get(..wanted) {
                into.extend_from_slice(record);
                self.inbox.advance(wanted);
                return Poll::Ready(Ok(Arrival::Record));
            }
            let mut space = ReadBuf::new(self.inbox.space(wanted));
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
            let read = space.filled().len();
            if read == 0 {
                return Poll::Ready(match self.inbox.waiting() {
                    [] => Ok(Arrival::End),
                    _ => Err(HeaderError::Truncated.into()),
                });
            }
            self.inbox.filled += read;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for Framed<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.writing == Writing::Closed {
            return Poll::Ready(Err(TransportError::Closed));
        }
        self.poll_drain(cx, WRITE_BUFFER_BYTES - 1).map_err(Into::into)
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
        if self.writing == Writing::Closed {
            return Err(TransportError::Closed);
        }
        if self.outbox.waiting().len() >= WRITE_BUFFER_BYTES {
            return Err(TransportError::NotReady);
        }
        Header::of_record(&record)?;
        self.outbox.push(&record);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_drain(cx, 0))?;
        Pin::new(&mut self.stream).poll_flush(cx).map_err(Into::into)
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
        self.writing = Writing::Closed;
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx).map(shut_down)
    }

    fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.peer
    }
}

/// What was read and not yet handed out.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Inbox {
    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.taken..self.filled).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
    }

    /// Room to read into, not empty, on the way to `wanted` bytes. Grows with what the peer has
    /// sent, never at once to what it has announced.
    fn space(&mut self, wanted: usize) -> &mut [u8] {
        if self.taken > 0 {
            self.bytes.copy_within(self.taken..self.filled, 0);
            (self.taken, self.filled) = (0, self.filled - self.taken);
        }
        let room = wanted.min(self.filled * 2).max(READ_BUFFER_BYTES).max(self.bytes.len());
        self.bytes.reserve_exact(room - self.bytes.len());
        self.bytes.resize(room, 0);
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }
}

/// What was taken and not yet written.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.drain(..self.sent);
        self.sent = 0;
        self.bytes.reserve_exact(record.len());
        self.bytes.extend_from_slice(record);
    }

    fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
}
