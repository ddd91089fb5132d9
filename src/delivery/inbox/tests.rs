//! What an inbox takes once, and what it says of it.

use std::time::Duration;

use super::*;
use crate::limits::{
    ACK_DELAY, ACK_MESSAGES, INBOX_MESSAGES, INBOX_RANGES, INBOX_VERDICTS, NUMBER_RANGES,
};

const CLASS: Class = Class::High;
const NOW: Instant = Instant::from_nanos(1_000);
const HASH: ContentHash = [1; 16];
const VERDICT: Verdict = Verdict { code: 3, detail: 4 };

/// proto-spec [M-15]
#[test]
fn a_number_is_new_once() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 1);
    assert_eq!((key.class(), key.number()), (CLASS, 1));
    assert_eq!(again(&mut inbox, 1), Arrival::Duplicate(Level::Received));
    assert!(inbox.handled(NOW, key));
    assert!(!inbox.handled(NOW, key));
    assert_eq!(again(&mut inbox, 1), Arrival::Duplicate(Level::Handled));
    assert!(matches!(inbox.receive(NOW, Class::Low, 1, HASH), Ok(Arrival::New(_))));
}

#[test]
fn other_content_under_a_number_that_is_held_is_a_conflict() {
    let mut inbox = inbox(Durability::Memory);
    arrive(&mut inbox, 1);
    assert_eq!(inbox.receive(NOW, CLASS, 1, [2; 16]), Ok(Arrival::Conflict));
}

#[test]
fn numbers_that_no_message_has_are_lies() {
    let mut inbox = inbox(Durability::Memory);
    for number in [0, NUMBER_MAX + 1, u64::MAX] {
        assert_eq!(inbox.receive(NOW, CLASS, number, HASH), Err(Lie::BadNumber));
        assert_eq!(inbox.void(NOW, CLASS, number, number), Err(Lie::BadNumber));
    }
    assert_eq!(inbox.void(NOW, CLASS, 2, 1), Err(Lie::BadNumber));
}

#[test]
fn handlers_end_in_any_order() {
    let mut inbox = inbox(Durability::Memory);
    let keys: Vec<Key> = (1..=4).map(|number| arrive(&mut inbox, number)).collect();
    for index in [3, 0, 2] {
        inbox.handled(NOW, keys[index]);
    }
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(1, &[(3, 4)])));
    inbox.handled(NOW, keys[1]);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(4, &[])));
    assert_eq!(inbox.held(CLASS), 0);
}

/// proto-spec [M-16]
#[test]
fn nothing_is_said_to_be_handled_before_it_is_stored() {
    let mut inbox = inbox(Durability::Durable);
    let keys: Vec<Key> = (1..=3).map(|number| arrive(&mut inbox, number)).collect();
    inbox.handled(NOW, keys[0]);
    let (first, _) = inbox.take_changes().unwrap();
    inbox.handled(NOW, keys[1]);
    let (second, changes) = inbox.take_changes().unwrap();
    let handled = numbers(2, &[]);
    assert_eq!(changes, [InboxChange::Mark { class: CLASS, handled, verdicts: Vec::new() }]);
    assert_eq!(ack(&mut inbox, Level::Handled), None);
    assert_eq!(inbox.resumable().get(CLASS).through(), 0);
    inbox.handled(NOW, keys[2]);
    inbox.stored(NOW, first);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(1, &[])));
    inbox.stored(NOW, second);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(2, &[])));
    assert_eq!(inbox.resumable().get(CLASS).through(), 2);
}

#[test]
fn a_store_gives_back_what_was_handled() {
    let mut inbox = Inbox::new(epoch(2), Durability::Durable);
    inbox.restore(epoch(7), [(CLASS, numbers(4, &[(6, 6)]), vec![(6, VERDICT)])]);
    assert_eq!(inbox.resume(epoch(7)), PeerOutbox::Same);
    assert_eq!(again(&mut inbox, 4), Arrival::Duplicate(Level::Handled));
    arrive(&mut inbox, 5);
    assert_eq!(again(&mut inbox, 6), Arrival::Duplicate(Level::Handled));
    let refusal = Refusal { class: CLASS, number: 6, verdict: VERDICT };
    assert_eq!(inbox.poll_result(), Some(refusal));
}

