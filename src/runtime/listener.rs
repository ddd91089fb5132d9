//! A socket that is answered: one task for each handshake under way.

use std::future::Future;
use std::net::SocketAddr;
#[cfg(feature = "websocket")]
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::acceptor::{Acceptor, ListenerOptions};
use super::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::limits::{ACCEPT_PAUSE, HANDLE_QUEUE, HANDSHAKE_TIME};
use crate::session::{Config, Source};
use crate::transport::{Transport, TransportError, framed};

/// Accepts connections whose peers the configuration admits.
///
/// A stranger costs one place in the gate for 5 s at most, and an HMAC for each knock that is
/// accepted; at most 64 connections that finished their handshake wait for [`Listener::accept`], the
/// next ones, which only admitted peers can make, wait in their tasks. What peers leave for resumption is kept in memory, shared by all connections of the listener.
///
/// Dropping it stops listening and drops what was not accepted; accepted connections stay.
#[derive(Debug)]
pub struct Listener<T> {
    address: SocketAddr,
    acceptor: Acceptor,
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
        let upgrade = Arc::new(options.upgrade().clone());
        Self::start(address, config, options, move |stream| {
            let upgrade = Arc::clone(&upgrade);
            async move { websocket::accept(stream, &upgrade, HANDSHAKE_TIME).await }
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
        let acceptor = Acceptor::new(config, options)?;
        let (done, ready) = mpsc::channel(HANDLE_QUEUE);
        let task = tokio::spawn(accept_all(listener, acceptor.clone(), upgrade, done));
        Ok(Self { address, acceptor, ready, task })
    }

    /// Where it listens; with port 0 asked for, the one that was given.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// What answers its handshakes.
    pub fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// The next peer that finished its handshake.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Transport`] once nothing listens any more, as when the runtime shuts down.
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
    acceptor: Acceptor,
    upgrade: U,
    done: mpsc::Sender<Connection<T>>,
) where
    T: Transport + 'static,
    U: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = Result<T, TransportError>> + Send + 'static,
{
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, most likely: let others finish before the next attempt.
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = acceptor.reserve(Source::of(address.ip())) else {
            tracing::debug!(%address, "too many handshakes under way; connection dropped");
            continue;
        };
        let (upgraded, done) = (upgrade(stream), done.clone());
        tokio::spawn(async move {
            // One deadline for both: a place is not held longer for an upgrade before the handshake.
            let handshake = async { place.accept(upgraded.await?).await };
            let late = |late| Err(Error::with(ErrorKind::TimedOut, late));
            match timeout(HANDSHAKE_TIME, handshake).await.unwrap_or_else(late) {
                // The place is held until then, so that no more wait here than the gate has places.
                Ok(connection) => drop(done.send(connection).await),
                Err(error) => tracing::debug!(%address, %error, "no session with this peer"),
            }
        });
    }
}
