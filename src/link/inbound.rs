//! What arrived of the peer and is not done with: pieces, credit, numbers, and what the application
//! holds. Knows no frame and no policy.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::config::Config;
use super::event::DeliveryId;
use super::notices::Notices;
use crate::channel::ChannelName;
use crate::delivery::credit::{Amount, CreditError, Grants, Scope};
use crate::delivery::inbox::{Inbox, Key};
use crate::delivery::reassembly::{Reassembly, ReassemblyBounds};
use crate::delivery::word::Epoch;
use crate::limits::REASSEMBLY_BYTES;
use crate::priority::Class;
use crate::wire::message::Label;

/// The peer's messages.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) inbox: Inbox,
    pub(super) grants: Grants,
    pub(super) reassembly: Reassembly<Begun>,
    /// What the peer's aliases stand for in this session.
    pub(super) aliases: BTreeMap<u32, ChannelName>,
    /// The name that the peer wrote out last: one channel often follows itself.
    named: Option<ChannelName>,
    held: BTreeMap<DeliveryId, Held>,
    /// Messages of calls whose events the application did not take. A peer that floods runs out of
    /// credit.
    owed: VecDeque<(Class, usize)>,
    last: u64,
    /// Counts sessions: credit of one is not given back in another.
    era: u64,
}

/// A message whose first piece arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) label: Label,
    /// Which subscriptions the peer had confirmed by then.
    pub(super) as_of: u64,
}

/// A message that the application has.
#[derive(Debug)]
struct Held {
    /// `None`: best effort, or done with.
    key: Option<Key>,
    class: Class,
    bytes: usize,
    era: u64,
    /// Subscriptions whose subscriber did not take it.
    untaken: Vec<u32>,
}

impl Inbound {
    pub(super) fn new(epoch: Epoch, config: &Config) -> Self {
        let largest = config.largest();
        let total_bytes = REASSEMBLY_BYTES.max(largest.saturating_mul(4));
        Self {
            inbox: Inbox::new(epoch, config.durability),
            grants: Grants::new(config.class_window, largest),
            reassembly: Reassembly::new(ReassemblyBounds { message_bytes: largest, total_bytes }),
            aliases: BTreeMap::new(),
            named: None,
            held: BTreeMap::new(),
            owed: VecDeque::new(),
            last: 0,
            era: 0,
        }
    }

    /// The session is gone, and with it all that counts within one.
    pub(super) fn detach(&mut self) {
        self.grants.reset();
        self.reassembly.reset();
        self.aliases.clear();
        self.owed.clear();
        self.era += 1;
    }

    /// Reads a name. `None` if it is none.
    pub(super) fn name(&mut self, bytes: &[u8]) -> Option<ChannelName> {
        if let Some(named) = &self.named
            && named.as_str().as_bytes() == bytes
        {
            return Some(named.clone());
        }
        self.named = ChannelName::decode(bytes).ok();
        self.named.clone()
    }

    /// A message arrived whole; the peer spent credit for it, whatever becomes of it.
    ///
    /// # Errors
    ///
    /// [`CreditError::FlowControl`].
    pub(super) fn arrive(
        &mut self,
        class: Class,
        subscriptions: &[u32],
        bytes: usize,
    ) -> Result<(), CreditError> {
        self.grants.arrive(Scope::Class(class), bytes)?;
        subscriptions.iter().try_for_each(|id| self.grants.arrive(Scope::Subscription(*id), bytes))
    }

    /// A message that arrived goes no further: its credit goes back at once.
    pub(super) fn give_back(
        &mut self,
        class: Class,
        subscriptions: &[u32],
        bytes: usize,
        notices: &mut Notices,
    ) {
        let scopes = subscriptions.iter().map(|id| Scope::Subscription(*id));
        for scope in scopes.chain([Scope::Class(class)]) {
            let total = self.grants.take(scope, bytes);
            notices.grant(scope, total);
        }
    }

    /// A message of a call arrived, which counts against its class until its event is taken.
    pub(super) fn owe(&mut self, class: Class, bytes: usize) {
        self.owed.push_back((class, bytes));
    }

    /// An event of a call was taken, or, if none waits, every one was.
    pub(super) fn pay(&mut self, is_last: bool, notices: &mut Notices) {
        let count = if is_last { self.owed.len() } else { 1 };
        for _ in 0..count {
            let Some((class, bytes)) = self.owed.pop_front() else { return };
            self.give_back(class, &[], bytes, notices);
        }
    }

    /// A message goes to the application.
    pub(super) fn hold(
        &mut self,
        key: Option<Key>,
        class: Class,
        subscriptions: &[u32],
        bytes: usize,
    ) -> DeliveryId {
        self.last += 1;
        let id = DeliveryId(self.last);
        let (era, untaken) = (self.era, subscriptions.to_vec());
        self.held.insert(id, Held { key, class, bytes, era, untaken });
        id
    }

    /// The application has the message: it counts no more against its class.
    pub(super) fn handed_on(&mut self, id: DeliveryId, notices: &mut Notices) {
        let Some(held) = self.held.get(&id) else { return };
        if held.era == self.era {
            let scope = Scope::Class(held.class);
            notices.grant(scope, self.grants.take(scope, held.bytes));
        }
    }

    /// A subscriber took the message.
    pub(super) fn taken(&mut self, id: DeliveryId, subscription: u32, notices: &mut Notices) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let Some(place) = held.untaken.iter().position(|untaken| *untaken == subscription) else {
            return;
        };
        held.untaken.swap_remove(place);
        if held.era == self.era {
            let scope = Scope::Subscription(subscription);
            notices.grant(scope, self.grants.take(scope, held.bytes));
        }
        if held.untaken.is_empty() && held.key.is_none() {
            self.held.remove(&id);
        }
    }

    /// The application is done with a message; all its subscribers took it. Returns its number, if it
    /// has one.
    pub(super) fn finish(&mut self, id: DeliveryId, notices: &mut Notices) -> Option<Key> {
        let held = self.held.get_mut(&id)?;
        let key = held.key.take();
        let untaken = held.untaken.clone();
        if untaken.is_empty() {
            self.held.remove(&id);
        }
        untaken.into_iter().for_each(|subscription| self.taken(id, subscription, notices));
        key
    }

    /// The peer's outbox is another one: what is held of the one before is done with as best effort.
    pub(super) fn forget_numbers(&mut self) {
        self.held.values_mut().for_each(|held| held.key = None);
        self.held.retain(|_, held| !held.untaken.is_empty());
    }

    /// Messages that the application has.
    pub(super) fn holds(&self) -> usize {
        self.held.len()
    }

    /// What each class may be sent to begin with.
    pub(super) fn opening(&self) -> impl Iterator<Item = (Class, Amount)> + '_ {
        let classes = Class::ALL.into_iter().filter(|class| *class != Class::Control);
        classes.map(|class| (class, self.grants.total(Scope::Class(class))))
    }

    /// The first half of the SHA-256 of a content.
    pub(super) fn hash(content: &Bytes) -> [u8; 16] {
        let digest = crate::crypto::hash(&[content]).0;
        digest.first_chunk().copied().unwrap_or_default()
    }
}
