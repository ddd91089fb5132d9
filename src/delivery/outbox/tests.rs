//! What an outbox keeps, sends, counts and says.

use std::time::Duration;

use super::*;
use crate::limits::{ACK_WAIT_MAX, INBOX_MESSAGES, INBOX_VERDICTS};

const CLASS: Class = Class::Normal;

#[test]
fn numbers_are_dense_from_one_in_each_class() {
    let mut outbox = attached();
    for number in 1..=3 {
        assert_eq!(put(&mut outbox, number), number);
    }
    assert_eq!(outbox.insert(Class::Low, fresh(9)).unwrap(), 1);
}

#[test]
fn a_message_is_kept_until_it_is_handled() {
    let mut outbox = attached();
    put(&mut outbox, 7);
    assert_eq!(send_all(&mut outbox, at(0)), [(1, false)]);
    outbox.on_ack(CLASS, Level::Received, &through(1)).unwrap();
    assert_eq!(outbox.load().0, 1);
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    assert_eq!(outbox.load(), (0, 0));
    assert_eq!(events(&mut outbox), [Event::Received(7), Event::Settled(7, Fate::Handled)]);
    assert_eq!(outbox.timeout(), None);
}

#[test]
fn messages_are_handled_in_any_order() {
    let mut outbox = attached();
    (1..=6).for_each(|token| _ = put(&mut outbox, token));
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Handled, &numbers(1, &[(3, 3), (5, 6)])).unwrap();
    assert_eq!(outbox.numbers(CLASS).collect::<Vec<_>>(), [2, 4]);
    outbox.on_ack(CLASS, Level::Handled, &numbers(1, &[(3, 6)])).unwrap();
    outbox.on_ack(CLASS, Level::Handled, &through(6)).unwrap();
    let tokens: Vec<u64> = events(&mut outbox).into_iter().map(token_of).collect();
    assert_eq!(tokens, [1, 3, 5, 6, 4, 2]);
}

/// Attack 54, `ack_for_unsent`.
#[test]
fn an_acknowledgement_of_what_was_not_sent_is_a_lie() {
    for level in [Level::Received, Level::Handled] {
        let mut outbox = attached();
        (1..=2).for_each(|token| _ = put(&mut outbox, token));
        assert_eq!(outbox.on_ack(CLASS, level, &through(1)), Err(Lie::AckForUnsent));
        let first = outbox.poll_ready().unwrap();
        outbox.sent(at(0), first.0, first.1);
        assert_eq!(outbox.on_ack(CLASS, level, &through(2)), Err(Lie::AckForUnsent));
        assert_eq!(outbox.on_ack(CLASS, level, &numbers(0, &[(2, 2)])), Err(Lie::AckForUnsent));
        assert_eq!(outbox.load().0, 2, "{level:?}");
        assert_eq!(outbox.on_ack(CLASS, level, &through(1)), Ok(()));
        assert_eq!(outbox.on_ack(Class::High, level, &through(1)), Err(Lie::AckForUnsent));
    }
}

#[test]
fn an_acknowledgement_that_passes_over_an_unsent_message_is_a_lie() {
    let mut outbox = attached();
    (1..=3).for_each(|token| _ = put(&mut outbox, token));
    outbox.sent(at(0), CLASS, 3);
    assert_eq!(outbox.on_ack(CLASS, Level::Handled, &through(3)), Err(Lie::AckForUnsent));
}

