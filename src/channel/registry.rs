//! Which channels there are, which are closed for a while, and what went through them. Knows no rule
//! about who may change that, but this: an agent never reopens what a backend closed.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::name::ChannelName;
use super::router::Router;
use super::topics::{OF_AGENT, OF_BACKEND};
use crate::ids::{PeerId, Role};
use crate::limits::{CHANNELS, CHANNELS_PER_AGENT};
use crate::time::Instant;

/// What happens to a message on a channel that nobody created and whose topic is not one of
/// [`topics`](super::topics).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unlisted {
    /// It is refused.
    Refused,
    /// Its first message creates it, inside the bounds.
    Created,
}

/// Bounds of a registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RegistryLimits {
    /// Channels that are listed. Default [`CHANNELS`].
    pub(crate) channels: usize,
    /// Channels under one agent's id. Default [`CHANNELS_PER_AGENT`].
    pub(crate) per_agent: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { channels: CHANNELS, per_agent: CHANNELS_PER_AGENT }
    }
}

/// Whether a channel takes messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelState {
    /// It does.
    Enabled,
    /// It does not, by the word of this side.
    Disabled(Role),
}

/// What went through a channel since it was created. Counts stop at the largest number there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChannelStats {
    /// Messages that were published.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Subscriptions that hear it now.
    pub subscribers: usize,
    /// Messages that a subscriber did not get, counted once for each of them.
    pub drops: u64,
    /// When the last message was published.
    pub last_activity: Option<Instant>,
}

/// Why a channel did not do what was asked. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Nobody created it.
    #[error("channel {0} does not exist")]
    Unknown(ChannelName),
    /// It was created before.
    #[error("channel {0} exists already")]
    Exists(ChannelName),
    /// It is closed for messages.
    #[error("channel {0} is disabled")]
    Disabled(ChannelName),
    /// A backend closed it, and only a backend opens it again or deletes it.
    #[error("channel {0} was disabled by the backend")]
    ClosedByBackend(ChannelName),
    /// There are as many channels as there may be, in all or under this agent's id.
    #[error("there are too many channels to add {0}")]
    TooMany(ChannelName),
}

#[derive(Clone, Copy)]
struct Entry {
    state: ChannelState,
    stats: ChannelStats,
}

const FRESH: Entry = Entry {
    state: ChannelState::Enabled,
    stats: ChannelStats { messages: 0, bytes: 0, subscribers: 0, drops: 0, last_activity: None },
};

/// The channels that were created or used, in order of their names, within bounds. A channel whose
/// topic is one of [`topics`](super::topics) is there without being created; while the list is full
/// it takes messages and is not counted.
pub(crate) struct Registry {
    channels: BTreeMap<ChannelName, Entry>,
    unlisted: Unlisted,
    limits: RegistryLimits,
}

impl Registry {
    pub(crate) fn new(unlisted: Unlisted, limits: RegistryLimits) -> Self {
        Self { channels: BTreeMap::new(), unlisted, limits }
    }

    /// Creates a channel.
    pub(crate) fn create(&mut self, name: &ChannelName) -> Result<(), ChannelError> {
        if self.channels.contains_key(name) {
            return Err(ChannelError::Exists(name.clone()));
        }
        self.room_for(name)?;
        self.channels.insert(name.clone(), FRESH);
        Ok(())
    }

    /// Opens a channel for messages.
    pub(crate) fn enable(&mut self, name: &ChannelName, by: Role) -> Result<(), ChannelError> {
        if let Some(entry) = self.channels.get_mut(name) {
            entry.may_change(name, by)?;
            entry.state = ChannelState::Enabled;
            return Ok(());
        }
        if is_ready(name) { Ok(()) } else { Err(ChannelError::Unknown(name.clone())) }
    }

    /// Closes a channel for messages, with everything that was counted kept. A backend may do so
    /// while the list is full, or an agent that fills it could not be silenced.
    pub(crate) fn disable(&mut self, name: &ChannelName, by: Role) -> Result<(), ChannelError> {
        if !self.channels.contains_key(name) {
            if !is_ready(name) {
                return Err(ChannelError::Unknown(name.clone()));
            }
            if by == Role::Agent {
                self.room_for(name)?;
            }
        }
        let entry = self.channels.entry(name.clone()).or_insert(FRESH);
        entry.may_change(name, by)?;
        entry.state = ChannelState::Disabled(by);
        Ok(())
    }

