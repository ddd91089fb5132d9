//! Counters near their ends.

use bytes::BytesMut;

use super::rig::{
    Ends, at, carry, datagram, ends, events, forge, frame, open, seed, talk, transmit,
};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::{FORGERIES, REKEY_BYTES, REKEY_TIME, SEQ_END};
use crate::session::sealed::Session;
use crate::session::{CloseCode, Event, OpenError, Order, RekeyError, SealError};

/// proto-spec: the last position is for CLOSE, and none is sealed behind it.
#[test]
fn sealing_ends_at_the_last_position() {
    let mut ends = ends();
    ends.agent.sending.dangerous_jump(SEQ_END - 2);
    ends.backend.attach(Order::Strict);
    let record = datagram(&mut ends.agent, at(0), b"last but one");
    assert_eq!(Header::decode(&record).map(|header| header.seq), Ok(SEQ_END - 2));
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![b"last but one".to_vec()]));
    let mut out = BytesMut::new();
    let refused = ends.agent.seal_datagram(at(0), b"x", &mut out);
    assert_eq!((refused, out.len()), (Err(SealError::SequenceExhausted), 0));
    assert_eq!(events(&mut ends.agent), [Event::Ended(CloseCode::KeyLimit)]);
    let close = transmit(&mut ends.agent, at(0)).unwrap();
    assert_eq!(Header::decode(&close).map(|header| header.seq), Ok(SEQ_END - 1));
    open(&mut ends.backend, &close).unwrap();
    assert!(ends.agent.is_closed() && ends.backend.is_closed());
    assert!(transmit(&mut ends.agent, at(0)).is_none());
    assert_eq!(ends.agent.seal_datagram(at(0), b"x", &mut out), Err(SealError::Closed));
}

/// proto-spec: the session's own frames do not take the position of its CLOSE.
#[test]
fn a_pong_does_not_take_the_last_position() {
    let mut ends = ends();
    let ping = forge(&mut ends.backend, &frame(0x01, 0, &[1; 8]));
    open(&mut ends.agent, &ping).unwrap();
    ends.agent.sending.dangerous_jump(SEQ_END - 1);
    let close = transmit(&mut ends.agent, at(0)).unwrap();
    assert_eq!(Header::decode(&close).map(|header| header.seq), Ok(SEQ_END - 1));
    assert_eq!(events(&mut ends.agent), [Event::Ended(CloseCode::KeyLimit)]);
    ends.backend.attach(Order::Strict);
    open(&mut ends.backend, &close).unwrap();
    let told = events(&mut ends.backend);
    assert!(matches!(told[..], [Event::ClosedByPeer { code: CloseCode::KeyLimit, .. }]));
}

/// proto-spec: the 2^20th forgery ends the session, the one before it does not.
#[test]
fn too_many_forgeries_end_the_session() {
    let mut ends = ends();
    ends.backend.attach(Order::Window);
    ends.backend.forgeries = FORGERIES - 1_000;
    let forged = forge(&mut ends.backend, b"for the other side");
    let mut forged = forged.to_vec();
    forged[4..12].copy_from_slice(&ends.backend.link.0);
    for number in 1..=1_000 {
        let expected = if number < 1_000 { OpenError::Forged } else { OpenError::AeadLimit };
        let refused = ends.backend.open(at(0), &mut forged.clone()).map(|_| ());
        assert_eq!(refused, Err(expected), "{number}");
        assert_eq!(events(&mut ends.backend).is_empty(), number < 1_000);
    }
    assert_eq!(ends.backend.poll_timeout(), None);
    let close = transmit(&mut ends.backend, at(0)).unwrap();
    ends.agent.attach(Order::Window);
    open(&mut ends.agent, &close).unwrap();
    let told = events(&mut ends.agent);
    assert!(matches!(told[..], [Event::ClosedByPeer { code: CloseCode::KeyLimit, .. }]));
}

