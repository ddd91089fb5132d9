//! The one task of a link: it wakes for one thing, hands it to the machine, and does all that the machine
//! wants before it sleeps again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Sleep, sleep_until, timeout};

use super::dispatch::{Wish, dispatch, settle, stored};
use super::link::Life;
use super::news::LinkEvent;
use super::road::{Loss, Road, Stands};
use super::shared::{Return, Shared};
use crate::call::CommandId;
use crate::header::{HEADER_BYTES, TAG_BYTES};
use crate::ids::{Generation, SessionId};
use crate::limits::{CLOSE_TIME, RECORD_BYTES, RECORDS_AT_ONCE};
use crate::link::{CommandChange, DetachCause, IssuedCommand, State};
use crate::runtime::chains::KeptBook;
use crate::runtime::entropy::seed;
use crate::runtime::keep::{KeepError, LinkKeep};
use crate::session::{CloseCode, Peer, Session};
use crate::time::Instant;
use crate::transport::{Arrival, Transport, TransportError};

/// A session, and the transport that it was made over.
pub(crate) struct Fresh {
    pub(crate) session: Session,
    pub(crate) transport: Box<dyn Transport>,
    /// Where the chain is confirmed once the peer proves to have the session's keys.
    pub(crate) confirming: Option<(Arc<KeptBook>, Generation)>,
}

/// Drives one link until it is closed.
pub(crate) struct Driver<R> {
    shared: Arc<Shared>,
    life: Weak<Life>,
    road: R,
    keep: Option<LinkKeep>,
    /// Batches under way to the store, and the commands that each holds.
    storing: VecDeque<(u64, Vec<CommandId>)>,
    attached: Option<Attached>,
    timer: Pin<Box<Sleep>>,
    armed: Instant,
    /// Until when a link that is closed may still tell its peer.
    parting: Option<Instant>,
    inbox: BytesMut,
    outbox: BytesMut,
    returns: Vec<Return>,
    /// Others were let speak first.
    is_gathering: bool,
}

/// What carries the link now.
struct Attached {
    transport: Box<dyn Transport>,
    session: SessionId,
    confirming: Option<(Arc<KeptBook>, Generation)>,
    /// Counts the handshakes of the peer, on the side that answers.
    generation: Option<Generation>,
    is_unflushed: bool,
}

/// Bytes of a record of the default size.
const SEALED_BYTES: usize = HEADER_BYTES + RECORD_BYTES + TAG_BYTES;

/// Whether a turn read as much as one may.
#[derive(Eq, PartialEq)]
enum Reading {
    Drained,
    Stopped,
}

/// Whether a batch went to the store.
#[derive(Eq, PartialEq)]
enum Storing {
    Begun,
    Idle,
}

