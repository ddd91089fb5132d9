//! A handshake over a transport, from either side, inside a deadline.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout, timeout_at};

use super::chains::{KeptBook, KeptChains};
use super::clock::Clock;
use super::connection::Connection;
use super::entropy::seed;
use crate::crypto::Fingerprint;
use crate::error::{Error, ErrorKind};
use crate::ids::{Generation, LinkId};
use crate::limits::HANDSHAKE_TIME;
use crate::session::{
    Accepting, CloseCode, Config, ConfigError, Continuity, Datagrams, Established, Event, Gate,
    Greeting, HandshakeError, Initiator, InitiatorChain, OpenError, Progress, Proven, Refusal,
    Session, Source,
};
use crate::transport::{Arrival, Transport};

/// Whom an initiator means to reach, and what it knows of it.
pub(super) struct Errand {
    pub config: Arc<Config>,
    pub chains: KeptChains,
    /// The only peer that will do, if the application named one.
    pub named: Option<Fingerprint>,
    pub clock: Clock,
}

impl Errand {
    /// What to offer: the chain of the one peer that this can lead to, or none.
    fn offer(&self) -> Option<InitiatorChain> {
        let peer = self.named.or_else(|| self.config.pinned())?;
        self.chains.get(&peer)
    }

    /// Whether the peer that was proven is one that will do.
    fn admit(&self, session: &Session) -> Result<(), HandshakeError> {
        let peer = session.peer().key.fingerprint();
        if self.named.is_some_and(|named| named != peer) {
            return Err(Refusal::OtherPeer.into());
        }
        // proto-spec [C-12]: also where it was not known beforehand whom this would reach.
        let lapsed = !session.is_resumed() && self.chains.knows(&peer);
        if lapsed && self.config.continuity() == Continuity::Require {
            return Err(HandshakeError::ResumeUnknown);
        }
        Ok(())
    }

    async fn keep(&self, chain: InitiatorChain) -> Result<(), Error> {
        match self.config.continuity() {
            Continuity::Off => Ok(()),
            Continuity::Prefer | Continuity::Require => self.chains.set(chain).await,
        }
    }
}

/// Runs the initiator's side until the responder accepted.
pub(super) async fn initiate<T: Transport>(
    transport: T,
    errand: Errand,
) -> Result<Connection<T>, Error> {
    timeout(HANDSHAKE_TIME, initiate_unbounded(transport, errand)).await.map_err(late)?
}

async fn initiate_unbounded<T: Transport>(
    mut transport: T,
    errand: Errand,
) -> Result<Connection<T>, Error> {
    let clock = errand.clock;
    let config = Arc::clone(&errand.config);
    fits(&transport, &config)?;
    let (mut initiator, mut hello) =
        Initiator::start(config, errand.offer(), &seed()?, clock.now())?;
    let Established { mut session, finish, chain } = loop {
        send(&mut transport, hello).await?;
        let mut answer = receive(&mut transport).await?;
        match initiator.handle(&mut answer, clock.now())? {
            Progress::Again(again, next) => (initiator, hello) = (*again, next),
            Progress::Done(established) => break *established,
        }
    };
    errand.admit(&session)?;
    // proto-spec [C-1]: stored before FINISH is sent, and [C-2]: promoted only on ACCEPT.
    errand.keep(chain.duplicate()).await?;
    send(&mut transport, finish).await?;
    let first = match settle(&mut transport, &mut session, &clock, &errand, chain).await {
        Ok(first) => first,
        Err(error) => {
            part(&mut transport, &mut session, &clock).await;
            return Err(error);
        }
    };
    tracing::info!(session = %session.id(), peer = %session.peer().id, "link opened");
    Ok(Connection::new(session, transport, clock).beginning_with(first))
}

/// What is left once FINISH is sent and the responder may hold the session. Returns the datagrams of
/// the record that accepts.
async fn settle<T: Transport>(
    transport: &mut T,
    session: &mut Session,
    clock: &Clock,
    errand: &Errand,
    chain: InitiatorChain,
) -> Result<Datagrams, Error> {
    let first = accepted(transport, session, clock).await?;
    errand.keep(chain.promoted()).await.inspect_err(|_| {
        session.close(CloseCode::Internal, Duration::ZERO);
    })?;
    // The responder may have said more than ACCEPT, a CLOSE even.
    if !session.is_closed() {
        // An empty record shows it that this side has the keys; it confirms the chain by it.
        let mut confirmation = BytesMut::new();
        session.record(clock.instant(), &mut confirmation)?.seal();
        send(transport, confirmation.freeze()).await?;
    }
    Ok(first)
}

/// Sends the CLOSE of a session that ended, before the transport is dropped. Where none is due, the
/// peer is told nothing (proto-spec 07, 7.1).
async fn part<T: Transport>(transport: &mut T, session: &mut Session, clock: &Clock) {
    if !session.has_transmit() {
        return;
    }
    let mut record = BytesMut::new();
    while session.poll_transmit(clock.instant(), &mut record) {
        if send(transport, record.split().freeze()).await.is_err() {
            return;
        }
    }
    // A courtesy, as the CLOSE is: that it did not work is no news.
    let _ = poll_fn(|cx| transport.poll_close(cx)).await;
}