/// proto-spec [S-6]: 2^30 bytes, sealed and opened together, call for a rekey.
#[test]
fn a_gibibyte_of_plaintext_calls_for_a_rekey() {
    let mut ends = ends();
    let counted = ends.agent.rekey.dangerous_bytes();
    ends.agent.rekey.count(at(0), usize::try_from(REKEY_BYTES - 9 - counted).unwrap());
    datagram(&mut ends.agent, at(0), b"");
    assert_eq!(events(&mut ends.agent), []);
    let record = datagram(&mut ends.backend, at(0), b"5");
    open(&mut ends.agent, &record).unwrap();
    assert_eq!(events(&mut ends.agent), [Event::WantsSeed]);
    datagram(&mut ends.agent, at(0), b"asks once");
    assert_eq!(events(&mut ends.agent), []);
    ends.backend.rekey.count(at(0), usize::try_from(REKEY_BYTES).unwrap());
    assert_eq!(events(&mut ends.backend), [], "only an initiator begins");
}

/// proto-spec [S-6]: a rekey begins both counts anew.
#[test]
fn a_rekey_begins_the_counts_anew() {
    let mut ends = ends();
    ends.agent.rekey.count(at(0), usize::try_from(REKEY_BYTES).unwrap());
    ends.agent.provide_seed(at(1), &seed(31));
    talk(&mut ends, at(1));
    ends.backend.provide_seed(at(2), &seed(32));
    talk(&mut ends, at(2));
    assert!(events(&mut ends.agent).contains(&Event::Rekeyed));
    assert!(ends.agent.rekey.dangerous_bytes() < 1_000);
    ends.agent.ping(1);
    talk(&mut ends, at(500));
    events(&mut ends.agent);
    ends.agent.handle_timeout(at(1 + REKEY_TIME.as_secs()));
    assert_eq!(events(&mut ends.agent), []);
    ends.agent.handle_timeout(at(2 + REKEY_TIME.as_secs()));
    assert_eq!(events(&mut ends.agent), [Event::WantsSeed]);
}

/// proto-spec [S-20]: fresh keys need a next epoch in both directions.
#[test]
fn a_rekey_in_the_last_epoch_ends_the_session() {
    for agents in [true, false] {
        let mut ends = ends();
        let Ends { agent, backend } = &mut ends;
        let (from, to) = if agents { (&mut *agent, &mut *backend) } else { (backend, agent) };
        from.sending.dangerous_epoch(u32::MAX);
        to.receiving.dangerous_epoch(u32::MAX);
        let record = datagram(&mut ends.agent, at(0), b"records still pass");
        assert!(open(&mut ends.backend, &record).is_ok());
        ends.agent.request_rekey();
        assert_eq!(events(&mut ends.agent), [Event::WantsSeed]);
        ends.agent.provide_seed(at(0), &seed(31));
        assert_exhausted(&mut ends.agent);
        let close = transmit(&mut ends.agent, at(0)).unwrap();
        open(&mut ends.backend, &close).unwrap();
        assert!(ends.agent.is_closed() && ends.backend.is_closed());
    }
}

/// proto-spec [S-20]: a responder that has no next epoch says so instead of answering.
#[test]
fn a_responder_in_the_last_epoch_answers_no_rekey() {
    let mut ends = ends();
    ends.backend.sending.dangerous_epoch(u32::MAX);
    ends.agent.provide_seed(at(0), &seed(31));
    carry(&mut ends.agent, &mut ends.backend, at(0));
    assert_eq!(events(&mut ends.backend), [Event::WantsSeed]);
    ends.backend.provide_seed(at(0), &seed(32));
    assert_exhausted(&mut ends.backend);
}

fn assert_exhausted(session: &mut Session) {
    let told = [Event::RekeyFailed(RekeyError::EpochExhausted), Event::Ended(CloseCode::KeyLimit)];
    assert_eq!(events(session), told);
}

/// A record is never longer than its header can say.
#[test]
fn a_record_of_the_largest_size_seals() {
    let mut ends = ends();
    let plaintext = vec![0; 65_519];
    let record = forge(&mut ends.agent, &plaintext);
    assert_eq!(record.len(), HEADER_BYTES + 65_535);
    assert_eq!(open(&mut ends.backend, &record), Err(OpenError::TooLarge));
}