#[test]
fn an_acknowledgement_waits_a_little_for_more_to_tell() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 1);
    inbox.handled(NOW, key);
    assert_eq!(inbox.timeout(), Some(NOW.after(ACK_DELAY)));
    let early = NOW.after(ACK_DELAY - Duration::from_nanos(1));
    assert_eq!(inbox.poll_ack(early, Ripe::Due), None);
    let ack = inbox.poll_ack(NOW.after(ACK_DELAY), Ripe::Due).unwrap();
    assert_eq!((ack.level, ack.numbers), (Level::Handled, numbers(1, &[])));
    // What was received was all handled: that says it.
    assert_eq!(inbox.poll_ack(NOW.after(ACK_DELAY), Ripe::Due), None);
    assert_eq!(inbox.timeout(), None);
}

#[test]
fn a_full_batch_goes_at_once() {
    let mut inbox = inbox(Durability::Memory);
    for number in 1..=u64::from(ACK_MESSAGES) {
        assert_eq!(inbox.poll_ack(NOW, Ripe::Due), None);
        arrive(&mut inbox, number);
    }
    let ack = inbox.poll_ack(NOW, Ripe::Due).unwrap();
    assert_eq!((ack.level, ack.numbers.through()), (Level::Received, u64::from(ACK_MESSAGES)));
}

#[test]
fn a_sender_that_waits_hears_at_once() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 1);
    inbox.hurry(CLASS, Level::Handled);
    assert_eq!(inbox.poll_ack(NOW, Ripe::Due), None);
    inbox.handled(NOW, key);
    assert_eq!(inbox.poll_ack(NOW, Ripe::Due).map(|ack| ack.level), Some(Level::Handled));
    let key = arrive(&mut inbox, 2);
    inbox.handled(NOW, key);
    assert_eq!(inbox.poll_ack(NOW, Ripe::Due), None);
}

#[test]
fn a_duplicate_is_acknowledged_again() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 1);
    inbox.handled(NOW, key);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(1, &[])));
    assert_eq!(ack(&mut inbox, Level::Handled), None);
    again(&mut inbox, 1);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(1, &[])));
}

#[test]
fn a_refusal_is_heard_before_the_number_counts_as_handled() {
    for durability in [Durability::Memory, Durability::Durable] {
        let mut inbox = inbox(durability);
        let keys = [1, 2].map(|number| arrive(&mut inbox, number));
        assert!(inbox.refused(keys[0], VERDICT));
        inbox.handled(NOW, keys[1]);
        store(&mut inbox);
        assert_eq!(inbox.poll_ack(NOW, Ripe::All), None);
        assert_eq!(inbox.poll_result().map(|refusal| refusal.number), Some(1));
        assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(2, &[])));
    }
}

#[test]
fn a_refusal_that_a_cut_swallowed_is_said_again() {
    let mut inbox = inbox(Durability::Memory);
    let keys = [1, 2, 3].map(|number| arrive(&mut inbox, number));
    inbox.refused(keys[1], VERDICT);
    inbox.handled(NOW, keys[0]);
    inbox.handled(NOW, keys[2]);
    inbox.poll_result();
    // The sender would take for handled what a RESUME names; so it sends 2 again.
    assert_eq!(*inbox.resumable().get(CLASS), numbers(1, &[(3, 3)]));
    assert_eq!(again(&mut inbox, 2), Arrival::Duplicate(Level::Handled));
    assert_eq!(inbox.poll_result().map(|refusal| refusal.verdict), Some(VERDICT));
}

/// proto-spec [M-19]: what is acknowledged before the sender repeats the message would else say
/// "handled" of it.
#[test]
fn a_resume_says_the_last_refusals_again_before_it_acknowledges() {
    for durability in [Durability::Memory, Durability::Durable] {
        let mut inbox = inbox(durability);
        let keys = [1, 2].map(|number| arrive(&mut inbox, number));
        inbox.refused(keys[0], VERDICT);
        store(&mut inbox);
        assert!(inbox.poll_result().is_some());
        inbox.refused(keys[1], VERDICT);
        let peer = inbox.peer().unwrap();
        inbox.resume(peer);
        inbox.void(NOW, CLASS, 3, 3).unwrap();
        assert_eq!(inbox.poll_ack(NOW, Ripe::All), None);
        let said: Vec<_> = std::iter::from_fn(|| inbox.poll_result()).collect();
        let numbers: Vec<_> = said.iter().map(|refusal| refusal.number).collect();
        let stored = if durability == Durability::Memory { vec![1, 2] } else { vec![1] };
        assert_eq!(numbers, stored);
    }
}

