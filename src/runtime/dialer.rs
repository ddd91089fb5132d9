//! The side that dials: one configuration, and the chain that its handshakes continue.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;
use super::shake::{KeptChain, initiate};
use crate::error::Error;
use crate::session::{Config, InitiatorChain};
use crate::transport::{Transport, framed};

/// Opens connections to one peer, each continuing the chain of the last.
///
/// Cheap to clone; clones share the chain. The chain lives in memory: see [`Dialer::chain`] to keep
/// it across restarts.
#[derive(Clone, Debug)]
pub struct Dialer {
    config: Arc<Config>,
    chain: KeptChain,
}

impl Dialer {
    /// A dialer with this configuration and no chain yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), chain: KeptChain::default() }
    }

    /// Continues a chain that was kept.
    #[must_use]
    pub fn with_chain(self, chain: InitiatorChain) -> Self {
        Self { chain: Arc::new(Mutex::new(Some(chain))), ..self }
    }

    /// The chain as it is now, to be kept as a secret.
    #[must_use]
    pub fn chain(&self) -> Option<InitiatorChain> {
        let chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        chain.as_ref().map(InitiatorChain::duplicate)
    }

    /// Shakes hands over a transport of your own; ready once the peer accepted. 5 s at most.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Handshake`] with the cause, [`crate::ErrorKind::TimedOut`],
    /// [`crate::ErrorKind::Transport`], or [`crate::ErrorKind::Detached`] if the peer hung up
    /// without a word, as one does that was not knocked at rightly.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the transport is dropped with it; the chain can be continued by
    /// the next attempt.
    pub async fn connect<T: Transport>(&self, transport: T) -> Result<Connection<T>, Error> {
        initiate(transport, Arc::clone(&self.config), Arc::clone(&self.chain)).await
    }

    /// Dials a WebSocket, `ws://host[:port]/path`. 5 s at most for the upgrade, and 5 for the
    /// handshake. What the URL says is public: nothing secret belongs in it.
    ///
    /// # Errors
    ///
    /// As [`Dialer::connect`].
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
        let deadline = crate::limits::HANDSHAKE_TIME;
        self.connect(crate::transport::websocket::dial(url, deadline).await?).await
    }

    /// Dials TCP, `host:port`.
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
        self.connect(framed::dial(address).await?).await
    }
}
