//! What happens to a message for which the queue has no room. Each policy is named by its effect;
//! what had to go is given back, as its sender has to learn it. Knows no sender.

use super::per_class::PerClass;
use super::queue::{Entry, Load, Queue, Refused, Ticket};
use crate::priority::Class;
use crate::time::Instant;

/// What gives way when the queue is full. Entries of other classes, and one that went in part, never
/// do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Policy {
    /// The sender waits with its message. The default: nothing is lost.
    #[default]
    Wait,
    /// The new message is refused.
    Reject,
    /// The oldest of its class are dropped for the new one, if that makes room.
    DropOldest,
    /// The new message is dropped: to its sender it was sent, and its fate is told as that of any
    /// other.
    DropNewest,
    /// The new message replaces an older one of its class and key, full or not, and takes its turn.
    /// Without an older one it waits in the queue as any other, or is refused.
    KeepLatest,
}

/// The policy of each class. Control has none: its entries are never dropped, and one for which
/// there is no room is refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Policies(PerClass<Policy>);

impl Policies {
    #[must_use]
    pub(crate) fn with(mut self, class: Class, policy: Policy) -> Self {
        *self.0.get_mut(class) = policy;
        self
    }

    fn of(&self, class: Class) -> Policy {
        if class == Class::Control { Policy::Reject } else { *self.0.get(class) }
    }
}

/// What became of a message.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "messages that were not sent are in it"]
pub(crate) enum Offered<T> {
    /// It is in the queue.
    Queued(Ticket),
    /// It is in the queue, and these had to go for it.
    Displaced(Ticket, Displaced<T>),
    /// Offer it again when something left the queue.
    Wait(Entry<T>),
    /// There was no room.
    Rejected(Entry<T>),
    /// There was no room, and its policy says that it goes.
    Dropped(Entry<T>),
    /// There never is room for so much.
    TooLarge(Entry<T>),
}

/// Messages that were in the queue and will not be sent. The outcome of each is an error, and a
/// number that one of them had leaves a gap unless it is told.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "each of these has a sender who has to learn that it was dropped"]
pub(crate) struct Displaced<T>(Vec<T>);

impl<T> IntoIterator for Displaced<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Puts a message in the queue, or does what its class's policy says.
pub(crate) fn offer<T>(
    queue: &mut Queue<T>,
    policies: &Policies,
    now: Instant,
    entry: Entry<T>,
) -> Offered<T> {
    let policy = policies.of(entry.class);
    if policy == Policy::KeepLatest
        && let Some(older) = entry.key.and_then(|key| queue.latest(entry.class, key))
    {
        return match queue.replace(older, entry) {
            Ok((ticket, older)) => Offered::Displaced(ticket, Displaced(vec![older])),
            Err(Refused::Full(entry)) => Offered::Rejected(entry),
            Err(Refused::TooLarge(entry)) => Offered::TooLarge(entry),
        };
    }
    match queue.push(now, entry) {
        Ok(ticket) => Offered::Queued(ticket),
        Err(Refused::TooLarge(entry)) => Offered::TooLarge(entry),
        Err(Refused::Full(entry)) => match policy {
            Policy::Wait => Offered::Wait(entry),
            Policy::Reject | Policy::KeepLatest => Offered::Rejected(entry),
            Policy::DropNewest => Offered::Dropped(entry),
            Policy::DropOldest => displace(queue, now, entry),
        },
    }
}