#[test]
fn a_resume_with_refusals_says_only_what_is_stored() {
    let mut inbox = inbox(Durability::Durable);
    let keys = [1, 2, 3].map(|number| arrive(&mut inbox, number));
    inbox.refused(keys[0], VERDICT);
    inbox.handled(NOW, keys[1]);
    store(&mut inbox);
    inbox.handled(NOW, keys[2]);
    assert_eq!(*inbox.resumable().get(CLASS), numbers(0, &[(2, 2)]));
}

/// proto-spec [M-27]: none of them is said to be handled, and none is forgotten for another one.
#[test]
fn a_refusal_is_remembered_until_its_sender_says_that_it_knows() {
    let mut inbox = inbox(Durability::Memory);
    let most = INBOX_VERDICTS as u64;
    for number in 1..=most {
        let key = arrive(&mut inbox, number);
        inbox.refused(key, VERDICT);
        inbox.poll_result();
    }
    assert_eq!(again(&mut inbox, most + 1), Arrival::NoRoom);
    assert_eq!(*inbox.resumable().get(CLASS), Numbers::new());
    inbox.resume(inbox.peer().unwrap());
    assert_eq!(std::iter::from_fn(|| inbox.poll_result()).count(), INBOX_VERDICTS);
    inbox.void(NOW, CLASS, 1, 10).unwrap();
    assert_eq!(*inbox.resumable().get(CLASS), numbers(10, &[]));
    assert_eq!(again(&mut inbox, 10), Arrival::Duplicate(Level::Handled));
    arrive(&mut inbox, most + 1);
}

/// proto-spec [M-27]: also when a crash brought its verdict back.
#[test]
fn a_stored_refusal_is_remembered_until_its_sender_says_that_it_knows() {
    let mut first = inbox(Durability::Durable);
    let key = arrive(&mut first, 1);
    first.refused(key, VERDICT);
    store(&mut first);
    let mut second = inbox(Durability::Durable);
    second.restore(first.peer().unwrap(), [(CLASS, numbers(1, &[]), vec![(1, VERDICT)])]);
    assert_eq!(*second.resumable().get(CLASS), Numbers::new());
    second.void(NOW, CLASS, 1, 1).unwrap();
    assert_eq!(*second.resumable().get(CLASS), numbers(1, &[]));
}

#[test]
fn a_released_message_is_new_again() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 1);
    assert!(inbox.released(key));
    assert!(!inbox.released(key));
    assert!(!inbox.handled(NOW, key));
    assert_eq!(arrive(&mut inbox, 1), key);
}

#[test]
fn void_numbers_are_passed_and_never_handled() {
    let mut inbox = inbox(Durability::Memory);
    let key = arrive(&mut inbox, 3);
    inbox.void(NOW, CLASS, 1, 5).unwrap();
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(2, &[(4, 5)])));
    assert_eq!(again(&mut inbox, 5), Arrival::Duplicate(Level::Handled));
    inbox.handled(NOW, key);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(5, &[])));
    inbox.void(NOW, CLASS, 2, 4).unwrap();
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(5, &[])));
}

#[test]
fn void_numbers_are_stored_before_they_are_acknowledged() {
    let mut inbox = inbox(Durability::Durable);
    inbox.void(NOW, CLASS, 1, 5).unwrap();
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(0, &[])));
    store(&mut inbox);
    assert_eq!(ack(&mut inbox, Level::Handled), Some(numbers(5, &[])));
}

