//! What every pipe can do. Knows no pipe in particular.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::TransportError;
use crate::limits::RECORD_BYTES_MAX;

/// A pipe that carries whole records.
///
/// One task drives it. A call that returns [`Poll::Pending`] wakes that task when it is worth
/// calling again; the wakers of the last [`poll_record`](Self::poll_record) and of the last call
/// of the sending side are both kept.
///
/// # Cancel safety
///
/// Every poll is cancel-safe: a record half read, half written or half closed stays in the pipe,
/// and the next call goes on where the last one stopped. Dropping a future that polls loses nothing.
pub trait Transport: Send + Unpin {
    /// Whether there is room for one more record. Writes out what waits if there is not.
    ///
    /// # Errors
    ///
    /// The pipe is broken or closed.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Takes one whole record. It may wait in the pipe until [`poll_flush`](Self::poll_flush), so
    /// that several leave in one write.
    ///
    /// # Errors
    ///
    /// [`TransportError::NotReady`] unless `poll_ready` was `Ready` since the last record;
    /// otherwise the pipe is broken or closed. The record was not taken.
    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError>;

    /// Writes out every record taken so far.
    ///
    /// # Errors
    ///
    /// The pipe is broken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Appends the next whole record to `into` and leaves what is there before it alone. `into` is
    /// untouched unless the answer is [`Arrival::Record`].
    ///
    /// # Errors
    ///
    /// The pipe is broken, or what arrived is no record. Every later call answers
    /// [`Arrival::End`].
    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>>;

    /// Writes out every record taken so far and closes the sending side. No record can be sent
    /// afterwards; those under way to this side can still be read where the pipe allows it.
    ///
    /// # Errors
    ///
    /// The pipe is broken.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// In which order records arrive.
    fn delivers(&self) -> Delivery {
        Delivery::InOrder
    }

    /// Plaintext bytes of the longest DATA record that it takes in, which bounds what it buffers. A
    /// session that announces more to its peer cannot use the pipe.
    fn record_bytes(&self) -> usize {
        RECORD_BYTES_MAX
    }

    /// The address at the other end where there is one. What a proxy in between has set aside; never
    /// proof of anything.
    fn peer_address(&self) -> Option<SocketAddr> {
        None
    }
}

/// What a pipe had to give.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Arrival {
    /// One whole record, appended to the buffer.
    Record,
    /// Nothing more will come. Anyone on the path can cause it, so it says nothing about the
    /// session.
    End,
}

/// In which order a pipe delivers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// As sent, without gaps: a record out of order is the work of someone on the path.
    InOrder,
    /// Any order, with gaps and doubles.
    AnyOrder,
}

/// Whatever holds a pipe is one.
macro_rules! forward {
    ($($holder:ty),*) => {$(
        impl<T: Transport + ?Sized> Transport for $holder {
            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
                (**self).poll_ready(cx)
            }

            fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
                (**self).start_send(record)
            }

            fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
                (**self).poll_flush(cx)
            }

            fn poll_record(
                &mut self,
                cx: &mut Context<'_>,
                into: &mut BytesMut,
            ) -> Poll<Result<Arrival, TransportError>> {
                (**self).poll_record(cx, into)
            }

            fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
                (**self).poll_close(cx)
            }

            fn delivers(&self) -> Delivery {
                (**self).delivers()
            }

            fn record_bytes(&self) -> usize {
                (**self).record_bytes()
            }

            fn peer_address(&self) -> Option<SocketAddr> {
                (**self).peer_address()
            }
        }
    )*};
}

forward!(Box<T>, &mut T);