#[test]
fn a_result_settles_one_message_and_only_one_that_was_sent() {
    let mut outbox = attached();
    (1..=2).for_each(|token| _ = put(&mut outbox, token));
    let verdict = Verdict { code: 3, detail: 77 };
    assert_eq!(outbox.on_result(CLASS, 1, verdict), Err(Lie::ResultForUnsent));
    assert_eq!(outbox.on_result(CLASS, 0, verdict), Err(Lie::ResultForUnsent));
    send_all(&mut outbox, at(0));
    assert_eq!(outbox.on_result(CLASS, 2, verdict), Ok(()));
    assert_eq!(outbox.on_result(CLASS, 2, verdict), Ok(()));
    assert_eq!(outbox.on_result(CLASS, 3, verdict), Err(Lie::ResultForUnsent));
    assert_eq!(events(&mut outbox), [Event::Settled(2, Fate::Refused(verdict))]);
    outbox.on_ack(CLASS, Level::Handled, &through(2)).unwrap();
    assert_eq!(events(&mut outbox), [Event::Settled(1, Fate::Handled)]);
}

#[test]
fn count_and_bytes_are_bounded() {
    let capacity = Capacity { messages: 2, bytes: 20 };
    let mut outbox = Outbox::new(epoch(1), Durability::Memory, capacity, 0);
    let large = || Fresh { content: Bytes::from(vec![0; 50]), ..fresh(1) };
    outbox.insert(CLASS, large()).unwrap();
    assert_eq!(outbox.insert(CLASS, fresh(2)).unwrap_err().0, Full::Bytes);
    outbox.withdraw(CLASS, 1).unwrap();
    outbox.insert(CLASS, fresh(3)).unwrap();
    outbox.insert(CLASS, fresh(4)).unwrap();
    let (full, message) = outbox.insert(CLASS, fresh(5)).unwrap_err();
    assert_eq!((full, message.token), (Full::Messages, 5));
    assert_eq!(outbox.load(), (2, 16));
}

#[test]
fn a_message_that_is_never_settled_holds_back_a_bounded_number_of_others() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    send_all(&mut outbox, at(0));
    for number in 2..=OUTBOX_SPAN as u64 {
        put(&mut outbox, number);
        send_all(&mut outbox, at(0));
        outbox.on_ack(CLASS, Level::Handled, &numbers(0, &[(2, number)])).unwrap();
    }
    assert_eq!(outbox.insert(CLASS, fresh(0)).unwrap_err().0, Full::Span);
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    assert!(outbox.insert(CLASS, fresh(0)).is_ok());
}

/// proto-spec [M-18]
#[test]
fn a_durable_message_is_not_sent_before_it_is_stored() {
    let mut outbox = durable();
    resume(&mut outbox, 9, None);
    put(&mut outbox, 1);
    assert_eq!(outbox.poll_ready(), None);
    let (ticket, changes) = outbox.take_changes().unwrap();
    assert!(matches!(changes.as_slice(), [Change::Peer(_), Change::Put(Row { number: 1, .. })]));
    put(&mut outbox, 2);
    outbox.stored(ticket);
    assert_eq!(events(&mut outbox), [Event::Stored(1)]);
    assert_eq!(send_all(&mut outbox, at(0)), [(1, false)]);
}

#[test]
fn nothing_is_sent_before_it_is_stored_to_whom() {
    let mut outbox = durable();
    put(&mut outbox, 1);
    let (ticket, _) = outbox.take_changes().unwrap();
    outbox.stored(ticket);
    resume(&mut outbox, 9, None);
    assert_eq!(outbox.poll_ready(), None);
    assert!(outbox.outgoing(at(0), CLASS, 1).is_none());
    let (ticket, _) = outbox.take_changes().unwrap();
    outbox.stored(ticket);
    assert_eq!(send_all(&mut outbox, at(0)), [(1, false)]);
}

#[test]
fn a_settled_row_is_deleted_from_the_store() {
    let mut outbox = durable();
    put(&mut outbox, 1);
    resume(&mut outbox, 9, None);
    let (ticket, _) = outbox.take_changes().unwrap();
    outbox.stored(ticket);
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    let (_, changes) = outbox.take_changes().unwrap();
    assert!(matches!(changes.as_slice(), [Change::Delete(CLASS, 1)]), "{changes:?}");
    assert!(outbox.take_changes().is_none());
}

