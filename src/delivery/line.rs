//! The messages of one class on their way out, by number. Knows neither the store nor the other
//! classes: `outbox` decides what happens, this finds what it happens to.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::outbox::Foreign;
use super::ranges::Numbers;
use super::word::Lie;
use crate::limits::{ACK_WAIT, ACK_WAIT_MAX, INBOX_MESSAGES, INBOX_VERDICTS, OUTBOX_SPAN};
use crate::time::{Instant, spread};

/// What becomes of a message that a lost inbox may have handled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Doubt {
    /// It is sent again, marked AGAIN: it may be handled twice.
    #[default]
    SendAgain,
    /// It is given back to the caller: it may be handled never.
    Surface,
}

/// A message that is not settled.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) content: Bytes,
    pub(super) token: T,
    pub(super) expires: Option<Instant>,
    pub(super) doubt: Doubt,
    /// Times that the peer, alive, did not say in time that it holds it.
    pub(super) failures: u8,
    pub(super) reach: Reach,
    pub(super) state: State,
}

/// How far it ever came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    Nowhere,
    /// To an inbox that is lost.
    LostInbox,
    /// To the inbox that the peer has, perhaps.
    Peer,
}

/// Where it stands now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The store does not have it yet.
    Unstored,
    /// It may be sent.
    Waiting,
    /// Sent; the peer's word is due.
    Sent { at: Instant, due: Instant },
    /// The peer holds it.
    Received,
}

/// Numbers that no message will have any more.
#[derive(Clone, Copy, Debug)]
struct Void {
    first: u64,
    last: u64,
    sent: Option<Instant>,
}

const FREE: u32 = u32::MAX;
/// Voids kept apart below the first slot.
const VOIDS: usize = 16;
/// As many results as an honest peer has in doubt.
const LEARNT: usize = INBOX_VERDICTS + INBOX_MESSAGES;

#[derive(Debug)]
pub(super) struct Line<T> {
    /// The number of the first slot.
    base: u64,
    /// Where the entry of each number from `base` is.
    slots: VecDeque<u32>,
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    /// Numbers that the peer said it handled.
    settled: Numbers,
    /// Numbers that the peer said it holds.
    received: Numbers,
    /// The highest number sent to the peer's inbox.
    top: u64,
    /// Whether that inbox said that it handled something.
    heard: bool,
    /// The highest number that a crash does not free for another message.
    taken: u64,
    /// Ascending.
    voids: Vec<Void>,
    /// Numbers whose result was heard in this session: the peer is told once that no message has them
    /// any more. [`LEARNT`] at most; of those beyond it hears in the next session.
    learnt: BTreeSet<u64>,
    /// Numbers sent for the first time, in that order, which is the order in which they are due.
    first_waits: VecDeque<u64>,
    retries: BTreeSet<(Instant, u64)>,
    expiries: BTreeSet<(Instant, u64)>,
}

impl<T> Line<T> {
    /// A line whose first message gets the number `next`.
    pub(super) fn new(next: u64) -> Self {
        Self {
            base: next,
            slots: VecDeque::new(),
            entries: Vec::new(),
            free: Vec::new(),
            settled: Numbers::new(),
            received: Numbers::new(),
            top: 0,
            heard: false,
            taken: 0,
            voids: Vec::new(),
            learnt: BTreeSet::new(),
            first_waits: VecDeque::new(),
            retries: BTreeSet::new(),
            expiries: BTreeSet::new(),
        }
    }

    /// The number that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    /// Numbers from the oldest message that is not settled.
    pub(super) fn span(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn push(&mut self, entry: Entry<T>) -> u64 {
        let number = self.next();
        if let Some(expires) = entry.expires {
            self.expiries.insert((expires, number));
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(FREE)
        });
        if let Some(slot) = self.entries.get_mut(index as usize) {
            *slot = Some(entry);
        }
        self.slots.push_back(index);
        number
    }

    /// Leaves out the numbers from the next one to the one before `number`.
    pub(super) fn skip_to(&mut self, number: u64) -> Result<(), Foreign> {
        if self.slots.is_empty() {
            self.base = self.base.max(number);
        }
        if number.saturating_sub(self.base) > OUTBOX_SPAN as u64 {
            return Err(Foreign);
        }
        while self.next() < number {
            self.slots.push_back(FREE);
        }
        Ok(())
    }

