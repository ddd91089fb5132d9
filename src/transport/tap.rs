//! A pipe that shows what passes through it. Changes nothing on the way.

use std::fmt;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::{Arrival, Delivery, Transport, TransportError};

/// `inner` with a listener: `seen` is called with every record that is sent or received, as it
/// stands on the wire. For tests, recordings, and to show that a wire carries only ciphertext.
///
/// ```
/// use waxwire::transport::{Direction, memory, tap};
///
/// let (agent, _backend) = memory::pair();
/// let agent = tap(agent, |direction, record| {
///     let arrow = if direction == Direction::Sent { "->" } else { "<-" };
///     println!("{arrow} {} bytes", record.len());
/// });
/// # drop(agent);
/// ```
pub fn tap<T, F>(inner: T, seen: F) -> Tapped<T, F>
where
    T: Transport,
    F: FnMut(Direction, &[u8]) + Send + Unpin,
{
    Tapped { inner, seen }
}

/// A pipe with a listener, made by [`tap`].
pub struct Tapped<T, F> {
    inner: T,
    seen: F,
}

/// Which way a record went, seen from the tapped end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Given to the pipe.
    Sent,
    /// Taken from the pipe.
    Received,
}

impl<T: fmt::Debug, F> fmt::Debug for Tapped<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tapped").field(&self.inner).finish()
    }
}

impl<T, F> Transport for Tapped<T, F>
where
    T: Transport,
    F: FnMut(Direction, &[u8]) + Send + Unpin,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(cx)
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
        self.inner.start_send(record.clone())?;
        (self.seen)(Direction::Sent, &record);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_flush(cx)
    }

    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        let before = into.len();
        let arrival = self.inner.poll_record(cx, into);
        if let (Poll::Ready(Ok(Arrival::Record)), Some(record)) = (&arrival, into.get(before..)) {
            (self.seen)(Direction::Received, record);
        }
        arrival
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_close(cx)
    }

    fn delivers(&self) -> Delivery {
        self.inner.delivers()
    }

    fn record_bytes(&self) -> usize {
        self.inner.record_bytes()
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.inner.peer_address()
    }
}
