//! Key exchanges in band, over transports that lose, double and reorder.

use std::time::Duration;

use bytes::BytesMut;
use waxwire::header::Header;
use waxwire::limits::{REKEY_RETRY_TIME, REKEY_TIME};
use waxwire::session::{Event, Order, Session};
use waxwire::{Instant, Suite};

use crate::support::{Pair, agent_config, backend_config, deliver, opened, sealed, seed, start};
use crate::talk::{at, confirmed, confirmed_of, events, exchange, rekey, said};

/// proto-spec [S-6]: 15 minutes after the handshake, and after each rekey, the initiator wants one.
#[test]
fn a_rekey_is_due_after_15_minutes() {
    let mut pair = confirmed();
    let due = start().instant.after(REKEY_TIME);
    keep_alive(&mut pair, REKEY_TIME.as_secs() - 1);
    assert_eq!(pair.agent.poll_timeout(), Some(due));
    pair.agent.handle_timeout(at(REKEY_TIME.as_secs() - 1));
    assert_eq!(events(&mut pair.agent), []);
    pair.agent.handle_timeout(due);
    assert_eq!(events(&mut pair.agent), [Event::WantsSeed]);
    pair.agent.handle_timeout(due.after(Duration::from_secs(1)));
    assert_eq!(events(&mut pair.agent), [], "it asks once");
    rekey(&mut pair, due, 51);
    keep_alive(&mut pair, 2 * REKEY_TIME.as_secs() - 1);
    assert_eq!(pair.agent.poll_timeout(), Some(due.after(REKEY_TIME)));
}

/// proto-spec [S-6]: entropy that did not come is asked for again, at either end, and an exchange that
/// began is finished by it.
#[test]
fn a_seed_that_did_not_come_is_asked_for_again() {
    let mut pair = confirmed();
    let due = start().instant.after(REKEY_TIME);
    keep_alive(&mut pair, REKEY_TIME.as_secs() - 1);
    pair.agent.handle_timeout(due);
    asks_every_3_seconds(&mut pair.agent, due);
    let late = due.after(Duration::from_secs(13));
    pair.agent.provide_seed(late, &seed(51));
    assert_eq!(pair.agent.poll_timeout(), Some(late.after(REKEY_RETRY_TIME)), "for the answer");
    deliver(&mut pair.agent, &mut pair.backend, late);
    asks_every_3_seconds(&mut pair.backend, late);
    pair.backend.provide_seed(late, &seed(52));
    exchange(&mut pair, late);
    assert!(events(&mut pair.agent).contains(&Event::Rekeyed));
    assert!(events(&mut pair.backend).contains(&Event::Rekeyed));
    assert_ne!(pair.backend.poll_timeout(), Some(late.after(REKEY_RETRY_TIME)));
}

fn asks_every_3_seconds(session: &mut Session, from: Instant) {
    for asked in 1..5 {
        assert_eq!(events(session), [Event::WantsSeed]);
        let again = from.after(REKEY_RETRY_TIME * asked);
        assert_eq!(session.poll_timeout(), Some(again));
        session.handle_timeout(Instant::from_nanos(again.as_nanos() - 1));
        assert_eq!(events(session), []);
        session.handle_timeout(again);
    }
    assert_eq!(events(session), [Event::WantsSeed]);
}

/// proto-spec [S-13]: a rekey changes keys and nothing else, with either suite.
#[test]
fn a_rekey_changes_keys_only() {
    for suite in [Suite::Hybrid, Suite::Classical] {
        let mut pair = of_suite(suite);
        let before = facts(&pair);
        for round in 1..4 {
            rekey(&mut pair, at(round), 50 + 2 * round as u8);
            assert_eq!(facts(&pair), before);
            let record = sealed(&mut pair.agent, at(round), b"up");
            assert_eq!(Header::decode(&record).unwrap().epoch, round as u32);
            assert_eq!(opened(&mut pair.backend, at(round), &record), [b"up".to_vec()]);
            let record = sealed(&mut pair.backend, at(round), b"down");
            assert_eq!(Header::decode(&record).unwrap().epoch, round as u32);
            assert_eq!(opened(&mut pair.agent, at(round), &record), [b"down".to_vec()]);
        }
    }
}

/// proto-spec [S-6]: a responder asks, and the initiator begins; within a minute after an exchange
/// it need not.
#[test]
fn a_responder_asks_for_a_rekey() {
    let mut pair = confirmed();
    pair.backend.request_rekey();
    assert_eq!(events(&mut pair.backend), [], "it does not begin itself");
    deliver(&mut pair.backend, &mut pair.agent, at(1));
    assert_eq!(events(&mut pair.agent), [Event::WantsSeed]);
    rekey(&mut pair, at(1), 51);
    pair.backend.request_rekey();
    deliver(&mut pair.backend, &mut pair.agent, at(30));
    assert_eq!(events(&mut pair.agent), []);
    pair.backend.request_rekey();
    deliver(&mut pair.backend, &mut pair.agent, at(61));
    assert_eq!(events(&mut pair.agent), [Event::WantsSeed]);
}

