//! Two ends in one process. Knows no stream; a record is an item of a queue.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::{Arrival, Transport, TransportError};
use crate::header::Header;
use crate::limits::HANDLE_QUEUE;

/// Two ends of one pipe, for tests and for two parties in one process.
///
/// Each direction holds [`HANDLE_QUEUE`] records, then [`poll_ready`](Transport::poll_ready) waits:
/// at most 4 MiB a direction, and only while the other end does not read. A record is checked where
/// it arrives, not where it is sent, so a test can send what no peer should.
#[must_use]
pub fn pair() -> (Memory, Memory) {
    let (there, back) = (Arc::<Mutex<Lane>>::default(), Arc::<Mutex<Lane>>::default());
    let near = Memory { out: there.clone(), back: back.clone() };
    (near, Memory { out: back, back: there })
}

/// One end of [`pair`]. Dropping it ends the pipe for the other end, once that has read what is on
/// the way.
#[derive(Debug)]
pub struct Memory {
    out: Arc<Mutex<Lane>>,
    back: Arc<Mutex<Lane>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    records: VecDeque<Bytes>,
    state: State,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Open,
    /// The writer is done; what waits can still be read.
    Finished,
    /// The reader is gone or refused a record; nothing more is read or taken.
    Abandoned,
}

impl Lane {
    fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Finished;
        }
        wake(&mut self.reader);
    }

    fn abandon(&mut self) {
        self.state = State::Abandoned;
        self.records.clear();
        wake(&mut self.writer);
    }
}

impl Transport for Memory {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut lane = locked(&self.out);
        if lane.state != State::Open {
            return Poll::Ready(Err(TransportError::Closed));
        }
        if lane.records.len() < HANDLE_QUEUE {
            return Poll::Ready(Ok(()));
        }
        lane.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
        let mut lane = locked(&self.out);
        if lane.state != State::Open {
            return Err(TransportError::Closed);
        }
        if lane.records.len() >= HANDLE_QUEUE {
            return Err(TransportError::NotReady);
        }
        lane.records.push_back(record);
        wake(&mut lane.reader);
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        let mut lane = locked(&self.back);
        let Some(record) = lane.records.pop_front() else {
            if lane.state != State::Open {
                return Poll::Ready(Ok(Arrival::End));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        wake(&mut lane.writer);
        if let Err(error) = Header::of_record(&record) {
            lane.abandon();
            return Poll::Ready(Err(error.into()));
        }
        into.extend_from_slice(&record);
        Poll::Ready(Ok(Arrival::Record))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        locked(&self.out).finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        locked(&self.out).finish();
        locked(&self.back).abandon();
    }
}

/// A panic elsewhere leaves a lane whole: no method stops between two changes that belong together.
fn locked(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
