//! What a session says of itself, what it carries for its application, and when it is over.

use std::time::Duration;

use super::rig::{
    agent_config, at, backend_config, carry, datagram, ends, ends_of, events, identity, open,
    realm, settled, start, transmit,
};
use crate::header::Header;
use crate::ids::PeerId;
use crate::limits::{CLOCK_SKEW, SESSION_IDLE_TIME};
use crate::session::{Asked, Claim, CloseCode, Config, Event, Peer, Refusal, Verifier};
use crate::time::Instant;

#[test]
fn both_ends_say_the_same_of_their_session() {
    let agent = agent_config().with_record_bytes(3_000).unwrap();
    let backend = backend_config().with_record_bytes(5_000).unwrap();
    let mut ends = ends_of(agent, backend);
    assert!(!ends.agent.is_open() && !ends.backend.is_open());
    assert!(!ends.agent.is_accepted() && ends.backend.is_accepted());
    assert!(!ends.agent.is_resumed() && !ends.backend.is_resumed());
    ends = settled(ends);
    assert!(ends.agent.is_open() && ends.backend.is_open());
    assert!(!ends.agent.is_closed() && !ends.backend.is_closed());
    assert_eq!((ends.agent.record_bytes(), ends.backend.record_bytes()), (5_000, 3_000));
    assert_eq!(ends.agent.id(), ends.backend.id());
    let record = datagram(&mut ends.agent, at(0), b"x");
    assert_eq!(Header::decode(&record).map(|header| header.link), Ok(ends.backend.link()));
    assert_ne!(ends.agent.link(), ends.backend.link());
    let binding = ends.agent.binding();
    assert_eq!(binding, ends.backend.binding());
    assert_ne!(binding, super::rig::ends().agent.binding(), "another handshake has another");
    let exported = |session: &crate::session::Session| {
        let mut out = [0; 32];
        session.export("label", b"context", &mut out).unwrap();
        out
    };
    assert_eq!(exported(&ends.agent), exported(&ends.backend));
    assert_ne!(exported(&ends.agent), [0; 32]);
}

/// Whatever a verifier looks up, the peer of a session is who proved its key in the handshake.
#[test]
fn a_verifier_does_not_name_the_key() {
    struct Mistaken;
    impl Verifier for Mistaken {
        fn admit(&self, _: &Claim, asked: &Asked<'_>) -> Result<Peer, Refusal> {
            let (id, role) = (PeerId::new("someone").unwrap(), asked.role);
            let key = identity(77).public_key().clone();
            Ok(Peer { id, role, key, labels: Vec::new(), not_after: None })
        }
    }
    let backend = Config::backend(realm(), identity(2)).peer(Mistaken);
    let ends = settled(ends_of(agent_config(), backend));
    assert_eq!(ends.backend.peer().id.as_str(), "someone");
    assert_eq!(&ends.backend.peer().key, identity(1).public_key());
}

/// Spans are told in milliseconds, and the longest that there are for longer ones.
#[test]
fn a_peer_is_told_when_to_come_back() {
    let longest = Duration::from_millis(u32::MAX.into());
    for (span, told) in [(1_500, 1_500), (0, 0), (u64::MAX, u32::MAX.into())] {
        let mut ends = ends();
        let (span, told) = (Duration::from_millis(span), Duration::from_millis(told));
        ends.agent.go_away(span, Duration::from_secs(7));
        carry(&mut ends.agent, &mut ends.backend, at(0));
        let spread = Duration::from_secs(7);
        assert_eq!(events(&mut ends.backend), [Event::GoAway { retry_after: told, spread }]);
        ends.backend.close(CloseCode::Busy, span);
        carry(&mut ends.backend, &mut ends.agent, at(0));
        let closed = Event::ClosedByPeer { code: CloseCode::Busy, retry_after: told };
        assert_eq!(events(&mut ends.agent), [closed]);
        assert!(told <= longest);
    }
}

/// proto-spec [H-38]: ACCEPT comes first, even if all that follows it is CLOSE.
#[test]
fn a_session_closed_at_once_is_accepted_first() {
    let mut ends = ends_of(agent_config(), backend_config());
    ends.backend.close(CloseCode::Normal, Duration::ZERO);
    let record = transmit(&mut ends.backend, at(0)).unwrap();
    assert_eq!(open(&mut ends.agent, &record), Ok(vec![]));
    let said = events(&mut ends.agent);
    assert!(matches!(said[..], [Event::Accepted { .. }, Event::ClosedByPeer { .. }]), "{said:?}");
}

/// Once told of its end, a session does not close a second time.
#[test]
fn a_closed_session_has_nothing_more_to_say() {
    let mut ends = ends();
    ends.agent.close(CloseCode::Normal, Duration::ZERO);
    carry(&mut ends.agent, &mut ends.backend, at(0));
    for session in [&mut ends.agent, &mut ends.backend] {
        assert!(session.is_closed() && !session.is_open());
        session.close(CloseCode::Busy, Duration::ZERO);
        assert!(session.is_closed() && !session.has_transmit());
        assert_eq!(session.poll_timeout(), None);
        session.handle_timeout(at(10_000));
        assert!(transmit(session, at(10_000)).is_none());
    }
}

/// A session ends at the moment that it named, not before: after silence, or with its peer's
/// admission and the tolerance of clocks.
#[test]
fn a_session_ends_when_its_time_is_up() {
    let idle = at(0).after(SESSION_IDLE_TIME);
    let admitted = Duration::from_secs(100);
    let expiry = at(0).after(admitted).after(CLOCK_SKEW);
    for (limited, due, code) in
        [(false, idle, CloseCode::TimedOut), (true, expiry, CloseCode::CredentialExpired)]
    {
        let mut session = ends().backend;
        session.peer.not_after = limited.then(|| start().unix.after(admitted));
        session.set_expiry();
        assert_eq!(session.poll_timeout(), Some(due));
        session.handle_timeout(Instant::from_nanos(due.as_nanos() - 1));
        assert_eq!(events(&mut session), []);
        session.handle_timeout(due);
        assert_eq!(events(&mut session), [Event::Ended(code)]);
        assert_eq!(session.poll_timeout(), None);
    }
}
