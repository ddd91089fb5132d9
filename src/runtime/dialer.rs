//! The side that dials: one configuration, and the chain that its handshakes continue.

use std::sync::Arc;

use super::connection::Connection;
use super::shake::{KeptChain, initiate};
use crate::error::{Error, ErrorKind};
use crate::limits::HANDSHAKE_TIME;
use crate::session::{Config, InitiatorChain};
use crate::transport::{Transport, framed};

/// Opens connections to one peer, each continuing the chain of the last.
///
/// Cheap to clone; clones share the chain, and shake hands one after the other, because two
/// handshakes that continue one chain look like a cloned identity. The chain lives in memory unless
/// [`Dialer::with_chain`] says where else.
#[derive(Clone)]
pub struct Dialer {
    config: Arc<Config>,
    chain: KeptChain,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Dialer {
    /// A dialer with this configuration and no chain yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), chain: KeptChain::new(None, None), turn: Arc::default() }
    }

    /// Continues `chain`, if one was stored, and has `keep` store each next one: before the message
    /// that moves the backend's, and again once the backend accepted. What `keep` is given is a
    /// secret ([`InitiatorChain::to_bytes`]); when it fails, so does the handshake. It runs on the
    /// task that connects, so it must be quick, or hand over and wait where waiting is fine.
    #[must_use]
    pub fn with_chain(
        self,
        chain: Option<InitiatorChain>,
        keep: impl Fn(&InitiatorChain) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { chain: KeptChain::new(chain, Some(Arc::new(keep))), turn: Arc::default(), ..self }
    }

    /// The chain as it is now, a secret. Whoever goes on from one that is not the latest is refused
    /// as a clone ([`crate::session::HandshakeError::ResumeForked`] at the backend).
    #[must_use]
    pub fn chain(&self) -> Option<InitiatorChain> {
        self.chain.get()
    }

    /// Shakes hands over a transport of your own; ready once the peer accepted. 5 s at most, from
    /// when no other handshake of this dialer is under way.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Handshake`] with the cause, [`crate::ErrorKind::TimedOut`],
    /// [`crate::ErrorKind::Transport`], [`crate::ErrorKind::Store`] if the chain could not be
    /// kept, [`crate::ErrorKind::Closed`] if a peer that proved itself then broke the protocol, or
    /// [`crate::ErrorKind::Detached`] if the peer hung up without a word, as one does that
    /// was not knocked at rightly.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the transport is dropped with it; the chain can be continued by
    /// the next attempt.
    pub async fn connect<T: Transport>(&self, transport: T) -> Result<Connection<T>, Error> {
        // proto-spec [C-4]: one handshake at a time goes on from a chain.
        let _turn = self.turn.lock().await;
        initiate(transport, Arc::clone(&self.config), self.chain.clone()).await
    }

    /// Dials a WebSocket, `ws://host[:port]/path`. 5 s at most for the upgrade, and 5 for the
    /// handshake. What the URL says is public: nothing secret belongs in it.
    ///
    /// # Errors
    ///
    /// As [`Dialer::connect`], and [`crate::ErrorKind::Config`] if the URL cannot be dialled.
    ///
    /// # Cancel safety
    ///
    /// As [`Dialer::connect`].
    #[cfg(feature = "websocket")]
    pub async fn websocket(
        &self,
        url: &str,
    ) -> Result<Connection<crate::transport::websocket::WebSocket<tokio::net::TcpStream>>, Error>
    {
        self.connect(crate::transport::websocket::dial(url, HANDSHAKE_TIME).await?).await
    }

    /// Dials TCP, `host:port`. 5 s at most until the socket is open, and 5 for the handshake.
    ///
    /// # Errors
    ///
    /// As [`Dialer::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Dialer::connect`].
    pub async fn tcp(
        &self,
        address: impl tokio::net::ToSocketAddrs,
    ) -> Result<Connection<framed::Framed<tokio::net::TcpStream>>, Error> {
        let dialled = tokio::time::timeout(HANDSHAKE_TIME, framed::dial(address)).await;
        let transport = dialled.map_err(|late| Error::with(ErrorKind::TimedOut, late))??;
        self.connect(transport).await
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("config", &self.config).finish_non_exhaustive()
    }
}
