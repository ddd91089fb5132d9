//! What of a link an application may choose, with the defaults of `crate::limits`.

use crate::call::OnCrash;
use crate::channel::Policy;
use crate::delivery::outbox::Capacity;
use crate::delivery::overflow::{Policies, Policy as Effect};
use crate::delivery::queue::Bounds;
use crate::delivery::word::Durability;
use crate::limits::{MESSAGE_BYTES, OUTBOX_BYTES, OUTBOX_MESSAGES, QUEUE_BYTES, QUEUE_MESSAGES};
use crate::link::{Config, Publish, Reliability, Who};
use crate::priority::Class;

/// What happens to a message of best effort that finds the queue full. Numbered messages always wait.
///
/// ```
/// use waxwire::{Class, LinkOptions, Overflow};
///
/// let telemetry = LinkOptions::new().with_overflow(Class::Low, Overflow::KeepLatest);
/// # let _ = telemetry;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Overflow {
    /// Its sender waits until there is room. The default: nothing is lost.
    #[default]
    Wait,
    /// It is refused as [`crate::ErrorKind::Full`].
    Reject,
    /// The oldest of its class are dropped for it.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It replaces an older one of its class on its channel, full or not.
    KeepLatest,
}

/// What of a link differs from the defaults.
///
/// ```
/// use waxwire::{Class, LinkOptions, Overflow};
///
/// let options = LinkOptions::new()
///     .with_message_bytes(4 * 1024 * 1024)
///     .with_overflow(Class::Low, Overflow::DropOldest);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct LinkOptions {
    policy: Policy,
    overflow: [(Class, Overflow); 4],
    message_bytes: usize,
    queue: Bounds,
    outbox: Capacity,
    on_crash: OnCrash,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl LinkOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        let classes = [Class::Critical, Class::High, Class::Normal, Class::Low];
        Self {
            policy: Policy::allowing(),
            overflow: classes.map(|class| (class, Overflow::Wait)),
            message_bytes: MESSAGE_BYTES,
            queue: Bounds { messages: QUEUE_MESSAGES, bytes: QUEUE_BYTES },
            outbox: Capacity { messages: OUTBOX_MESSAGES, bytes: OUTBOX_BYTES },
            on_crash: OnCrash::Report,
        }
    }

    /// What this side lets its peer do, inside the border. Default: everything.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What happens to a message of best effort of this class when the queue is full. Default:
    /// [`Overflow::Wait`].
    #[must_use]
    pub fn with_overflow(mut self, class: Class, overflow: Overflow) -> Self {
        for slot in &mut self.overflow {
            if slot.0 == class {
                slot.1 = overflow;
            }
        }
        self
    }

    /// Bytes of one message at most, headers and channel included, in both directions; what is more is
    /// refused. Default 1 MiB, 64 MiB at most. A link buffers up to four such messages, one a class, while
    /// they arrive in pieces.
    #[must_use]
    pub fn with_message_bytes(mut self, bytes: usize) -> Self {
        self.message_bytes = bytes;
        self
    }

    /// What may wait to be sent: messages and their bytes. Default 1 000 and 4 MiB. Low may fill 7 tenths
    /// of it, normal 8, high 9, critical all.
    #[must_use]
    pub fn with_queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue = Bounds { messages, bytes };
        self
    }

    /// What may wait to be acknowledged: messages and their bytes. Default 1 000 and 4 MiB.
    #[must_use]
    pub fn with_outbox(mut self, messages: usize, bytes: usize) -> Self {
        self.outbox = Capacity { messages, bytes };
        self
    }

    /// Runs commands again that ran when the process died, marked as [`crate::Context::is_again`]. Default:
    /// they are reported as unknown, and never run twice.
    #[must_use]
    pub fn rerunning_commands(mut self) -> Self {
        self.on_crash = OnCrash::Rerun;
        self
    }

    /// Whether the sender of such a message waits when there is no room.
    pub(super) fn waits(&self, message: &Publish) -> bool {
        let waits = |slot: &(Class, Overflow)| *slot == (message.class, Overflow::Wait);
        message.reliability == Reliability::AtLeastOnce || self.overflow.iter().any(waits)
    }

    pub(crate) fn config(&self, who: Who, durability: Durability) -> Config {
        let mut overflow = Policies::default();
        for (class, effect) in self.overflow {
            let effect = match effect {
                Overflow::Wait => Effect::Wait,
                Overflow::Reject => Effect::Reject,
                Overflow::DropOldest => Effect::DropOldest,
                Overflow::DropNewest => Effect::DropNewest,
                Overflow::KeepLatest => Effect::KeepLatest,
            };
            overflow = overflow.with(class, effect);
        }
        Config {
            policy: self.policy.clone(),
            durability,
            outbox: self.outbox,
            queue: self.queue,
            overflow,
            message_bytes: self.message_bytes,
            on_crash: self.on_crash,
            ..Config::new(who)
        }
    }
}
