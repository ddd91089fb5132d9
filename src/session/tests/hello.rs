//! What a handshake draws at random, and until when it is taken.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{agent_config, at, backend_config, ends_of, identity, seed, start};
use crate::crypto::{Secret, hash};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::{Generation, LinkId};
use crate::limits::HANDSHAKE_TIME;
use crate::session::chain::InitiatorChain;
use crate::session::{
    Answered, ChainBook, CloseCode, Continuity, Greeting, HandshakeError, Initiator, Progress, Rid,
    Succession,
};
use crate::time::{Instant, Now};
use crate::wire::{Hello, Reply};

/// proto-spec [V-1]: one reserved version and one reserved suite, other ones from time to time. No
/// link is the one that means none.
#[test]
fn a_hello_greases_and_names_a_link() {
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..32 {
        let (_, hello) =
            Initiator::start(Arc::new(agent_config()), None, &seed(number), start()).unwrap();
        let hello = Hello::decode(&hello[HEADER_BYTES..]).unwrap();
        let reserved = |version: &&u8| **version & 0x0f == 0x0a && **version >= 0x1a;
        assert_eq!(hello.versions.iter().filter(reserved).count(), 1, "{:?}", hello.versions);
        let reserved = |suite: &u16| *suite & 0x0f0f == 0x0a0a;
        let suites: Vec<_> = hello.suites().filter(reserved).collect();
        assert_eq!(suites.len(), 1);
        assert!(suites[0] < 0x8000, "it serves as an extension too, and is not critical");
        assert_eq!(hello.link[0] & 1, 1);
        assert_ne!(LinkId(hello.link), LinkId::NONE);
        seen.insert((suites, hello.versions.to_vec()));
    }
    assert_eq!(seen.len(), 8, "three bits are drawn");
}

/// proto-spec 03-handshake, 3.8: replicas of one responder agree on what a cookie vouches for.
#[test]
fn a_cookie_vouches_for_what_the_page_says() {
    let (config, peer) = (Arc::new(agent_config()), identity(2).public_key().clone());
    let [newest, before] = [5, 6].map(|byte| Secret::new([byte; 32]));
    let rids = [&newest, &before].map(|secret| Rid::of(secret).0).concat();
    let chain = InitiatorChain::extended(&peer, newest, Some(&before), start().unix);
    for (chain, offered) in [(Some(chain), [&[2][..], &rids].concat()), (None, vec![0])] {
        let (_, hello) = Initiator::start(Arc::clone(&config), chain, &seed(11), start()).unwrap();
        let greeting = Greeting::receive(Arc::new(backend_config()), &hello, at(0)).unwrap();
        let body = &hello[HEADER_BYTES..];
        let read = Hello::decode(body).unwrap();
        assert_eq!(body[read.marks.resume], offered[0], "the list begins with its count");
        let front = &body[..read.marks.resume];
        let statement = hash(&[front, &offered, read.extensions.bytes()]);
        assert_eq!(greeting.cookie_statement(), statement.0);
    }
}

/// Where a rejection goes is what the HELLO says, known as soon as it is read.
#[test]
fn each_step_knows_both_links() {
    let (_, hello) = Initiator::start(Arc::new(agent_config()), None, &seed(11), start()).unwrap();
    let link = LinkId(Hello::decode(&hello[HEADER_BYTES..]).unwrap().link);
    assert_eq!(Greeting::link_of(&hello), link);
    assert_eq!(Greeting::link_of(&hello[..hello.len() - 1]), LinkId::NONE);
    let greeting = Greeting::receive(Arc::new(backend_config()), &hello, at(0)).unwrap();
    assert_eq!(greeting.link(), link);
    let (answered, reply) = greeting.answer(&ChainBook::new(), &seed(12), start()).unwrap();
    assert_eq!(answered.remote(), link);
    assert_eq!(Header::decode(&reply).map(|header| header.link), Ok(link));
    let told = Reply::decode(&reply[HEADER_BYTES..]).unwrap().link;
    assert_eq!(answered.link(), LinkId(told));
    assert_ne!(answered.link(), LinkId::NONE);
}

/// proto-spec [C-5], [C-9]: both chains that an initiator may hold are found, in its order, unless
/// this side takes none.
#[test]
fn a_chain_that_the_book_has_is_resumed_unless_chains_are_off() {
    let peer = identity(2).public_key().clone();
    let secret = |byte| Secret::new([byte; 32]);
    for (known, continuity, resumed) in [
        (5, Continuity::Prefer, Some(0)),
        (6, Continuity::Prefer, Some(1)),
        (7, Continuity::Prefer, None),
        (5, Continuity::Off, None),
    ] {
        let mut book = ChainBook::new();
        let peer_bytes = identity(1).public_key().to_bytes();
        let step = Succession { peer: peer_bytes, newest: secret(known), resumed: None };
        book.advance(step, Continuity::Prefer, start().unix).unwrap();
        let chain = InitiatorChain::extended(&peer, secret(5), Some(&secret(6)), start().unix);
        let (agent, backend) = (Arc::new(agent_config()), backend_config());
        let backend = Arc::new(backend.with_continuity(continuity));
        let (initiator, hello) = Initiator::start(agent, Some(chain), &seed(11), start()).unwrap();
        let greeting = Greeting::receive(backend, &hello, at(0)).unwrap();
        let (answered, reply) = greeting.answer(&book, &seed(12), start()).unwrap();
        assert_eq!(Reply::decode(&reply[HEADER_BYTES..]).unwrap().resumed, resumed);
        let Ok(Progress::Done(done)) = initiator.handle(&mut reply.to_vec(), start()) else {
            panic!("a chain that both know, or none")
        };
        let accepting = answered.finish(&mut done.finish.to_vec(), start()).unwrap();
        assert_eq!(accepting.succession().resumed.is_some(), resumed.is_some());
        assert_eq!(accepting.succession().peer, peer_bytes);
        let (session, _) = accepting.accept(Generation::default(), start());
        let both = [session.is_resumed(), done.session.is_resumed()];
        assert_eq!(both, [resumed.is_some(); 2]);
    }
}

