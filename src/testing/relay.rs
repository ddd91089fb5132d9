//! One connection of a wire: takes records from either end, and gives them to the other when the wire
//! lets it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep_until};

use super::wire::{Fate, Toward, Weather, Wire};
use crate::limits::HANDLE_QUEUE;
use crate::transport::memory::Memory;
use crate::transport::{Arrival, Transport};

pub(super) struct Relay {
    wire: Wire,
    number: u64,
    /// The relay's own ends; `None` once that end is gone.
    agent: Option<Memory>,
    backend: Option<Memory>,
    to_agent: Flight,
    to_backend: Flight,
}

/// One direction.
struct Flight {
    /// When each is due; `None` is the end.
    on_the_way: VecDeque<(Instant, Option<Bytes>)>,
    is_ended: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Relay {
    pub(super) fn new(wire: Wire, number: u64, agent: Memory, backend: Memory) -> Self {
        let (agent, backend) = (Some(agent), Some(backend));
        Self { wire, number, agent, backend, to_agent: Flight::new(), to_backend: Flight::new() }
    }
}

impl Future for Relay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let relay = &mut *self;
        let (fate, weather) = relay.wire.ask(relay.number, cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Cut => return Poll::Ready(()),
            Fate::Gone(Toward::Agent) => relay.agent = None,
            Fate::Gone(Toward::Backend) => relay.backend = None,
        }
        let Weather { delay, holds_to_agent, holds_to_backend, .. } = weather;
        let Self { agent, backend, to_agent, to_backend, .. } = relay;
        while to_backend.take(cx, agent, delay)
            | to_agent.take(cx, backend, delay)
            | (!holds_to_backend && to_backend.give(cx, backend))
            | (!holds_to_agent && to_agent.give(cx, agent))
        {}
        let is_over = to_agent.is_over() && to_backend.is_over();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.wire.forget(self.number);
    }
}

impl Flight {
    fn new() -> Self {
        Self { on_the_way: VecDeque::new(), is_ended: false, timer: None }
    }

    /// Takes what the sender has. Returns whether there was anything.
    fn take(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Option<Memory>,
        delay: std::time::Duration,
    ) -> bool {
        let Some(from) = from.as_mut().filter(|_| !self.is_ended) else { return false };
        if self.on_the_way.len() >= HANDLE_QUEUE {
            return false;
        }
        let mut record = BytesMut::new();
        let taken = match from.poll_record(cx, &mut record) {
            Poll::Pending => return false,
            Poll::Ready(Ok(Arrival::Record)) => Some(record.freeze()),
            Poll::Ready(Ok(Arrival::End) | Err(_)) => None,
        };
        self.is_ended = taken.is_none();
        let due = Instant::now() + delay;
        // What was sent later does not arrive earlier.
        let due = self.on_the_way.back().map_or(due, |(before, _)| due.max(*before));
        self.on_the_way.push_back((due, taken));
        true
    }

    /// Gives what is due to the receiver. Returns whether there was anything.
    fn give(&mut self, cx: &mut Context<'_>, to: &mut Option<Memory>) -> bool {
        let Some((due, _)) = self.on_the_way.front() else { return false };
        if *due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(*due)));
            if timer.deadline() != *due {
                timer.as_mut().reset(*due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        // A receiver that is gone takes everything.
        if let Some(to) = to
            && to.poll_ready(cx).is_pending()
        {
            return false;
        }
        let item = self.on_the_way.pop_front().and_then(|(_, item)| item);
        match (to, item) {
            (Some(to), Some(record)) => _ = to.start_send(record),
            (Some(to), None) => _ = to.poll_close(cx),
            (None, _) => {}
        }
        true
    }

    /// Whether the end has passed.
    fn is_over(&self) -> bool {
        self.is_ended && self.on_the_way.is_empty()
    }
}
