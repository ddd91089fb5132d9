//! Records of an established session on a hostile path.

use bytes::BytesMut;
use waxwire::header::{HEADER_BYTES, Header, HeaderError, TAG_BYTES};
use waxwire::session::{Config, Event, Fate, OpenError, Order, SealError, Session};

use crate::support::{
    Pair, agent_config, backend_config, deliver, opened, pair, pair_of, sealed, start,
};
use crate::talk::{after, at, confirmed, events, refused, timers};

/// proto-spec: 10 000 records that fail authentication change nothing: the next honest one
/// opens, on its key, at its position, and no timer moved (RUSTSEC-2024-0011).
#[test]
fn forged_records_change_nothing() {
    for order in [Order::Strict, Order::Window] {
        let mut pair = confirmed();
        pair.backend.attach(order);
        let honest = sealed(&mut pair.agent, at(1), b"honest");
        let before = timers(&pair.backend);
        for number in 0..10_000_u64 {
            let forged = forgery(&honest, number);
            let cause = refused(&mut pair.backend, at(500), &forged);
            assert!(matches!(cause, OpenError::Forged | OpenError::EpochUnknown), "{cause}");
        }
        assert_eq!(timers(&pair.backend), before);
        assert_eq!(events(&mut pair.backend), []);
        assert!(!pair.backend.poll_transmit(at(500), &mut BytesMut::new()));
        assert_eq!(opened(&mut pair.backend, at(1), &honest), [b"honest".to_vec()]);
    }
}

/// proto-spec: a forged record of the next epoch promotes nothing.
#[test]
fn a_forged_record_does_not_move_the_epoch() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let mut forged = sealed(&mut pair.agent, at(1), b"x");
    forged[15] = 1;
    for _ in 0..100 {
        assert_eq!(refused(&mut pair.backend, at(1), &forged), OpenError::Forged);
    }
    forged[15] = 2;
    assert_eq!(refused(&mut pair.backend, at(1), &forged), OpenError::EpochUnknown);
    forged[15] = 0;
    assert_eq!(opened(&mut pair.backend, at(1), &forged), [b"x".to_vec()]);
}

/// What fails to open is wiped from the caller's buffer (RUSTSEC-2023-0096).
#[test]
fn a_record_that_does_not_open_is_wiped() {
    let mut pair = confirmed();
    let mut record = sealed(&mut pair.agent, at(1), b"attack at dawn");
    let last = record.len() - 1;
    record[last] ^= 1;
    pair.backend.open(at(1), &mut record).unwrap_err();
    assert!(record[HEADER_BYTES..last - 15].iter().all(|byte| *byte == 0));
}

/// proto-spec: a record opens once, wherever and whenever it comes again.
#[test]
fn a_replayed_record_is_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), b"once");
    assert_eq!(opened(&mut pair.backend, at(1), &record), [b"once".to_vec()]);
    assert_eq!(refused(&mut pair.backend, at(1), &record), OpenError::Replayed);
    for order in [Order::Strict, Order::Window] {
        pair.backend.attach(order);
        let cause = refused(&mut pair.backend, at(1), &record);
        assert_eq!(cause, OpenError::Replayed, "over another transport");
    }
    for _ in 0..1_022 {
        let next = sealed(&mut pair.agent, at(1), b"");
        opened(&mut pair.backend, at(1), &next);
    }
    assert_eq!(refused(&mut pair.backend, at(1), &record), OpenError::Replayed);
}

/// proto-spec: what lies below the window is refused, opened or not.
#[test]
fn a_record_below_the_window_is_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let held: Vec<_> = (0..3).map(|_| sealed(&mut pair.agent, at(1), b"late")).collect();
    for _ in 0..1_023 {
        let next = sealed(&mut pair.agent, at(1), b"");
        opened(&mut pair.backend, at(1), &next);
    }
    assert_eq!(refused(&mut pair.backend, at(1), &held[0]), OpenError::TooOld);
    assert_eq!(refused(&mut pair.backend, at(1), &held[1]), OpenError::TooOld);
    assert_eq!(opened(&mut pair.backend, at(1), &held[2]), [b"late".to_vec()]);
}

