//! What a dialer does that knows several backends, and what the peer hears when a dialer gives up.

use std::sync::{Arc, Mutex};

use waxwire::runtime::{Acceptor, Connection, Dialer, ListenerOptions};
use waxwire::session::{
    CloseCode, Config, Continuity, HandshakeError, InitiatorChain, Knock, Pinned, Refusal, Source,
};
use waxwire::transport::memory::{Memory, pair};
use waxwire::transport::{Direction, tap};
use waxwire::{Error, ErrorKind, Role, Suite};

use crate::rival::{self, Answerer, Hello, accept};
use crate::support::{AGENT, BACKEND, agent_config, fingerprint, identity, peer_id, realm};
use crate::transport_fixtures::{receive, send};

const OTHER: u8 = 3;

/// proto-spec 05-resumption, 5.1: one chain a peer.
#[tokio::test]
async fn a_chain_is_continued_with_the_backend_that_it_was_made_with() {
    let (one, two) = (acceptor(BACKEND), acceptor(OTHER));
    let dialer = Dialer::new(agent_of_both(Continuity::Require));
    let (to_one, to_two) = (dialer.to(fingerprint(BACKEND)), dialer.to(fingerprint(OTHER)));
    for resumed in [false, true, true] {
        assert_eq!(link(&to_one, &one).await.session().is_resumed(), resumed);
        assert_eq!(link(&to_two, &two).await.session().is_resumed(), resumed);
    }
}

/// Where any of several backends may answer, none is shown another's chain.
#[tokio::test]
async fn a_chain_is_not_offered_where_another_backend_may_answer() {
    let (one, two) = (acceptor(BACKEND), acceptor(OTHER));
    let dialer = Dialer::new(agent_of_both(Continuity::Prefer));
    assert_eq!(offered(&dialer, &one).await, 0);
    assert!(dialer.chain(&fingerprint(BACKEND)).is_some());
    assert_eq!(offered(&dialer, &two).await, 0);
    assert_eq!(offered(&dialer, &one).await, 0);
    assert_eq!(offered(&dialer.to(fingerprint(AGENT)), &one).await, 0);
    assert_eq!(offered(&dialer.to(fingerprint(OTHER)), &two).await, 1);
}

#[tokio::test]
async fn a_dialer_for_one_backend_refuses_the_other() {
    let two = acceptor(OTHER);
    let stored = Arc::new(Mutex::new(0));
    let count = Arc::clone(&stored);
    let dialer = Dialer::new(agent_of_both(Continuity::Prefer)).with_chains(None, move |_| {
        *count.lock().unwrap() += 1;
        Ok(())
    });
    let (near, far) = pair();
    let place = two.reserve(Source::LOCAL).unwrap();
    let to_one = dialer.to(fingerprint(BACKEND));
    let (dialled, accepted) = tokio::join!(to_one.connect(near), place.accept(far));
    assert_eq!(cause(&dialled.unwrap_err()), HandshakeError::Refused(Refusal::OtherPeer));
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Detached);
    assert_eq!(*stored.lock().unwrap(), 0);
}

/// proto-spec [C-12]: also if the dialer could not know whom it would reach.
#[tokio::test]
async fn a_known_backend_without_its_chain_is_refused_where_it_is_required() {
    let one = acceptor(BACKEND);
    let dialer = Dialer::new(agent_of_both(Continuity::Require));
    link(&dialer, &one).await;
    let (near, far) = pair();
    let place = one.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(dialer.connect(near), place.accept(far));
    assert_eq!(cause(&dialled.unwrap_err()), HandshakeError::ResumeUnknown);
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Detached);
    assert!(link(&dialer.to(fingerprint(BACKEND)), &one).await.session().is_resumed());
}

#[tokio::test]
async fn stored_chains_are_filed_under_their_peers_and_continued() {
    let (one, two) = (acceptor(BACKEND), acceptor(OTHER));
    let stored = Arc::new(Mutex::new(std::collections::BTreeMap::new()));
    let store = Arc::clone(&stored);
    let dialer = Dialer::new(agent_of_both(Continuity::Prefer)).with_chains(None, move |chain| {
        store.lock().unwrap().insert(chain.peer(), chain.to_bytes().to_vec());
        Ok(())
    });
    link(&dialer, &one).await;
    link(&dialer, &two).await;
    let files: Vec<_> = stored.lock().unwrap().clone().into_iter().collect();
    assert_eq!(files.len(), 2);
    let read = files.iter().map(|(_, bytes)| InitiatorChain::from_bytes(bytes).unwrap());
    let restarted = Dialer::new(agent_of_both(Continuity::Prefer)).with_chains(read, |_| Ok(()));
    for (backend, acceptor) in [(BACKEND, &one), (OTHER, &two)] {
        let dialer = restarted.to(fingerprint(backend));
        assert!(link(&dialer, acceptor).await.session().is_resumed());
    }
}