    pub(super) fn get(&self, number: u64) -> Option<&Entry<T>> {
        let slot = self.slots.get(self.slot(number)?)?;
        self.entries.get(*slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry<T>> {
        let slot = self.slots.get(self.slot(number)?)?;
        self.entries.get_mut(*slot as usize)?.as_mut()
    }

    fn slot(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }

    /// Takes an entry out. [`Self::trim`] follows.
    pub(super) fn take(&mut self, number: u64) -> Option<Entry<T>> {
        let index = self.slot(number)?;
        let slot = self.slots.get_mut(index)?;
        let entry = self.entries.get_mut(*slot as usize)?.take()?;
        self.free.push(*slot);
        *slot = FREE;
        if let Some(expires) = entry.expires {
            self.expiries.remove(&(expires, number));
        }
        if let State::Sent { due, .. } = entry.state {
            self.retries.remove(&(due, number));
        }
        Some(entry)
    }

    /// Forgets what is settled at the front.
    pub(super) fn trim(&mut self) {
        while self.slots.front() == Some(&FREE) {
            self.slots.pop_front();
            self.base += 1;
        }
        // Nothing below is asked for again, so the sets need not tell it apart.
        if let Some(below) = self.base.checked_sub(1).filter(|below| *below > 0) {
            self.settled.add(1, below);
            self.received.add(1, below);
        }
        while self.first_waits.front().is_some_and(|number| self.first_due(*number).is_none()) {
            self.first_waits.pop_front();
        }
    }

    /// Numbers of the messages, ascending.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let live = self.slots.iter().zip(self.base..).filter(|(slot, _)| **slot != FREE);
        live.map(|(_, number)| number)
    }

    /// What a message, or a void, that is sent may be acknowledged as.
    pub(super) fn raise(&mut self, number: u64) {
        self.top = self.top.max(number);
    }

    /// A part of a message was sent: the peer may come to have the whole of it.
    pub(super) fn begun(&mut self, number: u64) {
        self.raise(number);
        if let Some(entry) = self.get_mut(number) {
            entry.reach = Reach::Peer;
        }
    }

    /// A message was sent; its acknowledgement is due then.
    pub(super) fn sent(&mut self, number: u64, at: Instant, seed: u64) {
        self.raise(number);
        let Some(entry) = self.get_mut(number) else { return };
        let first = entry.failures == 0;
        let due = at.after(if first { ACK_WAIT } else { wait(seed, number, entry.failures) });
        entry.reach = Reach::Peer;
        entry.state = State::Sent { at, due };
        if first {
            self.first_waits.push_back(number);
        } else {
            self.retries.insert((due, number));
        }
    }

    /// The peer's silence does not count: its word is due later.
    pub(super) fn postpone(&mut self, number: u64, at: Instant, due: Instant) {
        if let Some(entry) = self.get_mut(number) {
            entry.state = State::Sent { at, due };
            self.retries.insert((due, number));
        }
    }

    fn first_due(&self, number: u64) -> Option<Instant> {
        match self.get(number)? {
            Entry { failures: 0, state: State::Sent { due, .. }, .. }
                if !self.retries.contains(&(*due, number)) =>
            {
                Some(*due)
            }
            _ => None,
        }
    }

    /// A number whose acknowledgement is overdue, and when it was sent. Each is told once.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(u64, Instant)> {
        while let Some(number) = self.first_waits.front().copied() {
            match self.first_due(number) {
                Some(due) if due > now => break,
                due => {
                    self.first_waits.pop_front();
                    if let Some(at) = due.and_then(|_| self.sent_at(number)) {
                        return Some((number, at));
                    }
                }
            }
        }
        while let Some((due, number)) = self.retries.first().copied().filter(|(due, _)| *due <= now)
        {
            self.retries.remove(&(due, number));
            if let Some(at) = self.sent_at(number) {
                return Some((number, at));
            }
        }
        None
    }

    fn sent_at(&self, number: u64) -> Option<Instant> {
        match self.get(number)?.state {
            State::Sent { at, .. } => Some(at),
            _ => None,
        }
    }

    /// A message whose time to live is over. Each is told once.
    pub(super) fn expired(&mut self, now: Instant) -> Option<u64> {
        let (expires, number) = self.expiries.first().copied().filter(|(at, _)| *at <= now)?;
        self.expiries.remove(&(expires, number));
        Some(number)
    }

    /// A message's time to live is judged again then.
    pub(super) fn judge_later(&mut self, number: u64, at: Instant) {
        self.expiries.insert((at, number));
    }

