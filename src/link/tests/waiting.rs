//! What becomes of messages that wait while their link, or their subscriber, goes.

use std::time::Duration;

use super::pair::{Two, channel, moment, numbered};
use crate::delivery::queue::Bounds;
use crate::delivery::word::Verdict;
use crate::limits::ACK_WAIT;
use crate::link::{Event, Fate, Publish, Reliability};
use crate::priority::Class;

#[test]
fn a_full_queue_of_all_classes_outlives_its_session() {
    let mut two = Two::with(|config| config.queue = Bounds { messages: 10, bytes: 100_000 });
    two.attach();
    let filled = [(Class::Low, 7), (Class::Normal, 1), (Class::High, 1), (Class::Critical, 1)];
    let mut ids = Vec::new();
    for (class, count) in filled {
        for _ in 0..count {
            let publish = numbered(channel(0, "threats"), "one");
            let reliability = Reliability::BestEffort;
            let publish = Publish { class, reliability, ..publish };
            ids.push(two.links[0].publish(two.now, publish).unwrap());
        }
    }
    two.detach();
    assert_eq!(two.links[0].load(), (10, 0));
    two.attach();
    two.settle();
    let sent = two.events(0).into_iter().filter_map(|event| match event {
        Event::Settled(id, Fate::Sent) => Some(id),
        _ => None,
    });
    let mut sent: Vec<_> = sent.collect();
    sent.sort();
    assert_eq!(sent, ids);
    assert_eq!(two.handle_all(1).len(), 10);
}

#[test]
fn what_the_peer_may_have_is_judged_by_the_peer_though_nobody_listens_any_more() {
    let mut two = Two::connected();
    let publish = numbered(channel(0, "threats"), "one");
    let id = two.links[0].publish(two.now, Publish { class: Class::Low, ..publish }).unwrap();
    let first = two.record(0).unwrap();
    two.links[1].unsubscribe(1);
    two.now = moment(two.now.instant.after(ACK_WAIT));
    let word = two.record(1).unwrap();
    two.give(0, word).unwrap();
    two.links[0].handle_timeout(two.now);
    let again = two.record(0).unwrap();
    two.give(1, first).unwrap();
    two.give(1, again).unwrap();
    two.settle();
    two.pass(Duration::from_millis(50));
    let nobody = Verdict { code: 5, detail: 0 };
    assert_eq!(two.events(0), [Event::Settled(id, Fate::Refused(nobody))]);
}

#[test]
fn a_message_that_waits_in_the_queue_is_one_message() {
    let mut two = Two::connected();
    two.publish(0, "numbered");
    let loose =
        Publish { reliability: Reliability::BestEffort, ..numbered(channel(0, "threats"), "x") };
    two.links[0].publish(two.now, loose).unwrap();
    two.links[0].outbound.refill(two.now.instant);
    assert_eq!(two.links[0].outbound.queue.len(), 2);
    assert_eq!(two.links[0].load().0, 2);
}
