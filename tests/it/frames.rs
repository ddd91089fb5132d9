//! What the session's own frames do, seen from outside.

use std::time::Duration;

use bytes::BytesMut;
use waxwire::header::{HEADER_BYTES, TAG_BYTES};
use waxwire::session::{CloseCode, Event, OpenError, Order, Padding, SealError};

use crate::rival;
use crate::support::{agent_config, backend_config, deliver, opened, pair, pair_of, sealed};
use crate::talk::{at, confirmed, events, exchange, refused, said, timers, unaccepted};

/// proto-spec [F-3]: a PING is answered with its number; a flood of them leaves one PONG waiting,
/// for the latest.
#[test]
fn a_flood_of_pings_leaves_one_pong() {
    let mut pair = confirmed();
    for value in 0..1_000 {
        pair.agent.ping(value);
        deliver(&mut pair.agent, &mut pair.backend, at(1));
    }
    let pong = said(&mut pair.backend, at(1)).unwrap();
    assert_eq!(pong.len(), HEADER_BYTES + 12 + TAG_BYTES);
    assert!(said(&mut pair.backend, at(1)).is_none());
    opened(&mut pair.agent, at(1), &pong);
    assert_eq!(events(&mut pair.agent), [Event::Pong(999)]);
}

/// A flood of events keeps one of a kind.
#[test]
fn events_do_not_pile_up() {
    let mut pair = confirmed();
    for number in 0..1_000 {
        pair.backend.go_away(Duration::from_millis(number), Duration::ZERO);
        pair.agent.ping(number);
        exchange(&mut pair, at(1));
    }
    let last = Duration::from_millis(999);
    let go_away = Event::GoAway { retry_after: last, spread: Duration::ZERO };
    let left = events(&mut pair.agent);
    assert_eq!(left.len(), 2);
    assert!(left.contains(&go_away) && left.contains(&Event::Pong(999)));
}

/// proto-spec [F-6]: GOAWAY says when to come back, and the session goes on.
#[test]
fn a_go_away_keeps_the_session() {
    let mut pair = confirmed();
    pair.backend.go_away(Duration::from_secs(3), Duration::from_secs(30));
    deliver(&mut pair.backend, &mut pair.agent, at(1));
    let (retry_after, spread) = (Duration::from_secs(3), Duration::from_secs(30));
    assert_eq!(events(&mut pair.agent), [Event::GoAway { retry_after, spread }]);
    assert!(pair.agent.is_open() && pair.backend.is_open());
    let record = sealed(&mut pair.agent, at(1), b"on");
    assert_eq!(opened(&mut pair.backend, at(1), &record), [b"on".to_vec()]);
}

/// proto-spec [F-4]: CLOSE is the last record; whatever waited with it is not said.
#[test]
fn nothing_is_sealed_after_a_close() {
    let mut pair = confirmed();
    pair.agent.ping(1);
    pair.agent.go_away(Duration::ZERO, Duration::ZERO);
    pair.agent.close(CloseCode::GoingAway, Duration::from_secs(7));
    let mut out = BytesMut::new();
    assert_eq!(pair.agent.seal_datagram(at(1), b"x", &mut out), Err(SealError::Closed));
    assert_eq!(pair.agent.poll_timeout(), None, "a session that ends has nothing to wait for");
    let close = said(&mut pair.agent, at(1)).unwrap();
    assert_eq!(close.len(), HEADER_BYTES + 10 + TAG_BYTES, "a CLOSE alone");
    assert!(pair.agent.is_closed() && said(&mut pair.agent, at(1)).is_none());
    pair.agent.close(CloseCode::Normal, Duration::ZERO);
    pair.agent.ping(2);
    assert!(said(&mut pair.agent, at(1)).is_none());
    assert_eq!(pair.agent.poll_timeout(), None);
    opened(&mut pair.backend, at(1), &close);
    let retry_after = Duration::from_secs(7);
    let told = Event::ClosedByPeer { code: CloseCode::GoingAway, retry_after };
    assert_eq!(events(&mut pair.backend), [told]);
}

/// proto-spec [F-5]: who opens a CLOSE ends without an answer.
#[test]
fn a_close_is_not_answered() {
    let mut pair = confirmed();
    pair.backend.ping(1);
    pair.agent.close(CloseCode::Normal, Duration::ZERO);
    deliver(&mut pair.agent, &mut pair.backend, at(1));
    assert!(pair.backend.is_closed() && said(&mut pair.backend, at(1)).is_none());
    let mut out = BytesMut::new();
    assert_eq!(pair.backend.seal_datagram(at(1), b"x", &mut out), Err(SealError::Closed));
    assert_eq!(refused(&mut pair.backend, at(1), b""), OpenError::Closed);
}