/// A record sent back to its sender, or into another session, does not open there.
#[test]
fn a_record_of_the_other_direction_or_session_does_not_open() {
    let mut pair = confirmed();
    let mut other = another_pair();
    for _ in 0..5 {
        sealed(&mut pair.agent, at(1), b"to a position that nobody marked");
    }
    let record = sealed(&mut pair.agent, at(1), b"for the backend");
    assert_eq!(refused(&mut pair.agent, at(1), &record), OpenError::UnknownLink);
    assert_eq!(refused(&mut other.backend, at(1), &record), OpenError::UnknownLink);
    let reflected = readdressed(&record, &pair.agent);
    assert_eq!(refused(&mut pair.agent, at(1), &reflected), OpenError::Forged);
    let moved = readdressed(&record, &other.backend);
    assert_eq!(refused(&mut other.backend, at(1), &moved), OpenError::Forged);
}

/// proto-spec, [R-1], [R-2]: each bit of a header is bound: a flipped one is refused for what
/// it breaks, and the record as it was still opens.
#[test]
fn every_flipped_bit_of_a_header_is_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), &[7; 40]);
    for bit in 0..HEADER_BYTES * 8 {
        let mut flipped = record.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        let cause = refused(&mut pair.backend, at(1), &flipped);
        let fits = match bit / 8 {
            0 if bit < 4 => matches!(cause, OpenError::Header(HeaderError::UnsupportedVersion(_))),
            // From 5: 13, 1, 7, 4.
            0 => match bit {
                4 => cause == OpenError::Header(HeaderError::UnknownType(13)),
                5 | 6 => matches!(
                    cause,
                    OpenError::Header(HeaderError::TooShort | HeaderError::TooLarge)
                ),
                _ => matches!(cause, OpenError::Header(_)),
            },
            1 => cause == OpenError::Header(HeaderError::ReservedBits),
            2 | 3 => matches!(
                cause,
                OpenError::Header(
                    HeaderError::Truncated | HeaderError::TrailingBytes | HeaderError::TooShort
                )
            ),
            4..=11 => cause == OpenError::UnknownLink,
            12..=15 if bit == 127 => cause == OpenError::Forged,
            12..=15 => cause == OpenError::EpochUnknown,
            16 if bit < 130 => cause == OpenError::Header(HeaderError::SequenceExhausted),
            // A position that was opened already, or one that was not.
            _ => matches!(cause, OpenError::Replayed | OpenError::Forged),
        };
        assert!(fits, "bit {bit}: {cause}");
    }
    assert_eq!(opened(&mut pair.backend, at(1), &record), [vec![7; 40]]);
}

/// proto-spec: no byte of a record can be changed, cut off or added.
#[test]
fn every_changed_byte_of_a_record_is_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), b"short");
    for at_byte in HEADER_BYTES..record.len() {
        for bit in 0..8 {
            let mut flipped = record.clone();
            flipped[at_byte] ^= 1 << bit;
            assert_eq!(refused(&mut pair.backend, at(1), &flipped), OpenError::Forged);
        }
    }
    for length in 0..record.len() {
        let cause = refused(&mut pair.backend, at(1), &record[..length]);
        assert_eq!(cause, OpenError::Header(HeaderError::Truncated), "{length}");
    }
    for more in 1..=64 {
        let longer = [&record[..], &vec![0; more]].concat();
        let cause = refused(&mut pair.backend, at(1), &longer);
        assert_eq!(cause, OpenError::Header(HeaderError::TrailingBytes));
    }
    for cut in 1..=5_u8 {
        let mut shorter = record[..record.len() - usize::from(cut)].to_vec();
        shorter[3] -= cut;
        assert_eq!(refused(&mut pair.backend, at(1), &shorter), OpenError::Forged);
    }
    assert_eq!(opened(&mut pair.backend, at(1), &record), [b"short".to_vec()]);
}

