//! Both ends of a session in one place, and a peer that seals whatever it likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use crate::crypto::{Identity, Seed};
use crate::header::HEADER_BYTES;
use crate::ids::{PeerId, Realm, Role};
use crate::session::{
    ChainBook, CloseCode, Config, Continuity, Event, Greeting, Initiator, OpenError, Opened, Order,
    Pinned, Progress, Session,
};
use crate::time::{Instant, Now, UnixTime};

pub(crate) struct Ends {
    pub agent: Session,
    pub backend: Session,
}

pub(crate) fn seed(number: u8) -> Seed {
    Seed::dangerous_reproducible([number; 32])
}

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(seed(number))
}

pub(crate) fn start() -> Now {
    Now { instant: at(0), unix: UnixTime::from_secs(1_800_000_000) }
}

/// `seconds` after the start.
pub(crate) fn at(seconds: u64) -> Instant {
    Instant::from_nanos(1).after(Duration::from_secs(seconds))
}

pub(crate) fn realm() -> Realm {
    Realm::new("test").unwrap()
}

pub(crate) fn agent_config() -> Config {
    let backend = identity(2).public_key().fingerprint();
    let pins = Pinned::one(PeerId::new("backend").unwrap(), Role::Backend, backend);
    Config::agent(realm(), identity(1)).peer(pins)
}

pub(crate) fn backend_config() -> Config {
    let agent = identity(1).public_key().fingerprint();
    let pins = Pinned::one(PeerId::new("agent").unwrap(), Role::Agent, agent);
    Config::backend(realm(), identity(2)).peer(pins)
}

/// Both ends after ACCEPT was delivered and confirmed.
pub(crate) fn ends() -> Ends {
    settled(ends_of(agent_config(), backend_config()))
}

pub(crate) fn settled(mut ends: Ends) -> Ends {
    talk(&mut ends, at(0));
    ends.agent.ping(0);
    talk(&mut ends, at(0));
    while ends.agent.poll_event().is_some() || ends.backend.poll_event().is_some() {}
    ends
}

/// Both ends right after the handshake: ACCEPT waits at the backend.
pub(crate) fn ends_of(agent: Config, backend: Config) -> Ends {
    let (now, mut book) = (start(), ChainBook::new());
    let (initiator, hello) = Initiator::start(Arc::new(agent), None, &seed(11), now).unwrap();
    let greeting = Greeting::receive(Arc::new(backend), &hello, now.instant).unwrap();
    let (answered, reply) = greeting.answer(&book, &seed(12), now).unwrap();
    let Progress::Done(done) = initiator.handle(&mut reply.to_vec(), now).unwrap() else {
        panic!("no RETRY was sent")
    };
    let accepting = answered.finish(&mut done.finish.to_vec(), now).unwrap();
    let step = accepting.succession();
    let generation = book.advance(step, Continuity::Prefer, now.unix).unwrap();
    let (backend, _) = accepting.accept(generation, now);
    Ends { agent: done.session, backend }
}

/// Carries what both ends have to say by themselves until neither has more.
pub(crate) fn talk(ends: &mut Ends, now: Instant) {
    for _ in 0..16 {
        let agent = carry(&mut ends.agent, &mut ends.backend, now);
        let backend = carry(&mut ends.backend, &mut ends.agent, now);
        if agent + backend == 0 {
            return;
        }
    }
    panic!("the two ends never fall silent");
}

/// Carries what `from` has to say by itself; returns how many records that took.
pub(crate) fn carry(from: &mut Session, to: &mut Session, now: Instant) -> usize {
    let mut records = 0;
    let mut record = BytesMut::new();
    while from.poll_transmit(now, &mut record) {
        to.open(now, &mut record).unwrap();
        record.clear();
        records += 1;
        assert!(records < 16, "a session never falls silent");
    }
    records
}

/// The next record that `from` has to say by itself.
pub(crate) fn transmit(from: &mut Session, now: Instant) -> Option<BytesMut> {
    let mut record = BytesMut::new();
    from.poll_transmit(now, &mut record).then_some(record)
}

pub(crate) fn datagram(from: &mut Session, now: Instant, payload: &[u8]) -> BytesMut {
    let mut record = BytesMut::new();
    from.seal_datagram(now, payload, &mut record).unwrap();
    record
}

/// Seals `plaintext` as it is, under `from`'s keys and at its next position.
pub(crate) fn forge(from: &mut Session, plaintext: &[u8]) -> BytesMut {
    let mut record = BytesMut::zeroed(HEADER_BYTES);
    record.extend_from_slice(plaintext);
    let tag = from.sending.seal(from.remote, at(0), &mut record);
    record.extend_from_slice(&tag);
    record
}

/// A frame: type, flags, length, body.
pub(crate) fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, flags], &length[..], body].concat()
}

pub(crate) fn datagrams(opened: &Opened<'_>) -> Vec<Vec<u8>> {
    opened.datagrams().map(<[u8]>::to_vec).collect()
}

pub(crate) fn open(to: &mut Session, record: &BytesMut) -> Result<Vec<Vec<u8>>, OpenError> {
    to.open(at(0), &mut record.to_vec()).map(|opened| datagrams(&opened))
}

pub(crate) fn events(of: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| of.poll_event()).collect()
}

/// Asserts that `ended` ended with `code`, tells the peer so in one record, and says no more.
pub(crate) fn assert_ends(ended: &mut Session, peer: &mut Session, code: CloseCode) {
    assert!(events(ended).contains(&Event::Ended(code)));
    let close = transmit(ended, at(0)).expect("a CLOSE");
    peer.attach(Order::Window);
    assert_eq!(open(peer, &close), Ok(vec![]));
    let told = Event::ClosedByPeer { code, retry_after: Duration::ZERO };
    assert!(events(peer).contains(&told));
    assert!(ended.is_closed() && transmit(ended, at(0)).is_none());
    assert_eq!(ended.open(at(0), &mut []).map(|_| ()), Err(OpenError::Closed));
}