    /// When a time to live is over.
    pub(super) fn expiry_due(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// When the peer's word is due.
    pub(super) fn answer_due(&self) -> Option<Instant> {
        let first = self.first_waits.front().and_then(|number| self.first_due(*number));
        let retry = self.retries.first().map(|(due, _)| *due);
        let void = self.voids.iter().filter_map(|void| void.sent).min();
        [first, retry, void.map(|at| at.after(ACK_WAIT))].into_iter().flatten().min()
    }

    /// The peer says that it handled these numbers: `settled` is given each message.
    ///
    /// # Errors
    ///
    /// [`Lie::AckForUnsent`] if one was not sent to it.
    pub(super) fn settle(
        &mut self,
        numbers: &Numbers,
        mut settled: impl FnMut(u64, Entry<T>),
    ) -> Result<(), Lie> {
        if numbers.highest() > self.top {
            return Err(Lie::AckForUnsent);
        }
        self.heard |= numbers.highest() > 0;
        let new = self.news(&self.settled, numbers);
        for (first, last) in new {
            for number in first..=last {
                match self.get(number).map(|entry| entry.reach) {
                    Some(Reach::Peer) => {
                        if let Some(entry) = self.take(number) {
                            settled(number, entry);
                        }
                    }
                    Some(_) => return Err(Lie::AckForUnsent),
                    None => {}
                }
            }
            self.settled.add(first, last);
        }
        self.settle_voids(numbers);
        self.trim();
        Ok(())
    }

    fn settle_voids(&mut self, numbers: &Numbers) {
        if !self.voids.is_empty() {
            let left = |void: &Void| {
                let Void { first, last, sent } = *void;
                let missing = numbers.missing(first, last);
                missing.map(move |(first, last)| Void { first, last, sent }).collect::<Vec<_>>()
            };
            self.voids = self.voids.iter().flat_map(left).collect();
        }
    }

    /// The peer says that it holds these numbers: `received` is given each that it did not say
    /// before.
    ///
    /// # Errors
    ///
    /// [`Lie::AckForUnsent`] if one was not sent to it.
    pub(super) fn receive(
        &mut self,
        numbers: &Numbers,
        mut received: impl FnMut(u64, &Entry<T>),
    ) -> Result<(), Lie> {
        if numbers.highest() > self.top {
            return Err(Lie::AckForUnsent);
        }
        let new = self.news(&self.received, numbers);
        for (first, last) in new {
            for number in first..=last {
                let Some(entry) = self.get_mut(number) else { continue };
                if entry.reach != Reach::Peer {
                    return Err(Lie::AckForUnsent);
                }
                let due = match entry.state {
                    State::Sent { due, .. } => due,
                    // A copy that was asked for again in vain.
                    State::Waiting => Instant::default(),
                    State::Unstored | State::Received => continue,
                };
                entry.state = State::Received;
                received(number, entry);
                self.retries.remove(&(due, number));
            }
            self.received.add(first, last);
        }
        self.trim();
        Ok(())
    }

    /// The spans of `numbers` that `known` lacks and that have slots.
    fn news(&self, known: &Numbers, numbers: &Numbers) -> Vec<(u64, u64)> {
        let end = self.next();
        let spans = numbers.spans().map(|span| (*span.start(), *span.end()));
        let spans = spans.map(|(first, last)| (first.max(self.base), last.min(end)));
        spans.flat_map(|(first, last)| known.missing(first, last)).collect()
    }

    /// The peer told the fate of one number.
    ///
    /// # Errors
    ///
    /// [`Lie::ResultForUnsent`] if it was not sent to it.
    pub(super) fn settle_one(&mut self, number: u64) -> Result<Option<Entry<T>>, Lie> {
        let unsent = self.get(number).is_some_and(|entry| entry.reach != Reach::Peer);
        if number == 0 || number > self.top || unsent {
            return Err(Lie::ResultForUnsent);
        }
        self.heard = true;
        let entry = self.take(number);
        self.settled.insert(number);
        self.trim();
        Ok(entry)
    }

    /// Whether the peer's inbox said that it handled something.
    pub(super) fn was_heard(&self) -> bool {
        self.heard
    }

    /// The peer has another inbox, which was sent nothing.
    pub(super) fn forget_inbox(&mut self) {
        self.settled = Numbers::new();
        self.received = Numbers::new();
        self.top = 0;
        self.heard = false;
        for entry in self.entries.iter_mut().flatten() {
            if entry.reach == Reach::Peer {
                entry.reach = Reach::LostInbox;
            }
        }
    }

    /// A session begins, in which nothing was sent yet, with a peer that handled these numbers.
    pub(super) fn begin(&mut self, handled: &Numbers) {
        self.received = Numbers::new();
        self.first_waits.clear();
        self.retries.clear();
        for entry in self.entries.iter_mut().flatten() {
            if matches!(entry.state, State::Sent { .. } | State::Received) {
                entry.state = State::Waiting;
            }
        }
        self.learnt.clear();
        self.voids = self.holes(handled);
        self.trim();
    }

    /// The peer is not told yet that this number is void: a crash may still bring its message back.
    pub(super) fn hold_back(&mut self, number: u64) {
        let mut others = Vec::with_capacity(self.voids.len());
        for Void { first, last, sent } in self.voids.drain(..) {
            let pieces = [(first, last.min(number - 1)), (first.max(number + 1), last)];
            let pieces = pieces.into_iter().filter(|(first, last)| first <= last);
            let is_apart = !(first..=last).contains(&number);
            match is_apart {
                true => others.push(Void { first, last, sent }),
                false => others.extend(pieces.map(|(first, last)| Void { first, last, sent })),
            }
        }
        self.voids = others;
    }

    /// The peer's result of this number was heard, and the message is gone for good.
    pub(super) fn learn(&mut self, number: u64) {
        if self.learnt.len() < LEARNT {
            self.learnt.insert(number);
        }
    }

    /// Numbers up to the newest that have no message and that the peer did not handle.
    fn holes(&self, handled: &Numbers) -> Vec<Void> {
        let mut holes = Vec::new();
        let mut next = 1;
        for number in self.numbers().chain([self.next()]) {
            let missing = handled.missing(next, number - 1);
            holes.extend(missing.map(|(first, last)| Void { first, last, sent: None }));
            next = number + 1;
        }
        holes
    }

    /// A number will have no message any more: the peer is told, as it waits for each.
    pub(super) fn void(&mut self, number: u64) {
        let after = self.voids.partition_point(|void| void.first <= number);
        let (mut first, mut last, mut from, mut to) = (number, number, after, after);
        if let Some((index, left)) =
            after.checked_sub(1).and_then(|index| Some((index, self.voids.get(index)?)))
            && left.last + 1 == number
        {
            (first, from) = (left.first, index);
        }
        if let Some(right) = self.voids.get(after).filter(|right| right.first == number + 1) {
            (last, to) = (right.last, after + 1);
        }
        self.voids.splice(from..to, [Void { first, last, sent: None }]);
        // What lies between two of them below the first slot is settled, and may be void as well.
        while self.voids.len() > VOIDS
            && let [one, two, ..] = self.voids.as_slice()
            && two.last < self.base
        {
            let joined = Void { first: one.first, last: two.last, sent: None };
            self.voids.splice(0..2, [joined]);
        }
    }

    /// A crash does not free this number, nor one below, for another message.
    pub(super) fn keep_taken(&mut self, number: u64) {
        self.taken = self.taken.max(number);
    }

    /// The first span that the peer was not told to be void in this session. A number that a crash
    /// might free is not told: its next message would be taken for a duplicate.
    pub(super) fn tell_void(&mut self, now: Instant) -> Option<(u64, u64)> {
        let taken = self.taken;
        let waits = |void: &Void| void.sent.is_none() && void.first <= taken;
        let Some(index) = self.voids.iter().position(waits) else { return self.tell_learnt() };
        let void = self.voids.get_mut(index)?;
        let Void { first, last, .. } = *void;
        void.sent = Some(now);
        if last > taken {
            void.last = taken;
            self.voids.insert(index + 1, Void { first: taken + 1, last, sent: None });
        }
        let last = last.min(taken);
        self.raise(last);
        Some((first, last))
    }

    /// The first span whose results were heard.
    fn tell_learnt(&mut self) -> Option<(u64, u64)> {
        let first = self.learnt.pop_first()?;
        let mut last = first;
        while self.learnt.first() == Some(&(last + 1)) {
            last += 1;
            self.learnt.pop_first();
        }
        Some((first, last))
    }

    /// Whether [`Self::tell_void`] has something.
    pub(super) fn has_void(&self) -> bool {
        !self.learnt.is_empty()
            || self.voids.iter().any(|void| void.sent.is_none() && void.first <= self.taken)
    }

    /// Voids that were not acknowledged in time are told again.
    pub(super) fn repeat_voids(&mut self, now: Instant) {
        for void in &mut self.voids {
            void.sent = void.sent.filter(|at| at.after(ACK_WAIT) > now);
        }
    }
}

/// How long the peer may take to acknowledge what it was sent again: drawn evenly from [`ACK_WAIT`] to
/// twice that, four times and so on, [`ACK_WAIT_MAX`] at most.
fn wait(seed: u64, number: u64, failures: u8) -> Duration {
    let most = ACK_WAIT.saturating_mul(1 << failures.min(8)).min(ACK_WAIT_MAX);
    let span = u64::try_from((most - ACK_WAIT).as_nanos()).unwrap_or(0);
    let draw = spread(seed ^ number.rotate_left(32) ^ u64::from(failures));
    ACK_WAIT + Duration::from_nanos(draw % span.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_grows_with_jitter_to_its_bound() {
        for failures in 1..40 {
            let most = ACK_WAIT.saturating_mul(1 << failures.min(8)).min(ACK_WAIT_MAX);
            let waits: Vec<Duration> = (0..200).map(|seed| wait(seed, 7, failures)).collect();
            assert!(waits.iter().all(|wait| (ACK_WAIT..=most).contains(wait)), "{failures}");
            let (least, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*longest - *least > (most - ACK_WAIT) / 2, "{failures}: no jitter");
        }
    }
}
