//! One task that drives a connection, and the handles that speak with it.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::{Connection, Step};
use crate::error::{Error, ErrorKind};
use crate::limits::HANDLE_QUEUE;
use crate::session::{CloseCode, Peer};
use crate::transport::Transport;

/// Sends over a connection that its own task drives. Cheap to clone. When all clones are dropped,
/// the connection closes.
#[derive(Clone, Debug)]
pub struct Sender {
    outgoing: mpsc::Sender<Bytes>,
    datagram_bytes: usize,
}

/// Receives from a connection that its own task drives. Dropping it closes the connection.
#[derive(Debug)]
pub struct Receiver {
    incoming: mpsc::Receiver<Bytes>,
    driver: JoinHandle<Result<(), Error>>,
    end: Option<ErrorKind>,
    peer: Peer,
}

impl<T: Transport + 'static> Connection<T> {
    /// Hands the connection to a task of its own. Up to 64 datagrams wait in each direction; a
    /// sender then waits, and so does the socket, until they are taken. While the receiver takes
    /// none, the session's own frames are not read either.
    #[must_use]
    pub fn spawn(self) -> (Sender, Receiver) {
        let (datagram_bytes, peer) = (self.datagram_bytes(), self.peer().clone());
        let (outgoing, queue) = mpsc::channel(HANDLE_QUEUE);
        let (arrivals, incoming) = mpsc::channel(HANDLE_QUEUE);
        let driver = tokio::spawn(drive(self, queue, arrivals));
        (Sender { outgoing, datagram_bytes }, Receiver { incoming, driver, end: None, peer })
    }
}

/// The driver: wait for one thing, do it, and again, until either side is done. What waits to be
/// written keeps nothing from being read, else two ends that both send would wait for each other.
async fn drive<T: Transport>(
    mut connection: Connection<T>,
    mut queue: mpsc::Receiver<Bytes>,
    arrivals: mpsc::Sender<Bytes>,
) -> Result<(), Error> {
    let (mut waiting, mut room) = (None, None);
    let mut writing = Writing::Open;
    loop {
        tokio::select! {
            payload = queue.recv(), if waiting.is_none() && writing == Writing::Open => {
                match payload {
                    Some(payload) => waiting = Some(payload),
                    None => return connection.close().await,
                }
            }
            // Room first, so that nothing is read that cannot be handed over.
            reserved = arrivals.reserve(), if room.is_none() => match reserved {
                Ok(reserved) => room = Some(reserved),
                Err(_) => return connection.close().await,
            },
            () = arrivals.closed() => return connection.close().await,
            step = poll_fn(|cx| connection.poll_step(cx, &mut waiting, room.is_some())) => {
                match step? {
                    Step::Sent => {}
                    // Why, what was sent to us before may say.
                    Step::Refused => {
                        queue.close();
                        writing = Writing::Refused;
                    }
                    Step::Received(Some(datagram)) => {
                        if let Some(room) = room.take() {
                            room.send(datagram);
                        }
                    }
                    Step::Received(None) => return Ok(()),
                }
            }
        }
    }
}

/// Whether the connection still takes what is to be sent.
#[derive(Eq, PartialEq)]
enum Writing {
    Open,
    Refused,
}

impl Sender {
    /// Hands `payload` to the driver, which sends it as one sealed datagram.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] if it does not fit a record, [`ErrorKind::Closed`] once the
    /// connection has ended; [`Receiver::recv`] says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped before it is ready, the datagram was not taken.
    pub async fn send(&self, payload: Bytes) -> Result<(), Error> {
        if payload.len() > self.datagram_bytes {
            return Err(Error::new(ErrorKind::TooLarge));
        }
        let taken = self.outgoing.send(payload).await;
        taken.map_err(|_| Error::closed(CloseCode::Normal))
    }
}

impl Receiver {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The next datagram of the peer; `None` once the connection was closed normally.
    ///
    /// # Errors
    ///
    /// As [`Connection::recv`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: what arrived stays until the next call.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(datagram) = self.incoming.recv().await {
            return Ok(Some(datagram));
        }
        if let Some(end) = self.end {
            return super::connection::outcome(end);
        }
        let ended = (&mut self.driver).await.map_err(|error| {
            Error::with(
                ErrorKind::Closed { code: CloseCode::Internal, retry_after: Default::default() },
                error,
            )
        });
        let normal = ErrorKind::Closed { code: CloseCode::Normal, retry_after: Default::default() };
        let ended = ended.and_then(|outcome| outcome);
        self.end = Some(ended.as_ref().map_or_else(Error::kind, |()| normal));
        ended.map(|()| None)
    }
}
