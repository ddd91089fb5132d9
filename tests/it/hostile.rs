//! What a hostile peer, relay or stranger does to the runtime: peers that do not read, places that
//! are held, handshakes that are repeated.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout};
use waxwire::limits::{
    ACCEPT_TIME, CLOCK_SKEW, CLOSE_TIME, HANDLE_QUEUE, HANDSHAKE_TIME, SESSION_IDLE_TIME,
};
use waxwire::runtime::{Acceptor, Connection, Dialer, Listener, ListenerOptions};
use waxwire::session::{
    Asked, Claim, CloseCode, Config, Continuity, GateLimits, HandshakeError, Initiator, Peer,
    Pinned, Refusal, Source, Verifier,
};
use waxwire::transport::memory::{Memory, pair};
use waxwire::transport::{Arrival, Transport};
use waxwire::{Error, ErrorKind, Role};

use crate::support::{
    AGENT, BACKEND, agent_config, backend_config, fingerprint, identity, peer_id, realm, seed,
    start,
};

const LONG: Duration = Duration::from_secs(3_600);

/// proto-spec [S-16]: silence ends a session, also for a side that is stuck in sending.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_given_up_after_the_idle_time() {
    let (mut agent, _backend) = linked().await;
    let begun = Instant::now();
    let stuck = async {
        loop {
            if let Err(error) = agent.send(b"?").await {
                return error;
            }
        }
    };
    let ended = timeout(LONG, stuck).await.unwrap();
    assert!(matches!(ended.kind(), ErrorKind::Closed { code: CloseCode::TimedOut, .. }));
    assert!(begun.elapsed() <= SESSION_IDLE_TIME + Duration::from_secs(1));
}

/// proto-spec [S-16]: a handle that takes nothing stops no deadline.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nothing_stops_no_deadline() {
    let (agent, mut backend) = linked().await;
    let (sender, _receiver) = agent.spawn();
    for _ in 0..=HANDLE_QUEUE {
        backend.send(b"").await.unwrap();
    }
    let stuck = async { while sender.send(Bytes::new()).await.is_ok() {} };
    assert!(timeout(LONG, stuck).await.is_ok());
}

/// proto-spec: a CLOSE that finds no room at once goes out before the end is reported.
#[tokio::test(start_paused = true)]
async fn the_news_of_an_end_waits_for_room() {
    let (mut agent, mut backend) = expiring().await;
    for _ in 0..HANDLE_QUEUE {
        backend.send(b"").await.unwrap();
    }
    tokio::time::advance(CLOCK_SKEW + Duration::from_secs(1)).await;
    let heard = async {
        let mut datagrams = 0;
        loop {
            match agent.recv().await {
                Ok(_) => datagrams += 1,
                Err(end) => return (datagrams, end.kind()),
            }
        }
    };
    let (ended, heard) = tokio::join!(backend.recv(), heard);
    assert_eq!(ended.unwrap_err().kind(), EXPIRED);
    assert_eq!(heard, (HANDLE_QUEUE, EXPIRED));
}

#[tokio::test(start_paused = true)]
async fn the_news_of_an_end_waits_for_room_no_longer_than_a_close() {
    let (_agent, mut backend) = expiring().await;
    for _ in 0..HANDLE_QUEUE {
        backend.send(b"").await.unwrap();
    }
    tokio::time::advance(CLOCK_SKEW + Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert_eq!(backend.recv().await.unwrap_err().kind(), EXPIRED);
    assert_eq!(begun.elapsed().as_secs(), CLOSE_TIME.as_secs());
}

/// proto-spec: a credential that runs out under traffic ends the session by that name.
#[tokio::test(start_paused = true)]
async fn an_admission_that_runs_out_under_traffic_is_named_to_both_ends() {
    let (mut agent, mut backend) = expiring().await;
    agent.send(b"before").await.unwrap();
    assert_eq!(backend.recv().await.unwrap().unwrap(), "before");
    agent.send(b"after").await.unwrap();
    tokio::time::advance(CLOCK_SKEW + Duration::from_secs(1)).await;
    assert_eq!(backend.recv().await.unwrap_err().kind(), EXPIRED);
    assert_eq!(agent.recv().await.unwrap_err().kind(), EXPIRED);
}

/// proto-spec [H-41]: the deadline counts from the connection, not from the end of its upgrade.
#[tokio::test(start_paused = true)]
async fn a_slow_upgrade_does_not_lengthen_the_handshake() {
    let acceptor = acceptor(GateLimits::default());
    let (_near, far) = pair();
    let begun = Instant::now();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    tokio::time::advance(HANDSHAKE_TIME - Duration::from_secs(1)).await;
    assert_eq!(place.accept(far).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), HANDSHAKE_TIME.as_secs());
}

/// proto-spec: who asks again without the cookie is refused like everyone else.
#[tokio::test(start_paused = true)]
async fn one_connection_gets_one_retry() {
    let mut limits = GateLimits::default();
    limits.half_open = 2;
    let acceptor = acceptor(limits);
    let (mut near, far) = pair();
    let (_, hello) = Initiator::start(Arc::new(agent_config()), None, &seed(1), start()).unwrap();
    for _ in 0..HANDLE_QUEUE {
        near.start_send(hello.clone()).unwrap();
    }
    let refused = acceptor.reserve(Source::LOCAL).unwrap().accept(far).await.unwrap_err();
    assert_eq!(cause(&refused), HandshakeError::CookieInvalid);
    assert_eq!(kinds(&mut near).await, [RETRY, REJECT]);
}

