//! Keys that step on as records and time pass.

use bytes::BytesMut;
use waxwire::Instant;
use waxwire::header::Header;
use waxwire::session::{Event, OpenError, Order, Session};

use crate::support::{Pair, deliver, opened, pair, sealed};
use crate::talk::{at, confirmed, events, exchange, refused, rekey, said};

/// proto-spec [S-1]: after 4096 records, and not before, a proven epoch ends.
#[test]
fn an_epoch_ends_after_4096_records() {
    let mut pair = confirmed();
    let sealed_before = 1; // the ping of the handshake's end
    for number in sealed_before..4_096 {
        assert_eq!(epoch(&sealed(&mut pair.agent, at(1), b"")), 0, "{number}");
    }
    assert_eq!(epoch(&sealed(&mut pair.agent, at(1), b"")), 1);
}

/// proto-spec [S-1]: 60 s after its first record a proven epoch ends, at the next record.
#[test]
fn an_epoch_ends_after_60_seconds() {
    let mut pair = confirmed();
    assert_eq!(epoch(&sealed(&mut pair.agent, at(59), b"")), 0);
    assert_eq!(epoch(&sealed(&mut pair.agent, at(60), b"")), 1);
    exchange(&mut pair, at(60));
    assert_eq!(epoch(&sealed(&mut pair.agent, at(119), b"")), 1);
}

/// proto-spec [S-1]: an epoch that the peer has not proven to have seen goes on.
#[test]
fn an_unproven_epoch_goes_on() {
    let mut pair = pair();
    for _ in 0..5_000 {
        assert_eq!(epoch(&sealed(&mut pair.backend, at(1), b"")), 0, "the agent said nothing");
    }
    assert_eq!(epoch(&sealed(&mut pair.backend, at(1_000), b"")), 0);
    let heard = sealed(&mut pair.agent, at(1_000), b"");
    opened(&mut pair.backend, at(1_000), &heard);
    assert_eq!(epoch(&sealed(&mut pair.backend, at(1_000), b"")), 1);
    for _ in 0..5_000 {
        assert_eq!(epoch(&sealed(&mut pair.backend, at(1_100), b"")), 1, "no acknowledgement");
    }
}

/// proto-spec [S-2], [S-3]: the first record of an epoch announces it, and every 256th until it is
/// proven; the announcement is 8 bytes.
#[test]
fn an_epoch_is_announced_until_it_is_proven() {
    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let plain = sealed(&mut pair.agent, at(0), b"").len();
    let mut last = None;
    for number in 0..1_000 {
        let record = sealed(&mut pair.agent, at(60), b"");
        assert_eq!(epoch(&record), 1);
        let announces = record.len() == plain + 8;
        assert_eq!(announces, number % 256 == 0, "record {number}");
        last = announces.then_some(record).or(last);
    }
    opened(&mut pair.backend, at(60), &last.unwrap());
    pair.agent.attach(Order::Window);
    exchange(&mut pair, at(60));
    for number in 1_000..2_000 {
        let record = sealed(&mut pair.agent, at(60), b"");
        assert_eq!(record.len(), plain, "proven: record {number}");
    }
}

/// proto-spec [S-4]: an announcement is acknowledged, once for each, in a record of 8 bytes.
#[test]
fn an_announcement_is_acknowledged() {
    let mut pair = confirmed();
    let announced = sealed(&mut pair.agent, at(60), b"");
    opened(&mut pair.backend, at(60), &announced);
    let acknowledged = said(&mut pair.backend, at(1)).unwrap();
    assert_eq!(acknowledged.len(), 24 + 8 + 16);
    assert!(said(&mut pair.backend, at(1)).is_none());
    opened(&mut pair.agent, at(60), &acknowledged);
    assert!(said(&mut pair.agent, at(60)).is_none(), "an acknowledgement is not answered");
    assert_eq!(epoch(&sealed(&mut pair.agent, at(120), b"")), 2, "so it proves the epoch");
}

/// A lost announcement costs nothing: any record of the epoch opens, and a later announcement is
/// acknowledged.
#[test]
fn a_lost_key_update_is_recovered_from() {
    let mut pair = confirmed();
    for end in [&mut pair.agent, &mut pair.backend] {
        end.attach(Order::Window);
    }
    let _lost = sealed(&mut pair.agent, at(60), b"the announcement");
    let record = sealed(&mut pair.agent, at(60), b"next");
    assert_eq!(opened(&mut pair.backend, at(60), &record), [b"next".to_vec()]);
    for _ in 0..254 {
        sealed(&mut pair.agent, at(60), b"lost too");
    }
    let reminder = sealed(&mut pair.agent, at(60), b"");
    opened(&mut pair.backend, at(60), &reminder);
    deliver(&mut pair.backend, &mut pair.agent, at(60));
    assert_eq!(epoch(&sealed(&mut pair.agent, at(120), b"")), 2);
}

