//! When a session asks for a seed, and what it makes of an exchange that nobody began.

use super::rig::{Ends, at, carry, ends, events, forge, frame, open, seed, talk};
use crate::limits::{EPOCH_TIME, REKEY_RETRY_TIME, REKEY_TIME};
use crate::session::Event;

/// proto-spec [S-6]: time alone makes an initiator ask, and no responder.
#[test]
fn only_an_initiator_rekeys_by_time() {
    let mut ends = ends();
    let due = REKEY_TIME.as_secs();
    for seconds in [due - 400, due - 1] {
        ends.agent.ping(seconds);
        talk(&mut ends, at(seconds));
    }
    events(&mut ends.agent);
    events(&mut ends.backend);
    assert_eq!(ends.agent.poll_timeout(), Some(at(due)));
    assert!(ends.backend.poll_timeout().is_none_or(|timeout| timeout > at(due)));
    for (seconds, asked) in [(due - 1, false), (due, true)] {
        ends.agent.handle_timeout(at(seconds));
        ends.backend.handle_timeout(at(seconds));
        assert_eq!(events(&mut ends.agent).contains(&Event::WantsSeed), asked);
        assert_eq!(events(&mut ends.backend), []);
    }
}

/// One exchange at a time: while one is under way nobody asks for another.
#[test]
fn an_exchange_under_way_asks_for_no_other() {
    let mut ends = ends();
    ends.agent.request_rekey();
    assert_eq!(events(&mut ends.agent), [Event::WantsSeed]);
    ends.agent.request_rekey();
    assert_eq!(events(&mut ends.agent), [], "it was asked for already");
    ends.agent.provide_seed(at(0), &seed(41));
    ends.agent.request_rekey();
    assert_eq!(events(&mut ends.agent), []);
    carry(&mut ends.agent, &mut ends.backend, at(0));
    ends.backend.provide_seed(at(0), &seed(42));
    talk(&mut ends, at(0));
    assert_eq!(events(&mut ends.agent), [Event::Rekeyed]);
    ends.agent.request_rekey();
    assert_eq!(events(&mut ends.agent), [Event::WantsSeed]);
}

/// A responder may ask, but after an exchange not before an epoch's time has passed.
#[test]
fn a_request_is_heard_once_an_epochs_time_has_passed() {
    let mut ends = ends();
    let asks = |ends: &mut Ends, seconds| {
        ends.backend.request_rekey();
        carry(&mut ends.backend, &mut ends.agent, at(seconds));
        events(&mut ends.agent)
    };
    assert_eq!(asks(&mut ends, 1), [Event::WantsSeed], "there was none before");
    ends.agent.provide_seed(at(1), &seed(41));
    talk(&mut ends, at(1));
    ends.backend.provide_seed(at(1), &seed(42));
    talk(&mut ends, at(1));
    assert_eq!(events(&mut ends.agent), [Event::Rekeyed]);
    let passed = 1 + EPOCH_TIME.as_secs();
    assert_eq!(asks(&mut ends, passed - 1), []);
    assert_eq!(asks(&mut ends, passed), [Event::WantsSeed]);
}

/// A REKEY that waits for its answer is said again at the moment named, not before.
#[test]
fn an_unanswered_rekey_is_said_again_in_time() {
    let mut ends = ends();
    ends.agent.provide_seed(at(1), &seed(41));
    let due = at(1).after(REKEY_RETRY_TIME);
    assert_eq!(ends.agent.poll_timeout(), Some(due));
    assert_eq!(carry(&mut ends.agent, &mut ends.backend, at(1)), 1);
    ends.agent.handle_timeout(at(1));
    assert!(!ends.agent.has_transmit());
    ends.agent.handle_timeout(due);
    assert!(ends.agent.has_transmit());
    assert_eq!(ends.agent.poll_timeout(), Some(due.after(REKEY_RETRY_TIME)));
    // It came before, and waits for its seed; the responder asks for one seed, and answers once.
    assert_eq!(carry(&mut ends.agent, &mut ends.backend, due), 1);
    assert_eq!(events(&mut ends.backend), [Event::WantsSeed]);
    ends.backend.provide_seed(due, &seed(42));
    talk(&mut ends, due);
    assert_eq!(events(&mut ends.backend), [Event::Rekeyed]);
    assert_eq!(events(&mut ends.agent), [Event::Rekeyed]);
}

/// Whatever it holds: an initiator that awaits nothing does not look.
#[test]
fn a_response_that_nobody_awaits_is_ignored() {
    for (epoch, bytes) in [(1, 1_120), (9, 1_120), (1, 32), (0, 0)] {
        let Ends { mut agent, mut backend } = ends();
        let share = u16::try_from(bytes).unwrap().to_be_bytes();
        let body = [&u32::to_be_bytes(epoch)[..], &share, &vec![0; bytes + 64]].concat();
        let record = forge(&mut backend, &frame(0x0b, 0, &body));
        assert_eq!(open(&mut agent, &record), Ok(vec![]), "epoch {epoch}, {bytes} bytes");
        assert_eq!(events(&mut agent), []);
    }
}