#[test]
fn what_a_store_gives_back_is_sent_again_under_its_number() {
    let mut outbox = durable();
    let rows = [3, 5].map(|number| Row { class: CLASS, number, message: fresh(number) });
    outbox.restore(Some(epoch(9)), &PerClass::from_fn(|_| 8), rows).unwrap();
    resume(&mut outbox, 9, Some((CLASS, numbers(3, &[(6, 6)]))));
    assert_eq!(events(&mut outbox), [Event::Settled(3, Fate::Handled)]);
    assert_eq!(send_all(&mut outbox, at(0)), [(5, true)]);
    assert_eq!(put(&mut outbox, 1), 8);
    assert_eq!(voids(&mut outbox, CLASS), [(4, 4), (7, 7)]);
}

#[test]
fn rows_that_no_outbox_leaves_are_refused() {
    let next = PerClass::from_fn(|_| 10);
    let row = |number| Row { class: CLASS, number, message: fresh(number) };
    for bad in [vec![row(0)], vec![row(10)], vec![row(4), row(4)], vec![row(4), row(3)]] {
        assert_eq!(durable().restore(None, &next, bad), Err(Foreign));
    }
    let far = PerClass::from_fn(|_| OUTBOX_SPAN as u64 + 10);
    assert_eq!(durable().restore(None, &far, [row(4)]), Err(Foreign));
    assert_eq!(durable().restore(None, &PerClass::from_fn(|_| u64::MAX), []), Err(Foreign));
    assert_eq!(durable().restore(None, &PerClass::from_fn(|_| NUMBER_MAX), []), Ok(()));
}

/// proto-spec [M-17]
#[test]
fn what_was_not_handled_is_sent_again_in_the_next_session() {
    let mut outbox = attached();
    (1..=4).for_each(|token| _ = put(&mut outbox, token));
    for _ in 0..3 {
        let (class, number) = outbox.poll_ready().unwrap();
        outbox.sent(at(0), class, number);
    }
    outbox.detach();
    assert_eq!(outbox.poll_ready(), None);
    assert_eq!(outbox.timeout(), None);
    let continued = resume(&mut outbox, 9, Some((CLASS, numbers(1, &[(3, 3)]))));
    assert_eq!(continued, Continued::Same { replayed: 1 });
    assert_eq!(send_all(&mut outbox, at(1)), [(2, true), (4, false)]);
}

#[test]
fn a_lost_inbox_puts_what_was_sent_to_it_in_doubt() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    put(&mut outbox, 2);
    let surface = Fresh { doubt: Doubt::Surface, ..fresh(3) };
    outbox.insert(CLASS, surface).unwrap();
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    put(&mut outbox, 4);
    events(&mut outbox);
    outbox.detach();
    let continued = resume(&mut outbox, 10, None);
    assert_eq!(continued, Continued::Lost { in_doubt: vec![(CLASS, 2), (CLASS, 3)] });
    assert_eq!(events(&mut outbox), [Event::Settled(3, Fate::InDoubt)]);
    // The new inbox knows none of the numbers before.
    assert_eq!(voids(&mut outbox, CLASS), [(1, 1), (3, 3)]);
    assert_eq!(outbox.on_ack(CLASS, Level::Handled, &through(2)), Err(Lie::AckForUnsent));
    assert_eq!(send_all(&mut outbox, at(1)), [(2, true), (4, false)]);
    outbox.on_ack(CLASS, Level::Handled, &through(4)).unwrap();
    assert_eq!(outbox.load(), (0, 0));
}

#[test]
fn what_an_earlier_inbox_was_sent_is_in_doubt_once() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    send_all(&mut outbox, at(0));
    outbox.detach();
    assert!(
        matches!(resume(&mut outbox, 10, None), Continued::Lost { in_doubt } if in_doubt.len() == 1)
    );
    outbox.detach();
    assert_eq!(resume(&mut outbox, 11, None), Continued::Lost { in_doubt: Vec::new() });
    assert_eq!(send_all(&mut outbox, at(1)), [(1, true)]);
}

