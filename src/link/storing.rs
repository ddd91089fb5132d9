//! What a link wants stored, in batches. A batch is done as a whole or not at all, and batches are
//! done in order. Knows no store.

use std::collections::VecDeque;

use super::commands::Commands;
use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::call::{self, CommandId, Correlation, ExecutedRow, IssuedRow};
use crate::channel::ChannelName;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::Change;
use crate::delivery::word::Ticket;
use crate::time::Now;

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
    Command(CommandId, CommandPart),
}

/// What of a call a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallPart {
    Request,
    /// A response, item, progress or failure.
    Answer,
    Demand,
}

/// What of a command a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CommandPart {
    Run,
    Cancel,
    /// The report that it runs.
    Running,
    /// A last report.
    End,
}

/// A command of this side as a store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IssuedCommand {
    pub(crate) channel: ChannelName,
    pub(crate) row: IssuedRow,
}

/// A command of the peer as a store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExecutedCommand {
    pub(crate) channel: ChannelName,
    pub(crate) row: ExecutedRow,
}

/// Changes to store. A link in memory has none.
#[derive(Debug)]
pub(crate) struct Batch {
    /// For [`Link::stored`](super::Link::stored).
    pub(crate) number: u64,
    pub(crate) outbox: Vec<Change<Token>>,
    pub(crate) inbox: Vec<InboxChange>,
    /// In the order given.
    pub(crate) issued: Vec<call::Change<IssuedCommand>>,
    /// In the order given.
    pub(crate) executed: Vec<call::Change<ExecutedCommand>>,
}

/// Batches on their way to the store.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last: u64,
    waiting: VecDeque<Waiting>,
}

/// What is to be told when a batch is on disk.
#[derive(Debug)]
struct Waiting {
    number: u64,
    outbox: Option<Ticket>,
    inbox: Option<Ticket>,
    /// Commands of the peer, with the version of their rows.
    executed: Vec<(CommandId, u32)>,
}

impl Batches {
    pub(super) fn take(
        &mut self,
        outbound: &mut Outbound,
        inbound: &mut Inbound,
        commands: &mut Commands,
    ) -> Option<Batch> {
        let outbox = outbound.outbox.take_changes();
        let inbox = inbound.inbox.take_changes();
        let (issued, executed) = commands.take_changes();
        if outbox.is_none() && inbox.is_none() && issued.is_empty() && executed.is_empty() {
            return None;
        }
        self.last += 1;
        let rows = executed.iter().filter_map(|change| match change {
            call::Change::Put(ExecutedCommand { row, .. }) => Some((row.id, row.version)),
            call::Change::Remove(_) => None,
        });
        self.waiting.push_back(Waiting {
            number: self.last,
            outbox: outbox.as_ref().map(|batch| batch.0),
            inbox: inbox.as_ref().map(|batch| batch.0),
            executed: rows.collect(),
        });
        let (outbox, inbox) = (outbox.map(|batch| batch.1), inbox.map(|batch| batch.1));
        let (outbox, inbox) = (outbox.unwrap_or_default(), inbox.unwrap_or_default());
        Some(Batch { number: self.last, outbox, inbox, issued, executed })
    }

    /// A batch and all before it are on disk.
    pub(super) fn stored(
        &mut self,
        now: Now,
        number: u64,
        outbound: &mut Outbound,
        inbound: &mut Inbound,
        commands: &mut Commands,
    ) {
        while self.waiting.front().is_some_and(|waiting| waiting.number <= number) {
            let Some(Waiting { outbox, inbox, executed, .. }) = self.waiting.pop_front() else {
                return;
            };
            outbox.into_iter().for_each(|ticket| outbound.outbox.stored(ticket));
            inbox.into_iter().for_each(|ticket| inbound.inbox.stored(now.instant, ticket));
            executed.into_iter().for_each(|(id, version)| commands.stored(now, id, version));
        }
    }
}