#[test]
fn a_lost_outbox_takes_its_numbers_with_it() {
    let mut inbox = inbox(Durability::Memory);
    let late = arrive(&mut inbox, 1);
    let key = arrive(&mut inbox, 2);
    inbox.handled(NOW, key);
    assert_eq!(inbox.resume(epoch(8)), PeerOutbox::Reset);
    assert_eq!((inbox.timeout(), inbox.resumable().get(CLASS).through()), (None, 0));
    assert!(!inbox.handled(NOW, late));
    arrive(&mut inbox, 1);
    arrive(&mut inbox, 2);
}

#[test]
fn a_batch_of_a_lost_outbox_marks_nothing_of_the_next() {
    let mut inbox = inbox(Durability::Durable);
    let key = arrive(&mut inbox, 1);
    inbox.handled(NOW, key);
    let (ticket, _) = inbox.take_changes().unwrap();
    inbox.resume(epoch(8));
    inbox.stored(NOW, ticket);
    assert_eq!(inbox.resumable().get(CLASS).through(), 0);
    let (_, changes) = inbox.take_changes().unwrap();
    assert_eq!(changes, [InboxChange::Peer(epoch(8))]);
}

#[test]
fn what_is_held_is_bounded() {
    let mut inbox = inbox(Durability::Memory);
    let keys: Vec<Key> =
        (1..=INBOX_MESSAGES as u64).map(|number| arrive(&mut inbox, number)).collect();
    let next = INBOX_MESSAGES as u64 + 1;
    assert_eq!(again(&mut inbox, next), Arrival::NoRoom);
    inbox.handled(NOW, keys[5]);
    arrive(&mut inbox, next);
}

#[test]
fn gaps_are_bounded() {
    let mut inbox = inbox(Durability::Memory);
    let top = 2 * INBOX_RANGES as u64;
    for number in (2..=top).step_by(2) {
        arrive(&mut inbox, number);
    }
    assert_eq!(again(&mut inbox, top + 2), Arrival::NoRoom);
    inbox.void(NOW, CLASS, top + 2, top + 4).unwrap();
    assert_eq!(again(&mut inbox, top + 3), Arrival::NoRoom);
    arrive(&mut inbox, top + 1);
    arrive(&mut inbox, 3);
    arrive(&mut inbox, top + 3);
}

#[test]
fn an_acknowledgement_fits_its_frame() {
    let mut inbox = inbox(Durability::Memory);
    for number in (2..200).step_by(2) {
        let key = arrive(&mut inbox, number);
        inbox.handled(NOW, key);
    }
    let told = ack(&mut inbox, Level::Handled).unwrap();
    assert_eq!(told.ranges().len(), NUMBER_RANGES);
    assert_eq!(inbox.resumable().get(CLASS).ranges().len(), NUMBER_RANGES);
}

fn epoch(byte: u8) -> Epoch {
    Epoch::from_bytes([byte; 16]).unwrap()
}

/// In its first session with the outbox 7.
fn inbox(durability: Durability) -> Inbox {
    let mut inbox = Inbox::new(epoch(2), durability);
    assert_eq!(inbox.resume(epoch(7)), PeerOutbox::First);
    if durability == Durability::Durable {
        let (ticket, changes) = inbox.take_changes().unwrap();
        assert_eq!(changes, [InboxChange::Peer(epoch(7))]);
        inbox.stored(NOW, ticket);
    }
    inbox
}

fn store(inbox: &mut Inbox) {
    if let Some((ticket, _)) = inbox.take_changes() {
        inbox.stored(NOW, ticket);
    }
}

fn again(inbox: &mut Inbox, number: u64) -> Arrival {
    inbox.receive(NOW, CLASS, number, HASH).unwrap()
}

fn arrive(inbox: &mut Inbox, number: u64) -> Key {
    match again(inbox, number) {
        Arrival::New(key) => key,
        other => panic!("{number} is {other:?}"),
    }
}

/// What the next acknowledgement of a level says.
fn ack(inbox: &mut Inbox, level: Level) -> Option<Numbers> {
    std::iter::from_fn(|| inbox.poll_ack(NOW, Ripe::All))
        .find(|ack| ack.level == level)
        .map(|ack| ack.numbers)
}

fn numbers(through: u64, ranges: &[(u64, u64)]) -> Numbers {
    Numbers::from_parts(through, ranges.iter().copied()).unwrap()
}
