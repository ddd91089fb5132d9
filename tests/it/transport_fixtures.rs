//! What the transport tests share: records, a stream that follows a script, and one poll at a time.
#![cfg(feature = "runtime")]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use waxwire::LinkId;
use waxwire::header::{Header, RecordType};
use waxwire::transport::{Arrival, Transport, TransportError};

/// A DATA record whose body is `body` bytes of `fill`.
pub(crate) fn data(body: u16, fill: u8) -> Bytes {
    let link = LinkId::from_bytes([7; 8]);
    let header = Header { kind: RecordType::Data, length: body, link, epoch: 1, seq: 2 };
    let mut record = header.encode().to_vec();
    record.resize(header.record_bytes(), fill);
    record.into()
}

/// How shutting a stream down may fail, and what that is to the pipe above.
pub(crate) const SHUTDOWNS: [(io::ErrorKind, Result<(), TransportError>); 2] = [
    (io::ErrorKind::NotConnected, Ok(())),
    (io::ErrorKind::BrokenPipe, Err(TransportError::Io(io::ErrorKind::BrokenPipe))),
];

/// One poll by hand, for what must not wait.
pub(crate) fn poll<T>(mut once: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    once(&mut Context::from_waker(Waker::noop()))
}

/// Sends and writes out one record.
pub(crate) async fn send(pipe: &mut impl Transport, record: Bytes) -> Result<(), TransportError> {
    poll_fn(|cx| pipe.poll_ready(cx)).await?;
    pipe.start_send(record)?;
    poll_fn(|cx| pipe.poll_flush(cx)).await
}

/// The next record, or `None` at the end of the pipe.
pub(crate) async fn receive(pipe: &mut impl Transport) -> Result<Option<Bytes>, TransportError> {
    let mut record = BytesMut::new();
    Ok(match poll_fn(|cx| pipe.poll_record(cx, &mut record)).await? {
        Arrival::Record => Some(record.freeze()),
        Arrival::End => None,
    })
}

/// Sends more than the stream between the two holds, to an end that reads meanwhile.
pub(crate) async fn passes_in_order(mut near: impl Transport, mut far: impl Transport) {
    let send_all = async {
        for fill in 0..100 {
            send(&mut near, data(700, fill)).await.unwrap();
        }
        close(&mut near).await.unwrap();
    };
    let receive_all = async {
        for fill in 0..100 {
            assert_eq!(receive(&mut far).await, Ok(Some(data(700, fill))));
        }
        assert_eq!(receive(&mut far).await, Ok(None));
    };
    tokio::join!(send_all, receive_all);
}

/// Closes the sending side.
pub(crate) async fn close(pipe: &mut impl Transport) -> Result<(), TransportError> {
    poll_fn(|cx| pipe.poll_close(cx)).await
}

/// Fills the pipe until it is not ready for another `record`; how many it took.
pub(crate) fn fill(pipe: &mut impl Transport, record: &Bytes) -> usize {
    let mut taken = 0;
    while poll(|cx| pipe.poll_ready(cx)).is_ready() {
        pipe.start_send(record.clone()).unwrap();
        taken += 1;
        assert!(taken < 100_000, "the pipe takes records without end");
    }
    taken
}

/// A stream that hands out pieces as its script says and keeps what is written.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<Play>>);

/// What a script does when its pieces are used up.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The stream ends.
    End,
    /// The stream stays open and says nothing.
    Silence,
}

struct Play {
    pieces: VecDeque<Bytes>,
    then: Then,
    paused: bool,
    accepts: usize,
    shutdown: Option<io::ErrorKind>,
    seen: Seen,
}

/// What a script saw of its user.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Bytes written.
    pub(crate) written: Vec<u8>,
    /// How often it was written to.
    pub(crate) writes: usize,
    /// Bytes read.
    pub(crate) read: usize,
    /// The most room ever offered to one read.
    pub(crate) most_room: usize,
    /// Whether the sending side was shut down.
    pub(crate) shut_down: bool,
}

impl Script {
    /// Hands out `pieces`, one a read and with a pause between any two.
    pub(crate) fn new(pieces: impl IntoIterator<Item = Bytes>, then: Then) -> Self {
        let (pieces, seen) = (pieces.into_iter().collect(), Seen::default());
        let (paused, accepts, shutdown) = (false, usize::MAX, None);
        Self(Arc::new(Mutex::new(Play { pieces, then, paused, accepts, shutdown, seen })))
    }

    /// Adds pieces.
    pub(crate) fn say(&self, pieces: impl IntoIterator<Item = Bytes>) {
        self.0.lock().unwrap().pieces.extend(pieces);
    }

    /// From here on takes `bytes` and then blocks writers.
    pub(crate) fn accept_only(&self, bytes: usize) {
        self.0.lock().unwrap().accepts = bytes;
    }

    /// Fails when it is shut down.
    pub(crate) fn fail_shutdown(&self, kind: io::ErrorKind) {
        self.0.lock().unwrap().shutdown = Some(kind);
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap().seen.clone()
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut play = self.0.lock().unwrap();
        play.seen.most_room = play.seen.most_room.max(into.remaining());
        play.paused = !play.paused && !play.pieces.is_empty();
        if play.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = play.pieces.pop_front() else {
            return match play.then {
                Then::End => Poll::Ready(Ok(())),
                Then::Silence => Poll::Pending,
            };
        };
        let now = piece.split_to(piece.len().min(into.remaining()));
        if !piece.is_empty() {
            play.pieces.push_front(piece);
        }
        play.seen.read += now.len();
        into.put_slice(&now);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut play = self.0.lock().unwrap();
        let now = bytes.len().min(play.accepts);
        if now == 0 {
            return Poll::Pending;
        }
        play.accepts -= now;
        play.seen.writes += 1;
        play.seen.written.extend_from_slice(&bytes[..now]);
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut play = self.0.lock().unwrap();
        play.seen.shut_down = true;
        Poll::Ready(play.shutdown.map_or(Ok(()), |kind| Err(kind.into())))
    }
}
