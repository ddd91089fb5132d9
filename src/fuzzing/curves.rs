//! Loads whose cost is plotted as they grow. Knows no clock: whoever calls measures.

use crate::channel::{ChannelName, Owner, Pattern, Router, RouterLimits, SubId};

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
