//! What a handshake draws at random, and until when it is taken.

use std::sync::Arc;
use std::time::Duration;

use super::rig::{agent_config, at, backend_config, ends_of, identity, seed, start};
use crate::crypto::{Secret, hash};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::LinkId;
use crate::limits::HANDSHAKE_TIME;
use crate::session::chain::InitiatorChain;
use crate::session::{
    Answered, ChainBook, CloseCode, Greeting, HandshakeError, Initiator, Progress, Rid,
};
use crate::time::{Instant, Now};
use crate::wire::Hello;

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
    let header = Header::handshake(RecordType::NoSession, ends.agent.link, TAG_BYTES as u16);
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
