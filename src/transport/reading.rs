//! Whether a pipe may still give records. Knows no stream.

use std::task::Poll;

use super::{Arrival, TransportError};

/// After an end or an error, a pipe gives nothing but an end.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reading {
    Open,
    Ended,
}

impl Reading {
    /// Notes what the pipe gave, and passes it on.
    pub(super) fn note(
        &mut self,
        given: Poll<Result<Arrival, TransportError>>,
    ) -> Poll<Result<Arrival, TransportError>> {
        if matches!(given, Poll::Ready(Ok(Arrival::End) | Err(_))) {
            *self = Self::Ended;
        }
        given
    }
}
