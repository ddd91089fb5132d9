//! Shares that the peer did sign and that are refused all the same.

use super::rig::{assert_ends, at, carry, ends, events, forge, open, seed, transmit};
use crate::crypto::Seed;
use crate::header::Header;
use crate::session::sealed::Session;
use crate::session::{CloseCode, Event, FrameError};
use crate::wire::FrameKind;

/// proto-spec [S-8]: a signed REKEY with a weak X25519 share ends the session.
#[test]
fn a_signed_weak_offer_ends_the_session() {
    let mut ends = ends();
    let mut share = offered(&ends.agent);
    share[1_184..].fill(0);
    let frame = ends.agent.signed_frame(FrameKind::Rekey, 1, &share, &[]);
    let record = forge(&mut ends.agent, &frame);
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![]));
    assert_eq!(events(&mut ends.backend), [Event::WantsSeed]);
    ends.backend.provide_seed(at(0), &seed(42));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);
}

/// proto-spec [S-8]: a signed REKEY whose ML-KEM key is none ends the session.
#[test]
fn a_signed_offer_that_is_no_kem_key_ends_the_session() {
    let mut ends = ends();
    let mut share = offered(&ends.agent);
    share[..1_152].fill(0xff);
    let frame = ends.agent.signed_frame(FrameKind::Rekey, 1, &share, &[]);
    let record = forge(&mut ends.agent, &frame);
    open(&mut ends.backend, &record).unwrap();
    events(&mut ends.backend);
    ends.backend.provide_seed(at(0), &seed(42));
    assert_ends(&mut ends.backend, &mut ends.agent, CloseCode::ProtocolViolation);
}

/// proto-spec [S-8]: a signed response with a weak share, or with the initiator's own, ends the
/// session.
#[test]
fn a_signed_weak_or_reflected_answer_ends_the_session() {
    for reflected in [false, true] {
        let mut ends = ends();
        ends.agent.provide_seed(at(0), &seed(41));
        let request = ends.agent.control.rekey.clone().unwrap();
        carry(&mut ends.agent, &mut ends.backend, at(0));
        let mut share = vec![0; 1_120];
        if reflected {
            let own = request.len() - 64 - 32;
            share[1_088..].copy_from_slice(&request[own..own + 32]);
        }
        let frame = ends.backend.signed_frame(FrameKind::RekeyResponse, 1, &share, &[&request]);
        let record = forge(&mut ends.backend, &frame);
        assert_eq!(open(&mut ends.agent, &record), Err(FrameError::BadShare(0x0b).into()));
        assert_ends(&mut ends.agent, &mut ends.backend, CloseCode::ProtocolViolation);
    }
}

/// proto-spec [S-8]: another REKEY while one is being answered ends the session, signed or not.
#[test]
fn a_second_rekey_before_the_first_is_over_ends_the_session() {
    for answered in [false, true] {
        let mut ends = ends();
        let second = ends.agent.signed_frame(FrameKind::Rekey, 1, &offered(&ends.agent), &[]);
        ends.agent.provide_seed(at(0), &seed(41));
        carry(&mut ends.agent, &mut ends.backend, at(0));
        if answered {
            ends.backend.provide_seed(at(0), &seed(42));
        }
        let record = forge(&mut ends.agent, &second);
        assert_eq!(open(&mut ends.backend, &record), Err(FrameError::Misplaced(0x0a).into()));
    }
}

/// proto-spec [S-12], [S-11]: the initiator seals under the new root first.
#[test]
fn the_responder_seals_under_the_new_root_after_the_initiator_did() {
    let mut ends = ends();
    ends.agent.provide_seed(at(0), &seed(41));
    carry(&mut ends.agent, &mut ends.backend, at(0));
    ends.backend.provide_seed(at(0), &seed(42));
    let before = *ends.backend.sending.dangerous_secret().bytes();
    carry(&mut ends.backend, &mut ends.agent, at(0));
    for seconds in [1, 100, 200] {
        super::rig::datagram(&mut ends.backend, at(seconds), b"still the old root");
        assert_eq!(*ends.backend.sending.dangerous_secret().bytes(), before, "held");
    }
    let first = transmit(&mut ends.agent, at(0)).unwrap();
    assert_eq!(Header::decode(&first).map(|header| header.epoch), Ok(1));
    open(&mut ends.backend, &first).unwrap();
    let answer = transmit(&mut ends.backend, at(0)).unwrap();
    assert_eq!(Header::decode(&answer).map(|header| header.epoch), Ok(1));
    assert_ne!(*ends.backend.sending.dangerous_secret().bytes(), before);
}

/// A share as `session` would offer it.
fn offered(session: &Session) -> Vec<u8> {
    let seed = Seed::dangerous_reproducible([77; 32]);
    crate::crypto::Offer::new(session.suite(), &seed).share().to_vec()
}
