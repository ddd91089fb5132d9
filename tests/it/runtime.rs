//! Connections over real transports: what an application sees when all goes well, and when not.

use bytes::Bytes;
use waxwire::runtime::{Acceptor, Connection, Dialer, Listener, ListenerOptions, Receiver, Sender};
use waxwire::session::{CloseCode, Config, HandshakeError, Refusal, Source};
use waxwire::transport::framed::Framed;
use waxwire::transport::memory::{Memory, pair};
use waxwire::transport::{Direction, Transport};
use waxwire::{Error, ErrorKind};

use crate::support::{
    BACKEND, agent_config, backend_config, fingerprint, identity, peer_id, realm,
};

const STRANGER: u8 = 77;
const SILENCE: ErrorKind =
    ErrorKind::Closed { code: CloseCode::TimedOut, retry_after: std::time::Duration::ZERO };

#[tokio::test]
async fn what_is_sent_comes_back_over_a_websocket() {
    let mut listener =
        Listener::websocket("127.0.0.1:0", backend_config(), &options()).await.unwrap();
    let url = format!("ws://{}/link", listener.local_address());
    let dialer = Dialer::new(agent_config());
    let (agent, backend) = tokio::join!(dialer.websocket(&url), listener.accept());
    echoes(agent.unwrap(), backend.unwrap()).await;
}

#[tokio::test]
async fn what_is_sent_comes_back_over_tcp() {
    let mut listener = Listener::tcp("127.0.0.1:0", backend_config(), &options()).await.unwrap();
    let dialer = Dialer::new(agent_config());
    let (agent, backend) = tokio::join!(dialer.tcp(listener.local_address()), listener.accept());
    echoes(agent.unwrap(), backend.unwrap()).await;
}

#[tokio::test]
async fn what_is_sent_comes_back_in_memory() {
    let (agent, backend) = linked().await;
    echoes(agent, backend).await;
}

/// proto-spec [S-18]: the end of a transport is not the end of a session.
#[tokio::test]
async fn a_transport_that_ends_without_a_word_is_detached() {
    let (agent, mut backend) = linked().await;
    drop(agent);
    let lost = backend.recv().await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Detached);
    assert!(lost.is_retryable());
    assert_eq!(backend.recv().await.unwrap_err().kind(), ErrorKind::Detached);
    assert_eq!(backend.send(b"?").await.unwrap_err().kind(), ErrorKind::Detached);
}

#[tokio::test]
async fn a_closed_session_ends_normally_at_the_peer() {
    let (agent, mut backend) = linked().await;
    agent.close().await.unwrap();
    assert_eq!(backend.recv().await.unwrap(), None);
    assert_eq!(backend.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_stranger_is_refused_and_told_nothing_but_that() {
    let (near, far) = pair();
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let pins = waxwire::session::Pinned::one(
        peer_id("backend"),
        waxwire::Role::Backend,
        fingerprint(BACKEND),
    );
    let stranger = Dialer::new(Config::agent(realm(), identity(STRANGER)).peer(pins));
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(stranger.connect(near), place.accept(far));
    let dialled = dialled.unwrap_err();
    assert!(dialled.is_retryable(), "anyone on the path can say no");
    let told = handshake_error(&dialled);
    assert!(matches!(told, HandshakeError::Rejected { code: CloseCode::Refused, .. }), "{told:?}");
    let known = handshake_error(&accepted.unwrap_err());
    assert_eq!(known, HandshakeError::Refused(Refusal::UnknownKey));
}

/// A backend that proves another key than the pinned one needs a person to look.
#[tokio::test]
async fn a_backend_with_another_key_is_not_to_be_tried_again() {
    let (near, far) = pair();
    let door = || waxwire::session::Knock::secret(&[5; 32]);
    let acceptor = Acceptor::new(backend_config().with_knock(door()).unwrap(), &options()).unwrap();
    let pins = waxwire::session::Pinned::one(
        peer_id("backend"),
        waxwire::Role::Backend,
        crate::support::fingerprint(STRANGER),
    );
    let mistaken = Config::agent(realm(), identity(1)).peer(pins).with_knock(door()).unwrap();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let dialer = Dialer::new(mistaken);
    let (dialled, _) = tokio::join!(dialer.connect(near), place.accept(far));
    let refused = dialled.unwrap_err();
    assert_eq!(handshake_error(&refused), HandshakeError::Refused(Refusal::UnknownKey));
    assert!(!refused.is_retryable());
}

/// proto-spec [H-25]: whoever does not know the backend gets no byte in answer.
#[tokio::test]
async fn a_wrong_knock_is_met_with_silence() {
    let (near, far) = pair();
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let pins = waxwire::session::Pinned::one(
        peer_id("backend"),
        waxwire::Role::Backend,
        fingerprint(STRANGER),
    );
    let astray = Dialer::new(Config::agent(realm(), identity(1)).peer(pins));
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(astray.connect(near), place.accept(far));
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Detached);
    assert_eq!(handshake_error(&accepted.unwrap_err()), HandshakeError::BadKnock);
}

/// proto-spec [H-41]: the deadline of a handshake is absolute.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_dropped_at_the_deadline() {
    let (_near, far) = pair();
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let begun = tokio::time::Instant::now();
    let refused = acceptor.reserve(Source::LOCAL).unwrap().accept(far).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), waxwire::limits::HANDSHAKE_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_is_given_up() {
    let (near, _far) = pair();
    let refused = Dialer::new(agent_config()).connect(near).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    assert!(refused.is_retryable());
}

