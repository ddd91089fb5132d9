//! Which channels there are, and what is counted.

use super::naive::{name, pattern, peer};
use crate::channel::{
    ChannelError, ChannelName, ChannelState, ChannelStats, Owner, Registry, RegistryLimits, Router,
    RouterLimits, SubId, Unlisted, topics,
};
use crate::ids::Role;
use crate::limits::{CHANNELS, CHANNELS_PER_AGENT};
use crate::time::Instant;

#[test]
fn what_went_through_a_channel_is_counted() {
    let (mut registry, mut router) = (registry(), Router::new(RouterLimits::default()));
    let logs = name("agent.a.logs");
    for (owner, text) in
        [(1, "agent.a.logs"), (1, "agent.>"), (2, "agent.*.logs"), (2, "agent.b.>")]
    {
        let number = u32::try_from(router.len()).unwrap();
        router.subscribe(SubId { owner: Owner(owner), number }, pattern(text)).unwrap();
    }
    assert_eq!(registry.stats(&logs, &router), None);
    registry.publish(at(5), &logs, 1, 10).unwrap();
    registry.publish(at(9), &logs, 1, 32).unwrap();
    registry.count_drop(&logs);
    registry.count_drop(&name("agent.a.threats"));
    let stats = ChannelStats {
        messages: 2,
        bytes: 42,
        subscribers: 3,
        drops: 1,
        last_activity: Some(at(9)),
    };
    assert_eq!(registry.stats(&logs, &router), Some(stats));
    assert_eq!(registry.channels().collect::<Vec<_>>(), [(&logs, ChannelState::Enabled)]);
}

#[test]
fn a_channel_exists_from_create_to_delete() {
    let mut registry = registry();
    let custom = name("agent.a.custom");
    let unknown = Err(ChannelError::Unknown(custom.clone()));
    assert_eq!(registry.publish(at(1), &custom, 1, 1), unknown);
    assert_eq!(registry.enable(&custom, Role::Backend), unknown);
    assert_eq!(registry.disable(&custom, Role::Backend), unknown);
    assert_eq!(registry.delete(&custom, Role::Backend), unknown);
    assert_eq!(registry.create(&custom), Ok(()));
    assert_eq!(registry.create(&custom), Err(ChannelError::Exists(custom.clone())));
    assert_eq!(registry.publish(at(1), &custom, 1, 1), Ok(()));
    assert_eq!(registry.delete(&custom, Role::Agent), Ok(()));
    assert_eq!(registry.publish(at(1), &custom, 1, 1), unknown);
    assert_eq!(registry.len(), 0);
}

#[test]
fn the_first_message_creates_a_channel_where_that_is_wanted() {
    let mut registry = Registry::new(Unlisted::Created, RegistryLimits::default());
    assert_eq!(registry.publish(at(1), &name("agent.a.custom"), 1, 1), Ok(()));
    assert_eq!(registry.len(), 1);
}

#[test]
fn the_topics_of_each_side_need_not_be_created() {
    let mut registry = registry();
    let id = peer("a");
    for topic in topics::OF_AGENT {
        assert_eq!(registry.publish(at(1), &ChannelName::agent(&id, topic).unwrap(), 1, 1), Ok(()));
    }
    for topic in topics::OF_BACKEND {
        assert_eq!(
            registry.publish(at(1), &ChannelName::backend(&id, topic).unwrap(), 1, 1),
            Ok(())
        );
    }
    assert_eq!(registry.len(), 16);
    for other in
        ["agent.a.investigations", "backend.a.logs", "agent.a.logs.x", "x.a.logs", "agent.logs"]
    {
        let refused = registry.publish(at(1), &name(other), 1, 1);
        assert_eq!(refused, Err(ChannelError::Unknown(name(other))));
    }
}