/// What is not taken by the application counts against the prefix it came from.
#[tokio::test]
async fn agents_that_nobody_accepts_keep_their_places() {
    let mut limits = GateLimits::default();
    (limits.half_open_per_prefix, limits.burst) = (4, 1_000);
    let options = ListenerOptions::default().with_gate(limits);
    let listener = Listener::tcp("127.0.0.1:0", backend_config(), &options).await.unwrap();
    let dialer = Dialer::new(agent_config().with_continuity(Continuity::Off));
    let mut connected = Vec::new();
    while let Ok(agent) = dialer.tcp(listener.local_address()).await {
        connected.push(agent);
        assert!(connected.len() <= HANDLE_QUEUE + 4);
    }
    assert!(connected.len() >= HANDLE_QUEUE);
}

/// Nobody drives what waits to be accepted, so it does not wait for long; its peer is told to come
/// back.
#[tokio::test]
async fn what_nobody_accepts_is_closed_with_busy() {
    let mut listener = listener().await;
    let dialer = Dialer::new(agent_config());
    let mut waiting = dialer.tcp(listener.local_address()).await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(closed(waiting.recv().await), CloseCode::Busy);
    assert!((ACCEPT_TIME / 2..=ACCEPT_TIME * 2).contains(&begun.elapsed()));
    tokio::time::resume();
    // It leaves nothing behind for the next one.
    let next = dialer.tcp(listener.local_address()).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().id(), next.id());
}

#[tokio::test]
async fn what_waits_when_the_listener_is_dropped_is_told_so() {
    let listener = listener().await;
    let dialer = Dialer::new(agent_config());
    let mut waiting = dialer.tcp(listener.local_address()).await.unwrap();
    drop(listener);
    assert_eq!(closed(waiting.recv().await), CloseCode::GoingAway);
}

/// proto-spec [C-10]: a clone is what an operator must hear of at the level of production.
#[tokio::test]
async fn a_clone_is_a_warning_in_the_log() {
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || written.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let acceptor = acceptor(GateLimits::default());
    let dialer = Dialer::new(agent_config());
    drop(link(&dialer, &acceptor).await);
    let stolen = dialer.chain(&fingerprint(BACKEND)).unwrap();
    let (mut agent, mut backend) = link(&dialer, &acceptor).await;
    agent.send(b"mine").await.unwrap();
    backend.recv().await.unwrap();
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let clone = Dialer::new(agent_config()).with_chains(Some(stolen), |_| Ok(()));
    let (_, refused) = tokio::join!(clone.connect(near), place.accept(far));
    assert_eq!(cause(&refused.unwrap_err()), HandshakeError::ResumeForked);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("WARN") && text.contains("cloned"), "{text}");
}

const RETRY: u8 = 4;
const REJECT: u8 = 7;
const EXPIRED: ErrorKind =
    ErrorKind::Closed { code: CloseCode::CredentialExpired, retry_after: Duration::ZERO };

/// Admits whom it pins until this very moment, and for the clocks' difference.
struct ForNow(Pinned);

impl Verifier for ForNow {
    fn admit(&self, claim: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal> {
        let peer = self.0.admit(claim, asked)?;
        Ok(Peer { not_after: Some(asked.now), ..peer })
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn listener() -> Listener<waxwire::transport::framed::Framed<tokio::net::TcpStream>> {
    let options = ListenerOptions::default();
    Listener::tcp("127.0.0.1:0", backend_config(), &options).await.unwrap()
}

fn closed(received: Result<Option<Bytes>, Error>) -> CloseCode {
    match received.unwrap_err().kind() {
        ErrorKind::Closed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

fn acceptor(limits: GateLimits) -> Acceptor {
    Acceptor::new(backend_config(), &ListenerOptions::default().with_gate(limits)).unwrap()
}

/// Linked, with an agent whose admission runs out when the difference of clocks has passed.
async fn expiring() -> (Connection<Memory>, Connection<Memory>) {
    let pins = Pinned::one(peer_id("agent"), Role::Agent, fingerprint(AGENT));
    let backend = Config::backend(realm(), identity(BACKEND)).peer(ForNow(pins));
    let acceptor = Acceptor::new(backend, &ListenerOptions::default()).unwrap();
    link(&Dialer::new(agent_config()), &acceptor).await
}

async fn linked() -> (Connection<Memory>, Connection<Memory>) {
    link(&Dialer::new(agent_config()), &acceptor(GateLimits::default())).await
}

async fn link(dialer: &Dialer, acceptor: &Acceptor) -> (Connection<Memory>, Connection<Memory>) {
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (agent, backend) = tokio::join!(dialer.connect(near), place.accept(far));
    (agent.unwrap(), backend.unwrap())
}

/// The types of all records that wait in `pipe`.
async fn kinds(pipe: &mut Memory) -> Vec<u8> {
    let mut kinds = Vec::new();
    loop {
        let mut record = BytesMut::new();
        match std::future::poll_fn(|cx| pipe.poll_record(cx, &mut record)).await {
            Ok(Arrival::Record) => kinds.push(record[0] & 0x0f),
            _ => return kinds,
        }
    }
}

fn cause(error: &Error) -> HandshakeError {
    let source = std::error::Error::source(error).unwrap();
    *source.downcast_ref::<HandshakeError>().unwrap()
}
