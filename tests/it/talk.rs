//! An established pair, stepped through time by its tests.

use std::time::Duration;

use bytes::BytesMut;
use waxwire::Instant;
use waxwire::session::{ChainBook, Config, Continuity, Event, OpenError, Session};

use crate::support::{Handshake, Pair, deliver, pair, pair_of, seed, start};

/// `seconds` after the start.
pub fn at(seconds: u64) -> Instant {
    after(start().instant, seconds)
}

pub fn after(now: Instant, seconds: u64) -> Instant {
    now.after(Duration::from_secs(seconds))
}

/// The default pair, after each end heard the other; nothing waits to be said or noticed.
pub fn confirmed() -> Pair {
    settled(pair())
}

pub fn confirmed_of(agent: Config, backend: Config) -> Pair {
    settled(pair_of(agent, backend))
}

fn settled(mut pair: Pair) -> Pair {
    pair.agent.ping(0);
    exchange(&mut pair, at(0));
    events(&mut pair.agent);
    events(&mut pair.backend);
    pair
}

/// Carries what both ends have to say until neither has more.
pub fn exchange(pair: &mut Pair, now: Instant) {
    for _ in 0..4 {
        deliver(&mut pair.agent, &mut pair.backend, now);
        deliver(&mut pair.backend, &mut pair.agent, now);
    }
    for end in [&mut pair.agent, &mut pair.backend] {
        assert!(!end.poll_transmit(now, &mut BytesMut::new()), "an end never falls silent");
    }
}

/// Runs a whole rekey, with fresh seeds derived from `number`.
pub fn rekey(pair: &mut Pair, now: Instant, number: u8) {
    pair.agent.provide_seed(now, &seed(number));
    exchange(pair, now);
    assert!(events(&mut pair.backend).contains(&Event::WantsSeed));
    pair.backend.provide_seed(now, &seed(number.wrapping_add(1)));
    exchange(pair, now);
    assert!(events(&mut pair.agent).contains(&Event::Rekeyed));
    assert!(events(&mut pair.backend).contains(&Event::Rekeyed));
}

/// Two ends whose handshake is over, before ACCEPT was sent.
pub struct Unaccepted {
    pub agent: Session,
    pub backend: Session,
}

pub fn unaccepted(agent: Config, backend: Config) -> Unaccepted {
    let mut handshake = Handshake::new(agent, backend);
    let mut book = ChainBook::new();
    let (initiator, hello) = handshake.hello();
    let (answered, reply) = handshake.answer(&hello, &book).unwrap();
    let established = *handshake.establish(initiator, &reply).unwrap();
    let accepting = handshake.finish(answered, &established.finish).unwrap();
    let step = accepting.succession();
    let generation = book.advance(step, Continuity::Prefer, handshake.now.unix).unwrap();
    let (backend, _) = accepting.accept(generation, handshake.now);
    Unaccepted { agent: established.session, backend }
}

/// The next record that `from` has to say by itself.
pub fn said(from: &mut Session, now: Instant) -> Option<BytesMut> {
    let mut record = BytesMut::new();
    from.poll_transmit(now, &mut record).then_some(record)
}

/// Opens a record that must be refused; says why.
pub fn refused(to: &mut Session, now: Instant, record: &[u8]) -> OpenError {
    match to.open(now, &mut record.to_vec()) {
        Ok(_) => panic!("a record opened that must not"),
        Err(cause) => cause,
    }
}

pub fn events(of: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| of.poll_event()).collect()
}

/// What of a session's state shows as time: when it must be woken, and whether it lives.
pub fn timers(of: &Session) -> (Option<Instant>, bool, bool) {
    (of.poll_timeout(), of.is_open(), of.is_closed())
}