/// proto-spec 05-resumption, 5.5: off stores nothing.
#[tokio::test]
async fn nothing_is_kept_where_chains_are_off() {
    let full = |_: &InitiatorChain| Err(std::io::ErrorKind::StorageFull.into());
    let config = agent_config().with_continuity(Continuity::Off);
    let dialer = Dialer::new(config).with_chains(None, full);
    link(&dialer, &acceptor(BACKEND)).await;
    assert!(dialer.chain(&fingerprint(BACKEND)).is_none());
}

/// The backend holds a session from ACCEPT on: it is told that this side gave it up.
#[tokio::test]
async fn a_chain_that_cannot_be_promoted_closes_the_session() {
    let calls = Mutex::new(0);
    let full_at_the_second = move |_: &InitiatorChain| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls < 2 { Ok(()) } else { Err(std::io::ErrorKind::StorageFull.into()) }
    };
    let dialer = Dialer::new(agent_config()).with_chains(None, full_at_the_second);
    let (near, far) = pair();
    let acceptor = acceptor(BACKEND);
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(dialer.connect(near), place.accept(far));
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Store);
    let told = accepted.unwrap().recv().await.unwrap_err().kind();
    assert!(matches!(told, ErrorKind::Closed { code: CloseCode::Internal, .. }), "{told:?}");
}

/// proto-spec [H-39], [X-3]: a backend that does not accept as it must is told before the transport is
/// dropped.
#[tokio::test]
async fn a_backend_that_does_not_accept_is_told_why_the_session_ends() {
    let (near, mut far) = pair();
    let dialer = Dialer::new(agent_config().with_suites(&[Suite::Classical]).unwrap());
    let backend = async {
        let answerer = Answerer::new(BACKEND);
        let hello = receive(&mut far).await.unwrap().unwrap();
        let (reply, replied) = answerer.reply(&hello, &answerer.block());
        send(&mut far, reply.into()).await.unwrap();
        let finish = receive(&mut far).await.unwrap().unwrap();
        let (_, secrets) = replied.read(&finish).unwrap();
        let wrong = rival::data(&secrets.to_initiator, replied.link, 0, &accept([0; 16], 0));
        send(&mut far, wrong.into()).await.unwrap();
        let last = receive(&mut far).await.unwrap();
        assert_eq!(receive(&mut far).await, Ok(None));
        (last, rival::data(&secrets.to_responder, [9; 8], 0, &PROTOCOL_VIOLATION))
    };
    let (dialled, (last, expected)) = tokio::join!(dialer.connect(near), backend);
    let refused = dialled.unwrap_err();
    let code = CloseCode::ProtocolViolation;
    assert!(matches!(refused.kind(), ErrorKind::Closed { code: c, .. } if c == code), "{refused}");
    assert_eq!(last.as_deref(), Some(&expected[..]));
}

/// A CLOSE frame with code 0x8002.
const PROTOCOL_VIOLATION: [u8; 10] = [0x11, 0, 0, 6, 0x80, 0x02, 0, 0, 0, 0];

/// Both backends, behind one knock that both know.
fn agent_of_both(continuity: Continuity) -> Config {
    let pins = Pinned::one(peer_id("one"), Role::Backend, fingerprint(BACKEND));
    let pins = pins.and(peer_id("two"), Role::Backend, fingerprint(OTHER));
    let config = Config::agent(realm(), identity(AGENT)).peer(pins);
    config.with_knock(knock()).unwrap().with_continuity(continuity)
}

fn acceptor(backend: u8) -> Acceptor {
    let pins = Pinned::one(peer_id("agent"), Role::Agent, fingerprint(AGENT));
    let config = Config::backend(realm(), identity(backend)).peer(pins);
    let config = config.with_knock(knock()).unwrap();
    Acceptor::new(config, &ListenerOptions::default()).unwrap()
}

/// How many chains a dialer offers to whoever is at the other end.
async fn offered(dialer: &Dialer, acceptor: &Acceptor) -> usize {
    let hello = Arc::new(Mutex::new(None));
    let (near, far) = pair();
    let seen = Arc::clone(&hello);
    let far = tap(far, move |direction, record| {
        if direction == Direction::Received {
            seen.lock().unwrap().get_or_insert_with(|| record.to_vec());
        }
    });
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let _ = tokio::join!(dialer.connect(near), place.accept(far));
    let hello = hello.lock().unwrap().take().unwrap();
    Hello::parse(&hello).resume.len()
}

async fn link(dialer: &Dialer, acceptor: &Acceptor) -> Connection<Memory> {
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (agent, backend) = tokio::join!(dialer.connect(near), place.accept(far));
    backend.unwrap();
    agent.unwrap()
}

fn knock() -> Knock {
    Knock::secret(&[5; 32])
}

fn cause(error: &Error) -> HandshakeError {
    let source = std::error::Error::source(error).unwrap();
    *source.downcast_ref::<HandshakeError>().unwrap()
}
