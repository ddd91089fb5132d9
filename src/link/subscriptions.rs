//! What this side listens to, and what its peer does. This side's outlive a session and are made
//! anew in each; the peer's end with it. Knows no credit but what a subscription begins with.

use std::collections::BTreeMap;

use super::error::SubscribeError;
use crate::channel::{
    ChannelCode, ChannelName, Owner, Party, Pattern, Policy, Router, RouterLimits, SubId,
};
use crate::delivery::credit::Amount;
use crate::limits::SUBSCRIPTIONS;

/// A subscription of this side.
#[derive(Debug)]
struct Mine {
    pattern: Pattern,
    /// What the peer may send before the first was taken.
    window: Amount,
    /// What SUBSCRIBE grants in this session.
    offered: Amount,
    /// When the peer answered in this session that it sends.
    active: Option<u64>,
}

pub(super) struct Subscriptions {
    mine: BTreeMap<u32, Mine>,
    last: u32,
    /// Counts the peer's answers.
    clock: u64,
    theirs: Router,
    /// Changes of the peer's.
    changes: u64,
    /// Who of this side hears the name that was asked for last, as long as nothing changes.
    heard: Option<(ChannelName, Vec<u32>)>,
}

/// Who of the peer's hears the name that was asked for last: one channel often follows itself.
#[derive(Debug, Default)]
pub(super) struct Heard {
    name: Option<ChannelName>,
    as_of: u64,
    by: Vec<u32>,
}

impl Heard {
    /// Which subscriptions of the peer a message goes to.
    pub(super) fn by(&mut self, name: &ChannelName, subscriptions: &Subscriptions) -> &[u32] {
        if self.as_of != subscriptions.changes || self.name.as_ref() != Some(name) {
            self.by.clear();
            self.by.extend(subscriptions.theirs.matches(name).map(|id| id.number));
            (self.name, self.as_of) = (Some(name.clone()), subscriptions.changes);
        }
        &self.by
    }
}

/// The one subscriber of the router.
const PEER: Owner = Owner(0);

impl Subscriptions {
    pub(super) fn new() -> Self {
        let theirs = Router::new(RouterLimits::default());
        Self { mine: BTreeMap::new(), last: 0, clock: 0, theirs, changes: 0, heard: None }
    }

    /// Listens to a pattern. Numbers are never used again.
    pub(super) fn add(&mut self, pattern: Pattern, window: Amount) -> Result<u32, SubscribeError> {
        if self.mine.len() >= SUBSCRIPTIONS {
            return Err(SubscribeError::TooMany(SUBSCRIPTIONS));
        }
        self.last = self.last.wrapping_add(1);
        self.heard = None;
        let mine = Mine { pattern, window, offered: Amount::default(), active: None };
        self.mine.insert(self.last, mine);
        Ok(self.last)
    }

    /// Listens no more. Returns whether it did.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        self.heard = None;
        self.mine.remove(&id).is_some()
    }

    /// A session begins: the peer is to be told of each, with the credit that `grant` gives it.
    pub(super) fn begin(&mut self, mut grant: impl FnMut(u32, Amount) -> Amount) -> Vec<u32> {
        self.heard = None;
        for (id, mine) in &mut self.mine {
            mine.active = None;
            mine.offered = grant(*id, mine.window);
        }
        self.mine.keys().copied().collect()
    }

    /// The peer is to be told of one.
    pub(super) fn begin_one(&mut self, id: u32, grant: impl FnOnce(Amount) -> Amount) {
        if let Some(mine) = self.mine.get_mut(&id) {
            mine.offered = grant(mine.window);
        }
    }

    /// What a SUBSCRIBE says.
    pub(super) fn offer(&self, id: u32) -> Option<(&Pattern, Amount)> {
        self.mine.get(&id).map(|mine| (&mine.pattern, mine.offered))
    }

    /// The peer answered. One that it refused stays, and is asked for again in the next session.
    /// Returns whether there is such a subscription.
    pub(super) fn answered(&mut self, id: u32, code: ChannelCode) -> bool {
        let Some(mine) = self.mine.get_mut(&id) else { return false };
        self.clock += 1;
        self.heard = None;
        mine.active = code.is_done().then_some(self.clock);
        true
    }

    /// The moment of the peer's last answer.
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// Which subscriptions of this side a message is for that began at that moment of the clock. The
    /// peer spent credit of those that it had confirmed, so the others do not count.
    pub(super) fn hearing(&mut self, name: &ChannelName, as_of: u64) -> Vec<u32> {
        let is_now = as_of == self.clock;
        if let Some((of, hearing)) = &self.heard
            && is_now
            && of == name
        {
            return hearing.clone();
        }
        let confirmed = |mine: &Mine| mine.active.is_some_and(|since| since <= as_of);
        let hear = |mine: &Mine| confirmed(mine) && mine.pattern.matches(name);
        let ids = self.mine.iter().filter(|(_, mine)| hear(mine)).map(|(id, _)| *id);
        let hearing: Vec<u32> = ids.collect();
        if is_now {
            self.heard = Some((name.clone(), hearing.clone()));
        }
        hearing
    }

    /// Subscriptions of either side that hear a channel.
    pub(super) fn hearers(&self, name: &ChannelName) -> usize {
        let mine = self.mine.values().filter(|mine| mine.pattern.matches(name)).count();
        mine + self.theirs.matches(name).count()
    }

    /// The peer subscribes.
    pub(super) fn peer_subscribes(
        &mut self,
        id: u32,
        pattern: &[u8],
        party: &Party<'_>,
        policy: &Policy,
    ) -> ChannelCode {
        let pattern = match Pattern::decode(pattern) {
            Ok(pattern) => pattern,
            Err(error) => return ChannelCode::from(&error),
        };
        if let Err(error) = policy.may_subscribe(party, &pattern) {
            return ChannelCode::from(&error);
        }
        self.changes += 1;
        match self.theirs.subscribe(SubId { owner: PEER, number: id }, pattern) {
            Ok(()) => ChannelCode::Done,
            Err(error) => ChannelCode::from(&error),
        }
    }

    pub(super) fn peer_unsubscribes(&mut self, id: u32) {
        self.changes += 1;
        self.theirs.unsubscribe(SubId { owner: PEER, number: id });
    }

    /// Whether a subscription of the peer matches a name.
    pub(super) fn is_heard_by(&self, id: u32, name: &ChannelName) -> bool {
        let pattern = self.theirs.pattern(SubId { owner: PEER, number: id });
        pattern.is_some_and(|pattern| pattern.matches(name))
    }

    /// The session is gone, and the peer's subscriptions with it.
    pub(super) fn detach(&mut self) {
        self.theirs.remove_owner(PEER);
        self.changes += 1;
        self.heard = None;
        self.mine.values_mut().for_each(|mine| mine.active = None);
    }
}