#[test]
fn an_inbox_that_forgot_what_it_acknowledged_counts_as_lost() {
    let mut outbox = attached();
    (1..=2).for_each(|token| _ = put(&mut outbox, token));
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    outbox.detach();
    assert_eq!(resume(&mut outbox, 9, None), Continued::Lost { in_doubt: vec![(CLASS, 2)] });
}

#[test]
fn a_resume_cannot_have_handled_what_was_not_sent() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    outbox.detach();
    let handled = PerClass::from_fn(|_| through(1));
    assert_eq!(outbox.resume(epoch(9), Some(&handled)), Err(Lie::ResumeForUnsent));
    assert_eq!(outbox.resume(epoch(10), Some(&handled)), Err(Lie::ResumeForUnsent));
}

#[test]
fn a_message_that_is_not_acknowledged_is_sent_three_times_and_buried() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    let mut now = at(0);
    for again in [false, true, true] {
        assert_eq!(send_all(&mut outbox, now), [(1, again)]);
        let due = outbox.timeout().unwrap();
        assert!((ACK_WAIT..=ACK_WAIT_MAX).contains(&due.since(now)));
        outbox.handle_timeout(Instant::from_nanos(due.as_nanos() - 1), due);
        assert_eq!(outbox.poll_ready(), None);
        outbox.handle_timeout(due, due);
        now = due;
    }
    assert_eq!(events(&mut outbox), [Event::Settled(1, Fate::Undeliverable)]);
    assert_eq!(outbox.dead_letters().pop().map(|letter| letter.token), Some(1));
    assert_eq!(voids(&mut outbox, CLASS), [(1, 1)]);
    outbox.on_ack(CLASS, Level::Handled, &through(1)).unwrap();
    assert_eq!(outbox.timeout(), None);
}

#[test]
fn the_silence_of_a_peer_fails_nothing() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    send_all(&mut outbox, at(10));
    for _ in 0..20 {
        let due = outbox.timeout().unwrap();
        outbox.handle_timeout(due, at(10));
        assert_eq!(outbox.poll_ready(), None);
    }
    let due = outbox.timeout().unwrap();
    outbox.handle_timeout(due, due);
    assert_eq!(outbox.poll_ready(), Some((CLASS, 1)));
}

#[test]
fn lost_sessions_fail_nothing() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    for round in 0..20 {
        assert_eq!(send_all(&mut outbox, at(100 * round)), [(1, round > 0)]);
        outbox.detach();
        outbox.handle_timeout(at(100 * round + 50), at(100 * round + 50));
        resume(&mut outbox, 9, None);
    }
    assert_eq!(outbox.load().0, 1);
}

#[test]
fn what_the_peer_holds_is_not_sent_again() {
    let mut outbox = attached();
    put(&mut outbox, 1);
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Received, &through(1)).unwrap();
    assert_eq!(outbox.timeout(), None);
    outbox.handle_timeout(at(1_000), at(1_000));
    assert_eq!(outbox.poll_ready(), None);
}

#[test]
fn an_expired_message_is_not_sent_and_its_number_is_void() {
    let mut outbox = attached();
    let mortal = Fresh { expires: Some(at(5)), ..fresh(1) };
    outbox.insert(CLASS, mortal.clone()).unwrap();
    put(&mut outbox, 2);
    assert_eq!(outbox.timeout(), Some(at(5)));
    let left = outbox.outgoing(at(3), CLASS, 1).unwrap().remaining;
    assert_eq!(left, Some(Duration::from_secs(2)));
    assert!(outbox.outgoing(at(5), CLASS, 1).is_none());
    assert_eq!(events(&mut outbox), [Event::Settled(1, Fate::Expired(Seen::Never))]);
    assert_eq!(voids(&mut outbox, CLASS), [(1, 1)]);
    assert_eq!(send_all(&mut outbox, at(5)), [(2, false)]);
    outbox.on_ack(CLASS, Level::Handled, &through(2)).unwrap();
    outbox.insert(CLASS, mortal).unwrap();
    outbox.handle_timeout(at(5), at(5));
    assert_eq!(outbox.load(), (0, 0));
}

