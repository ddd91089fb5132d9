//! Who hears a channel: subscriptions by pattern. Knows no rule about who may subscribe; that was
//! asked before.
//!
//! A pattern without wildcards is found in a map of names, any other by a walk over its tokens, so a
//! message costs time for the subscriptions that it reaches, not for the others (they count by their
//! logarithm). Maps are ordered: no choice of names makes one slow.
//!
//! Memory: under 4 KiB for one subscription, whatever its pattern, so under 200 KiB for one connection
//! with the limits of [`crate::limits`]. One without wildcards shares its text with its pattern.

use std::collections::{BTreeMap, BTreeSet, btree_set};

use super::name::ChannelName;
use super::pattern::Pattern;
use super::trie::{Place, Trie, Walk};
use crate::limits::{SUBSCRIBERS, SUBSCRIPTIONS};

/// Bounds of a router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RouterLimits {
    /// Subscriptions of one owner. Default [`SUBSCRIPTIONS`].
    pub(crate) per_owner: usize,
    /// Subscribers of one channel, or of one pattern with wildcards. Default [`SUBSCRIBERS`].
    pub(crate) per_pattern: usize,
}

impl Default for RouterLimits {
    fn default() -> Self {
        Self { per_owner: SUBSCRIPTIONS, per_pattern: SUBSCRIBERS }
    }
}

/// Who holds subscriptions: one connection, or this side's application. The number is the caller's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Owner(pub(crate) u64);

/// One subscription: the owner's own number for it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SubId {
    pub(crate) owner: Owner,
    pub(crate) number: u32,
}

/// Why a subscription was not made. The others stay as they are.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The subscriber uses this number for another subscription.
    #[error("subscription {0} exists already")]
    NumberInUse(u32),
    /// The connection has as many subscriptions as it may have.
    #[error(
        "a connection has {most} subscriptions, the most it may have; {pattern} is one too many"
    )]
    TooMany {
        /// What was to be subscribed to.
        pattern: Pattern,
        /// How many there may be.
        most: usize,
    },
    /// The channel, or the pattern, has as many subscribers as it may have.
    #[error("{pattern} has {most} subscribers, the most it may have")]
    Full {
        /// What was to be subscribed to.
        pattern: Pattern,
        /// How many there may be.
        most: usize,
    },
}

/// Subscriptions of all owners.
pub(crate) struct Router {
    subscriptions: BTreeMap<SubId, Pattern>,
    names: BTreeMap<ChannelName, Place>,
    trie: Trie,
    /// Who is subscribed at a place.
    members: BTreeSet<(Place, SubId)>,
    /// How many they are; no place without any.
    sizes: BTreeMap<Place, usize>,
    last: Place,
    limits: RouterLimits,
}

impl Router {
    pub(crate) fn new(limits: RouterLimits) -> Self {
        Self {
            subscriptions: BTreeMap::new(),
            names: BTreeMap::new(),
            trie: Trie::new(),
            members: BTreeSet::new(),
            sizes: BTreeMap::new(),
            last: Place::default(),
            limits,
        }
    }

    /// Makes a subscription. An owner may have several that match one name; each is found.
    pub(crate) fn subscribe(&mut self, id: SubId, pattern: Pattern) -> Result<(), SubscribeError> {
        if self.subscriptions.contains_key(&id) {
            return Err(SubscribeError::NumberInUse(id.number));
        }
        let RouterLimits { per_owner, per_pattern } = self.limits;
        if self.of_owner(id.owner).count() >= per_owner {
            return Err(SubscribeError::TooMany { pattern, most: per_owner });
        }
        let name = pattern.as_name();
        let place = match &name {
            Some(name) => self.names.get(name).copied(),
            None => self.trie.find(&pattern),
        };
        let size = place.and_then(|place| self.sizes.get(&place)).copied().unwrap_or(0);
        if size >= per_pattern {
            return Err(SubscribeError::Full { pattern, most: per_pattern });
        }
        let place = match name {
            Some(name) => *self.names.entry(name).or_insert_with(|| {
                self.last = self.last.next();
                self.last
            }),
            None => self.trie.insert(&pattern, &mut self.last),
        };
        self.sizes.insert(place, size + 1);
        self.members.insert((place, id));
        self.subscriptions.insert(id, pattern);
        Ok(())
    }

    /// Ends a subscription and returns its pattern.
    pub(crate) fn unsubscribe(&mut self, id: SubId) -> Option<Pattern> {
        let pattern = self.subscriptions.remove(&id)?;
        let name = pattern.as_name();
        let place = match &name {
            Some(name) => self.names.get(name).copied(),
            None => self.trie.find(&pattern),
        }?;
        self.members.remove(&(place, id));
        let left = self.sizes.get(&place).map_or(0, |size| size - 1);
        if left == 0 {
            self.sizes.remove(&place);
        } else {
            self.sizes.insert(place, left);
        }
        match name {
            Some(name) if left == 0 => drop(self.names.remove(&name)),
            Some(_) => {}
            None => self.trie.remove(&pattern),
        }
        Some(pattern)
    }

    /// Ends all subscriptions of an owner, in time proportional to them, and returns how many.
    pub(crate) fn remove_owner(&mut self, owner: Owner) -> usize {
        let ids: Vec<_> = self.of_owner(owner).collect();
        ids.iter().filter(|id| self.unsubscribe(**id).is_some()).count()
    }

    /// The pattern of a subscription.
    pub(crate) fn pattern(&self, id: SubId) -> Option<&Pattern> {
        self.subscriptions.get(&id)
    }

    /// The subscriptions of an owner, by number.
    pub(crate) fn of_owner(&self, owner: Owner) -> impl Iterator<Item = SubId> {
        let bounds = SubId { owner, number: 0 }..=SubId { owner, number: u32::MAX };
        self.subscriptions.range(bounds).map(|(id, _)| *id)
    }

    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Who hears this channel: those subscribed to the name itself, then those of patterns, in an
    /// order that the patterns alone decide; those of one pattern by their ids. Allocates nothing.
    pub(crate) fn matches(&self, name: &ChannelName) -> Matches<'_> {
        Matches {
            router: self,
            of_place: self.names.get(name).map(|place| self.at(*place)),
            walk: self.trie.walk(name),
        }
    }

    fn at(&self, place: Place) -> btree_set::Range<'_, (Place, SubId)> {
        let least = SubId { owner: Owner(0), number: 0 };
        let most = SubId { owner: Owner(u64::MAX), number: u32::MAX };
        self.members.range((place, least)..=(place, most))
    }

    /// Whether what no subscription needs is gone.
    #[cfg(test)]
    pub(super) fn is_tidy(&self) -> bool {
        let empty = self.subscriptions.is_empty();
        let left = self.names.len() + self.sizes.len() + self.trie.sizes().0 + self.trie.sizes().1;
        self.members.len() == self.len() && (!empty || left == 0)
    }
}

/// The subscriptions that a name reaches.
pub(crate) struct Matches<'a> {
    router: &'a Router,
    of_place: Option<btree_set::Range<'a, (Place, SubId)>>,
    walk: Walk<'a>,
}

impl Iterator for Matches<'_> {
    type Item = SubId;

    fn next(&mut self) -> Option<SubId> {
        loop {
            if let Some((_, id)) = self.of_place.as_mut().and_then(Iterator::next) {
                return Some(*id);
            }
            self.of_place = Some(self.router.at(self.walk.next()?));
        }
    }
}

#[cfg(test)]
impl Matches<'_> {
    /// Nodes visited so far.
    pub(super) fn visited(&self) -> usize {
        self.walk.visited
    }
}