#[tokio::test]
async fn the_second_connection_continues_the_chain_of_the_first() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let dialer = Dialer::new(agent_config());
    let (agent, _backend) = link(&dialer, &acceptor).await;
    assert!(!agent.session().is_resumed());
    let (agent, backend) = link(&dialer, &acceptor).await;
    assert!(agent.session().is_resumed() && backend.session().is_resumed());
}

/// proto-spec [C-8], [C-10]: an agent that stays idle has confirmed its chain all the same, so its
/// predecessor is the sign of a clone.
#[tokio::test]
async fn a_copy_of_an_old_chain_is_a_clone_once_its_successor_was_used() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let dialer = Dialer::new(agent_config());
    let (_agent, _backend) = link(&dialer, &acceptor).await;
    let stolen = dialer.chain(&fingerprint(BACKEND)).unwrap();
    let (_agent, mut backend) = link(&dialer, &acceptor).await;
    tokio::select! {
        biased;
        received = backend.recv() => panic!("the confirmation is no datagram: {received:?}"),
        () = tokio::task::yield_now() => {}
    }
    let clone = Dialer::new(agent_config()).with_chains(Some(stolen), |_| Ok(()));
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(clone.connect(near), place.accept(far));
    assert!(dialled.is_err());
    assert_eq!(handshake_error(&accepted.unwrap_err()), HandshakeError::ResumeForked);
}

/// proto-spec [C-1], [C-2]: the chain is stored before FINISH, and the promoted one after ACCEPT.
#[tokio::test]
async fn a_chain_is_stored_before_it_is_used() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let stored = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let store = std::sync::Arc::clone(&stored);
    let dialer = Dialer::new(agent_config()).with_chains(None, move |chain| {
        store.lock().unwrap().push(chain.to_bytes().to_vec());
        Ok(())
    });
    let (_agent, _backend) = link(&dialer, &acceptor).await;
    let (_agent, _backend) = link(&dialer, &acceptor).await;
    let lengths: Vec<_> = stored.lock().unwrap().iter().map(Vec::len).collect();
    let (one, two) = (1 + 32 + 8 + 32, 1 + 32 + 8 + 64);
    assert_eq!(lengths, [one, one, two, one]);
}

/// proto-spec [C-1]: what cannot be stored is not used.
#[tokio::test]
async fn a_chain_that_cannot_be_stored_ends_the_handshake() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let full = |_: &waxwire::session::InitiatorChain| Err(std::io::ErrorKind::StorageFull.into());
    let dialer = Dialer::new(agent_config()).with_chains(None, full);
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (dialled, accepted) = tokio::join!(dialer.connect(near), place.accept(far));
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(accepted.unwrap_err().kind(), ErrorKind::Detached);
    assert!(dialer.chain(&fingerprint(BACKEND)).is_none());
}