/// What is begun is finished, so the peer may handle it.
#[test]
fn a_message_that_expires_behind_its_first_piece_was_perhaps_seen() {
    let mut outbox = attached();
    outbox.insert(CLASS, Fresh { expires: Some(at(5)), ..fresh(1) }).unwrap();
    outbox.begun(CLASS, 1);
    outbox.handle_timeout(at(5), at(5));
    assert_eq!(events(&mut outbox), [Event::Settled(1, Fate::Expired(Seen::Perhaps))]);
    assert_eq!(outbox.on_result(CLASS, 1, REFUSED), Ok(()));
}

#[test]
fn what_the_peer_holds_does_not_expire_here_while_the_session_lasts() {
    let mut outbox = attached();
    outbox.insert(CLASS, Fresh { expires: Some(at(5)), ..fresh(1) }).unwrap();
    send_all(&mut outbox, at(0));
    outbox.on_ack(CLASS, Level::Received, &through(1)).unwrap();
    outbox.handle_timeout(at(5), at(5));
    assert_eq!(outbox.load().0, 1);
    outbox.detach();
    let due = outbox.timeout().unwrap();
    outbox.handle_timeout(due, due);
    events(&mut outbox);
    assert_eq!(outbox.load().0, 0);
}

/// proto-spec [M-28]: a crash frees the number for another message, which the peer would take for a duplicate, or brings
/// the message back, of which the peer would say that it was handled.
#[test]
fn a_number_is_told_to_be_void_once_its_row_is_gone() {
    let mut outbox = durable();
    resume(&mut outbox, 9, None);
    put(&mut outbox, 1);
    let (first, _) = outbox.take_changes().unwrap();
    put(&mut outbox, 2);
    (1..=2).for_each(|number| _ = outbox.withdraw(CLASS, number).unwrap());
    outbox.stored(first);
    assert_eq!(voids(&mut outbox, CLASS), []);
    let (second, _) = outbox.take_changes().unwrap();
    outbox.detach();
    resume(&mut outbox, 9, Some((CLASS, Numbers::new())));
    assert_eq!(voids(&mut outbox, CLASS), []);
    outbox.stored(second);
    assert_eq!(voids(&mut outbox, CLASS), [(1, 2)]);
}

/// proto-spec [M-26].
#[test]
fn the_peer_hears_once_that_its_result_was_heard() {
    let mut outbox = attached();
    (1..=5).for_each(|token| _ = put(&mut outbox, token));
    send_all(&mut outbox, at(0));
    for number in [1, 2, 4] {
        outbox.on_result(CLASS, number, REFUSED).unwrap();
    }
    // What counts as handled is told all the same.
    outbox.on_ack(CLASS, Level::Handled, &numbers(2, &[(4, 4)])).unwrap();
    assert!(outbox.has_word());
    assert_eq!(voids(&mut outbox, CLASS), [(1, 2), (4, 4)]);
    assert!(!outbox.has_word());
    // A peer that did not hear it says its result again.
    outbox.on_result(CLASS, 4, REFUSED).unwrap();
    assert_eq!(voids(&mut outbox, CLASS), [(4, 4)]);
    // In the next session it left them out of what it handled, or it knows.
    outbox.on_result(CLASS, 5, REFUSED).unwrap();
    outbox.detach();
    resume(&mut outbox, 9, Some((CLASS, numbers(2, &[]))));
    assert_eq!(voids(&mut outbox, CLASS), [(4, 5)]);
}