    /// Forgets a channel and what was counted. One that needs no creating is as before its first
    /// message; to close it, disable it.
    pub(crate) fn delete(&mut self, name: &ChannelName, by: Role) -> Result<(), ChannelError> {
        let entry = self.channels.get(name);
        let entry = entry.ok_or_else(|| ChannelError::Unknown(name.clone()))?;
        entry.may_change(name, by)?;
        self.channels.remove(name);
        Ok(())
    }

    /// Counts messages and their bytes, or refuses them.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        name: &ChannelName,
        messages: u64,
        bytes: u64,
    ) -> Result<(), ChannelError> {
        if let Some(entry) = self.channels.get_mut(name) {
            return entry.publish(now, name, messages, bytes);
        }
        let is_ready = is_ready(name);
        if !is_ready && self.unlisted == Unlisted::Refused {
            return Err(ChannelError::Unknown(name.clone()));
        }
        match self.room_for(name) {
            Ok(()) => self
                .channels
                .entry(name.clone())
                .or_insert(FRESH)
                .publish(now, name, messages, bytes),
            Err(_) if is_ready => Ok(()), // not counted
            Err(full) => Err(full),
        }
    }

    /// Counts a message that a subscriber did not get.
    pub(crate) fn count_drop(&mut self, name: &ChannelName) {
        if let Some(entry) = self.channels.get_mut(name) {
            entry.stats.drops = entry.stats.drops.saturating_add(1);
        }
    }

    /// What went through a channel, and who hears it now.
    pub(crate) fn stats(&self, name: &ChannelName, router: &Router) -> Option<ChannelStats> {
        let entry = self.channels.get(name)?;
        Some(ChannelStats { subscribers: router.matches(name).count(), ..entry.stats })
    }

    /// What went through a channel, without those who hear it.
    pub(crate) fn counted(&self, name: &ChannelName) -> Option<ChannelStats> {
        self.channels.get(name).map(|entry| entry.stats)
    }

    /// The channels that are listed, by name.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (&ChannelName, ChannelState)> {
        self.channels.iter().map(|(name, entry)| (name, entry.state))
    }

    /// How many channels are listed.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// Forgets the channels under an agent's id, but for those that a backend disabled: the agent
    /// would open them by coming back.
    pub(crate) fn forget_agent(&mut self, id: &PeerId) -> usize {
        let of_agent: Vec<_> = self.under(id.as_str()).map(|(name, _)| name.clone()).collect();
        let gone = of_agent.iter().filter(|name| self.delete(name, Role::Agent).is_ok());
        gone.count()
    }

    /// Whether one more channel, of this name, may be listed.
    fn room_for(&self, name: &ChannelName) -> Result<(), ChannelError> {
        let agent = name.parts().map(|(_, agent, _)| agent);
        let of_agent = agent.map_or(0, |agent| self.under(agent).count());
        let full = self.len() >= self.limits.channels || of_agent >= self.limits.per_agent;
        if full { Err(ChannelError::TooMany(name.clone())) } else { Ok(()) }
    }

    /// The channels under an agent's id.
    fn under(&self, agent: &str) -> impl Iterator<Item = (&ChannelName, &Entry)> {
        let of_side = |side: &str| {
            let front = [side, ".", agent, "."].concat();
            let from = (Bound::Included(front.as_str()), Bound::Unbounded);
            let from = self.channels.range::<str, _>(from);
            from.take_while(move |(name, _)| name.as_str().starts_with(&front))
        };
        of_side("agent").chain(of_side("backend"))
    }
}

impl Entry {
    fn publish(
        &mut self,
        now: Instant,
        name: &ChannelName,
        messages: u64,
        bytes: u64,
    ) -> Result<(), ChannelError> {
        if self.state != ChannelState::Enabled {
            return Err(ChannelError::Disabled(name.clone()));
        }
        self.stats.messages = self.stats.messages.saturating_add(messages);
        self.stats.bytes = self.stats.bytes.saturating_add(bytes);
        self.stats.last_activity = Some(now);
        Ok(())
    }

    fn may_change(&self, name: &ChannelName, by: Role) -> Result<(), ChannelError> {
        match (self.state, by) {
            (ChannelState::Disabled(Role::Backend), Role::Agent) => {
                Err(ChannelError::ClosedByBackend(name.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a channel needs no creating.
fn is_ready(name: &ChannelName) -> bool {
    match name.parts() {
        Some((Role::Agent, _, topic)) => OF_AGENT.contains(&topic),
        Some((Role::Backend, _, topic)) => OF_BACKEND.contains(&topic),
        None => false,
    }
}
