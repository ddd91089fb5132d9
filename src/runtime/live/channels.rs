//! The channels of one side: which are closed for a while, and what went through them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::channel::{
    ChannelCode, ChannelError, ChannelName, ChannelState, ChannelStats, Registry, RegistryLimits,
    Unlisted,
};
use crate::ids::Role;
use crate::link::ChannelChange;
use crate::time::Instant;

/// The list of channels that all links of one side share.
pub(crate) struct Channels(Mutex<Registry>);

impl Channels {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Registry::new(Unlisted::Created, RegistryLimits::default())))
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a channel for `by`.
    pub(crate) fn change(
        &self,
        by: Role,
        change: ChannelChange,
        name: &ChannelName,
    ) -> Result<(), ChannelError> {
        let mut registry = self.lock();
        match change {
            ChannelChange::Create => registry.create(name),
            ChannelChange::Enable => registry.enable(name, by),
            ChannelChange::Disable => registry.disable(name, by),
            ChannelChange::Delete => registry.delete(name, by),
        }
    }

    /// The same, as a peer is told.
    pub(super) fn change_for_peer(
        &self,
        by: Role,
        change: ChannelChange,
        name: &ChannelName,
    ) -> ChannelCode {
        self.change(by, change, name)
            .map_or_else(|error| ChannelCode::from(&error), |()| ChannelCode::Done)
    }

    /// Counts a message, unless the channel is disabled.
    pub(super) fn passes(&self, now: Instant, name: &ChannelName, bytes: usize) -> bool {
        let mut registry = self.lock();
        let is_closed =
            matches!(registry.publish(now, name, bytes), Err(ChannelError::Disabled(_)));
        if is_closed {
            registry.count_drop(name);
        }
        !is_closed
    }

    /// What went through a channel.
    pub(crate) fn stats(&self, name: &ChannelName) -> Option<ChannelStats> {
        self.lock().counted(name)
    }

    /// The channels that are listed.
    pub(crate) fn list(&self) -> Vec<(ChannelName, ChannelState)> {
        self.lock().channels().map(|(name, state)| (name.clone(), state)).collect()
    }
}