/// proto-spec [H-28], [H-31], [H-35]: what may answer a HELLO besides REPLY.
#[test]
fn a_hello_is_answered_by_one_retry_or_a_reject() {
    let (config, now) = (Arc::new(agent_config()), start());
    let (initiator, hello) = Initiator::start(Arc::clone(&config), None, &seed(11), now).unwrap();
    let greeting = Greeting::receive(Arc::new(backend_config()), &hello, at(0)).unwrap();
    assert_eq!(greeting.cookie(), b"");
    let retry = greeting.retry(&[9; 21]);
    let Ok(Progress::Again(again, second)) = initiator.handle(&mut retry.to_vec(), now) else {
        panic!("one RETRY is legal")
    };
    let greeting = Greeting::receive(Arc::new(backend_config()), &second, at(0)).unwrap();
    assert_eq!(greeting.cookie(), [9; 21]);
    let twice = again.handle(&mut retry.to_vec(), now).map(|_| ());
    assert_eq!(twice, Err(HandshakeError::MalformedRetry));

    let handled = |record: &[u8]| {
        let (initiator, _) = Initiator::start(Arc::clone(&config), None, &seed(11), now).unwrap();
        initiator.handle(&mut record.to_vec(), now).map(|_| ())
    };
    let reject = HandshakeError::Busy.rejection(greeting.link()).unwrap();
    let (code, retry_after) = (CloseCode::Busy, Duration::from_secs(1));
    assert_eq!(handled(&reject), Err(HandshakeError::Rejected { code, retry_after }));
    let mut other = reject;
    let header = Header::handshake(
        RecordType::NoSession,
        greeting.link(),
        u16::try_from(TAG_BYTES).unwrap(),
    );
    other[..HEADER_BYTES].copy_from_slice(&header.encode());
    assert_eq!(handled(&other), Err(HandshakeError::UnexpectedRecord));
    assert_eq!(handled(&hello), Err(HandshakeError::UnexpectedRecord));
}

/// Each side takes the other's message up to its deadline, and not a nanosecond longer.
#[test]
fn a_message_is_taken_until_the_deadline() {
    let deadline = at(0).after(HANDSHAKE_TIME);
    for (late, expected) in [(0, None), (1, Some(HandshakeError::TimedOut))] {
        let now = Now { instant: Instant::from_nanos(deadline.as_nanos() + late), ..start() };
        let (initiator, answered, reply) = answered();
        assert_eq!((initiator.deadline(), answered.deadline()), (deadline, deadline));
        let progress = initiator.handle(&mut reply.clone(), now);
        assert_eq!(progress.err(), expected);
        let (initiator, answered, reply) = self::answered();
        let Ok(Progress::Done(done)) = initiator.handle(&mut reply.clone(), start()) else {
            panic!("no RETRY was sent")
        };
        assert_eq!(answered.finish(&mut done.finish.to_vec(), now).err(), expected);
    }
}

/// Where ACCEPT must come, a REJECT for this link is a refusal, and nothing else is anything.
#[test]
fn a_refusal_of_finish_is_told_from_noise() {
    let ends = ends_of(agent_config(), backend_config());
    let record = |link| HandshakeError::Busy.rejection(link).unwrap();
    let (code, retry_after) = (CloseCode::Busy, Duration::from_secs(1));
    let refused = HandshakeError::Rejected { code, retry_after };
    assert_eq!(ends.agent.refusal(&record(ends.agent.link)), refused);
    let noise = HandshakeError::UnexpectedRecord;
    assert_eq!(ends.agent.refusal(&record(ends.backend.link)), noise);
    let mut other = record(ends.agent.link);
    let header = Header::handshake(
        RecordType::NoSession,
        ends.agent.link,
        u16::try_from(TAG_BYTES).unwrap(),
    );
    other[..HEADER_BYTES].copy_from_slice(&header.encode());
    assert_eq!(ends.agent.refusal(&other), noise);
    assert_eq!(ends.agent.refusal(&[]), noise);
}

fn answered() -> (Initiator, Answered, Vec<u8>) {
    let (initiator, hello) =
        Initiator::start(Arc::new(agent_config()), None, &seed(11), start()).unwrap();
    let greeting = Greeting::receive(Arc::new(backend_config()), &hello, at(0)).unwrap();
    let (answered, reply) = greeting.answer(&ChainBook::new(), &seed(12), start()).unwrap();
    (initiator, answered, reply.to_vec())
}