/// Waits for the record that accepts; returns the datagrams in it.
async fn accepted<T: Transport>(
    transport: &mut T,
    session: &mut Session,
    clock: &Clock,
) -> Result<Datagrams, Error> {
    let record = receive(transport).await?;
    let refusal = session.refusal(&record);
    let datagrams = match session.open_owned(clock.instant(), record) {
        Err(OpenError::UnexpectedRecord) => return Err(refusal.into()),
        opened => opened?,
    };
    match session.poll_event() {
        Some(Event::Accepted { .. }) => Ok(datagrams),
        _ => Err(HandshakeError::UnexpectedRecord.into()),
    }
}

/// What all handshakes of one listener share.
pub(super) struct Door {
    pub config: Arc<Config>,
    pub chains: Arc<KeptBook>,
    pub gate: Mutex<Gate>,
    pub clock: Clock,
}

/// Runs the responder's side for a connection that has a place in the gate.
pub(super) async fn respond<T: Transport>(
    transport: T,
    door: &Door,
    source: Source,
    deadline: Instant,
) -> Result<Connection<T>, Error> {
    timeout_at(deadline, respond_unbounded(transport, door, source)).await.map_err(late)?
}

async fn respond_unbounded<T: Transport>(
    mut transport: T,
    door: &Door,
    source: Source,
) -> Result<Connection<T>, Error> {
    let clock = door.clock;
    fits(&transport, &door.config)?;
    let mut retried = false;
    let greeting = loop {
        let hello = receive(&mut transport).await?;
        let read = Greeting::receive(Arc::clone(&door.config), &hello, clock.instant());
        let link = match &read {
            // proto-spec [H-25]: behind a wrong knock nothing is read.
            Err(HandshakeError::BadKnock) => LinkId::NONE,
            _ => Greeting::link_of(&hello),
        };
        let greeting = told(read, &mut transport, link).await?;
        let judged = locked(&door.gate).challenge(&greeting, source, Proven::Yes, clock.now());
        let judged = match judged {
            Ok(Some(_)) if retried => Err(HandshakeError::CookieInvalid),
            judged => judged,
        };
        match told(judged, &mut transport, link).await? {
            Some(retry) => send(&mut transport, retry).await?,
            None => break greeting,
        }
        retried = true;
    };
    let (link, mut greeting) = (greeting.link(), greeting);
    door.chains.read(|book| greeting.look_up(book, clock.now()));
    // Public-key work, with no lock held.
    let answered = greeting.reply(&seed()?);
    let (answered, reply) = told(answered, &mut transport, link).await?;
    send(&mut transport, reply).await?;
    let mut finish = receive(&mut transport).await?;
    let finished = answered.finish(&mut finish, clock.now());
    let accepting = told(finished, &mut transport, link).await?;
    let generation = advance(door, &accepting, &clock).await?;
    let generation = told(generation, &mut transport, link).await?;
    let (mut session, _) = accepting.accept(generation, clock.now());
    let mut record = BytesMut::new();
    session.poll_transmit(clock.instant(), &mut record);
    send(&mut transport, record.freeze()).await?;
    tracing::info!(session = %session.id(), peer = %session.peer().id, "link opened");
    let connection = Connection::new(session, transport, clock);
    Ok(connection.confirming(Arc::clone(&door.chains), generation))
}

async fn advance(
    door: &Door,
    accepting: &Accepting,
    clock: &Clock,
) -> Result<Result<Generation, HandshakeError>, Error> {
    let continuity = door.config.continuity();
    if continuity == Continuity::Off {
        return Ok(Ok(Generation::default()));
    }
    door.chains.advance(accepting.succession(), continuity, clock.now().unix).await
}

/// Tells the initiator that it is refused, if it may know that much, and logs the cause here.
async fn told<T: Transport, V>(
    result: Result<V, HandshakeError>,
    transport: &mut T,
    link: LinkId,
) -> Result<V, Error> {
    match result {
        Ok(value) => Ok(value),
        Err(cause) => {
            match cause {
                HandshakeError::ResumeForked => tracing::warn!(%cause, "handshake refused"),
                _ => tracing::debug!(%cause, "handshake refused"),
            }
            if let Some(record) = cause.rejection(link) {
                // The refusal is a courtesy; that it could not be sent is no news.
                let _ = send(transport, Bytes::copy_from_slice(&record)).await;
                let _ = poll_fn(|cx| transport.poll_close(cx)).await;
            }
            Err(cause.into())
        }
    }
}

/// Whether the transport takes in what this side is about to announce that it takes.
fn fits<T: Transport>(transport: &T, config: &Config) -> Result<(), ConfigError> {
    let (taken, announced) = (transport.record_bytes(), config.record_bytes());
    if taken < announced {
        return Err(ConfigError::TransportRecordBytes(taken, announced));
    }
    Ok(())
}

async fn send<T: Transport>(transport: &mut T, record: Bytes) -> Result<(), Error> {
    poll_fn(|cx| transport.poll_ready(cx)).await?;
    transport.start_send(record)?;
    Ok(poll_fn(|cx| transport.poll_flush(cx)).await?)
}

async fn receive<T: Transport>(transport: &mut T) -> Result<BytesMut, Error> {
    let mut record = BytesMut::new();
    match poll_fn(|cx| transport.poll_record(cx, &mut record)).await? {
        Arrival::Record => Ok(record),
        Arrival::End => Err(Error::new(ErrorKind::Detached)),
    }
}

fn late(_: tokio::time::error::Elapsed) -> Error {
    HandshakeError::TimedOut.into()
}

fn locked<V>(mutex: &Mutex<V>) -> std::sync::MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