/// proto-spec [S-9], [S-10]: an unanswered REKEY goes out again with the same bytes every 3 s, and
/// is answered with the same bytes; what was lost is repaired.
#[test]
fn a_lost_rekey_is_repeated_and_answered_alike() {
    let mut pair = over_window();
    pair.agent.provide_seed(at(1), &seed(51));
    let lost = said(&mut pair.agent, at(1)).unwrap();
    assert_eq!(pair.agent.poll_timeout(), Some(at(1).after(REKEY_RETRY_TIME)));
    pair.agent.handle_timeout(at(3));
    assert!(said(&mut pair.agent, at(3)).is_none());
    pair.agent.handle_timeout(at(4));
    let again = said(&mut pair.agent, at(4)).unwrap();
    assert_eq!(again.len(), lost.len());

    let request = plaintext(&mut pair.backend, again);
    assert_eq!(events(&mut pair.backend), [Event::WantsSeed]);
    pair.backend.provide_seed(at(4), &seed(52));
    let _lost_answer = said(&mut pair.backend, at(4)).unwrap();
    assert!(said(&mut pair.backend, at(4)).is_none());
    pair.agent.handle_timeout(at(7));
    let third = said(&mut pair.agent, at(7)).unwrap();
    assert_eq!(plaintext(&mut pair.backend, third), request, "the same REKEY");
    assert_eq!(events(&mut pair.backend), [], "answered already");
    let answer = said(&mut pair.backend, at(7)).unwrap();
    pair.agent.handle_timeout(at(10));
    let fourth = said(&mut pair.agent, at(10)).unwrap();
    plaintext(&mut pair.backend, fourth);
    let answer_again = said(&mut pair.backend, at(10)).unwrap();
    let answer = plaintext(&mut pair.agent, answer);
    exchange(&mut pair, at(10));
    assert!(events(&mut pair.agent).contains(&Event::Rekeyed));
    assert!(events(&mut pair.backend).contains(&Event::Rekeyed));
    assert_eq!(plaintext(&mut pair.agent, answer_again), answer, "the same answer, ignored late");
    assert_eq!(events(&mut pair.agent), []);
    assert_speaks(&mut pair);
}

/// proto-spec [S-11], [S-12]: the initiator's first record after the answer is under the new root
/// and goes out at once; the responder's follows it.
#[test]
fn both_ends_switch_at_once_initiator_first() {
    let mut pair = confirmed();
    pair.agent.provide_seed(at(1), &seed(51));
    deliver(&mut pair.agent, &mut pair.backend, at(1));
    pair.backend.provide_seed(at(1), &seed(52));
    deliver(&mut pair.backend, &mut pair.agent, at(1));
    let before = sealed(&mut pair.backend, at(1), b"still");
    assert_eq!(epoch(&before), 0);
    let first = said(&mut pair.agent, at(1)).unwrap();
    assert_eq!(epoch(&first), 1);
    opened(&mut pair.backend, at(1), &first);
    assert_eq!(events(&mut pair.backend), [Event::Rekeyed]);
    let answer = said(&mut pair.backend, at(1)).unwrap();
    assert_eq!(epoch(&answer), 1);
    opened(&mut pair.agent, at(1), &before);
    assert_eq!(events(&mut pair.agent), []);
    opened(&mut pair.agent, at(1), &answer);
    assert_eq!(events(&mut pair.agent), [Event::Rekeyed]);
}

/// proto-spec [S-1]: no ordinary step while an exchange is under way.
#[test]
fn an_exchange_under_way_holds_the_epoch() {
    let mut pair = confirmed();
    pair.agent.provide_seed(at(1), &seed(51));
    assert_eq!(epoch(&sealed(&mut pair.agent, at(500), b"")), 0);
    let mut pair = confirmed();
    pair.agent.provide_seed(at(1), &seed(51));
    deliver(&mut pair.agent, &mut pair.backend, at(1));
    pair.backend.provide_seed(at(1), &seed(52));
    assert_eq!(epoch(&sealed(&mut pair.backend, at(500), b"")), 0);
}

