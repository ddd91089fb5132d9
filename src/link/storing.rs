//! What a link wants stored, in batches. A batch is done as a whole or not at all, and batches are
//! done in order. Knows no store.

use std::collections::VecDeque;

use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::call::Correlation;
use crate::channel::ChannelName;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::Change;
use crate::delivery::word::Ticket;
use crate::time::Instant;

use super::event::MessageId;

/// What a link knows a message by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Token {
    pub(crate) id: MessageId,
    pub(crate) about: About,
}

/// Who has to learn what becomes of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum About {
    /// Whoever published it there.
    Event(ChannelName),
    Call(Correlation, CallPart),
}

/// What of a call a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallPart {
    Request,
    /// A response, item, progress or failure.
    Answer,
    Demand,
}

/// Changes to store.
#[derive(Debug)]
pub(crate) struct Batch {
    /// For [`Link::stored`](super::Link::stored).
    pub(crate) number: u64,
    pub(crate) outbox: Vec<Change<Token>>,
    pub(crate) inbox: Vec<InboxChange>,
}

/// Batches on their way to the store.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last: u64,
    waiting: VecDeque<(u64, Option<Ticket>, Option<Ticket>)>,
}

impl Batches {
    pub(super) fn take(&mut self, outbound: &mut Outbound, inbound: &mut Inbound) -> Option<Batch> {
        let outbox = outbound.outbox.take_changes();
        let inbox = inbound.inbox.take_changes();
        if outbox.is_none() && inbox.is_none() {
            return None;
        }
        self.last += 1;
        let tickets = (outbox.as_ref().map(|batch| batch.0), inbox.as_ref().map(|batch| batch.0));
        self.waiting.push_back((self.last, tickets.0, tickets.1));
        let (outbox, inbox) = (outbox.map(|batch| batch.1), inbox.map(|batch| batch.1));
        let (outbox, inbox) = (outbox.unwrap_or_default(), inbox.unwrap_or_default());
        Some(Batch { number: self.last, outbox, inbox })
    }

    /// A batch and all before it are on disk.
    pub(super) fn stored(
        &mut self,
        now: Instant,
        number: u64,
        outbound: &mut Outbound,
        inbound: &mut Inbound,
    ) {
        while self.waiting.front().is_some_and(|(of, ..)| *of <= number) {
            let Some((_, outbox, inbox)) = self.waiting.pop_front() else { return };
            outbox.into_iter().for_each(|ticket| outbound.outbox.stored(ticket));
            inbox.into_iter().for_each(|ticket| inbound.inbox.stored(now, ticket));
        }
    }
}