/// proto-spec: a code of a later version is judged by its top bit.
#[test]
fn an_unknown_close_code_is_judged_by_its_top_bit() {
    for (code, retryable) in [(0x7fff, true), (0x0007, true), (0x8006, false), (0xffff, false)] {
        let mut pair = confirmed();
        pair.backend.close(CloseCode::from_u16(code), Duration::ZERO);
        deliver(&mut pair.backend, &mut pair.agent, at(1));
        let [Event::ClosedByPeer { code: heard, .. }] = events(&mut pair.agent)[..] else {
            panic!("one event")
        };
        assert_eq!((heard.to_u16(), heard.is_retryable()), (code, retryable));
    }
}

/// A transport that ends without CLOSE leaves the session as it was; a forged end of one, or a
/// forged CLOSE, is no CLOSE.
#[test]
fn an_end_without_close_ends_nothing() {
    let mut pair = confirmed();
    let before = timers(&pair.agent);
    pair.backend.close(CloseCode::Normal, Duration::ZERO);
    let mut close = said(&mut pair.backend, at(1)).unwrap();
    close[HEADER_BYTES + 5] ^= 1;
    pair.agent.attach(Order::Strict);
    assert_eq!(refused(&mut pair.agent, at(1), &close), OpenError::Forged);
    assert_eq!(timers(&pair.agent), before);
    assert!(pair.agent.is_open() && events(&mut pair.agent).is_empty());
}

/// proto-spec [F-2]: the first record of a responder accepts, whoever makes it say something first.
#[test]
fn accept_comes_first() {
    let mut ends = unaccepted(agent_config(), backend_config());
    ends.backend.ping(1);
    ends.backend.close(CloseCode::Busy, Duration::ZERO);
    assert!(!ends.agent.is_open());
    let first = said(&mut ends.backend, at(0)).unwrap();
    opened(&mut ends.agent, at(0), &first);
    let told = events(&mut ends.agent);
    assert!(matches!(told[0], Event::Accepted { resumed: false, .. }));
    assert!(matches!(told[1], Event::ClosedByPeer { code: CloseCode::Busy, .. }));
}

/// proto-spec [F-7]: datagrams arrive once, in the order of their record, and as they were.
#[test]
fn datagrams_arrive_as_they_were_written() {
    let mut pair = confirmed();
    let mut record = BytesMut::from(&b"kept"[..]);
    let mut writer = pair.agent.record(at(1), &mut record).unwrap();
    assert_eq!(writer.room(), 16_384);
    for payload in [&b""[..], b"a", &[0; 300], b"z"] {
        writer.datagram(payload).unwrap();
    }
    assert_eq!(writer.room(), 16_384 - 4 * 4 - 302);
    writer.datagram(&[1; 16_384]).unwrap_err();
    writer.seal();
    assert!(record.starts_with(b"kept"));
    let record = record.split_off(4);
    let expected = [vec![], b"a".to_vec(), vec![0; 300], b"z".to_vec()];
    assert_eq!(opened(&mut pair.backend, at(1), &record), expected);
    assert_eq!(refused(&mut pair.backend, at(1), &record), OpenError::Replayed);
}

/// Sizes of section 6.1, by policy.
#[test]
fn padding_hides_sizes_as_its_policy_says() {
    let sizes = |padding: Padding, payloads: &[usize]| -> Vec<usize> {
        let agent = agent_config().with_padding(padding);
        let mut pair = pair_of(agent, backend_config());
        let mut sizes = Vec::new();
        for payload in payloads {
            let record = sealed(&mut pair.agent, at(0), &vec![7; *payload]);
            assert_eq!(opened(&mut pair.backend, at(0), &record), [vec![7; *payload]]);
            sizes.push(record.len() - HEADER_BYTES - TAG_BYTES);
        }
        sizes
    };
    let payloads = [0, 1, 96, 252, 253, 1_000, 16_379, 16_380];
    let plain = [4, 5, 100, 256, 257, 1_004, 16_383, 16_384];
    assert_eq!(sizes(Padding::None, &payloads), plain);
    let blocks = [128, 128, 128, 256, 384, 1_024, 16_384, 16_384];
    assert_eq!(sizes(Padding::Block(128), &payloads), blocks);
    let fixed = [1_000, 1_000, 1_000, 1_000, 1_000, 2_000, 16_384, 16_384];
    assert_eq!(sizes(Padding::Fixed(1_000), &payloads), fixed);
    // E = 8, S = 4 for 256..=511: multiples of 16; E = 9, S = 4 for 512..=1023: of 32.
    let padme = [4, 5, 104, 256, 272, 1_024, 16_384, 16_384];
    assert_eq!(sizes(Padding::Padme, &payloads), padme);
    for padding in [Padding::Block(0), Padding::Block(1), Padding::Fixed(0), Padding::Fixed(1)] {
        assert_eq!(sizes(padding, &payloads), plain, "{padding:?}");
    }
}