/// proto-spec, [R-5]: lengths 0, 15 and 65 535, with and without the bytes they promise.
#[test]
fn extreme_lengths_are_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), b"");
    let with = |length: u16, body: usize| {
        let mut record = record[..HEADER_BYTES].to_vec();
        record[2..4].copy_from_slice(&length.to_be_bytes());
        record.resize(HEADER_BYTES + body, 0);
        record
    };
    for (length, body, cause) in [
        (0, 0, OpenError::Header(HeaderError::TooShort)),
        (15, 15, OpenError::Header(HeaderError::TooShort)),
        (15, 16, OpenError::Header(HeaderError::TooShort)),
        (16, 16, OpenError::Forged),
        (65_535, 0, OpenError::Header(HeaderError::Truncated)),
        (65_535, 65_535, OpenError::TooLarge),
        (16_384 + 16, 16_384 + 16, OpenError::Forged),
        (16_384 + 17, 16_384 + 17, OpenError::TooLarge),
    ] {
        assert_eq!(refused(&mut pair.backend, at(1), &with(length, body)), cause, "{length}");
    }
    assert!(opened(&mut pair.backend, at(1), &record).len() == 1);
}

/// proto-spec: positions that no sender may reach are refused by the header.
#[test]
fn a_position_beyond_the_last_is_refused() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), b"");
    let exhausted = OpenError::Header(HeaderError::SequenceExhausted);
    for (seq, cause) in [
        ((1 << 62) - 1, OpenError::Forged),
        (1 << 62, exhausted),
        ((1 << 62) + 1, exhausted),
        (u64::MAX, exhausted),
    ] {
        let mut moved = record.clone();
        moved[16..24].copy_from_slice(&seq.to_be_bytes());
        assert_eq!(refused(&mut pair.backend, at(1), &moved), cause, "{seq}");
    }
    assert!(opened(&mut pair.backend, at(1), &record).len() == 1);
}

/// proto-spec: whatever its type, a record for another link is refused as such; one of a
/// type that has no place here is refused for that.
#[test]
fn a_record_of_another_type_has_no_place_in_a_session() {
    let mut pair = confirmed();
    for (kind, body) in [(1_u8, 1_280_usize), (2, 16), (3, 16), (4, 16), (7, 16)] {
        let mut record = vec![0; HEADER_BYTES + body];
        record[0] = 0x10 | kind;
        record[2..4].copy_from_slice(&u16::try_from(body).unwrap().to_be_bytes());
        let link = if kind == 1 { [0; 8] } else { pair.backend.link().to_bytes() };
        record[4..12].copy_from_slice(&link);
        assert_eq!(refused(&mut pair.backend, at(1), &record), OpenError::UnexpectedRecord);
        record[4] ^= 0x80;
        assert_eq!(refused(&mut pair.backend, at(1), &record), OpenError::UnknownLink, "{kind}");
    }
    assert!(opened_of(&mut pair, b"still here"));
}

/// proto-spec, [R-16]: on an ordered transport a record that does not follow drops the
/// transport; the session goes on over the next one, where the same record may still open.
#[test]
fn a_gap_on_an_ordered_transport_costs_the_transport_only() {
    let mut pair = confirmed();
    let [first, lost, third] =
        [b"1", b"2", b"3"].map(|payload| sealed(&mut pair.agent, at(1), payload));
    assert_eq!(opened(&mut pair.backend, at(1), &first), [b"1".to_vec()]);
    let before = timers(&pair.backend);
    let cause = refused(&mut pair.backend, at(9), &third);
    assert_eq!(cause, OpenError::OrderViolation);
    assert_eq!(cause.fate(pair.backend.order()), Fate::DropAttachment);
    assert_eq!(timers(&pair.backend), before, "it counts as nothing heard");
    assert!(!pair.backend.poll_transmit(at(9), &mut BytesMut::new()), "no CLOSE");
    assert!(pair.backend.is_open());

    pair.backend.attach(Order::Strict);
    assert_eq!(opened(&mut pair.backend, at(9), &third), [b"3".to_vec()]);
    assert_eq!(refused(&mut pair.backend, at(9), &lost), OpenError::OrderViolation);
    assert!(opened_of(&mut pair, b"4"));
}