/// proto-spec [M-28]: a crash may bring the message back until then.
#[test]
fn a_result_was_heard_once_the_row_is_gone() {
    let mut outbox = durable();
    resume(&mut outbox, 7, None);
    (1..=3).for_each(|token| _ = put(&mut outbox, token));
    let (ticket, _) = outbox.take_changes().unwrap();
    outbox.stored(ticket);
    send_all(&mut outbox, at(0));
    outbox.on_result(CLASS, 1, REFUSED).unwrap();
    let (first, _) = outbox.take_changes().unwrap();
    outbox.on_result(CLASS, 2, REFUSED).unwrap();
    outbox.on_result(CLASS, 2, REFUSED).unwrap();
    assert_eq!(voids(&mut outbox, CLASS), []);
    outbox.stored(first);
    assert_eq!(voids(&mut outbox, CLASS), [(1, 1)]);
    outbox.detach();
    resume(&mut outbox, 7, Some((CLASS, Numbers::new())));
    assert_eq!(voids(&mut outbox, CLASS), [(1, 1)]);
    let (second, _) = outbox.take_changes().unwrap();
    outbox.stored(second);
    assert_eq!(voids(&mut outbox, CLASS), [(1, 2)]);
}

/// A peer that says more results than it can have in doubt costs no more memory for it.
#[test]
fn results_that_were_heard_are_bounded() {
    let mut outbox = attached();
    let count = 10_000;
    for token in 1..=count {
        let number = put(&mut outbox, token);
        outbox.sent(at(0), CLASS, number);
        outbox.on_result(CLASS, number, REFUSED).unwrap();
    }
    let most = (INBOX_VERDICTS + INBOX_MESSAGES) as u64;
    assert!(most < count);
    assert_eq!(voids(&mut outbox, CLASS), [(1, most)]);
}

/// A disk that takes nothing for a night costs no memory for what expires meanwhile, and frees no number.
#[test]
fn what_is_gone_before_it_is_stored_does_not_pile_up() {
    let mut outbox = durable();
    resume(&mut outbox, 7, None);
    let stays = outbox.insert(Class::High, fresh(1)).unwrap();
    let (count, shuffled) = (500, |number: u64| (number * 7) % 10);
    for ten in 0..count / 10 {
        let numbers: Vec<u64> = (0..10).map(|token| put(&mut outbox, 10 * ten + token)).collect();
        // In any order.
        for index in 0..10 {
            let number = numbers[usize::try_from(shuffled(index)).unwrap()];
            assert!(outbox.withdraw(CLASS, number).is_some());
        }
    }
    let (ticket, changes) = outbox.take_changes().unwrap();
    let left = changes.iter().map(|change| match change {
        Change::Put(row) => (row.class, row.number, row.message.content.len()),
        Change::Delete(class, number) => (*class, *number, 0),
        Change::Peer(_) => (Class::Control, 0, 0),
    });
    let left: Vec<_> = left.collect();
    let stayed = fresh(1).content.len();
    let highest = (CLASS, count, 0);
    assert_eq!(left, [(Class::Control, 0, 0), (Class::High, stays, stayed), highest, highest]);
    outbox.stored(ticket);
    assert_eq!(events(&mut outbox), [Event::Stored(1)]);
    assert_eq!(voids(&mut outbox, CLASS), [(1, count)]);
    // A row that a batch took is removed by another one.
    let number = put(&mut outbox, 1);
    assert_eq!(number, count + 1);
    outbox.take_changes().unwrap();
    outbox.withdraw(CLASS, number).unwrap();
    let (_, changes) = outbox.take_changes().unwrap();
    assert!(matches!(changes[..], [Change::Delete(CLASS, of)] if of == number));
}

