//! What a session allocates: nothing for a record, and for bytes that nobody vouched for no more
//! than they are worth. A binary of its own, because it counts with the global allocator.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops where it fails, and its modules are its own"
)]

#[path = "it/support.rs"]
#[allow(dead_code, reason = "the other binary uses all of it")]
mod support;

use std::sync::Arc;

use allocation_counter::measure;
use bytes::BytesMut;
use proptest::prelude::*;
use waxwire::header::Header;
use waxwire::session::{
    ChainBook, Credential, Enrolment, Greeting, InitiatorChain, Order, Session,
};
use waxwire::{Identity, Instant, Suite};

use crate::support::{Handshake, Pair, agent_config, backend_config, pair, sealed, start};

/// Sealing and opening a record allocates nothing. A step to the next key, once in 4096 records,
/// allocates that key, its nonce base and its contexts at both ends.
#[test]
fn a_record_allocates_nothing() {
    for (bytes, cycles) in [(64, 10_000), (1_024, 5_000), (16_000, 500)] {
        let mut pair = pair();
        let (payload, now) = (vec![7; bytes], start().instant);
        let mut record = BytesMut::with_capacity(17_000);
        let (mut steps, mut epoch) = (0, 0);
        let mut cycle = |pair: &mut Pair| {
            record.clear();
            pair.agent.seal_datagram(now, &payload, &mut record).unwrap();
            let header = Header::decode(&record).unwrap();
            let opened = pair.backend.open(now, &mut record).unwrap().datagrams().count();
            assert_eq!(opened, 1);
            header.epoch
        };
        for _ in 0..100 {
            cycle(&mut pair);
        }
        for number in 0..cycles {
            let mut sealed_in = 0;
            let counted = measure(|| sealed_in = cycle(&mut pair));
            if sealed_in == epoch {
                assert_eq!(counted.count_total, 0, "record {number} of {bytes} bytes");
            } else {
                assert!(counted.count_total <= 8, "step to epoch {sealed_in}: {counted:?}");
                (steps, epoch) = (steps + 1, sealed_in);
                acknowledge(&mut pair, now);
            }
        }
        assert_eq!(steps, cycles / 4_096, "a step is once in 4096 records");
    }
}

/// A record that is refused allocates nothing.
#[test]
fn a_refused_record_allocates_nothing() {
    let mut pair = pair();
    pair.backend.attach(Order::Window);
    let mut forged = sealed(&mut pair.agent, start().instant, &[7; 1_000]);
    forged[600] ^= 1;
    let mut record = forged.clone();
    let counted = measure(|| {
        for _ in 0..1_000 {
            record.copy_from_slice(&forged);
            pair.backend.open(start().instant, &mut record).unwrap_err();
        }
    });
    assert_eq!(counted.count_total, 0);
}

/// Guards the tests above: the allocator does count.
#[test]
fn an_allocation_is_counted() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8; 100]))).bytes_total, 100);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever comes before or under authentication, what is allocated for it is at most twice
    /// what came, and 64 KiB.
    #[test]
    fn bytes_received_bound_what_is_allocated(bytes in hostile()) {
        let bound = 2 * bytes.len() as u64 + 64 * 1_024;
        let mut stage = Stage::new();
        for (name, read) in READERS {
            let counted = measure(|| read(&mut stage, &bytes));
            prop_assert!(counted.bytes_total <= bound, "{}: {:?}", name, counted);
        }
    }
}

/// Bytes that are random, or a good message with some of them changed, or cut, or made longer.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let mut handshake = classical();
    let (initiator, hello) = handshake.hello();
    let (_, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let finish = handshake.establish(initiator, &reply).unwrap().finish;
    let mut pair = classical().run(&mut ChainBook::new()).unwrap();
    let data = sealed(&mut pair.agent, start().instant, &[7; 300]);
    let good = [&hello[..], &reply, &finish, &data].map(<[u8]>::to_vec).to_vec();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let changed = (prop::sample::select(good), edits, 0..70_000_usize, 0..4_u8);
    let changed = changed.prop_map(|(mut bytes, edits, length, resize)| {
        for (at, byte) in edits {
            let at = at.index(bytes.len().min(400));
            bytes[at] = byte;
        }
        if resize == 0 {
            bytes.resize(length, 0xff);
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..5_000), 3 => changed]
}

/// What stands ready to read what comes.
struct Stage {
    handshake: Handshake,
    initiator: Option<waxwire::session::Initiator>,
    answered: Option<waxwire::session::Answered>,
    session: Session,
}

impl Stage {
    fn new() -> Self {
        let mut handshake = classical();
        let (initiator, hello) = handshake.hello();
        let (answered, _) = handshake.answer(&hello, &ChainBook::new()).unwrap();
        let session = classical().run(&mut ChainBook::new()).unwrap().backend;
        Self { handshake, initiator: Some(initiator), answered: Some(answered), session }
    }
}

type Reader = fn(&mut Stage, &[u8]);

const READERS: [(&str, Reader); 8] = [
    ("HELLO", |stage, bytes| {
        let config = Arc::clone(&stage.handshake.backend);
        let now = stage.handshake.now;
        let _ = Greeting::receive(config, bytes, now.instant);
    }),
    ("REPLY", |stage, bytes| {
        let initiator = stage.initiator.take().unwrap();
        let _ = initiator.handle(&mut bytes.to_vec(), stage.handshake.now);
    }),
    ("FINISH", |stage, bytes| {
        let answered = stage.answered.take().unwrap();
        let _ = answered.finish(&mut bytes.to_vec(), stage.handshake.now);
    }),
    ("DATA", |stage, bytes| {
        let _ = stage.session.open(start().instant, &mut bytes.to_vec());
    }),
    ("credential", |_, bytes| drop(Credential::decode(bytes))),
    ("enrolment", |_, bytes| drop(Enrolment::verify(bytes, &[0; 32]))),
    ("chain", |_, bytes| drop(InitiatorChain::from_bytes(bytes))),
    ("PEM", |_, bytes| {
        let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
        drop(Identity::from_pem(&text));
    }),
];

fn classical() -> Handshake {
    let suites = [Suite::Classical];
    let agent = agent_config().with_suites(&suites).unwrap();
    Handshake::new(agent, backend_config().with_suites(&suites).unwrap())
}

/// Carries what both ends have to say.
fn acknowledge(pair: &mut Pair, now: Instant) {
    support::deliver(&mut pair.backend, &mut pair.agent, now);
    support::deliver(&mut pair.agent, &mut pair.backend, now);
}
