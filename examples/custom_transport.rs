//! A transport of one's own: records go through two queues of tokio.
//!
//! A transport carries whole records of ciphertext. It needs no keys, and what happens to it says nothing
//! about the link: here the queues are cut in the middle, the agent opens new ones, and the link goes on.
//!
//! `cargo run --example custom_transport`

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, watch};
use waxwire::header::Header;
use waxwire::session::Source;
use waxwire::transport::{Arrival, Transport, TransportError};
use waxwire::{Agent, Backend, Level, LinkEvent, PeerId, Reconnect, Recovery};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

/// Records that wait in one direction.
const DEPTH: usize = 16;

/// One end of two queues.
struct Queues {
    /// A record until there is room for it in the queue.
    waiting: Option<Bytes>,
    out: Option<mpsc::Sender<Bytes>>,
    sending: Option<Sending>,
    back: mpsc::Receiver<Bytes>,
    cut: Cut,
}

/// Room in the queue, on its way.
type Sending = std::pin::Pin<
    Box<dyn Future<Output = Result<mpsc::OwnedPermit<Bytes>, mpsc::error::SendError<()>>> + Send>,
>;
/// Ready once the queues are cut.
type Cut = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Both ends of a transport that ends when `cut` changes.
fn queues(cut: &watch::Sender<u32>) -> (Queues, Queues) {
    let (there, here) = mpsc::channel(DEPTH);
    let (back, home) = mpsc::channel(DEPTH);
    let end = |out, back| {
        let mut cuts = cut.subscribe();
        let cut = Box::pin(async move { drop(cuts.changed().await) });
        Queues { waiting: None, out: Some(out), sending: None, back, cut }
    };
    (end(there, home), end(back, here))
}

impl Queues {
    /// Moves the record that waits into the queue.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.waiting.is_none() {
            return Poll::Ready(Ok(()));
        }
        let Some(out) = &self.out else { return Poll::Ready(Err(TransportError::Closed)) };
        let sending = self.sending.get_or_insert_with(|| Box::pin(out.clone().reserve_owned()));
        let permit = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        match (permit, self.waiting.take()) {
            (Ok(permit), Some(record)) => drop(permit.send(record)),
            _ => return Poll::Ready(Err(TransportError::Closed)),
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for Queues {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.out.is_none() {
            return Poll::Ready(Err(TransportError::Closed));
        }
        self.poll_waiting(cx)
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), TransportError> {
        if self.waiting.is_some() {
            return Err(TransportError::NotReady);
        }
        self.waiting = Some(record);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_waiting(cx)
    }

    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<Arrival, TransportError>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            // Polled to its end once; whoever asks again hears the same.
            self.cut = Box::pin(std::future::ready(()));
            return Poll::Ready(Ok(Arrival::End));
        }
        let Some(record) = ready!(self.back.poll_recv(cx)) else {
            return Poll::Ready(Ok(Arrival::End));
        };
        // What arrives is checked before anyone keeps it: one whole record and no more.
        Header::of_record(&record)?;
        into.extend_from_slice(&record);
        Poll::Ready(Ok(Arrival::Record))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_waiting(cx))?;
        self.out = None;
        Poll::Ready(Ok(()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-7")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let backend = Backend::open(backend_config).await?;
    let mut statuses = backend.subscribe("agent.*.status").await?;

    // The backend answers whatever arrives; a server would call this from its router.
    let (dialled, mut accepting) = mpsc::channel::<Queues>(1);
    let door = backend.clone();
    tokio::spawn(async move {
        while let Some(queues) = accepting.recv().await {
            // Without a place in the gate the other end is told nothing, and dials again.
            let Ok(place) = door.acceptor().reserve(Source::LOCAL) else { continue };
            match place.accept(queues).await.and_then(|connection| door.admit(connection)) {
                Ok(()) => {}
                Err(error) => println!("not admitted: {error}"),
            }
        }
    });

    let (cut, _) = watch::channel(0);
    let opened = Arc::new(Mutex::new(0));
    let soon = Reconnect::new().with_first(Duration::from_millis(50));
    let agent = Agent::builder(id, agent_config).with_reconnect(soon).open().await?;
    let mut events = agent.events();
    let (cuts, count) = (cut.clone(), Arc::clone(&opened));
    agent
        .connect_with(move || {
            let (mine, theirs) = queues(&cuts);
            let dialled = dialled.clone();
            if let Ok(mut opened) = count.lock() {
                *opened += 1;
                println!("agent: opens transport {opened}");
            }
            async move {
                dialled.send(theirs).await.map_err(|_| TransportError::Closed)?;
                Ok(mine)
            }
        })
        .await?;

    for (number, status) in ["all quiet", "a fan is loud", "all quiet again"].iter().enumerate() {
        if number == 1 {
            println!("wire: cut");
            cut.send_modify(|cuts| *cuts += 1);
        }
        let told = agent.publish("status", *status).confirm(Level::Processed).into_future();
        let told = tokio::spawn(told);
        let message = statuses.next().await.ok_or("the backend is closed")?;
        println!("backend: {} says {:?}", message.agent(), message.payload());
        claim(message.payload() == status, "messages are out of order")?;
        message.done();
        println!("agent: {:?}", told.await??.level);
    }
    agent.close().await?;
    let mut recoveries = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let LinkEvent::Connected { recovery, .. } = event {
            recoveries.push(recovery);
        }
    }
    println!("sessions: {recoveries:?}");
    claim(
        matches!(recoveries[..], [Recovery::Fresh, Recovery::Resumed { .. }]),
        "the link did not resume over the second transport",
    )
}
