//! Commands of one link: what the issuer and the executor of `call` say goes out as messages, what
//! arrives of their kinds goes in, and both keep their channels. Knows no record.
//!
//! What arrives and what it changes are one batch: a number that is marked as handled has its row on
//! the same disk.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::calls::judge;
use super::error::{CommandError, LinkError};
use super::event::{Event, Fate};
use super::life::Link;
use super::storing::{About, CommandPart, ExecutedCommand, IssuedCommand};
use crate::call::{
    Change, Command, CommandBody, CommandId, CommandOp, Effect, ErrorCode, Executed, Executor,
    ExecutorError, ExecutorEvent, Failure, IssueError, Issuer, IssuerEvent, Kind, OnCrash, Output,
    Reliability, Say, Status, Subject,
};
use crate::channel::ChannelName;
use crate::delivery::inbox::Key;
use crate::delivery::outbox::Doubt;
use crate::delivery::resume::Outcome;
use crate::delivery::word::Durability;
use crate::limits::NOTICES;
use crate::time::{Instant, Now};
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::Label;

/// The commands of both directions.
#[derive(Debug)]
pub(super) struct Commands {
    issuer: Issuer,
    executor: Executor,
    durability: Durability,
    /// Where each command of this side goes.
    issued: BTreeMap<CommandId, ChannelName>,
    /// Where each command of the peer came from.
    executed: BTreeMap<CommandId, ChannelName>,
    /// Where a command came from that is being read.
    arriving: Option<ChannelName>,
    issued_changes: Vec<Change<IssuedCommand>>,
    executed_changes: Vec<Change<ExecutedCommand>>,
    /// What found no room.
    stalled: VecDeque<Stalled>,
}

#[derive(Debug)]
struct Stalled {
    say: Say,
    expires: Option<Instant>,
}

/// Bytes of a content but its name and payload: kind, flags, length of the name.
const CONTENT_BYTES: usize = 3;
/// Bytes in front of a command's or a status' own: what it is, and the id.
const BODY_BYTES: usize = 17;

impl Commands {
    pub(super) fn new(on_crash: OnCrash, durability: Durability) -> Self {
        Self {
            issuer: Issuer::new(),
            executor: Executor::new(on_crash),
            durability,
            issued: BTreeMap::new(),
            executed: BTreeMap::new(),
            arriving: None,
            issued_changes: Vec::new(),
            executed_changes: Vec::new(),
            stalled: VecDeque::new(),
        }
    }

    /// Takes back what a store kept. Whether a message was sent is not stored; if there ever was a
    /// session, it may have been.
    pub(super) fn load(
        &mut self,
        now: Now,
        issued: Vec<IssuedCommand>,
        executed: Vec<ExecutedCommand>,
        was_attached: bool,
    ) {
        let mut queued = Vec::new();
        for IssuedCommand { channel, row } in issued {
            self.issued.insert(row.id, channel);
            queued.extend((row.status == Status::Queued).then_some(row.id));
            self.issuer.load(now, [row]);
        }
        if was_attached {
            queued.into_iter().for_each(|id| self.issuer.sent(now, id));
        }
        let channel = |command: &ExecutedCommand| (command.row.id, command.channel.clone());
        self.executed.extend(executed.iter().map(channel));
        self.executor.load(now, executed.into_iter().map(|command| command.row));
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let due = [self.issuer.next_timeout(), self.executor.next_timeout()];
        due.into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.issuer.handle_timeout(now);
        self.executor.handle_timeout(now);
    }

    /// Whether no command of the peer runs, and nothing has to be said of one.
    pub(super) fn is_done(&self) -> bool {
        self.executor.open_commands() == 0 && self.stalled.is_empty()
    }

    /// The changes since the last call, for the store.
    pub(super) fn take_changes(
        &mut self,
    ) -> (Vec<Change<IssuedCommand>>, Vec<Change<ExecutedCommand>>) {
        (std::mem::take(&mut self.issued_changes), std::mem::take(&mut self.executed_changes))
    }