/// proto-spec [N-16]: until it is enabled again; what was counted stays.
#[test]
fn a_disabled_channel_refuses_messages() {
    let (mut registry, router) = (registry(), Router::new(RouterLimits::default()));
    let logs = name("agent.a.logs");
    registry.publish(at(1), &logs, 1, 7).unwrap();
    registry.disable(&logs, Role::Agent).unwrap();
    assert_eq!(registry.publish(at(2), &logs, 1, 7), Err(ChannelError::Disabled(logs.clone())));
    assert_eq!(registry.channels().next(), Some((&logs, ChannelState::Disabled(Role::Agent))));
    assert_eq!(registry.publish(at(2), &name("agent.b.logs"), 1, 7), Ok(()));
    let counted = registry.stats(&logs, &router).map(|stats| (stats.messages, stats.last_activity));
    assert_eq!(counted, Some((1, Some(at(1)))));
    registry.enable(&logs, Role::Agent).unwrap();
    assert_eq!(registry.publish(at(3), &logs, 1, 7), Ok(()));
    assert_eq!(registry.enable(&name("agent.a.threats"), Role::Agent), Ok(()));
}

/// proto-spec [N-17]: neither by enabling it, nor by deleting it, nor by leaving and coming back.
#[test]
fn an_agent_does_not_reopen_what_a_backend_disabled() {
    let mut registry = registry();
    let logs = name("agent.a.logs");
    let closed = Err(ChannelError::ClosedByBackend(logs.clone()));
    registry.disable(&logs, Role::Backend).unwrap();
    assert_eq!(registry.enable(&logs, Role::Agent), closed);
    assert_eq!(registry.disable(&logs, Role::Agent), closed);
    assert_eq!(registry.delete(&logs, Role::Agent), closed);
    assert_eq!(registry.create(&logs), Err(ChannelError::Exists(logs.clone())));
    assert_eq!(registry.forget_agent(&peer("a")), 0);
    assert_eq!(registry.publish(at(1), &logs, 1, 1), Err(ChannelError::Disabled(logs.clone())));
    assert_eq!(registry.enable(&logs, Role::Backend), Ok(()));
    assert_eq!(registry.publish(at(1), &logs, 1, 1), Ok(()));
}

#[test]
fn an_agent_that_is_forgotten_leaves_the_channels_of_others() {
    let mut registry = registry();
    for text in
        ["agent.a.logs", "agent.a-b.logs", "agent.aa.logs", "agent.b.logs", "backend.a.tests"]
    {
        registry.publish(at(1), &name(text), 1, 1).unwrap();
    }
    assert_eq!(registry.forget_agent(&peer("a")), 2);
    let left: Vec<_> = registry.channels().map(|(name, _)| name.to_string()).collect();
    assert_eq!(left, ["agent.a-b.logs", "agent.aa.logs", "agent.b.logs"]);
}

#[test]
fn one_agent_takes_a_small_part_of_the_list() {
    let mut registry = registry();
    for n in 0..CHANNELS_PER_AGENT {
        registry.create(&name(&format!("agent.a.t{n}"))).unwrap();
    }
    let more = name("agent.a.more");
    assert_eq!(registry.create(&more), Err(ChannelError::TooMany(more)));
    let logs = name("agent.a.logs");
    assert_eq!(registry.publish(at(1), &logs, 1, 1), Ok(()), "it needs no place in the list");
    assert_eq!(registry.disable(&logs, Role::Agent), Err(ChannelError::TooMany(logs.clone())));
    assert_eq!(
        registry.disable(&logs, Role::Backend),
        Ok(()),
        "who fills a list is silenced still"
    );
    assert_eq!(registry.publish(at(1), &logs, 1, 1), Err(ChannelError::Disabled(logs)));
    assert_eq!(registry.create(&name("agent.b.t")), Ok(()));
}

#[test]
fn a_full_list_takes_no_more_and_stops_no_one() {
    let limits = RegistryLimits { channels: 3, per_agent: 2 };
    let mut registry = Registry::new(Unlisted::Created, limits);
    for text in ["agent.a.x", "agent.b.x", "local.x"] {
        registry.create(&name(text)).unwrap();
    }
    let more = name("agent.c.x");
    assert_eq!(registry.create(&more), Err(ChannelError::TooMany(more.clone())));
    assert_eq!(registry.publish(at(1), &more, 1, 1), Err(ChannelError::TooMany(more)));
    assert_eq!(registry.publish(at(1), &name("agent.c.logs"), 1, 1), Ok(()));
    assert_eq!(registry.len(), 3);
    let default = RegistryLimits { channels: CHANNELS, per_agent: CHANNELS_PER_AGENT };
    assert_eq!(RegistryLimits::default(), default);
}

fn registry() -> Registry {
    Registry::new(Unlisted::Refused, RegistryLimits::default())
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}
