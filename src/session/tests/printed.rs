//! What stands in a log for each part of a session. That it shows no secret, tests/it/hygiene.rs
//! proves.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::BytesMut;

use super::rig::{agent_config, at, backend_config, datagram, ends, seed, start};
use crate::session::{ChainBook, Continuity, Greeting, Initiator, Progress};

#[test]
fn every_step_of_a_handshake_is_printed_by_name() {
    let (now, mut book) = (start(), ChainBook::new());
    let (agent, backend) = (Arc::new(agent_config()), Arc::new(backend_config()));
    assert_printed(&agent, "Config { realm: Realm(\"test\"), role: Agent, identity: ");
    let (initiator, hello) = Initiator::start(agent, None, &seed(11), now).unwrap();
    assert_printed(&initiator, "Initiator { link: ");
    let greeting = Greeting::receive(backend, &hello, now.instant).unwrap();
    assert_printed(&greeting, "Greeting { link: ");
    let (answered, reply) = greeting.answer(&book, &seed(12), now).unwrap();
    assert_printed(&answered, "Answered { link: ");
    let Progress::Done(done) = initiator.handle(&mut reply.to_vec(), now).unwrap() else {
        panic!("no RETRY was sent")
    };
    assert_printed(&done.chain, "InitiatorChain(..)");
    let accepting = answered.finish(&mut done.finish.to_vec(), now).unwrap();
    assert_printed(&accepting, "Accepting { peer: PeerId(\"agent\"), ");
    assert_printed(&book, "ChainBook(0 chains)");
    book.advance(accepting.succession(), Continuity::Prefer, now.unix).unwrap();
    assert_printed(&book, "ChainBook(1 chains)");
}

#[test]
fn a_session_and_its_records_are_printed_by_name_and_size() {
    let mut ends = ends();
    assert_printed(&ends.agent, "Session { id: ");
    let mut record = datagram(&mut ends.agent, at(0), b"12345");
    assert_printed(&ends.backend.open(at(0), &mut record).unwrap(), "Opened(9 bytes)");
    let record = datagram(&mut ends.agent, at(0), b"12345");
    assert_printed(&ends.backend.open_owned(at(0), record).unwrap(), "Datagrams(9 bytes)");
    let mut out = BytesMut::new();
    let mut writer = ends.agent.record(at(0), &mut out).unwrap();
    writer.datagram(b"12345").unwrap();
    assert_printed(&writer, "RecordWriter { used: 9, ");
}

fn assert_printed(value: &impl Debug, front: &str) {
    let printed = format!("{value:?}");
    assert!(printed.starts_with(front), "{printed}");
}