    /// The row of a command of the peer is on disk as of `version`.
    pub(super) fn stored(&mut self, now: Now, id: CommandId, version: u32) {
        self.executor.stored(now, id, version);
    }

    /// Gives each changed row its channel. Without a store every row counts as stored.
    fn gather(&mut self, now: Now) {
        self.gather_issued();
        while let Some(change) = self.executor.poll_change() {
            let change = match change {
                Change::Put(row) => {
                    let (id, version) = (row.id, row.version);
                    let known = self.executed.get(&id).or(self.arriving.as_ref()).cloned();
                    let Some(channel) = known else { continue };
                    self.executed.insert(id, channel.clone());
                    if self.durability == Durability::Memory {
                        self.executor.stored(now, id, version);
                    }
                    Change::Put(ExecutedCommand { channel, row })
                }
                Change::Remove(id) => {
                    self.executed.remove(&id);
                    Change::Remove(id)
                }
            };
            if self.durability == Durability::Durable {
                self.executed_changes.push(change);
            }
        }
    }

    fn gather_issued(&mut self) {
        while let Some(change) = self.issuer.poll_change() {
            let change = match change {
                Change::Put(row) => {
                    let Some(channel) = self.issued.get(&row.id).cloned() else { continue };
                    Change::Put(IssuedCommand { channel, row })
                }
                Change::Remove(id) => {
                    self.issued.remove(&id);
                    Change::Remove(id)
                }
            };
            if self.durability == Durability::Durable {
                self.issued_changes.push(change);
            }
        }
    }

    /// Keeps what found no room. Of the reports of one command the last is enough.
    fn stall(&mut self, stalled: Stalled) {
        let subject = stalled.say.subject;
        if stalled.say.kind == Kind::Status {
            let is_old = |of: &Say| of.kind == Kind::Status && of.subject == subject;
            self.stalled.retain(|waiting| !is_old(&waiting.say));
        }
        self.stalled.push_back(stalled);
    }

    /// A message of a command of this side has that fate.
    fn heed(&mut self, now: Now, id: CommandId, fate: Fate) {
        let is_queued = self.issuer.status(id) == Some(Status::Queued);
        let issuer = &mut self.issuer;
        match fate {
            Fate::Sent | Fate::InDoubt if is_queued => issuer.sent(now, id),
            // The session that follows an inbox that was lost tells.
            Fate::Sent | Fate::InDoubt => {}
            Fate::Handled => issuer.delivered(now, id),
            Fate::Expired(_) => issuer.undelivered(now, id, ErrorCode::Deadline),
            Fate::Undeliverable => issuer.undelivered(now, id, ErrorCode::InDoubt),
            Fate::Dropped if is_queued => issuer.undelivered(now, id, ErrorCode::Busy),
            Fate::Dropped => issuer.undelivered(now, id, ErrorCode::InDoubt),
            Fate::NoSubscriber => issuer.undelivered(now, id, ErrorCode::NoHandler),
            Fate::Refused(verdict) => issuer.undelivered(now, id, judge(verdict)),
        }
    }
}

impl Link {
    /// Commands the peer, as soon as it is there. What becomes of it is told by [`Event::Command`].
    ///
    /// # Errors
    ///
    /// [`CommandError`] says why not; nothing follows.
    pub(crate) fn command(
        &mut self,
        now: Now,
        channel: ChannelName,
        command: Command,
    ) -> Result<(), CommandError> {
        if !self.takes_messages() {
            return Err(CommandError::Closed);
        }
        self.check_border(&channel)?;
        let bytes = CONTENT_BYTES + channel.as_str().len() + BODY_BYTES + command.payload.len();
        let largest = self.largest();
        if bytes > largest {
            return Err(CommandError::TooLarge(bytes, largest));
        }
        // Its row and its message are one batch.
        let has_room = self.outbound.outbox.check_room(command.class, bytes).is_ok();
        let id = command.id;
        if self.commands.issuer.status(id).is_none()
            && (!has_room || !self.commands.stalled.is_empty())
        {
            return Err(IssueError::TooMany.into());
        }
        self.commands.issuer.issue(now, command)?;
        self.commands.issued.insert(id, channel);
        self.move_calls(now);
        Ok(())
    }