/// proto-spec: two records that change places violate the order.
#[test]
fn reordered_records_on_an_ordered_transport_are_refused() {
    let mut pair = confirmed();
    let [first, second] = [b"1", b"2"].map(|payload| sealed(&mut pair.agent, at(1), payload));
    let cause = refused(&mut pair.backend, at(1), &second);
    assert_eq!(cause, OpenError::OrderViolation);
    assert_eq!(opened(&mut pair.backend, at(1), &first), [b"1".to_vec()]);
    assert_eq!(opened(&mut pair.backend, at(1), &second), [b"2".to_vec()]);
}

/// proto-spec: before authentication nobody is told, and the session is kept; the transport
/// goes where it keeps order, the record where it does not.
#[test]
fn a_refused_record_costs_what_the_path_could_take() {
    let causes = [
        OpenError::Header(HeaderError::Truncated),
        OpenError::UnknownLink,
        OpenError::UnexpectedRecord,
        OpenError::TooLarge,
        OpenError::EpochUnknown,
        OpenError::Replayed,
        OpenError::TooOld,
        OpenError::Forged,
        OpenError::OrderViolation,
    ];
    for cause in causes {
        assert_eq!(cause.fate(Order::Strict), Fate::DropAttachment, "{cause}");
        assert_eq!(cause.fate(Order::Window), Fate::DropRecord, "{cause}");
    }
    assert_eq!(OpenError::Closed.fate(Order::Window), Fate::DropAttachment);
}

/// A session survives the loss of 10 000 records in a row.
#[test]
fn ten_thousand_lost_records_are_recovered_from() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let mut record = BytesMut::new();
    for _ in 0..10_000 {
        record.clear();
        pair.agent.seal_datagram(at(1), b"lost", &mut record).unwrap();
    }
    assert_eq!(Header::decode(&record).unwrap().epoch, 1, "one epoch ahead and no further");
    let next = sealed(&mut pair.agent, at(1), b"heard");
    assert_eq!(opened(&mut pair.backend, at(1), &next), [b"heard".to_vec()]);
    let Pair { agent, backend, .. } = &mut pair;
    agent.attach(Order::Window);
    let answer = sealed(backend, at(1), b"answer");
    assert_eq!(opened(agent, at(1), &answer), [b"answer".to_vec()]);
}

/// proto-spec: each side keeps to what the other takes, at both ends of the range.
#[test]
fn a_record_never_exceeds_what_its_receiver_takes() {
    for (bytes, other) in [(2_048, 65_519), (16_384, 2_048), (65_519, 16_384)] {
        let agent = agent_config().with_record_bytes(bytes).unwrap();
        let backend = backend_config().with_record_bytes(other).unwrap();
        let mut pair = pair_of(agent, backend);
        assert_eq!(pair.agent.record_bytes(), other);
        assert_eq!(pair.backend.record_bytes(), bytes);
        let most = vec![1; other - 4];
        let record = sealed(&mut pair.agent, at(0), &most);
        assert_eq!(record.len(), HEADER_BYTES + other + TAG_BYTES);
        assert_eq!(opened(&mut pair.backend, at(0), &record), [most]);
        let mut out = BytesMut::new();
        let refused = pair.agent.seal_datagram(at(0), &vec![1; other - 3], &mut out);
        assert_eq!(refused, Err(SealError::TooLarge(other - 3, other - 4)));
        assert!(out.is_empty());
    }
    for bytes in [0, 1_024, 2_047, 65_520, 1 << 20] {
        assert!(agent_config().with_record_bytes(bytes).is_err(), "{bytes}");
    }
}

/// proto-spec: a record that is begun and dropped, or too large, takes no position and says
/// nothing away: ACCEPT still comes first.
#[test]
fn a_record_begun_in_vain_loses_nothing() {
    let mut ends = crate::talk::unaccepted(agent_config(), backend_config());
    let mut out = BytesMut::new();
    ends.backend.seal_datagram(at(0), &[0; 20_000], &mut out).unwrap_err();
    ends.backend.record(at(0), &mut out).unwrap().datagram(b"never").unwrap();
    assert!(out.is_empty());
    let record = sealed(&mut ends.backend, at(0), b"welcome");
    assert_eq!(Header::decode(&record).unwrap().seq, 0);
    assert_eq!(opened(&mut ends.agent, at(0), &record), [b"welcome".to_vec()]);
    assert!(ends.agent.is_open());

    ends.agent.ping(7);
    drop(ends.agent.record(at(0), &mut out).unwrap());
    deliver(&mut ends.agent, &mut ends.backend, at(0));
    ends.backend.seal_datagram(at(0), &[0; 20_000], &mut out).unwrap_err();
    deliver(&mut ends.backend, &mut ends.agent, at(0));
    assert!(events(&mut ends.agent).contains(&Event::Pong(7)));
}

