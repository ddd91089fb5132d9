//! Links whose queues are full.

use super::pair::{Two, channel, numbered};
use crate::delivery::queue::Bounds;
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