    /// Withdraws a command: at once while it is queued, otherwise as the peer reports.
    pub(crate) fn cancel_command(&mut self, now: Now, id: CommandId) {
        self.commands.issuer.cancel(now, id);
        self.move_calls(now);
    }

    /// Where a command of this side stands.
    pub(crate) fn command_status(&self, id: CommandId) -> Option<Status> {
        self.commands.issuer.status(id)
    }

    /// What a command of this side left, if it is settled.
    pub(crate) fn command_effect(&self, id: CommandId) -> Option<Effect> {
        self.commands.issuer.effect(id).cloned()
    }

    /// Forgets a command of this side that is settled; one that is not stays.
    pub(crate) fn forget_command(&mut self, id: CommandId) {
        self.commands.issuer.forget(id);
        self.commands.gather_issued();
    }

    /// Ends a command of the peer. A result that no message holds ends it as failed, too large.
    ///
    /// # Errors
    ///
    /// [`ExecutorError::NotRunning`].
    pub(crate) fn finish(
        &mut self,
        now: Now,
        id: CommandId,
        executed: Executed,
    ) -> Result<(), ExecutorError> {
        let room = self.largest().saturating_sub(CONTENT_BYTES + BODY_BYTES);
        let executed = match executed {
            Executed::Succeeded(result) if result.len() > room => {
                Executed::Failed(Failure::new(ErrorCode::TooLarge))
            }
            executed => executed,
        };
        let finished = self.commands.executor.finish(now, id, executed);
        self.move_calls(now);
        finished
    }

    /// A session goes on, or begins anew for a side that lost its memory.
    pub(super) fn resume_commands(&mut self, now: Now, outcome: &Outcome) {
        self.heed_commands(now);
        if let Outcome::PeerStateLost { .. } = outcome {
            self.commands.issuer.attached_anew(now);
            // A peer without memory would call cancelled what may have run.
            let issuer = &self.commands.issuer;
            let is_settled = |id| issuer.status(id).is_none_or(Status::is_settled);
            self.outbound.withdraw(
                now.instant,
                |about| matches!(about, About::Command(id, CommandPart::Cancel) if is_settled(*id)),
            );
        }
    }

    /// Moves what commands have to say towards the peer, and what happened to the application and the
    /// store.
    pub(super) fn move_commands(&mut self, now: Now) {
        self.heed_commands(now);
        self.commands.gather(now);
        while let Some(stalled) = self.commands.stalled.pop_front() {
            if let Err(stalled) = self.say_command(stalled) {
                self.commands.stalled.push_front(stalled);
                break;
            }
        }
        while let Some(output) =
            self.commands.issuer.poll_output().or_else(|| self.commands.executor.poll_output())
        {
            let Output::Say(say) = output else { continue };
            let expires = say.ttl.map(|span| now.instant.after(span));
            let mut waiting = Some(Stalled { say, expires });
            if self.commands.stalled.is_empty()
                && let Some(fresh) = waiting.take()
            {
                waiting = self.say_command(fresh).err();
            }
            if let Some(waiting) = waiting {
                self.commands.stall(waiting);
            }
        }
        while let Some(event) = self.commands.issuer.poll_event() {
            let IssuerEvent::Changed { id, status, .. } = &event;
            if matches!(status, Status::Cancelled | Status::Expired) {
                let run = About::Command(*id, CommandPart::Run);
                self.outbound.withdraw(now.instant, |about| *about == run);
            }
            self.events.push_back(Event::Command(event));
        }
        while let Some(event) = self.commands.executor.poll_event() {
            let channel = match &event {
                ExecutorEvent::Run { id, .. } => self.commands.executed.get(id).cloned(),
                ExecutorEvent::Stop { .. } => None,
            };
            self.events.push_back(Event::Run { channel, event });
        }
    }