/// On a transport that reorders, a record that overtakes ACCEPT is dropped unopened.
#[test]
fn a_record_that_overtakes_accept_is_dropped() {
    let mut ends = crate::talk::unaccepted(agent_config(), backend_config());
    ends.agent.attach(Order::Window);
    let first = sealed(&mut ends.backend, at(0), b"first");
    let second = sealed(&mut ends.backend, at(0), b"second");
    assert_eq!(refused(&mut ends.agent, at(0), &second), OpenError::UnexpectedRecord);
    assert!(!ends.agent.is_open() && !ends.agent.is_closed());
    assert_eq!(opened(&mut ends.agent, at(0), &first), [b"first".to_vec()]);
    assert_eq!(opened(&mut ends.agent, at(0), &second), [b"second".to_vec()]);
}

/// proto-spec [S-18]: the end of a transport is not the end of a session, and a session moves to
/// another transport in the middle of anything.
#[test]
fn a_session_survives_its_transports() {
    let mut pair = confirmed();
    for order in [Order::Window, Order::Strict, Order::Strict, Order::Window] {
        let lost = sealed(&mut pair.agent, at(1), b"lost with its transport");
        pair.agent.attach(order);
        pair.backend.attach(order);
        assert!(opened_of(&mut pair, b"after"));
        assert_eq!(pair.backend.order(), order);
        let again = pair.backend.open(at(1), &mut lost.to_vec()).map(|_| ());
        assert_eq!(again.is_ok(), order == Order::Window, "as late as the transport allows");
        assert_eq!(events(&mut pair.backend), []);
    }
}

/// A forged record that resembles `honest`, another one each `number`.
fn forgery(honest: &[u8], number: u64) -> Vec<u8> {
    let mut forged = honest.to_vec();
    match number % 4 {
        0 => {
            let at_byte = HEADER_BYTES + (number / 4) as usize % (forged.len() - HEADER_BYTES);
            forged[at_byte] ^= 1 + (number % 251) as u8;
        }
        1 => forged[16..24].copy_from_slice(&(number * 1_000_003).to_be_bytes()),
        2 => forged[12..16].copy_from_slice(&(1 + number as u32 % 3).to_be_bytes()),
        _ => forged[16..24].copy_from_slice(&((1_u64 << 62) - 1 - number).to_be_bytes()),
    }
    forged
}

fn readdressed(record: &[u8], to: &Session) -> Vec<u8> {
    let mut moved = record.to_vec();
    moved[4..12].copy_from_slice(&to.link().to_bytes());
    moved
}

/// Another session of the same two parties.
fn another_pair() -> Pair {
    let [agent, backend]: [Config; 2] = [agent_config(), backend_config()];
    let mut handshake = crate::support::Handshake::new(agent, backend);
    (handshake.agent_seed, handshake.backend_seed) = (21, 22);
    handshake.run(&mut waxwire::session::ChainBook::new()).unwrap()
}

/// Whether what the agent says next opens.
fn opened_of(pair: &mut Pair, payload: &[u8]) -> bool {
    let now = after(start().instant, 1);
    let record = sealed(&mut pair.agent, now, payload);
    opened(&mut pair.backend, now, &record) == [payload.to_vec()]
}

/// The default pair speaks; guards the tests above against a session that opens nothing.
#[test]
fn an_honest_record_opens_in_both_directions() {
    let mut pair = pair();
    let record = sealed(&mut pair.agent, at(0), b"up");
    assert_eq!(opened(&mut pair.backend, at(0), &record), [b"up".to_vec()]);
    let record = sealed(&mut pair.backend, at(0), b"down");
    assert_eq!(opened(&mut pair.agent, at(0), &record), [b"down".to_vec()]);
}
