//! A session on a transport, driven by whoever holds it: nothing happens between its calls.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Sleep, timeout};

use super::chains::KeptBook;
use super::clock::Clock;
use super::entropy::seed;
use super::live::Fresh;
use crate::error::{Error, ErrorKind};
use crate::ids::{Generation, SessionId};
use crate::limits::CLOSE_TIME;
use crate::session::{CloseCode, Datagrams, Event, Fate, Order, Peer, Session};
use crate::transport::{Arrival, Delivery, Transport};

/// A mutually authenticated, sealed conversation over one transport.
///
/// It is driven by its holder: the session's own frames (answers to pings, fresh keys) go out
/// inside [`Connection::send`] and [`Connection::recv`], so keep one of them waiting, or hand the
/// connection to [`Connection::spawn`]. What is sent arrives at most once; when the transport is
/// lost, what was under way is lost with it.
///
/// Memory: one record in and one out, 16 KiB each unless configured, allocated on first use.
pub struct Connection<T> {
    session: Session,
    transport: T,
    clock: Clock,
    timer: Pin<Box<Sleep>>,
    armed: crate::time::Instant,
    inbox: BytesMut,
    outbox: BytesMut,
    arrived: Datagrams,
    unflushed: bool,
    end: Option<ErrorKind>,
    parting: Parting,
    chain: Option<(Arc<KeptBook>, Generation)>,
}

impl<T: Transport> Connection<T> {
    pub(super) fn new(mut session: Session, transport: T, clock: Clock) -> Self {
        if transport.delivers() == Delivery::AnyOrder {
            session.attach(Order::Window);
        }
        let armed = session.poll_timeout().unwrap_or_default();
        Self {
            timer: Box::pin(tokio::time::sleep_until(clock.at(armed))),
            session,
            transport,
            clock,
            armed,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            arrived: Datagrams::default(),
            unflushed: false,
            end: None,
            parting: Parting::Done,
            chain: None,
        }
    }

    /// Receives `first` before anything else: what came with the handshake's last record.
    pub(super) fn beginning_with(mut self, first: Datagrams) -> Self {
        self.arrived = first;
        self
    }

    /// Confirms the chain in `book` once the peer proves to have the session's keys.
    pub(super) fn confirming(mut self, book: Arc<KeptBook>, at: Generation) -> Self {
        self.chain = Some((book, at));
        self
    }

    /// The session and its transport, for a link.
    pub(crate) fn into_fresh(self) -> Fresh
    where
        T: 'static,
    {
        let Self { session, transport, chain, .. } = self;
        Fresh { session, transport: Box::new(transport), confirming: chain }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        self.session.peer()
    }

    /// The session's name, the same at both ends.
    pub fn id(&self) -> SessionId {
        self.session.id()
    }

    /// The session, for what it can tell: its binding, its exporter, its suite.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Asks the peer for the session to get fresh keys soon.
    pub fn request_rekey(&mut self) {
        self.session.request_rekey();
    }

    /// Bytes that one datagram to the peer may have.
    pub fn datagram_bytes(&self) -> usize {
        self.session.record_bytes().saturating_sub(64)
    }

    /// Sends `payload` as one sealed datagram and writes it out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] beyond [`Connection::datagram_bytes`] (nothing else changes),
    /// [`ErrorKind::Transport`] if the transport broke, [`ErrorKind::Entropy`] if fresh keys are due
    /// and the system gives none. Once the conversation is over, [`ErrorKind::Closed`] or what
    /// [`Connection::recv`] said.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it either took nothing, or the datagram goes out whole with the
    /// next call. To send it again may send it twice.
    pub async fn send(&mut self, payload: &[u8]) -> Result<(), Error> {
        poll_fn(|cx| self.poll_room(cx)).await?;
        self.put(payload)?;
        poll_fn(|cx| self.poll_written(cx)).await
    }

    /// The next datagram of the peer; `None` once it closed the session normally.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the session ended for another reason, [`ErrorKind::Detached`] if
    /// the transport ended without a word, [`ErrorKind::Tampered`] if someone on the path changed
    /// or moved a record, [`ErrorKind::Transport`] if the transport broke. After one of these, the
    /// same again. An end that this side decided is reported when the peer was told, or after 5 s.
    /// [`ErrorKind::Entropy`] if fresh keys are due and the system gives none; the conversation goes
    /// on.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what arrived stays until the next call.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Tells the peer that this side is done, and closes the transport.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Transport`] if the peer could not be told, [`ErrorKind::TimedOut`] if it did not
    /// take it within 5 s.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the peer may not be told; the session is over at this side.
    pub async fn close(mut self) -> Result<(), Error> {
        self.fail(CloseCode::Normal).await
    }