/// An operator lets a forked identity in again by forgetting its chain.
#[tokio::test]
async fn a_forgotten_chain_makes_the_next_handshake_a_first_contact() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let dialer = Dialer::new(agent_config());
    let (_agent, backend) = link(&dialer, &acceptor).await;
    assert!(acceptor.forget(&backend.peer().key));
    assert!(!acceptor.forget(&backend.peer().key));
    let (agent, _backend) = link(&dialer, &acceptor).await;
    assert!(!agent.session().is_resumed());
}

/// proto-spec: nothing dials by itself, and a terminal code says that it should not be done.
#[tokio::test]
async fn a_terminal_close_is_not_to_be_retried() {
    let (mut agent, backend) = linked().await;
    let (_sender, mut receiver) = backend.spawn();
    agent.fail(CloseCode::Revoked).await.unwrap();
    let ended = receiver.recv().await.unwrap_err();
    assert!(matches!(ended.kind(), ErrorKind::Closed { code: CloseCode::Revoked, .. }));
    assert!(!ended.is_retryable());
}

/// proto-spec [P-4]: what a responder refuses while it holds the session is not answered.
#[tokio::test]
async fn a_refused_record_is_not_answered() {
    let (near, far) = pair();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(0));
    let count = std::sync::Arc::clone(&seen);
    let far = waxwire::transport::tap(far, move |direction, _| {
        *count.lock().unwrap() += usize::from(direction == Direction::Sent);
    });
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let mut forger = near;
    let dialer = Dialer::new(agent_config());
    let (agent, backend) = tokio::join!(dialer.connect(&mut forger), place.accept(far));
    let (_, mut backend) = (agent.unwrap(), backend.unwrap());
    let before = *seen.lock().unwrap();
    let stray = [&[0x15, 0, 0, 16][..], &[9; 8], &[0; 12], &[0; 16]].concat();
    forger.start_send(stray.into()).unwrap();
    assert_eq!(backend.recv().await.unwrap_err().kind(), ErrorKind::Tampered);
    assert_eq!(*seen.lock().unwrap(), before);
}

#[tokio::test]
async fn a_place_in_the_gate_is_given_back() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let held: Vec<_> = (0..waxwire::limits::HALF_OPEN_PER_PREFIX)
        .map(|_| acceptor.reserve(Source::LOCAL).unwrap())
        .collect();
    let full = acceptor.reserve(Source::LOCAL).unwrap_err();
    assert_eq!(handshake_error(&full), HandshakeError::Busy);
    drop(held);
    assert!(acceptor.reserve(Source::LOCAL).is_ok());
}

#[tokio::test]
async fn receiving_may_be_interrupted_without_loss() {
    let (mut agent, mut backend) = linked().await;
    for number in 0..100_u8 {
        tokio::select! {
            biased;
            received = backend.recv() => panic!("nothing was sent yet: {received:?}"),
            () = tokio::task::yield_now() => {}
        }
        agent.send(&[number]).await.unwrap();
        assert_eq!(backend.recv().await.unwrap().unwrap(), [number][..]);
    }
}

#[tokio::test]
async fn fresh_keys_are_agreed_on_under_traffic() {
    let (mut agent, mut backend) = linked().await;
    backend.request_rekey();
    agent.request_rekey();
    for number in 0..50_u8 {
        agent.send(&[number]).await.unwrap();
        assert_eq!(backend.recv().await.unwrap().unwrap(), [number][..]);
        backend.send(&[number]).await.unwrap();
        assert_eq!(agent.recv().await.unwrap().unwrap(), [number][..]);
    }
}