/// proto-spec: an epoch that is two away is refused in both directions of time.
#[test]
fn an_epoch_two_away_is_refused() {
    let mut pair = confirmed();
    for end in [&mut pair.agent, &mut pair.backend] {
        end.attach(Order::Window);
    }
    let old = sealed(&mut pair.agent, at(0), b"epoch 0");
    for seconds in [60, 61, 120, 121] {
        let mut record = sealed(&mut pair.agent, at(seconds), b"");
        if seconds == 60 {
            record[15] = 2;
            assert_eq!(refused(&mut pair.backend, at(60), &record), OpenError::EpochUnknown);
            record[15] = 1;
        }
        opened(&mut pair.backend, at(seconds), &record);
        exchange(&mut pair, at(seconds));
    }
    assert_eq!(epoch(&sealed(&mut pair.agent, at(121), b"")), 2);
    assert_eq!(refused(&mut pair.backend, at(121), &old), OpenError::EpochUnknown);
    let mut forged = sealed(&mut pair.agent, at(121), b"");
    forged[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(refused(&mut pair.backend, at(121), &forged), OpenError::EpochUnknown);
}

/// proto-spec: the key of the epoch before opens for 30 s after the promotion.
#[test]
fn the_epoch_before_opens_for_30_seconds() {
    let (mut pair, held) = promoted(3);
    assert_eq!(opened(&mut pair.backend, just_before(at(90)), &held[0]), [b"late".to_vec()]);
    assert_eq!(refused(&mut pair.backend, at(90), &held[1]), OpenError::EpochUnknown);
    let (mut pair, held) = promoted(1);
    assert_eq!(pair.backend.poll_timeout(), Some(at(90)));
    pair.backend.handle_timeout(at(90));
    assert_ne!(pair.backend.poll_timeout(), Some(at(90)), "its key is erased");
    assert_eq!(refused(&mut pair.backend, at(89), &held[0]), OpenError::EpochUnknown);
}

/// proto-spec: the key of the epoch before opens until 1024 records of the new one did.
#[test]
fn the_epoch_before_opens_until_1024_records_of_the_next() {
    let (mut pair, held) = promoted(2);
    for _ in 1..1_023 {
        let record = sealed(&mut pair.agent, at(60), b"");
        opened(&mut pair.backend, at(60), &record);
    }
    assert_eq!(opened(&mut pair.backend, at(60), &held[1]), [b"late".to_vec()]);
    let record = sealed(&mut pair.agent, at(60), b"");
    opened(&mut pair.backend, at(60), &record);
    assert_eq!(refused(&mut pair.backend, at(60), &held[0]), OpenError::EpochUnknown);
}

/// proto-spec: a record of the epoch before, or from before a rekey, opens no second time.
#[test]
fn a_record_is_not_replayed_across_epochs() {
    let (mut pair, held) = promoted(1);
    opened(&mut pair.backend, at(61), &held[0]);
    assert_eq!(refused(&mut pair.backend, at(61), &held[0]), OpenError::Replayed);
    let mut relabelled = held[0].clone();
    relabelled[15] = 1;
    assert_eq!(refused(&mut pair.backend, at(61), &relabelled), OpenError::Replayed);

    let mut pair = confirmed();
    pair.backend.attach(Order::Window);
    let record = sealed(&mut pair.agent, at(1), b"once");
    opened(&mut pair.backend, at(1), &record);
    rekey(&mut pair, at(2), 51);
    assert_eq!(refused(&mut pair.backend, at(2), &record), OpenError::Replayed);
}

/// proto-spec: epochs and rekeys do not begin positions anew.
#[test]
fn positions_count_through_epochs_and_rekeys() {
    let mut pair = confirmed();
    let mut next = seq(&sealed(&mut pair.agent, at(0), b"")) + 1;
    let mut check = |pair: &mut Pair, seconds| {
        let record = sealed(&mut pair.agent, at(seconds), b"");
        assert_eq!(seq(&record), next);
        pair.backend.attach(Order::Window);
        opened(&mut pair.backend, at(seconds), &record);
        next += 1;
        let mut own = BytesMut::new();
        while pair.backend.poll_transmit(at(seconds), &mut own) {
            opened(&mut pair.agent, at(seconds), &own.split());
        }
    };
    check(&mut pair, 60);
    check(&mut pair, 61);
    check(&mut pair, 130);
    rekey(&mut pair, at(131), 51);
    let record = sealed(&mut pair.agent, at(131), b"");
    assert!(seq(&record) > 4 && epoch(&record) == 3);
    pair.agent.attach(Order::Strict);
    assert_eq!(seq(&sealed(&mut pair.agent, at(131), b"")), seq(&record) + 1);
}

/// Epochs of the two directions are apart.
#[test]
fn directions_step_on_their_own() {
    let mut pair = confirmed();
    assert_eq!(epoch(&sealed(&mut pair.agent, at(60), b"")), 1);
    assert_eq!(epoch(&sealed(&mut pair.backend, at(0), b"")), 0);
    assert_eq!(events(&mut pair.agent), [] as [Event; 0]);
}

/// A pair whose agent moved to epoch 1 at 60 s, and records of epoch 0 that are still on the way.
fn promoted(held: usize) -> (Pair, Vec<BytesMut>) {
    let mut pair = confirmed();
    for end in [&mut pair.agent, &mut pair.backend] {
        end.attach(Order::Window);
    }
    let late = |session: &mut Session| sealed(session, at(0), b"late");
    let held = (0..held).map(|_| late(&mut pair.agent)).collect();
    let first = sealed(&mut pair.agent, at(60), b"");
    assert_eq!(epoch(&first), 1);
    opened(&mut pair.backend, at(60), &first);
    (pair, held)
}

fn just_before(moment: Instant) -> Instant {
    Instant::from_nanos(moment.as_nanos() - 1)
}

fn epoch(record: &[u8]) -> u32 {
    Header::decode(record).unwrap().epoch
}

fn seq(record: &[u8]) -> u64 {
    Header::decode(record).unwrap().seq
}