/// A rekey succeeds over a transport that loses every other record of it and turns the rest about.
#[test]
fn a_rekey_survives_loss_and_reorder() {
    for suite in [Suite::Hybrid, Suite::Classical] {
        for losses in 0..64_u32 {
            let mut pair = of_suite(suite);
            for end in [&mut pair.agent, &mut pair.backend] {
                end.attach(Order::Window);
            }
            pair.agent.provide_seed(at(1), &seed(51));
            let mut carried = 0;
            for second in 1..60 {
                turn_about(&mut pair, second, losses, &mut carried);
                if events(&mut pair.backend).contains(&Event::WantsSeed) {
                    pair.backend.provide_seed(at(second), &seed(52));
                }
                pair.agent.handle_timeout(at(second));
            }
            assert_eq!(epoch(&sealed(&mut pair.agent, at(60), b"")), 1, "losses {losses:06b}");
            assert_eq!(epoch(&sealed(&mut pair.backend, at(60), b"")), 1, "losses {losses:06b}");
            assert_speaks(&mut pair);
        }
    }
}

/// A rekey is finished over another transport than it began on.
#[test]
fn a_rekey_moves_to_another_transport() {
    let mut pair = confirmed();
    pair.agent.provide_seed(at(1), &seed(51));
    said(&mut pair.agent, at(1)).unwrap();
    for end in [&mut pair.agent, &mut pair.backend] {
        end.attach(Order::Strict);
    }
    pair.agent.handle_timeout(at(4));
    exchange(&mut pair, at(4));
    pair.backend.provide_seed(at(4), &seed(52));
    exchange(&mut pair, at(4));
    assert!(events(&mut pair.agent).contains(&Event::Rekeyed));
    assert_speaks(&mut pair);
}

/// Entropy that nobody asked for begins an exchange at an initiator and is ignored elsewhere.
#[test]
fn a_seed_without_a_question_is_harmless() {
    let mut pair = confirmed();
    pair.backend.provide_seed(at(1), &seed(51));
    assert!(said(&mut pair.backend, at(1)).is_none());
    pair.agent.provide_seed(at(1), &seed(51));
    let one = said(&mut pair.agent, at(1)).unwrap();
    pair.agent.provide_seed(at(1), &seed(52));
    assert!(said(&mut pair.agent, at(1)).is_none(), "the exchange under way goes on");
    opened(&mut pair.backend, at(1), &one);
    pair.backend.provide_seed(at(1), &seed(53));
    pair.backend.provide_seed(at(1), &seed(54));
    exchange(&mut pair, at(1));
    assert_speaks(&mut pair);
}

/// One second in which each end says what it has to say, the last word first, and some of it is
/// lost: each bit of `losses` is one record.
fn turn_about(pair: &mut Pair, second: u64, losses: u32, carried: &mut u32) {
    let Pair { agent, backend, .. } = pair;
    for from_agent in [true, false] {
        let (from, to) =
            if from_agent { (&mut *agent, &mut *backend) } else { (&mut *backend, &mut *agent) };
        let mut records = vec![sealed(from, at(second), b"keeps it going")];
        while let Some(record) = said(from, at(second)) {
            records.push(record);
        }
        for mut record in records.into_iter().rev() {
            let lost = *carried < 6 && losses >> *carried & 1 == 1;
            *carried += 1;
            if !lost {
                to.open(at(second), &mut record).unwrap();
            }
        }
    }
}

fn keep_alive(pair: &mut Pair, until: u64) {
    for second in (0..=until).step_by(300).chain([until]) {
        pair.agent.ping(second);
        exchange(pair, at(second));
    }
    events(&mut pair.agent);
}

fn of_suite(suite: Suite) -> Pair {
    let [agent, backend] = [agent_config(), backend_config()];
    confirmed_of(agent.with_suites(&[suite]).unwrap(), backend.with_suites(&[suite]).unwrap())
}

fn over_window() -> Pair {
    let mut pair = confirmed();
    for end in [&mut pair.agent, &mut pair.backend] {
        end.attach(Order::Window);
    }
    pair
}

/// What a rekey must leave as it is, at both ends.
fn facts(pair: &Pair) -> Vec<Vec<u8>> {
    let mut facts = Vec::new();
    for end in [&pair.agent, &pair.backend] {
        let mut exported = vec![0; 32];
        end.export("fact", b"", &mut exported).unwrap();
        facts.extend([end.binding().to_vec(), end.id().to_bytes().to_vec(), exported]);
    }
    facts.push(pair.agent_chain.to_bytes().to_vec());
    facts
}

/// Opens a record that nobody refuses; returns the plaintext.
fn plaintext(to: &mut Session, mut record: BytesMut) -> Vec<u8> {
    to.open(at(1), &mut record).unwrap();
    record[24..record.len() - 16].to_vec()
}

fn assert_speaks(pair: &mut Pair) {
    let record = sealed(&mut pair.agent, at(60), b"up");
    assert_eq!(opened(&mut pair.backend, at(60), &record), [b"up".to_vec()]);
    let record = sealed(&mut pair.backend, at(60), b"down");
    assert_eq!(opened(&mut pair.agent, at(60), &record), [b"down".to_vec()]);
}

fn epoch(record: &[u8]) -> u32 {
    Header::decode(record).unwrap().epoch
}