/// Keying material for outside: the same at both ends, another for each label, context and session;
/// limited as HKDF is.
#[test]
fn exports_are_equal_at_both_ends_and_limited() {
    let pair = pair();
    let export = |label: &str, context: &[u8], bytes: usize| {
        let mut ours = vec![0; bytes];
        let done = pair.agent.export(label, context, &mut ours);
        let mut theirs = vec![0; bytes];
        assert_eq!(done, pair.backend.export(label, context, &mut theirs));
        assert_eq!(ours, theirs);
        done.map(|()| ours)
    };
    let one = export("app", b"context", 32).unwrap();
    assert_ne!(one, vec![0; 32]);
    assert_ne!(one, export("app", b"contexT", 32).unwrap());
    assert_ne!(one, export("apps", b"context", 32).unwrap());
    assert_ne!(one, export("app", b"context", 64).unwrap()[..32]);
    assert_eq!(export("app", b"", 0), Ok(vec![]));
    assert!(export("app", &[1; 10_000], 8_160).is_ok());
    assert!(export("app", b"", 8_161).is_err());
    assert!(export("app", b"", 100_000).is_err());
    assert!(export(&"l".repeat(245), b"", 32).is_ok());
    assert!(export(&"l".repeat(246), b"", 32).is_err());
}

/// proto-spec [P-2]: a NO_SESSION without the token of ACCEPT changes nothing.
#[test]
fn a_forged_no_session_is_noise() {
    let mut ends = unaccepted(agent_config(), backend_config());
    let token = accept_token(&mut ends.backend, &mut ends.agent);
    let before = timers(&ends.agent);
    let mut wrong = token;
    for bit in 0..128 {
        wrong[bit / 8] ^= 1 << (bit % 8);
        let record = no_session(ends.backend.link().to_bytes(), wrong);
        assert_eq!(opened(&mut ends.agent, at(1), &record), [] as [Vec<u8>; 0]);
        wrong = token;
    }
    let elsewhere = no_session([9; 8], token);
    assert_eq!(refused(&mut ends.agent, at(1), &elsewhere), OpenError::UnknownLink);
    assert_eq!(timers(&ends.agent), before);
    assert!(ends.agent.is_open());
}

/// proto-spec [P-3]: the right token detaches the session at once.
#[test]
fn a_no_session_with_the_token_of_accept_is_believed() {
    let mut ends = unaccepted(agent_config(), backend_config());
    let token = accept_token(&mut ends.backend, &mut ends.agent);
    events(&mut ends.agent);
    let record = no_session(ends.backend.link().to_bytes(), token);
    opened(&mut ends.agent, at(1), &record);
    assert_eq!(events(&mut ends.agent), [Event::SessionLost]);
    assert!(ends.agent.is_closed() && said(&mut ends.agent, at(1)).is_none());
}

/// A responder receives no NO_SESSION, and an initiator none before ACCEPT.
#[test]
fn a_no_session_has_no_place_elsewhere() {
    let mut ends = unaccepted(agent_config(), backend_config());
    let record = no_session(ends.backend.link().to_bytes(), [0; 16]);
    assert_eq!(refused(&mut ends.agent, at(1), &record), OpenError::UnexpectedRecord);
    let record = no_session(ends.backend.link().to_bytes(), [0; 16]);
    assert_eq!(refused(&mut ends.backend, at(1), &record), OpenError::UnexpectedRecord);
}

/// Delivers ACCEPT and returns the token in it, which the backend drew from the seed of
/// `Handshake::new`.
fn accept_token(
    backend: &mut waxwire::session::Session,
    agent: &mut waxwire::session::Session,
) -> [u8; 16] {
    deliver(backend, agent, at(0));
    let seed = rival::extract(b"waxwire/1 seed", &[12; 32]);
    rival::xl(&seed, "reset token", b"")
}

fn no_session(link: [u8; 8], token: [u8; 16]) -> Vec<u8> {
    let mut record = vec![0; HEADER_BYTES];
    record[0] = 0x18;
    record[3] = 16;
    record[4..12].copy_from_slice(&link);
    record.extend_from_slice(&token);
    record
}
