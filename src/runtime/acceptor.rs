//! The side that answers, over transports of any origin: what all its handshakes share, and the
//! gate in front of them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::chains::KeptBook;
use super::clock::Clock;
use super::connection::Connection;
use super::entropy::seed;
use super::keep::Keeper;
use super::shake::{Door, respond};
use crate::crypto::PublicKey;
use crate::error::Error;
use crate::limits::HANDSHAKE_TIME;
use crate::session::{ChainBook, Config, CookieKey, Gate, GateLimits, Source, Ticket};
use crate::transport::Transport;

/// What a listener allows besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct ListenerOptions {
    gate: GateLimits,
    #[cfg(feature = "websocket")]
    upgrade: crate::transport::websocket::AcceptOptions,
}

impl ListenerOptions {
    /// Handshakes let through at once and by source. Default: [`GateLimits::default`].
    #[must_use]
    pub fn with_gate(mut self, limits: GateLimits) -> Self {
        self.gate = limits;
        self
    }

    /// What a WebSocket upgrade may say. Default: no browser origin is allowed.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn with_upgrade(mut self, upgrade: crate::transport::websocket::AcceptOptions) -> Self {
        self.upgrade = upgrade;
        self
    }
}

#[cfg(feature = "websocket")]
impl ListenerOptions {
    pub(super) fn upgrade(&self) -> &crate::transport::websocket::AcceptOptions {
        &self.upgrade
    }
}

/// Answers handshakes over transports that its holder brings: behind an HTTP router, in tests, over
/// a pipe of one's own. [`super::Listener`] is one with a socket in front.
///
/// Cheap to clone; clones share the gate and what peers leave for resumption, both in memory.
#[derive(Clone)]
pub struct Acceptor {
    door: Arc<Door>,
    #[cfg(feature = "websocket")]
    options: ListenerOptions,
}

impl Acceptor {
    /// An acceptor with this configuration.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Entropy`] if no cookie key could be drawn.
    pub fn new(config: Config, options: &ListenerOptions) -> Result<Self, Error> {
        Self::with_book(config, options, KeptBook::default(), Clock::new())
    }

    /// The same, with what peers leave for resumption in a store, which gave back `book`: an ACCEPT
    /// waits until its chain is stored, and is not sent if it cannot be.
    pub(crate) fn with_keeper(
        config: Config,
        options: &ListenerOptions,
        book: ChainBook,
        keeper: Keeper,
        clock: Clock,
    ) -> Result<Self, Error> {
        Self::with_book(config, options, KeptBook::stored(book, keeper), clock)
    }

    fn with_book(
        config: Config,
        options: &ListenerOptions,
        book: KeptBook,
        clock: Clock,
    ) -> Result<Self, Error> {
        let gate = Gate::new(CookieKey::new(&seed()?)).with_limits(options.gate);
        let (config, chains, gate) = (Arc::new(config), Arc::new(book), Mutex::new(gate));
        let door = Door { config, chains, gate, clock };
        Ok(Self {
            door: Arc::new(door),
            #[cfg(feature = "websocket")]
            options: options.clone(),
        })
    }

    /// Takes a place for a handshake from `source`, before anything of it is read. Do this as soon
    /// as a connection is there, so that the time an upgrade takes counts.
    ///
    /// # Errors
    ///
    /// [`crate::session::HandshakeError::Busy`] over a bound; drop the connection.
    pub fn reserve(&self, source: Source) -> Result<Place, Error> {
        let mut gate = self.door.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = Some(gate.admit(source, self.door.clock.instant())?);
        let deadline = Instant::now() + HANDSHAKE_TIME;
        Ok(Place { door: Arc::clone(&self.door), source, ticket, deadline })
    }
}

impl Acceptor {
    /// The clock of its handshakes.
    pub(crate) fn clock(&self) -> Clock {
        self.door.clock
    }

    pub(super) fn config(&self) -> &Config {
        &self.door.config
    }

    #[cfg(feature = "websocket")]
    pub(super) fn options(&self) -> &ListenerOptions {
        &self.options
    }

    /// Forgets what `peer` left for resumption: how an operator lets an identity in again that was
    /// refused as cloned, or that lost its chain under
    /// [`crate::session::Continuity::Require`]. Returns whether there was anything.
    pub fn forget(&self, peer: &PublicKey) -> bool {
        self.door.chains.forget(peer)
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("config", &self.door.config).finish_non_exhaustive()
    }
}

/// A place in the gate, given back when dropped, however its handshake ends.
pub struct Place {
    door: Arc<Door>,
    source: Source,
    ticket: Option<Ticket>,
    deadline: Instant,
}

impl Place {
    /// Answers the handshake of whoever is at the other end of `transport`. 5 s at most, counted
    /// from [`Acceptor::reserve`]. Drive the connection soon: nothing of it happens by itself.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Handshake`] with the cause, of which the peer learns nothing;
    /// [`crate::ErrorKind::TimedOut`], [`crate::ErrorKind::Transport`],
    /// [`crate::ErrorKind::Detached`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the transport is dropped with it.
    pub async fn accept<T: Transport>(&self, transport: T) -> Result<Connection<T>, Error> {
        respond(transport, &self.door, self.source, self.deadline).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.door.gate.lock().unwrap_or_else(PoisonError::into_inner).release(ticket);
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("source", &self.source).finish_non_exhaustive()
    }
}