fn displace<T>(queue: &mut Queue<T>, now: Instant, entry: Entry<T>) -> Offered<T> {
    let more = Load { messages: 1, bytes: entry.bytes };
    if !queue.could_have_room(entry.class, more) {
        return Offered::Rejected(entry);
    }
    let mut gone = Vec::new();
    while !queue.has_room(entry.class, more)
        && let Some(oldest) = queue.oldest(entry.class)
    {
        gone.extend(queue.remove(oldest));
    }
    match queue.push(now, entry) {
        Ok(ticket) => Offered::Displaced(ticket, Displaced(gone)),
        Err(_) => unreachable!("there is room once all that could go went"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::queue::{Bounds, Gate, Key, Popped, Verdict};

    /// Ten messages, of which normal may have eight; eight thousand bytes for it.
    const BOUNDS: Bounds = Bounds { messages: 10, bytes: 10_000 };

    #[test]
    fn with_room_every_policy_queues() {
        for policy in ALL {
            let mut queue = Queue::new(BOUNDS);
            assert!(matches!(give(&mut queue, policy, 1, 10), Offered::Queued(_)), "{policy:?}");
        }
    }

    #[test]
    fn wait_gives_the_message_back_and_drops_nothing() {
        let mut queue = full();
        let offered = give(&mut queue, Policy::Wait, 99, 10);
        assert!(matches!(offered, Offered::Wait(Entry { item: 99, .. })));
        assert_eq!(drain(&mut queue), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn reject_gives_the_message_back_and_drops_nothing() {
        let mut queue = full();
        let offered = give(&mut queue, Policy::Reject, 99, 10);
        assert!(matches!(offered, Offered::Rejected(Entry { item: 99, .. })));
        assert_eq!(drain(&mut queue), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn drop_newest_drops_the_new_one_alone() {
        let mut queue = full();
        let offered = give(&mut queue, Policy::DropNewest, 99, 10);
        assert!(matches!(offered, Offered::Dropped(Entry { item: 99, .. })));
        assert_eq!(drain(&mut queue), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn drop_oldest_drops_as_many_of_the_oldest_as_it_takes() {
        let mut queue = full();
        assert_eq!(displaced(give(&mut queue, Policy::DropOldest, 99, 10)), [0]);
        // 7 of 1000 bytes and one of 10 wait, so that 990 more have room beside them.
        assert_eq!(displaced(give(&mut queue, Policy::DropOldest, 100, 2_500)), [1, 2]);
        assert_eq!(drain(&mut queue), [3, 4, 5, 6, 7, 99, 100]);
    }

    #[test]
    fn drop_oldest_drops_nothing_if_that_makes_no_room() {
        let mut queue = Queue::new(BOUNDS);
        for item in 0..9 {
            let _ = queue.push(Instant::default(), entry(Class::High, item, 10)).unwrap();
        }
        let offered = give(&mut queue, Policy::DropOldest, 99, 10);
        assert!(matches!(offered, Offered::Rejected(Entry { item: 99, .. })));
        assert_eq!(queue.len(), 9);
    }

    #[test]
    fn drop_oldest_leaves_other_classes_alone() {
        let mut queue = Queue::new(BOUNDS);
        for item in 0..4 {
            let _ = queue.push(Instant::default(), entry(Class::Low, item, 10)).unwrap();
            let _ = queue.push(Instant::default(), entry(Class::Normal, 10 + item, 10)).unwrap();
        }
        assert_eq!(displaced(give(&mut queue, Policy::DropOldest, 99, 10)), [10]);
        assert_eq!(drain(&mut queue), [11, 12, 13, 99, 0, 1, 2, 3]);
    }

    #[test]
    fn drop_oldest_spares_what_went_in_part() {
        let mut queue = full();
        let part = queue.pop(Instant::default(), no_gate, |_, _, _| Verdict::Part(100));
        assert!(matches!(part, Some(Popped::Part(Class::Normal, &mut 0))));
        assert_eq!(displaced(give(&mut queue, Policy::DropOldest, 99, 10)), [1]);
        let offered = give(&mut queue, Policy::DropOldest, 100, 7_500);
        assert!(matches!(offered, Offered::Rejected(_)));
        assert_eq!(drain(&mut queue), [0, 2, 3, 4, 5, 6, 7, 99]);
    }

    #[test]
    fn keep_latest_replaces_the_older_of_its_key_in_its_turn() {
        let mut queue = Queue::new(BOUNDS);
        for (item, key) in [(1, 1), (2, 2), (3, 3)] {
            assert!(matches!(latest(&mut queue, item, key, 10), Offered::Queued(_)));
        }
        assert_eq!(displaced(latest(&mut queue, 20, 2, 100)), [2]);
        assert_eq!(displaced(latest(&mut queue, 21, 2, 50)), [20]);
        assert_eq!(queue.load(Class::Normal).bytes, 70);
        assert_eq!(drain(&mut queue), [1, 21, 3]);
    }

    #[test]
    fn keep_latest_replaces_in_a_full_queue() {
        let mut queue = Queue::new(BOUNDS);
        (0..8).for_each(|item| {
            assert!(matches!(latest(&mut queue, item, item, 10), Offered::Queued(_)))
        });
        assert_eq!(displaced(latest(&mut queue, 99, 7, 10)), [7]);
        let other_key = latest(&mut queue, 100, 8, 10);
        assert!(matches!(other_key, Offered::Rejected(Entry { item: 100, .. })));
    }

    #[test]
    fn keep_latest_keeps_the_older_if_the_newer_has_no_room() {
        let mut queue = full();
        let _ = queue.remove(queue.oldest(Class::Normal).unwrap());
        let _ = latest(&mut queue, 50, 1, 10);
        let offered = latest(&mut queue, 51, 1, 2_000);
        assert!(matches!(offered, Offered::Rejected(Entry { item: 51, .. })));
        assert_eq!(drain(&mut queue), [1, 2, 3, 4, 5, 6, 7, 50]);
    }

    #[test]
    fn keep_latest_does_not_change_what_went_in_part() {
        let mut queue = Queue::new(BOUNDS);
        let _ = latest(&mut queue, 1, 1, 100);
        let _ = queue.pop(Instant::default(), no_gate, |_, _, _| Verdict::Part(10));
        assert!(matches!(latest(&mut queue, 2, 1, 10), Offered::Queued(_)));
        assert_eq!(displaced(latest(&mut queue, 3, 1, 10)), [2]);
        assert_eq!(drain(&mut queue), [1, 3]);
    }

    #[test]
    fn a_message_that_never_fits_is_too_large_under_every_policy() {
        for policy in ALL {
            let offered = give(&mut full(), policy, 99, 8_001);
            assert!(matches!(offered, Offered::TooLarge(Entry { item: 99, .. })), "{policy:?}");
        }
    }

    #[test]
    fn no_policy_drops_a_control_entry() {
        for policy in ALL {
            let mut queue = Queue::new(BOUNDS);
            let policies = Policies::default().with(Class::Control, policy);
            let mut refused = 0;
            for item in 0..300 {
                let mut entry = entry(Class::Control, item, 10);
                entry.key = Some(Key(1));
                match offer(&mut queue, &policies, Instant::default(), entry) {
                    Offered::Queued(_) => {}
                    Offered::Rejected(_) => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((queue.len(), refused), (256, 44), "{policy:?}");
            assert_eq!(drain(&mut queue), (0..256).collect::<Vec<_>>());
        }
    }

    const ALL: [Policy; 5] =
        [Policy::Wait, Policy::Reject, Policy::DropOldest, Policy::DropNewest, Policy::KeepLatest];

    fn entry(class: Class, item: u32, bytes: usize) -> Entry<u32> {
        Entry { class, bytes, expires: None, key: None, item }
    }

    /// Eight of a thousand bytes, as many as normal may have.
    fn full() -> Queue<u32> {
        let mut queue = Queue::new(BOUNDS);
        for item in 0..8 {
            let _ = queue.push(Instant::default(), entry(Class::Normal, item, 1_000)).unwrap();
        }
        queue
    }

    fn give(queue: &mut Queue<u32>, policy: Policy, item: u32, bytes: usize) -> Offered<u32> {
        let policies = Policies::default().with(Class::Normal, policy);
        offer(queue, &policies, Instant::default(), entry(Class::Normal, item, bytes))
    }

    fn latest(queue: &mut Queue<u32>, item: u32, key: u32, bytes: usize) -> Offered<u32> {
        let policies = Policies::default().with(Class::Normal, Policy::KeepLatest);
        let entry = Entry { key: Some(Key(key)), ..entry(Class::Normal, item, bytes) };
        offer(queue, &policies, Instant::default(), entry)
    }

    fn displaced(offered: Offered<u32>) -> Vec<u32> {
        match offered {
            Offered::Displaced(_, gone) => gone.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    fn no_gate(_: &u32) -> Option<Gate> {
        None
    }

    fn drain(queue: &mut Queue<u32>) -> Vec<u32> {
        let mut items = Vec::new();
        while let Some(popped) = queue.pop(Instant::default(), no_gate, |_, _, _| Verdict::Take) {
            match popped {
                Popped::Whole(_, item) => items.push(item),
                other => panic!("{other:?}"),
            }
        }
        items
    }
}