    fn heed_commands(&mut self, now: Now) {
        while let Some((id, part, fate)) = self.outbound.command_fates.pop_front() {
            match (part, fate) {
                (CommandPart::Run, fate) => self.commands.heed(now, id, fate),
                (CommandPart::End, Fate::Handled) => self.commands.executor.told(id),
                (CommandPart::End, Fate::Undeliverable) => self.commands.executor.untold(id),
                _ => {}
            }
        }
        while let Some(id) = self.outbound.told.pop_front() {
            self.commands.executor.told(id);
        }
    }

    /// Puts a content where it waits to be sent. Gives it back if there is no room.
    fn say_command(&mut self, stalled: Stalled) -> Result<(), Stalled> {
        let Stalled { say, expires } = &stalled;
        let Subject::Command(id) = say.subject else { return Ok(()) };
        let (kind, part) = match (say.kind, say.reliability) {
            (Kind::Command, _) => match CommandBody::decode(&say.payload).map(|body| body.op) {
                Ok(CommandOp::Run(_)) => (ContentKind::Command, CommandPart::Run),
                _ => (ContentKind::Command, CommandPart::Cancel),
            },
            (Kind::Status, Reliability::Durable) => (ContentKind::Status, CommandPart::End),
            (Kind::Status, _) => (ContentKind::Status, CommandPart::Running),
            _ => return Ok(()),
        };
        let is_settled = || self.commands.issuer.status(id).is_none_or(Status::is_settled);
        let channel = match kind {
            // One that ended meanwhile is neither said nor withdrawn any more.
            ContentKind::Command if is_settled() => return Ok(()),
            ContentKind::Command => self.commands.issued.get(&id),
            _ => None,
        };
        let mut content = BytesMut::with_capacity(say.payload.len() + 64);
        Content {
            kind,
            channel: channel.map(|name| ChannelRef::Name(name.as_str().as_bytes())),
            correlation: None,
            headers: None,
            stream: false,
            payload: &say.payload,
        }
        .encode(&mut content);
        let doubt = match part {
            // The issuer says it anew, or knows that it may have run.
            CommandPart::Run => Doubt::Surface,
            CommandPart::Cancel | CommandPart::Running | CommandPart::End => Doubt::SendAgain,
        };
        let (about, content) = (About::Command(id, part), content.freeze());
        let taken = self.outbound.insert(say.class, about, content, *expires, doubt);
        if taken.is_some() { Ok(()) } else { Err(stalled) }
    }

    /// A command or a status arrived, and is new.
    pub(super) fn read_command(
        &mut self,
        now: Now,
        label: &Label,
        key: Option<Key>,
        channel: Option<ChannelName>,
        kind: ContentKind,
        payload: Bytes,
    ) -> Result<(), LinkError> {
        if self.commands.stalled.len() >= NOTICES {
            // It is new again in the next session.
            if let Some(key) = key {
                self.inbound.inbox.released(key);
            }
            return Err(LinkError::Flood);
        }
        if kind == ContentKind::Command {
            let remaining = label.ttl_ms.map(|ms| Duration::from_millis(u64::from(ms)));
            self.commands.arriving = channel;
            let read = self.commands.executor.handle(now, &payload, label.class, remaining);
            self.commands.gather(now);
            self.commands.arriving = None;
            read?;
        } else {
            self.commands.issuer.handle(now, &payload)?;
        }
        if let Some(key) = key {
            self.inbound.inbox.handled(now.instant, key);
        }
        self.move_calls(now);
        Ok(())
    }
}