    /// Ends the session with a code of the holder's choice, tells the peer, and closes the
    /// transport.
    ///
    /// # Errors
    ///
    /// As [`Connection::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::close`].
    pub async fn fail(&mut self, code: CloseCode) -> Result<(), Error> {
        self.session.close(code, Duration::ZERO);
        self.parting = Parting::Done; // by hand, below
        self.end = Some(ErrorKind::Closed { code, retry_after: Duration::ZERO });
        let told = timeout(CLOSE_TIME, async {
            poll_fn(|cx| self.poll_drain(cx)).await?;
            poll_fn(|cx| self.transport.poll_close(cx)).await.map_err(Error::from)
        });
        told.await.map_err(|late| Error::with(ErrorKind::TimedOut, late))??;
        tracing::info!(session = %self.session.id(), "link closed");
        Ok(())
    }

    /// A step in either direction, whichever can be taken: hands over the payload that waits, or
    /// receives if there is a taker.
    pub(super) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        waiting: &mut Option<Bytes>,
        takes: bool,
    ) -> Poll<Result<Step, Error>> {
        if let Some(payload) = waiting
            && let Poll::Ready(room) = self.poll_room(cx)
        {
            let sent = room.and_then(|()| self.put(payload));
            *waiting = None;
            return Poll::Ready(Ok(sent.map_or(Step::Refused, |()| Step::Sent)));
        }
        if takes {
            return self.poll_recv(cx).map_ok(Step::Received);
        }
        self.poll_idle(cx).map_ok(Step::Received)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(datagram) = self.arrived.next() {
                return Poll::Ready(Ok(Some(datagram)));
            }
            self.keep_up(cx)?;
            if let Some(end) = self.end {
                ready!(self.poll_part(cx));
                return Poll::Ready(outcome(end));
            }
            match self.transport.poll_record(cx, &mut self.inbox) {
                Poll::Ready(Ok(Arrival::Record)) => self.open_record()?,
                Poll::Ready(Ok(Arrival::End)) => self.end = Some(ErrorKind::Detached),
                Poll::Ready(Err(error)) => {
                    self.end = Some(ErrorKind::Transport);
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Pending => ready!(self.poll_due(cx)),
            }
        }
    }

    /// Waits while nothing is received: deadlines and the session's own frames go on.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            self.keep_up(cx)?;
            if let Some(end) = self.end {
                ready!(self.poll_part(cx));
                return Poll::Ready(outcome(end));
            }
            ready!(self.poll_due(cx));
        }
    }

    /// Does what is due, acts on what the session tells, and writes what it has to say.
    fn keep_up(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.end.is_some() {
            return Ok(());
        }
        let now = self.clock.instant();
        if now >= self.armed {
            // Under steady traffic nobody waits for the timer.
            self.be_due(now);
        }
        self.note_events()?;
        // What cannot be written is no news yet: what was sent to us can still be read, and says
        // whether this is an end.
        if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
            tracing::debug!(session = %self.session.id(), %error, "cannot write");
        }
        Ok(())
    }

    /// Opens the record in the inbox. What is refused ends the conversation: on a transport that
    /// keeps order, someone put it there.
    fn open_record(&mut self) -> Result<(), Error> {
        let (now, record) = (self.clock.instant(), self.inbox.split());
        match self.session.open_owned(now, record) {
            Ok(datagrams) => self.arrived = datagrams,
            Err(refused) => match refused.fate(self.session.order()) {
                Fate::DropRecord => tracing::debug!(%refused, "record dropped"),
                Fate::DropAttachment => {
                    let error = Error::from(refused);
                    tracing::debug!(session = %self.session.id(), %error, "transport dropped");
                    self.end = Some(error.kind());
                    return Err(error);
                }
                // The session is closing: its event ends this, after its CLOSE.
                Fate::CloseSession(_) => tracing::debug!(%refused, "peer broke the protocol"),
            },
        }
        Ok(())
    }

    /// Acts on what the session tells.
    fn note_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.session.poll_event() {
            tracing::trace!(session = %self.session.id(), ?event, "session event");
            match event {
                Event::WantsSeed => self.session.provide_seed(self.clock.instant(), &seed()?),
                Event::Confirmed => self.confirm_chain(),
                Event::SessionLost => self.end = Some(ErrorKind::Detached),
                Event::ClosedByPeer { code, retry_after } => {
                    self.end = Some(ErrorKind::Closed { code, retry_after });
                }
                Event::Ended(code) => {
                    let retry_after = Duration::ZERO;
                    self.end = Some(ErrorKind::Closed { code, retry_after });
                    self.begin_parting(code);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The session ended by its own rules: gives its CLOSE some time to go out. A peer that was silent
    /// for too long is not waited for.
    fn begin_parting(&mut self, code: CloseCode) {
        if code != CloseCode::TimedOut {
            self.parting = Parting::Due;
            self.arm(self.clock.instant().after(CLOSE_TIME));
        }
    }

    /// Writes out the CLOSE that is due and closes the transport, before the end is reported: whoever
    /// hears of it drops the connection.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.parting == Parting::Due {
            let told = match self.poll_drain(cx) {
                Poll::Ready(Ok(())) => self.transport.poll_close(cx).map_err(Error::from),
                other => other,
            };
            if told.is_pending() && self.clock.instant() < self.armed {
                ready!(self.timer.as_mut().poll(cx));
            }
            self.parting = Parting::Done;
        }
        Poll::Ready(())
    }

    fn confirm_chain(&mut self) {
        if let Some((book, generation)) = self.chain.take() {
            book.confirm(&self.session.peer().key, generation);
        }
    }

    /// Sends what the session itself has to say.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.session.has_transmit() {
            ready!(self.transport.poll_ready(cx))?;
            if !self.session.poll_transmit(self.clock.instant(), &mut self.outbox) {
                break;
            }
            self.transport.start_send(self.outbox.split().freeze())?;
            self.unflushed = true;
        }
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.unflushed {
            ready!(self.transport.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for room for one record. Who only sends is held to deadlines too, also while a peer
    /// that does not read leaves no room.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.keep_up(cx)?;
            if let Some(end) = self.end {
                ready!(self.poll_part(cx));
                return Poll::Ready(outcome(end).map(|_| ()));
            }
            match self.transport.poll_ready(cx) {
                Poll::Ready(room) => return Poll::Ready(Ok(room?)),
                Poll::Pending => ready!(self.poll_due(cx)),
            }
        }
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.keep_up(cx)?;
            if let Some(end) = self.end {
                ready!(self.poll_part(cx));
                return Poll::Ready(outcome(end).map(|_| ()));
            }
            if let Poll::Ready(written) = self.poll_flush(cx) {
                return Poll::Ready(written);
            }
            ready!(self.poll_due(cx));
        }
    }

    /// Sealed and handed over without a pause between: a position is never sealed and lost.
    fn put(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.session.seal_datagram(self.clock.instant(), payload, &mut self.outbox)?;
        self.transport.start_send(self.outbox.split().freeze())?;
        self.unflushed = true;
        Ok(())
    }

    /// Waits for the session's next deadline, and does what is due then.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A deadline that moved on is met early, which is harmless; most move on with each record.
        if let Some(next) = self.session.poll_timeout().filter(|next| *next < self.armed) {
            self.arm(next);
        }
        let elapsed = self.timer.as_mut().poll(cx).is_ready();
        let now = self.clock.instant();
        // The clock is asked too: tokio's timer waits when a flood used up this task's turn.
        if !elapsed && now < self.armed {
            return Poll::Pending;
        }
        self.be_due(now);
        Poll::Ready(())
    }

    fn be_due(&mut self, now: crate::time::Instant) {
        self.session.handle_timeout(now);
        if let Some(next) = self.session.poll_timeout() {
            self.arm(next);
        }
    }

    fn arm(&mut self, at: crate::time::Instant) {
        self.armed = at;
        self.timer.as_mut().reset(self.clock.at(at));
    }
}

/// Whether the peer is still to be told of the end.
#[derive(Eq, PartialEq)]
enum Parting {
    Due,
    Done,
}

/// What a driver's step came to.
pub(super) enum Step {
    /// The payload that waited is on its way.
    Sent,
    /// It was not taken, nor will another one be.
    Refused,
    /// What [`Connection::recv`] gives.
    Received(Option<Bytes>),
}

impl<T> std::fmt::Debug for Connection<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What an ended conversation answers from then on.
pub(super) fn outcome(end: ErrorKind) -> Result<Option<Bytes>, Error> {
    match end {
        ErrorKind::Closed { code: CloseCode::Normal, .. } => Ok(None),
        other => Err(Error::new(other)),
    }
}