impl<R: Road> Driver<R> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        life: Weak<Life>,
        road: R,
        keep: Option<LinkKeep>,
    ) -> Self {
        let armed = shared.clock.instant();
        let timer = Box::pin(sleep_until(shared.clock.at(armed)));
        Self {
            shared,
            life,
            road,
            keep,
            storing: VecDeque::new(),
            attached: None,
            timer,
            armed,
            parting: None,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            returns: Vec::new(),
            is_gathering: false,
        }
    }

    /// Drives the link to its end.
    pub(crate) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        if let Some(attached) = self.attached.take() {
            part(attached.transport).await;
        }
        self.shared.over.send_replace(true);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.shared.bell.hear();
            self.shared.turns();
            self.poll_road(cx);
            let reading = self.read(cx);
            self.keep_up(cx);
            if self.gathers() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.write(cx);
            if self.store() == Storing::Begun {
                continue;
            }
            if self.is_over() {
                return Poll::Ready(());
            }
            if reading == Reading::Stopped {
                // Others of this thread have their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.poll_timer(cx).is_pending() && self.shared.bell.listen(cx) {
                self.rest();
                return Poll::Pending;
            }
        }
    }

    /// Whether to let others of this thread speak first, once, so that what they say goes in the same
    /// record and the same write: only where several wait for answers or owe them.
    fn gathers(&mut self) -> bool {
        let core = self.shared.lock();
        let several = core.requests.len() > 1 || core.calls.len() > 1 || core.confirms.len() > 1;
        drop(core);
        self.is_gathering = several && !self.is_gathering;
        self.is_gathering
    }

    /// A link that waits holds no buffers.
    fn rest(&mut self) {
        for buffer in [&mut self.inbox, &mut self.outbox] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Closed, nothing left to say, and nothing left to store.
    fn is_over(&mut self) -> bool {
        let mut core = self.shared.lock();
        if core.link.state() != State::Closed {
            return false;
        }
        if core.link.is_attached() {
            let now = self.shared.now();
            let by = *self.parting.get_or_insert(now.instant.after(CLOSE_TIME));
            if now.instant < by {
                return false;
            }
            // A peer that reads nothing is not waited for.
            core.link.detach(now);
        }
        self.storing.is_empty()
    }

    /// Takes the next session; a link that has one lets go of it.
    fn poll_road(&mut self, cx: &mut Context<'_>) {
        let stands = if self.attached.is_some() { Stands::Attached } else { Stands::Detached };
        let Poll::Ready(fresh) = self.road.poll_fresh(cx, &self.shared, stands) else { return };
        let Fresh { session, transport, confirming } = fresh;
        let generation = confirming.as_ref().map(|(_, generation)| *generation);
        // The newest handshake of an identity wins, whichever is handed over last.
        let is_late = self.attached.as_ref().is_some_and(|old| generation < old.generation);
        let is_same = |peer: Peer| peer.key == session.peer().key;
        if is_late && self.shared.peer().is_some_and(is_same) {
            tracing::debug!(session = %session.id(), "an older session came late");
            tokio::spawn(part(transport));
            return;
        }
        self.supersede(cx);
        let (id, peer) = (session.id(), session.peer().clone());
        let now = self.shared.now();
        let mut core = self.shared.lock();
        if let Err(error) = core.link.attach(now, session) {
            drop(core);
            tracing::warn!(session = %id, %error, "session does not carry the link");
            return self.road.lost(&self.shared, Loss::Broken);
        }
        core.peer = Some(peer);
        core.address = transport.peer_address();
        (core.go_away, core.is_superseded) = (None, false);
        drop(core);
        self.attached =
            Some(Attached { transport, session: id, confirming, generation, is_unflushed: false });
    }

    /// Tells the peer of the session in use that another one takes over.
    fn supersede(&mut self, cx: &mut Context<'_>) {
        if self.attached.is_none() {
            return;
        }
        let mut core = self.shared.lock();
        core.is_superseded = true;
        core.link.disconnect(CloseCode::Replaced, Duration::ZERO);
        drop(core);
        self.write(cx);
        self.shared.lock().link.detach(self.shared.now());
        self.drain_events();
        self.let_go();
    }

    /// The transport is of no more use but to carry out what it was given.
    fn let_go(&mut self) {
        if let Some(attached) = self.attached.take() {
            tokio::spawn(part(attached.transport));
        }
    }

    /// Reads what arrived, up to a bound.
    fn read(&mut self, cx: &mut Context<'_>) -> Reading {
        for _ in 0..RECORDS_AT_ONCE {
            let Some(attached) = &mut self.attached else { return Reading::Drained };
            match attached.transport.poll_record(cx, &mut self.inbox) {
                Poll::Pending => return Reading::Drained,
                Poll::Ready(Ok(Arrival::Record)) => {
                    let record = self.inbox.split();
                    let now = self.shared.now();
                    let read = self.shared.lock().link.handle_record(now, record);
                    if let Err(error) = read {
                        tracing::debug!(%error, "record refused");
                    }
                    self.drain_events();
                }
                Poll::Ready(ended) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "transport broke");
                    }
                    self.shared.lock().link.detach(self.shared.now());
                    self.drain_events();
                    return Reading::Drained;
                }
            }
        }
        Reading::Stopped
    }

    /// Does what is due, and what handles asked for.
    fn keep_up(&mut self, cx: &mut Context<'_>) {
        let now = self.shared.now();
        let mut core = self.shared.lock();
        settle(&self.shared, &mut core, &mut self.returns);
        if core.is_abandoned && core.link.state() != State::Closed {
            core.link.close(CloseCode::Normal);
        }
        if core.link.poll_timeout().is_some_and(|at| at <= now.instant) {
            core.link.handle_timeout(now);
        }
        drop(core);
        self.drain_events();
        self.poll_keep(cx);
    }

    /// Hears what the store did.
    fn poll_keep(&mut self, cx: &mut Context<'_>) {
        let Some(keep) = &mut self.keep else { return };
        while let Poll::Ready(done) = keep.poll_stored(cx) {
            let mut core = self.shared.lock();
            match done {
                Ok(number) => {
                    core.link.stored(self.shared.now(), number);
                    while self.storing.front().is_some_and(|(of, _)| *of <= number) {
                        let ids = self.storing.pop_front().map(|(_, ids)| ids);
                        ids.into_iter().flatten().for_each(|id| stored(&mut core, id));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the store fails");
                    self.shared.tell(&core, LinkEvent::StoreFailing);
                    if matches!(*error, KeepError::Closed) {
                        // Nothing will be stored any more, and nothing promised.
                        drop(core);
                        self.keep = None;
                        self.storing.clear();
                        break;
                    }
                }
            }
        }
        self.drain_events();
    }

    /// Hands on everything that the machine has to say.
    fn drain_events(&mut self) {
        let session = self.attached.as_ref().map(|attached| attached.session);
        let mut guard = self.shared.lock();
        let core = &mut *guard;
        let mut cause = None;
        while let Some(event) = core.link.poll_event() {
            match dispatch(&self.shared, &self.life, core, session, event) {
                None => {}
                Some(Wish::Part(why)) => cause = Some(why),
                Some(Wish::Seed) => match seed() {
                    Ok(seed) => core.link.provide_seed(self.shared.now(), &seed),
                    Err(error) => tracing::warn!(%error, "no fresh keys"),
                },
                Some(Wish::Confirmed) => {
                    if let Some(attached) = &mut self.attached
                        && let Some((book, generation)) = attached.confirming.take()
                        && let Some(peer) = &core.peer
                    {
                        book.confirm(&peer.key, generation);
                    }
                }
            }
        }
        core.counting.flush(&self.shared.channels, self.shared.turn());
        let is_settling = std::mem::take(&mut core.is_settling);
        let wakes = is_settling && std::mem::take(&mut core.is_starved);
        let away = core.go_away;
        drop(guard);
        if wakes {
            self.shared.room.notify_waiters();
        }
        if let Some(cause) = cause {
            self.let_go();
            self.road.lost(&self.shared, loss(cause, away));
        }
    }

    /// Writes what the machine has to say, as far as the transport takes it.
    fn write(&mut self, cx: &mut Context<'_>) {
        while let Some(attached) = &mut self.attached {
            match attached.transport.poll_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.break_off(cx, &error),
            }
            let now = self.shared.now();
            let mut core = self.shared.lock();
            if core.link.is_waiting() {
                // So that a record does not grow step by step.
                self.outbox.reserve(SEALED_BYTES);
            }
            let written = core.link.poll_record(now, &mut self.outbox);
            core.is_settling |= written;
            drop(core);
            if !written {
                break;
            }
            let sent = attached.transport.start_send(self.outbox.split().freeze());
            attached.is_unflushed = true;
            if let Err(error) = sent {
                return self.break_off(cx, &error);
            }
            self.drain_events();
        }
        self.drain_events();
        if let Some(attached) = &mut self.attached
            && attached.is_unflushed
        {
            match attached.transport.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => attached.is_unflushed = false,
                Poll::Ready(Err(error)) => self.break_off(cx, &error),
            }
        }
    }

    /// What cannot be written breaks the transport once what was sent to us is read, which may say why.
    fn break_off(&mut self, cx: &mut Context<'_>, error: &TransportError) {
        tracing::debug!(%error, "transport broke");
        while self.read(cx) == Reading::Stopped {}
        self.shared.lock().link.detach(self.shared.now());
        self.drain_events();
    }

    /// Hands the next batch to the store if it has room: what comes meanwhile goes together.
    fn store(&mut self) -> Storing {
        let Some(keep) = self.keep.as_mut().filter(|keep| keep.has_room()) else {
            return Storing::Idle;
        };
        let now = self.shared.now();
        let Some(batch) = self.shared.lock().link.poll_changes() else { return Storing::Idle };
        let put = |change: &CommandChange<IssuedCommand>| match change {
            CommandChange::Put(command) => Some(command.row.id),
            CommandChange::Remove(_) => None,
        };
        self.storing.push_back((batch.number, batch.issued.iter().filter_map(put).collect()));
        keep.submit(now, batch);
        Storing::Begun
    }

    /// Waits for the machine's next deadline. Ready: it is due.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.shared.lock().link.poll_timeout().or(self.parting);
        let Some(next) = next else { return Poll::Pending };
        // A deadline that moved on is met early, which is harmless; most move on with each record.
        if next < self.armed {
            self.arm(next);
        }
        ready!(self.timer.as_mut().poll(cx));
        if next > self.shared.clock.instant() {
            self.arm(next);
            return self.timer.as_mut().poll(cx);
        }
        Poll::Ready(())
    }

    fn arm(&mut self, at: Instant) {
        self.armed = at;
        self.timer.as_mut().reset(self.shared.clock.at(at));
    }
}

/// When to come back, as the end of a session says.
fn loss(cause: DetachCause, away: Option<(Duration, Duration)>) -> Loss {
    match (cause, away) {
        (DetachCause::ClosedByPeer { code, retry_after }, None) => {
            Loss::Closed { code, retry_after }
        }
        (DetachCause::ClosedByPeer { code, .. }, _) if !code.is_retryable() => {
            Loss::Closed { code, retry_after: Duration::ZERO }
        }
        (_, Some((retry_after, spread))) => Loss::Away { retry_after, spread },
        _ => Loss::Broken,
    }
}

/// Writes out what the transport has, and closes it.
async fn part(mut transport: Box<dyn Transport>) {
    let close = async {
        poll_fn(|cx| transport.poll_flush(cx)).await?;
        poll_fn(|cx| transport.poll_close(cx)).await
    };
    // A courtesy: that it did not work is no news.
    let _ = timeout(CLOSE_TIME, close).await;
}
