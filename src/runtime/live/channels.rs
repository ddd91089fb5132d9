//! The channels of one side: which are closed for a while, and what went through them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::channel::{
    ChannelCode, ChannelError, ChannelName, ChannelState, ChannelStats, Registry, RegistryLimits,
    Unlisted,
};
use crate::ids::Role;
use crate::link::{ChannelChange, Delivery};
use crate::time::Instant;

/// The list of channels that all links of one side share.
pub(crate) struct Channels {
    registry: Mutex<Registry>,
    /// Changes with each channel that is created, opened, closed or deleted.
    version: AtomicU64,
}

impl Channels {
    pub(crate) fn new() -> Self {
        let registry = Registry::new(Unlisted::Created, RegistryLimits::default());
        Self { registry: Mutex::new(registry), version: AtomicU64::new(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a channel for `by`.
    pub(crate) fn change(
        &self,
        by: Role,
        change: ChannelChange,
        name: &ChannelName,
    ) -> Result<(), ChannelError> {
        let mut registry = self.lock();
        self.version.fetch_add(1, Ordering::Release);
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

    /// Counts messages of one channel. `false`, and they count as dropped, if it is disabled.
    fn count(&self, now: Instant, name: &ChannelName, counted: (u64, u64)) -> bool {
        let (messages, bytes) = counted;
        let mut registry = self.lock();
        let is_closed =
            matches!(registry.publish(now, name, messages, bytes), Err(ChannelError::Disabled(_)));
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

/// Counts for one link, and asks the list for the first message of each run on one channel only.
#[derive(Default)]
pub(super) struct Counting {
    channel: Option<ChannelName>,
    version: u64,
    messages: u64,
    bytes: u64,
}

impl Counting {
    /// Counts a message, unless its channel is disabled.
    pub(super) fn passes(&mut self, channels: &Channels, now: Instant, message: &Delivery) -> bool {
        let version = channels.version.load(Ordering::Acquire);
        let bytes = message.payload.len() as u64;
        if self.version == version && self.channel.as_ref() == Some(&message.channel) {
            self.messages += 1;
            self.bytes += bytes;
            return true;
        }
        self.flush(channels, now);
        (self.channel, self.version) = (None, version);
        let passes = channels.count(now, &message.channel, (1, bytes));
        if passes {
            self.channel = Some(message.channel.clone());
        }
        passes
    }

    /// Tells the list what was counted since.
    pub(super) fn flush(&mut self, channels: &Channels, now: Instant) {
        if self.messages > 0
            && let Some(channel) = &self.channel
        {
            channels.count(now, channel, (self.messages, self.bytes));
            (self.messages, self.bytes) = (0, 0);
        }
    }
}
