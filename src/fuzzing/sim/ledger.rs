//! The reference model: what was published, what may become of it, and what did.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::delivery::outbox::Doubt;
use crate::link::{Fate, Publish, Reliability};
use crate::time::Instant;

/// What is known of a message.
#[derive(Debug)]
pub(super) struct Message {
    /// The end that published it, and in which life.
    pub(super) from: usize,
    pub(super) life: u64,
    pub(super) is_numbered: bool,
    pub(super) bytes: usize,
    /// On its sender's clock.
    pub(super) published: Instant,
    pub(super) ttl: Option<Duration>,
    pub(super) doubt: Doubt,
    pub(super) is_stored: bool,
    pub(super) fate: Option<Fate>,
    /// Effects, by the life of the receiver; one with a disk has one life.
    pub(super) effects: BTreeMap<u64, u32>,
    pub(super) is_refused: bool,
    /// Published when nothing hostile happened any more.
    pub(super) is_late: bool,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: BTreeMap<u64, Message>,
    last: u64,
}

impl Ledger {
    /// A number that nothing else has.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn published(
        &mut self,
        id: u64,
        from: (usize, u64),
        publish: &Publish,
        published: Instant,
        is_late: bool,
    ) {
        let message = Message {
            from: from.0,
            life: from.1,
            is_numbered: publish.reliability == Reliability::AtLeastOnce,
            bytes: publish.payload.len(),
            published,
            ttl: publish.ttl,
            doubt: publish.doubt,
            is_stored: false,
            fate: None,
            effects: BTreeMap::new(),
            is_refused: false,
            is_late,
        };
        self.messages.insert(id, message);
    }

    pub(super) fn message(&mut self, id: u64) -> &mut Message {
        match self.messages.get_mut(&id) {
            Some(message) => message,
            None => unreachable!("{id} was never published"),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&u64, &Message)> {
        self.messages.iter()
    }

    /// The effect of a message took place, in that life of its receiver.
    pub(super) fn effect(&mut self, id: u64, life: u64) {
        let message = self.message(id);
        let count = message.effects.entry(life).or_default();
        *count += 1;
        assert_eq!(*count, 1, "{id} is handled twice");
    }

    /// The sender hears what became of a message. `now` is on its clock; `lost` is whether the receiver
    /// ever lost its inbox.
    pub(super) fn settle(&mut self, id: u64, fate: Fate, now: Instant, lost: bool) {
        let message = self.message(id);
        assert!(message.fate.is_none(), "{id} has two fates: {:?}, {fate:?}", message.fate);
        message.fate = Some(fate);
        let numbered = message.is_numbered;
        match fate {
            Fate::Handled => {
                assert!(numbered, "{id} has no number, and is acknowledged");
                let is_handled = !message.effects.is_empty();
                assert!(is_handled, "{id} is acknowledged, and was not handled");
            }
            Fate::Refused(verdict) => match verdict.code {
                3 => assert!(message.is_refused, "{id} was never refused"),
                5 => assert!(!message.is_late, "{id} is said to have no subscriber"),
                code => assert_eq!(code, 2, "{id} is refused though it keeps every rule"),
            },
            Fate::Sent | Fate::Dropped => assert!(!numbered, "{id} was numbered, and is {fate:?}"),
            Fate::NoSubscriber => assert!(!message.is_late, "{id} has a subscriber"),
            Fate::Expired(_) => {
                let due = message.ttl.map(|ttl| message.published.after(ttl));
                assert!(due.is_some_and(|due| due <= now), "{id} expires before its time");
            }
            Fate::Undeliverable => {
                assert!(numbered && !message.is_late, "{id} is given up on a link that works");
            }
            Fate::InDoubt => {
                assert!(numbered && message.doubt == Doubt::Surface, "{id} is in doubt");
                assert!(lost, "{id} is in doubt, and nobody lost its memory");
            }
        }
    }
}