#[test]
fn voids_that_touch_become_one() {
    let mut outbox = attached();
    (1..=9).for_each(|token| _ = put(&mut outbox, token));
    for number in [2, 4, 3, 9, 7] {
        outbox.withdraw(CLASS, number).unwrap();
    }
    assert_eq!(voids(&mut outbox, CLASS), [(2, 4), (7, 7), (9, 9)]);
    outbox.handle_timeout(at(1), at(1));
    assert_eq!(voids(&mut outbox, CLASS), []);
    let told = outbox.timeout().unwrap();
    outbox.handle_timeout(told, told);
    assert_eq!(voids(&mut outbox, CLASS), [(2, 4), (7, 7), (9, 9)]);
}

#[test]
fn voids_do_not_pile_up_behind_the_oldest_message() {
    let mut outbox = attached();
    for token in 1..=1_000 {
        let number = put(&mut outbox, token);
        if token % 2 == 0 {
            outbox.withdraw(CLASS, number).unwrap();
        } else {
            outbox.sent(at(0), CLASS, number);
            let mut handled = Numbers::new();
            handled.insert(number);
            outbox.on_ack(CLASS, Level::Handled, &handled).unwrap();
        }
    }
    let told = voids(&mut outbox, CLASS);
    assert!(told.len() <= 17, "{} voids", told.len());
    assert_eq!((told[0].0, told.last().unwrap().1), (2, 1_000));
}

const REFUSED: Verdict = Verdict { code: 3, detail: 0 };

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn epoch(byte: u8) -> Epoch {
    Epoch::from_bytes([byte; 16]).unwrap()
}

fn fresh(token: u64) -> Fresh<u64> {
    let content = Bytes::copy_from_slice(&token.to_be_bytes());
    Fresh { content, expires: None, doubt: Doubt::SendAgain, token }
}

fn durable() -> Outbox<u64> {
    Outbox::new(epoch(1), Durability::Durable, Capacity::default(), 0)
}

/// In memory, and in its first session with the inbox 9.
fn attached() -> Outbox<u64> {
    let mut outbox = Outbox::new(epoch(1), Durability::Memory, Capacity::default(), 0);
    assert_eq!(resume(&mut outbox, 9, None), Continued::First);
    outbox
}

fn resume(outbox: &mut Outbox<u64>, inbox: u8, handled: Option<(Class, Numbers)>) -> Continued {
    let handled = handled.map(|(class, numbers)| {
        let mut all = PerClass::default();
        *all.get_mut(class) = numbers;
        all
    });
    outbox.resume(epoch(inbox), handled.as_ref()).unwrap()
}

fn put(outbox: &mut Outbox<u64>, token: u64) -> u64 {
    outbox.insert(CLASS, fresh(token)).unwrap()
}

/// Sends what is ready: numbers, and whether each was sent before.
fn send_all(outbox: &mut Outbox<u64>, now: Instant) -> Vec<(u64, bool)> {
    let mut sent = Vec::new();
    while let Some((class, number)) = outbox.poll_ready() {
        if let Some(outgoing) = outbox.outgoing(now, class, number) {
            sent.push((number, outgoing.again));
            outbox.sent(now, class, number);
        }
    }
    sent
}

fn voids(outbox: &mut Outbox<u64>, class: Class) -> Vec<(u64, u64)> {
    let all = std::iter::from_fn(|| outbox.poll_void(at(0)));
    all.filter(|(of, ..)| *of == class).map(|(_, first, last)| (first, last)).collect()
}

fn events(outbox: &mut Outbox<u64>) -> Vec<Event<u64>> {
    std::iter::from_fn(|| outbox.poll_event()).collect()
}

fn token_of(event: Event<u64>) -> u64 {
    match event {
        Event::Stored(token) | Event::Received(token) | Event::Settled(token, _) => token,
    }
}

fn through(number: u64) -> Numbers {
    numbers(number, &[])
}

fn numbers(through: u64, ranges: &[(u64, u64)]) -> Numbers {
    Numbers::from_parts(through, ranges.iter().copied()).unwrap()
}
