//! A socket that is answered: one task for each handshake under way.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::acceptor::{Acceptor, ListenerOptions, Place};
use super::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::limits::{ACCEPT_PAUSE, ACCEPT_TIME, HANDLE_QUEUE, HANDSHAKE_TIME};
use crate::session::{CloseCode, Config, Source};
use crate::transport::{Transport, TransportError, framed};

/// Accepts connections whose peers the configuration admits.
///
/// A stranger costs one place in the gate for 5 s at most, and an HMAC for each knock that is
/// accepted. A connection that finished its handshake, which only admitted peers can, waits 20 s at
/// most for [`Listener::accept`], then it is closed with [`CloseCode::Busy`]; beyond 64 that wait, each
/// keeps its place in the gate too. What peers leave for resumption is kept in memory, shared by all
/// connections of the listener.
///
/// Dropping it stops listening and closes what was not accepted with [`CloseCode::GoingAway`];
/// accepted connections stay.
#[derive(Debug)]
pub struct Listener<T> {
    address: SocketAddr,
    acceptor: Acceptor,
    ready: mpsc::Receiver<Waiting<T>>,
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
        Self::tcp_by(address, Acceptor::new(config, options)?).await
    }

    /// As [`Listener::tcp`], with an acceptor that others use too.
    pub(crate) async fn tcp_by(
        address: impl ToSocketAddrs,
        acceptor: Acceptor,
    ) -> Result<Self, Error> {
        let record_bytes = acceptor.config().record_bytes();
        Self::start(address, acceptor, move |stream| async move {
            Ok(framed::accepted(stream)?.with_record_bytes(record_bytes))
        })
        .await
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
        Self::websocket_by(address, Acceptor::new(config, options)?).await
    }

    /// As [`Listener::websocket`], with an acceptor that others use too.
    pub(crate) async fn websocket_by(
        address: impl ToSocketAddrs,
        acceptor: Acceptor,
    ) -> Result<Self, Error> {
        use crate::transport::websocket;
        let upgrade = acceptor.options().upgrade().clone();
        let upgrade = Arc::new(upgrade.with_record_bytes(acceptor.config().record_bytes()));
        Self::start(address, acceptor, move |stream| {
            let upgrade = Arc::clone(&upgrade);
            async move { websocket::accept(stream, &upgrade, HANDSHAKE_TIME).await }
        })
        .await
    }
}

impl<T: Transport + 'static> Listener<T> {
    async fn start<U, F>(
        address: impl ToSocketAddrs,
        acceptor: Acceptor,
        upgrade: U,
    ) -> Result<Self, Error>
    where
        U: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, TransportError>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.map_err(TransportError::from)?;
        let address = listener.local_addr().map_err(TransportError::from)?;
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
        loop {
            let waiting = self.ready.recv().await;
            let waiting = waiting.ok_or_else(|| Error::new(ErrorKind::Transport))?;
            if let Some(connection) = taken(&waiting.slot) {
                return Ok(connection);
            }
        }
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
    done: mpsc::Sender<Waiting<T>>,
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
                Ok(connection) => offer(connection, place, &done).await,
                Err(error) => tracing::debug!(%address, %error, "no session with this peer"),
            }
        });
    }
}

/// A connection in the queue of a listener.
#[derive(Debug)]
struct Waiting<T> {
    slot: Slot<T>,
    /// Dropped with the rest when it leaves the queue, which its task hears.
    _queued: oneshot::Sender<()>,
}

/// Holds a connection until its acceptor or its task takes it, whichever is first.
type Slot<T> = Arc<Mutex<Option<Connection<T>>>>;

fn taken<T>(slot: &Slot<T>) -> Option<Connection<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Has a connection wait for its acceptor. If nobody takes it, its peer is told when to come back.
async fn offer<T: Transport>(
    connection: Connection<T>,
    place: Place,
    done: &mpsc::Sender<Waiting<T>>,
) {
    let slot = Arc::new(Mutex::new(Some(connection)));
    let (queued, left) = oneshot::channel();
    let waiting = Waiting { slot: Arc::clone(&slot), _queued: queued };
    let wait = async {
        let queued = done.send(waiting).await.is_ok();
        // The place is held until then, so that no more wait here than the gate has places.
        drop(place);
        if queued {
            let _ = left.await; // never sent on: it ends with the other half
        }
    };
    let code = match timeout(ACCEPT_TIME, wait).await {
        Ok(()) => CloseCode::GoingAway,
        Err(_) => CloseCode::Busy,
    };
    if let Some(mut connection) = taken(&slot) {
        tracing::debug!(session = %connection.id(), ?code, "not accepted");
        if let Err(error) = connection.fail(code).await {
            tracing::debug!(session = %connection.id(), %error, "the peer could not be told");
        }
    }
}
