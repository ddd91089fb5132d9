//! What arrived of one class, and what of it was handled. Knows neither the store nor the other
//! classes.

use std::collections::{BTreeMap, VecDeque};

use super::ranges::Numbers;
use super::word::Verdict;
use crate::limits::{ACK_DELAY, ACK_MESSAGES, INBOX_MESSAGES, INBOX_RANGES, INBOX_VERDICTS};
use crate::time::Instant;

/// The first half of the SHA-256 of a message's content.
pub(crate) type ContentHash = [u8; 16];

/// A message that a handler works on.
#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    hash: ContentHash,
}

/// What arrived of a class.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Ascending by number.
    held: VecDeque<Held>,
    /// What is held or handled.
    arrived: Numbers,
    /// What is handled, stored or not.
    handled: Numbers,
    /// What may be acknowledged as handled.
    pub(super) safe: Numbers,
    /// Refusals whose sender did not say yet that it has no such message any more.
    verdicts: BTreeMap<u64, Verdict>,
    /// Something was handled that no batch for the store has.
    pub(super) dirty: bool,
    pub(super) received_batch: Batch,
    pub(super) handled_batch: Batch,
}

/// How a number stands that arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    New,
    Held,
    /// Held, with other content.
    Conflict,
    Handled(Option<Verdict>),
    /// There is no room to remember it.
    NoRoom,
}

impl Lane {
    /// What a store kept.
    pub(super) fn restored(handled: Numbers, verdicts: Vec<(u64, Verdict)>) -> Self {
        let (arrived, safe) = (handled.clone(), handled.clone());
        Self { arrived, handled, safe, verdicts: verdicts.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn standing(&self, number: u64, hash: &ContentHash) -> Standing {
        if !self.arrived.contains(number) {
            let room = self.held.len() < INBOX_MESSAGES
                && self.verdicts.len() < INBOX_VERDICTS
                && self.has_room(number, number);
            return if room { Standing::New } else { Standing::NoRoom };
        }
        match self.find(number).and_then(|index| self.held.get(index)) {
            Some(held) if held.hash == *hash => Standing::Held,
            Some(_) => Standing::Conflict,
            None => Standing::Handled(self.verdicts.get(&number).copied()),
        }
    }

    /// Whether `arrived` can take a span without more gaps than allowed. Released messages may have
    /// left more: then only what lies among them is taken.
    fn has_room(&self, first: u64, last: u64) -> bool {
        let (gaps, highest) = (self.arrived.ranges().len(), self.arrived.highest());
        let beside = first <= self.arrived.through() + 1
            || self.arrived.contains(first - 1)
            || self.arrived.contains(last + 1);
        gaps < INBOX_RANGES || beside && (gaps == INBOX_RANGES || last < highest)
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.held.binary_search_by_key(&number, |held| held.number).ok()
    }

    /// Holds a new number.
    pub(super) fn hold(&mut self, number: u64, hash: ContentHash) {
        let at = self.held.partition_point(|held| held.number < number);
        self.held.insert(at, Held { number, hash });
        self.arrived.insert(number);
    }

    /// Forgets that a number arrived. Returns whether it was held.
    pub(super) fn release(&mut self, number: u64) -> bool {
        let held = self.find(number).and_then(|index| self.held.remove(index));
        if held.is_some() {
            self.arrived.remove(number);
        }
        held.is_some()
    }

    /// A held number is handled. Returns whether it was held.
    pub(super) fn handle(&mut self, number: u64) -> bool {
        let held = self.find(number).and_then(|index| self.held.remove(index));
        if held.is_some() {
            self.handled.insert(number);
            self.dirty = true;
        }
        held.is_some()
    }

    /// Remembers a refusal.
    pub(super) fn remember(&mut self, number: u64, verdict: Verdict) {
        self.verdicts.insert(number, verdict);
    }

    /// Numbers that no message will have are handled, but for those that are held. Without room for
    /// them nothing happens: the peer says it again. A crash may bring a verdict back that was forgotten
    /// here; then the peer says this again, too.
    pub(super) fn void(&mut self, first: u64, last: u64) {
        self.verdicts.retain(|number, _| !(first..=last).contains(number));
        if !self.has_room(first, last) {
            return;
        }
        let pieces: Vec<_> = self.arrived.missing(first, last).collect();
        for (first, last) in pieces {
            self.handled.add(first, last);
            self.dirty = true;
        }
        self.arrived.add(first, last);
    }

    pub(super) fn handled(&self) -> &Numbers {
        &self.handled
    }

    pub(super) fn verdicts(&self) -> impl Iterator<Item = (u64, Verdict)> + '_ {
        self.verdicts.iter().map(|(number, verdict)| (*number, *verdict))
    }

    /// What may be acknowledged may be so at once.
    pub(super) fn all_safe(&mut self, number: u64) {
        self.safe.insert(number);
    }

    /// What a frame may say was received. `None` if it says no more than what it may say was handled.
    pub(super) fn received(&self) -> Option<Numbers> {
        (self.arrived != self.safe).then(|| self.arrived.head())
    }

    /// What a RESUME may say was handled: not what the sender would then take for handled though it
    /// was refused. It sends those again, and hears the verdict again.
    pub(super) fn resumable(&self) -> Numbers {
        if self.verdicts.is_empty() {
            return self.safe.head();
        }
        let mut numbers = self.safe.clone();
        self.verdicts.keys().for_each(|number| numbers.remove(*number));
        numbers.head()
    }

    /// Messages that handlers work on.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

/// An acknowledgement that waits for more to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batch {
    messages: u32,
    since: Option<Instant>,
    urgent: bool,
}

impl Batch {
    /// There is one more to tell.
    pub(super) fn add(&mut self, now: Instant) {
        self.messages = self.messages.saturating_add(1);
        self.since = self.since.or(Some(now));
    }

    /// The sender waits for it.
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
    }

    /// When it goes.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        let full = self.urgent || self.messages >= ACK_MESSAGES;
        Some(if full { since } else { since.after(ACK_DELAY) })
    }
}
