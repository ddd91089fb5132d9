//! The side that dials: one configuration, and the chains that its handshakes continue.

use std::sync::Arc;

use super::chains::KeptChains;
use super::clock::Clock;
use super::connection::Connection;
use super::keep::Keeper;
use super::shake::{Errand, initiate};
use crate::crypto::Fingerprint;
use crate::error::{Error, ErrorKind};
use crate::limits::HANDSHAKE_TIME;
use crate::session::{Config, InitiatorChain};
use crate::transport::{Transport, framed};

/// Opens connections, each continuing the chain of the last one with the same peer.
///
/// There is one chain for each peer, filed under the key that the peer proved, and it is offered only
/// where it is known beforehand that no other peer will do: where the configuration pins one key, or
/// after [`Dialer::to`]. Under [`crate::session::Roots`], or with several pins, a first connection
/// offers none; name its peer to continue from it:
///
/// ```no_run
/// # async fn example(dialer: waxwire::runtime::Dialer, url: &str) -> Result<(), waxwire::Error> {
/// let first = dialer.websocket(url).await?; // whoever a root vouches for
/// let again = dialer.to(first.peer().key.fingerprint()).websocket(url).await?; // only the same
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; clones share the chains, and shake hands one after the other, because two
/// handshakes that continue one chain look like a cloned identity. A backend that does not answer
/// takes the others' turn for up to 5 s, so give each backend a dialer of its own where that matters.
/// The chains live in memory, at most
/// 64 of them, unless [`Dialer::with_chains`] says where else.
#[derive(Clone)]
pub struct Dialer {
    config: Arc<Config>,
    chains: KeptChains,
    peer: Option<Fingerprint>,
    turn: Arc<tokio::sync::Mutex<()>>,
    clock: Clock,
}

impl Dialer {
    /// A dialer with this configuration and no chain yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (config, chains) = (Arc::new(config), KeptChains::default());
        Self { config, chains, peer: None, turn: Arc::default(), clock: Clock::new() }
    }

    /// Counts time on the clock of a link.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same dialer for one peer: it continues the chain with that peer, and refuses every other,
    /// whatever the configuration trusts. Shares its chains with the dialer it comes from.
    #[must_use]
    pub fn to(&self, peer: Fingerprint) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }

    /// Continues `chains`, those that were stored, one for each peer, and has `keep` store each next
    /// one under its [`InitiatorChain::peer`], in place of the one before: before the message that
    /// moves the peer's, and again once the peer accepted. What `keep` is given is a secret
    /// ([`InitiatorChain::to_bytes`]); when it fails, so does the handshake. It runs on the task that
    /// connects, so it must be quick, or hand over and wait where waiting is fine. Under
    /// [`crate::session::Continuity::Off`] it is never called.
    #[must_use]
    pub fn with_chains(
        self,
        chains: impl IntoIterator<Item = InitiatorChain>,
        keep: impl Fn(&InitiatorChain) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let chains = KeptChains::new(chains, Arc::new(keep));
        Self { chains, turn: Arc::default(), ..self }
    }

    /// Continues `chains`, those that a store gave back, and keeps each next one there: the message that
    /// moves the peer's is sent once it is stored, and the handshake fails if it cannot be.
    #[must_use]
    pub(crate) fn with_keeper(
        self,
        chains: impl IntoIterator<Item = InitiatorChain>,
        keeper: Keeper,
    ) -> Self {
        Self { chains: KeptChains::stored(chains, keeper), turn: Arc::default(), ..self }
    }

    /// The chain with `peer` as it is now, a secret. Whoever goes on from one that is not the latest
    /// is refused as a clone ([`crate::session::HandshakeError::ResumeForked`] at the peer).
    #[must_use]
    pub fn chain(&self, peer: &Fingerprint) -> Option<InitiatorChain> {
        self.chains.get(peer)
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
        let (config, chains) = (Arc::clone(&self.config), self.chains.clone());
        let errand = Errand { config, chains, named: self.peer, clock: self.clock };
        initiate(transport, errand).await
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
        let record_bytes = self.config.record_bytes();
        let dialled = crate::transport::websocket::dial(url, record_bytes, HANDSHAKE_TIME);
        self.connect(dialled.await?).await
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
        self.connect(transport.with_record_bytes(self.config.record_bytes())).await
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("config", &self.config)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
