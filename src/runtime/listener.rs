//! The side that answers: a socket, a gate in front of it, and one task for each handshake under
//! way.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::entropy::seed;
use super::shake::{Door, respond};
use crate::error::{Error, ErrorKind};
use crate::limits::HANDLE_QUEUE;
use crate::session::{ChainBook, Config, CookieKey, Gate, GateLimits, Source, Ticket};
use crate::time::Instant;
use crate::transport::{Transport, TransportError, framed};

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

/// Accepts connections whose peers the configuration admits.
///
/// A stranger costs one place in the gate for 5 s at most, and one HMAC; at most 64 connections that
/// finished their handshake wait for [`Listener::accept`], the next ones wait in their tasks. What
/// peers leave for resumption is kept in memory, shared by all connections of the listener.
///
/// Dropping it stops listening and drops what was not accepted; accepted connections stay.
#[derive(Debug)]
pub struct Listener<T> {
    address: SocketAddr,
    ready: mpsc::Receiver<Connection<T>>,
    task: JoinHandle<()>,
}

impl Listener<framed::Framed<TcpStream>> {
    /// Listens for plain TCP; records are sealed, the stream is not otherwise wrapped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Transport`] if the address cannot be had.
    pub async fn tcp(
        address: impl ToSocketAddrs,
        config: Config,
        options: &ListenerOptions,
    ) -> Result<Self, Error> {
        Self::start(address, config, options, |stream| async { framed::accepted(stream) }).await
    }
}

#[cfg(feature = "websocket")]
impl Listener<crate::transport::websocket::WebSocket<TcpStream>> {
    /// Listens for WebSocket upgrades, on any path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Transport`] if the address cannot be had.
    pub async fn websocket(
        address: impl ToSocketAddrs,
        config: Config,
        options: &ListenerOptions,
    ) -> Result<Self, Error> {
        use crate::transport::websocket;
        let upgrade = Arc::new(options.upgrade.clone());
        Self::start(address, config, options, move |stream| {
            let upgrade = Arc::clone(&upgrade);
            async move { websocket::accept(stream, &upgrade, crate::limits::HANDSHAKE_TIME).await }
        })
        .await
    }
}

impl<T: Transport + 'static> Listener<T> {
    async fn start<U, F>(
        address: impl ToSocketAddrs,
        config: Config,
        options: &ListenerOptions,
        upgrade: U,
    ) -> Result<Self, Error>
    where
        U: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, TransportError>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.map_err(TransportError::from)?;
        let address = listener.local_addr().map_err(TransportError::from)?;
        let gate = Gate::new(CookieKey::new(&seed()?)).with_limits(options.gate);
        let door = Arc::new(Door {
            config: Arc::new(config),
            chains: Arc::new(Mutex::new(ChainBook::new())),
            gate: Mutex::new(gate),
        });
        let (done, ready) = mpsc::channel(HANDLE_QUEUE);
        let task = tokio::spawn(accept_all(listener, door, upgrade, done));
        Ok(Self { address, ready, task })
    }

    /// Where it listens; with port 0 asked for, the one that was given.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The next peer that finished its handshake.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Transport`] once the socket is lost.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a peer that is ready stays so until the next call.
    pub async fn accept(&mut self) -> Result<Connection<T>, Error> {
        self.ready.recv().await.ok_or_else(|| Error::new(ErrorKind::Transport))
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections for as long as there is someone to hand them to. A handshake that fails was
/// logged where it failed.
async fn accept_all<T, U, F>(
    listener: TcpListener,
    door: Arc<Door>,
    upgrade: U,
    done: mpsc::Sender<Connection<T>>,
) where
    T: Transport + 'static,
    U: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, TransportError>> + Send + 'static,
{
    let clock = super::clock::Clock::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, most likely: let others finish before the next attempt.
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let source = Source::of(address.ip());
        let Some(place) = Place::take(&door, source, clock.instant()) else {
            tracing::debug!(%address, "too many handshakes under way; connection dropped");
            continue;
        };
        let (upgraded, done) = (upgrade(stream), done.clone());
        tokio::spawn(async move {
            let connection = match upgraded.await {
                Ok(transport) => respond(transport, &place.door, source).await,
                Err(error) => Err(error.into()),
            };
            drop(place);
            match connection {
                Ok(connection) => drop(done.send(connection).await),
                Err(error) => tracing::debug!(%address, %error, "no session with this peer"),
            }
        });
    }
}

/// One place in the gate, given back when dropped, however its handshake ends.
struct Place {
    door: Arc<Door>,
    ticket: Option<Ticket>,
}

impl Place {
    fn take(door: &Arc<Door>, source: Source, now: Instant) -> Option<Self> {
        let mut gate = door.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = gate.admit(source, now).ok()?;
        Some(Self { door: Arc::clone(door), ticket: Some(ticket) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.door.gate.lock().unwrap_or_else(PoisonError::into_inner).release(ticket);
        }
    }
}
