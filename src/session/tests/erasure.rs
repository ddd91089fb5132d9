//! What a session that is over still holds: nothing that opens, seals or derives.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use zeroize::ZeroizeOnDrop;

use super::rig::{at, carry, ends, events, forge, frame, open, seed, transmit};
use crate::crypto::{ExportError, Secret};
use crate::header::{Header, RecordType};
use crate::session::sealed::Session;
use crate::session::{CloseCode, Event, FrameError, OpenError};

/// proto-spec [S-19]: whichever way a session ends, it holds no key from then on.
#[test]
fn a_closed_session_holds_no_key() {
    let closed_here = |session: &mut Session| {
        session.close(CloseCode::Normal, Duration::ZERO);
        transmit(session, at(0)).unwrap();
    };
    let silent = |session: &mut Session| {
        session.handle_timeout(at(541));
        transmit(session, at(541)).unwrap();
    };
    let lost = |session: &mut Session| {
        let token = *session.reset_token.as_ref().unwrap().bytes();
        let mut record = BytesMut::new();
        record.put_slice(&Header::handshake(RecordType::NoSession, session.remote, 16).encode());
        record.put_slice(&token);
        open(session, &record).unwrap();
        assert_eq!(events(session), [Event::SessionLost]);
    };
    type Way = fn(&mut Session);
    let ways: [(&str, Way); 3] = [("closed", closed_here), ("silent", silent), ("lost", lost)];
    for (name, end) in ways {
        let mut ends = ends();
        assert_holds_keys(&ends.agent);
        end(&mut ends.agent);
        assert_holds_no_key(&mut ends.agent, name);
    }
}

/// proto-spec [S-19]: the same at the end that is told, in the middle of a key exchange too.
#[test]
fn a_session_that_its_peer_closed_holds_no_key() {
    for exchanging in [false, true] {
        let mut ends = ends();
        if exchanging {
            ends.agent.provide_seed(at(0), &seed(41));
            carry(&mut ends.agent, &mut ends.backend, at(0));
            ends.backend.provide_seed(at(0), &seed(42));
        }
        assert_holds_keys(&ends.backend);
        let close = forge(&mut ends.agent, &frame(0x11, 0, &[0x80, 0, 0, 0, 0, 0]));
        open(&mut ends.backend, &close).unwrap();
        assert_holds_no_key(&mut ends.backend, "told");
    }
}

/// proto-spec [S-19]: until its CLOSE is sealed, a session keeps what seals it and nothing else.
#[test]
fn a_closing_session_holds_what_seals_its_close() {
    let mut ends = ends();
    let record = forge(&mut ends.agent, &frame(0x80, 0, b""));
    assert_eq!(open(&mut ends.backend, &record), Err(FrameError::UnknownCritical(0x80).into()));
    assert!(!ends.backend.is_closed());
    assert!(!ends.backend.sending.dangerous_is_erased());
    assert!(ends.backend.receiving.dangerous_is_erased());
    assert!(ends.backend.rekey.dangerous_is_erased());
    carry(&mut ends.backend, &mut ends.agent, at(0));
    assert_holds_no_key(&mut ends.backend, "ended");
    assert_holds_no_key(&mut ends.agent, "told");
}

/// Entropy that comes late makes no new key in a session that is over, nor does a wish for one.
#[test]
fn a_session_that_is_over_makes_no_new_key() {
    let mut ends = ends();
    ends.agent.request_rekey();
    ends.agent.close(CloseCode::Normal, Duration::ZERO);
    assert_eq!(events(&mut ends.agent), [], "it wants no seed");
    for _ in 0..2 {
        ends.agent.provide_seed(at(0), &seed(41));
        ends.agent.request_rekey();
        assert!(ends.agent.rekey.dangerous_is_erased());
        assert_eq!(events(&mut ends.agent), []);
        carry(&mut ends.agent, &mut ends.backend, at(0));
    }
}

/// What a session keeps secret beside its keys is wiped like them. Else this does not compile.
#[test]
fn tokens_and_nonce_bases_are_wiped() {
    fn is_wiped<T: ZeroizeOnDrop>(_: &T) {}
    let ends = ends();
    is_wiped(ends.agent.reset_token.as_ref().unwrap());
    let (_, iv) = crate::session::sending::keyed(&Secret::new([1; 32]));
    is_wiped(&iv);
}

fn assert_holds_keys(session: &Session) {
    assert!(!session.sending.dangerous_is_erased());
    assert!(!session.receiving.dangerous_is_erased());
    assert!(!session.rekey.dangerous_is_erased());
    assert_eq!(session.export("app", b"", &mut [0; 32]), Ok(()));
}

fn assert_holds_no_key(session: &mut Session, name: &str) {
    assert!(session.is_closed(), "{name}");
    assert!(session.sending.dangerous_is_erased(), "{name}");
    assert!(session.receiving.dangerous_is_erased(), "{name}");
    assert!(session.rekey.dangerous_is_erased(), "{name}");
    assert!(session.reset_token.is_none(), "{name}");
    assert_eq!(session.export("app", b"", &mut [0; 32]), Err(ExportError::Erased), "{name}");
    assert_eq!(session.open(at(0), &mut []).map(|_| ()), Err(OpenError::Closed), "{name}");
    assert!(transmit(session, at(0)).is_none(), "{name}");
}