#[tokio::test]
async fn what_does_not_fit_a_record_is_refused_and_the_link_goes_on() {
    let (mut agent, backend) = linked().await;
    let refused = agent.send(&vec![0; waxwire::limits::RECORD_BYTES]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert!(!refused.is_retryable());
    echoes(agent, backend).await;
}

/// A dialer and a listener have their transports take what their configurations announce.
#[tokio::test]
async fn records_as_long_as_both_announce_pass_over_sockets() {
    let announced = 40_000;
    let config = |config: Config| config.with_record_bytes(announced).unwrap();
    let dialer = Dialer::new(config(agent_config()));
    let mut tcp = Listener::tcp("127.0.0.1:0", config(backend_config()), &options()).await.unwrap();
    let (agent, backend) = tokio::join!(dialer.tcp(tcp.local_address()), tcp.accept());
    longest_passes(agent.unwrap(), backend.unwrap()).await;
    let mut websocket =
        Listener::websocket("127.0.0.1:0", config(backend_config()), &options()).await.unwrap();
    let url = format!("ws://{}/", websocket.local_address());
    let (agent, backend) = tokio::join!(dialer.websocket(&url), websocket.accept());
    longest_passes(agent.unwrap(), backend.unwrap()).await;
}

/// Found before the first byte, not by the first long record.
#[tokio::test]
async fn a_transport_that_takes_less_than_is_announced_is_refused() {
    let longer = |config: Config| config.with_record_bytes(40_000).unwrap();
    let (near, far) = tokio::io::duplex(1_000);
    let dialled = Dialer::new(longer(agent_config())).connect(Framed::new(near)).await;
    assert_eq!(dialled.unwrap_err().kind(), ErrorKind::Config);
    let acceptor = Acceptor::new(longer(backend_config()), &options()).unwrap();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    assert_eq!(place.accept(Framed::new(far)).await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn handles_speak_with_a_driver_task() {
    let (agent, mut backend) = linked().await;
    let (sender, mut receiver) = agent.spawn();
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(backend.recv().await.unwrap().unwrap(), "one");
    backend.send(b"two").await.unwrap();
    assert_eq!(receiver.recv().await.unwrap().unwrap(), "two");
    let large = Bytes::from(vec![0; waxwire::limits::RECORD_BYTES]);
    assert_eq!(sender.send(large).await.unwrap_err().kind(), ErrorKind::TooLarge);
    drop(sender);
    assert_eq!(backend.recv().await.unwrap(), None);
    assert_eq!(receiver.recv().await.unwrap(), None);
    assert_eq!(receiver.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_driver_whose_peer_vanishes_says_so() {
    let (agent, backend) = linked().await;
    let (sender, mut receiver) = agent.spawn();
    drop(backend);
    assert_eq!(receiver.recv().await.unwrap_err().kind(), ErrorKind::Detached);
    assert!(sender.send(Bytes::new()).await.is_err());
}

/// Neither end reads before it has written, if it is left to: each must do both.
#[tokio::test(start_paused = true)]
async fn two_ends_that_both_send_do_not_wait_for_each_other() {
    let (agent, backend) = linked().await;
    let count = waxwire::limits::HANDLE_QUEUE * 10;
    let (agent, backend) = (agent.spawn(), backend.spawn());
    let exchange = |(sender, mut receiver): (Sender, Receiver)| async move {
        let send = async {
            for _ in 0..count {
                sender.send(Bytes::from_static(b"bulk")).await.unwrap();
            }
        };
        let receive = async {
            for _ in 0..count {
                assert_eq!(receiver.recv().await.unwrap().unwrap(), "bulk");
            }
        };
        tokio::join!(send, receive);
        (sender, receiver)
    };
    let both = async { tokio::join!(exchange(agent), exchange(backend)) };
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), both).await;
    assert!(done.is_ok(), "both drivers wait for the other to read");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_dropped_closes_the_connection() {
    let (agent, mut backend) = linked().await;
    let (_sender, receiver) = agent.spawn();
    drop(receiver);
    assert_eq!(backend.recv().await.unwrap(), None);
}

/// A peer that takes nothing cannot keep this side from closing.
#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_taken_is_given_up() {
    let (mut agent, _backend) = linked().await;
    let stuffed = async { while agent.send(b"bulk").await.is_ok() {} };
    assert!(tokio::time::timeout(waxwire::limits::CLOSE_TIME, stuffed).await.is_err());
    assert_eq!(agent.close().await.unwrap_err().kind(), ErrorKind::TimedOut);
}

/// proto-spec [S-16]: who only sends is held to the deadlines of the session too.
#[tokio::test(start_paused = true)]
async fn a_session_that_only_sends_ends_when_nothing_was_heard() {
    let (mut agent, _backend) = linked().await;
    tokio::time::advance(waxwire::limits::SESSION_IDLE_TIME).await;
    let ended = agent.send(b"anyone?").await.unwrap_err();
    assert_eq!(ended.kind(), SILENCE);
}

/// proto-spec: a peer that was silent, but reads, hears why it is over.
#[tokio::test(start_paused = true)]
async fn a_peer_that_was_silent_for_too_long_is_told() {
    let (mut agent, mut backend) = linked().await;
    tokio::time::advance(waxwire::limits::SESSION_IDLE_TIME / 2).await;
    agent.send(b"anyone?").await.unwrap();
    assert_eq!(backend.recv().await.unwrap().unwrap(), "anyone?");
    tokio::time::advance(waxwire::limits::SESSION_IDLE_TIME / 2).await;
    assert_eq!(agent.recv().await.unwrap_err().kind(), SILENCE);
    drop(agent);
    assert_eq!(backend.recv().await.unwrap_err().kind(), SILENCE);
}

/// proto-spec [C-4]: handshakes of one dialer go on from one another.
#[tokio::test]
async fn connections_dialled_at_once_do_not_fork_their_chain() {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    let dialer = Dialer::new(agent_config());
    let ((first, _one), (second, _two)) =
        tokio::join!(link(&dialer, &acceptor), link(&dialer, &acceptor));
    assert!(!first.session().is_resumed());
    assert!(second.session().is_resumed());
}

#[tokio::test]
async fn an_address_that_cannot_be_dialled_is_not_tried_again() {
    let dialer = Dialer::new(agent_config());
    for url in ["wss://127.0.0.1/", "http://127.0.0.1/", "ws://user@127.0.0.1/"] {
        let refused = dialer.websocket(url).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config, "{url}");
        assert!(!refused.is_retryable());
    }
}

fn options() -> ListenerOptions {
    ListenerOptions::default()
}

async fn linked() -> (Connection<Memory>, Connection<Memory>) {
    let acceptor = Acceptor::new(backend_config(), &options()).unwrap();
    link(&Dialer::new(agent_config()), &acceptor).await
}

async fn link(dialer: &Dialer, acceptor: &Acceptor) -> (Connection<Memory>, Connection<Memory>) {
    let (near, far) = pair();
    let place = acceptor.reserve(Source::LOCAL).unwrap();
    let (agent, backend) = tokio::join!(dialer.connect(near), place.accept(far));
    (agent.unwrap(), backend.unwrap())
}

async fn longest_passes<T: Transport>(mut agent: Connection<T>, mut backend: Connection<T>) {
    let payload = vec![7; agent.datagram_bytes()];
    assert!(payload.len() > 39_000);
    agent.send(&payload).await.unwrap();
    assert_eq!(backend.recv().await.unwrap().unwrap(), payload);
    backend.send(&payload).await.unwrap();
    assert_eq!(agent.recv().await.unwrap().unwrap(), payload);
}

async fn echoes<T, U>(mut agent: Connection<T>, mut backend: Connection<U>)
where
    T: waxwire::transport::Transport,
    U: waxwire::transport::Transport,
{
    assert_eq!(agent.peer().id, peer_id("backend"));
    assert_eq!(backend.peer().id, peer_id("agent"));
    assert_eq!(agent.id(), backend.id());
    for payload in [&b"hello"[..], b"", &[7; 16_000]] {
        agent.send(payload).await.unwrap();
        let heard = backend.recv().await.unwrap().unwrap();
        backend.send(&heard).await.unwrap();
        assert_eq!(agent.recv().await.unwrap().unwrap(), payload);
    }
    agent.close().await.unwrap();
    assert_eq!(backend.recv().await.unwrap(), None);
}

fn handshake_error(error: &Error) -> HandshakeError {
    let source = std::error::Error::source(error).unwrap();
    *source.downcast_ref::<HandshakeError>().unwrap()
}
