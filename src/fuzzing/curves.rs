//! Loads whose cost is plotted as they grow. Knows no clock: whoever calls measures.

use crate::channel::{ChannelName, Owner, Pattern, Router, RouterLimits, SubId};
use crate::delivery::queue::{Bounds, Entry, Popped, Queue, Verdict};
use crate::priority::Class;
use crate::time::Instant;

/// A router of this many channels, each with one subscriber, half of them under a pattern, and one
/// subscriber of all anomalies. Each call of what is returned looks up the next channel, in an order
/// that no cache foresees, and says how many hear it.
pub fn channel_look_ups(channels: usize) -> impl FnMut() -> usize {
    let mut router = Router::new(RouterLimits::default());
    let mut names = Vec::with_capacity(channels);
    let mut subscribe = |owner: usize, text: String| {
        let id = SubId { owner: Owner(owner as u64), number: 0 };
        let made = Pattern::new(text).map(|pattern| router.subscribe(id, pattern));
        assert!(matches!(made, Ok(Ok(()))), "the load keeps the limits");
    };
    subscribe(channels, "agent.*.anomalies".to_owned());
    for owner in 0..channels {
        let topic = if owner % 2 == 0 { "policies" } else { ">" };
        subscribe(owner, format!("backend.id-{owner}.{topic}"));
        names.extend(ChannelName::new(format!("backend.id-{owner}.policies")));
    }
    let mut at = 0;
    move || {
        at = (at + 7_919) % names.len().max(1);
        names.get(at).map_or(0, |name| router.matches(name).count())
    }
}

/// A channel with this many subscribers. Each call of what is returned looks up all of them, and says how
/// many there are.
pub fn channel_hearers(subscribers: usize) -> impl FnMut() -> usize {
    let mut router = Router::new(RouterLimits::default());
    for owner in 0..subscribers {
        let id = SubId { owner: Owner(owner as u64), number: 0 };
        let made = Pattern::new("agent.edge-7.anomalies").map(|all| router.subscribe(id, all));
        assert!(matches!(made, Ok(Ok(()))), "the load keeps the limits");
    }
    let name = ChannelName::new("agent.edge-7.anomalies").ok();
    move || name.iter().map(|name| router.matches(name).count()).sum()
}

/// A queue in which `depth` entries wait, spread over four classes. Each call of what is returned
/// pushes one more and pops one.
pub fn queue_turns(depth: usize) -> impl FnMut() -> u64 {
    let bounds = Bounds { messages: 10 * depth + 100, bytes: usize::MAX };
    let mut queue = Queue::new(bounds);
    let mut turn = 0_u64;
    let mut push = move |queue: &mut Queue<[u64; 4]>| {
        turn += 1;
        let class = match turn % 4 {
            0 => Class::Critical,
            1 => Class::High,
            2 => Class::Normal,
            _ => Class::Low,
        };
        let entry = Entry { class, bytes: 64, expires: None, key: None, item: [turn, 0, 0, 0] };
        let now = Instant::from_nanos(turn);
        assert!(queue.push(now, entry).is_ok(), "the bound is ten times the depth");
        now
    };
    (0..depth).for_each(|_| {
        push(&mut queue);
    });
    move || {
        let now = push(&mut queue);
        match queue.pop(now, |_| None, |_, _, _| Verdict::Take) {
            Some(Popped::Whole(_, [turn, ..])) => turn,
            _ => 0,
        }
    }
}
