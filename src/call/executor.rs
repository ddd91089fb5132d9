//! The side that is commanded: each command runs at most once, and its result outlives it. Knows
//! nothing of what a command does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::failure::{ErrorCode, Failure};
use super::payload::{CommandBody, CommandOp, StatusBody};
use super::say::{Change, CommandId, Kind, Output, Reliability, Say, Subject, Violation};
use super::status::{Effect, Status};
use crate::limits::{
    COMMAND_TIME, COMMANDS_OPEN, COMMANDS_OPEN_BYTES, RESULT_BYTES, RESULT_TIME, RESULTS,
};
use crate::priority::Class;
use crate::time::{Instant, Now, UnixTime};

/// The commands of one peer. With a store they outlive the process.
///
/// A command runs after its row is stored, and is reported after its result is: whoever drives this
/// calls [`stored`](Self::stored) for each row, at once if there is no store.
#[derive(Debug)]
pub(crate) struct Executor {
    on_crash: OnCrash,
    commands: BTreeMap<CommandId, Entry>,
    /// Commands that are settled, the oldest first, by the moment they are forgotten.
    settled: BTreeSet<(Instant, CommandId)>,
    /// Payload bytes of commands that are not settled.
    open_bytes: usize,
    /// Bytes of results.
    result_bytes: usize,
    changes: VecDeque<Change<ExecutedRow>>,
    outputs: VecDeque<Output>,
    events: VecDeque<ExecutorEvent>,
}

/// What becomes of a command that ran when the process died.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnCrash {
    /// It is reported as unknown and never runs again.
    Report,
    /// It runs again, and its effect may happen twice.
    Rerun,
}

/// What whoever runs commands learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ExecutorEvent {
    /// Run it. `is_again` if it may have run before the process died.
    Run { id: CommandId, class: Class, payload: Bytes, is_again: bool },
    /// Its issuer withdrew it; [`Executor::finish`] is still owed.
    Stop { id: CommandId },
}

/// How a command ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Executed {
    Succeeded(Bytes),
    Failed(Failure),
    Cancelled,
}

/// Why a command could not be finished.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ExecutorError {
    /// It does not run: it never did, or has ended.
    #[error("command does not run")]
    NotRunning,
}

/// A command as a store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExecutedRow {
    pub id: CommandId,
    /// Rises with every change, so that one can tell which of them is stored.
    pub version: u32,
    pub stage: Stage,
    pub class: Class,
    /// When the stage was reached.
    pub changed: UnixTime,
}

/// How far a stored command is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// It was begun, or was about to.
    Begun(Bytes),
    /// It ended. `is_told` once the report cannot be lost any more.
    Settled { status: Status, effect: Effect, is_told: bool },
}

#[derive(Debug)]
struct Entry {
    row: ExecutedRow,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Its row is being stored; it must begin by then.
    Beginning(Instant),
    Running,
    /// It runs and was asked to stop.
    Stopping,
    /// Its result is being stored; it is forgotten then.
    Settling(Instant),
    Settled(Instant),
}

impl Executor {
    pub(crate) fn new(on_crash: OnCrash) -> Self {
        Self {
            on_crash,
            commands: BTreeMap::new(),
            settled: BTreeSet::new(),
            open_bytes: 0,
            result_bytes: 0,
            changes: VecDeque::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes back what a store kept, before anything else. What ran when the process died is judged by
    /// [`OnCrash`]; what was not told is reported.
    pub(crate) fn load(&mut self, now: Now, rows: impl IntoIterator<Item = ExecutedRow>) {
        for row in rows {
            let (id, class) = (row.id, row.class);
            match &row.stage {
                Stage::Begun(payload) => {
                    self.open_bytes += payload.len();
                    let payload = payload.clone();
                    self.commands.insert(id, Entry { row, phase: Phase::Running });
                    match self.on_crash {
                        OnCrash::Report => self.settle(now, id, Status::Unknown, Effect::None),
                        OnCrash::Rerun => {
                            let is_again = true;
                            let run = ExecutorEvent::Run { id, class, payload, is_again };
                            self.events.push_back(run);
                        }
                    }
                }
                Stage::Settled { effect, is_told, .. } => {
                    let kept = now.unix.until(row.changed.after(RESULT_TIME));
                    let forgotten = now.instant.after(kept);
                    let is_told = *is_told;
                    self.result_bytes += effect.bytes();
                    self.settled.insert((forgotten, id));
                    self.commands.insert(id, Entry { row, phase: Phase::Settled(forgotten) });
                    if !is_told {
                        self.report(id);
                    }
                }
            }
        }
        self.evict();
    }

    /// Takes a command: a new one is stored, then run; one that is known is answered with what is known.
    pub(crate) fn handle(
        &mut self,
        now: Now,
        payload: &Bytes,
        class: Class,
        remaining: Option<Duration>,
    ) -> Result<(), Violation> {
        let CommandBody { id, op } = CommandBody::decode(payload)?;
        if self.commands.contains_key(&id) {
            match op {
                CommandOp::Run(_) => self.report(id),
                CommandOp::Cancel => self.cancel(now, id),
            }
            return Ok(());
        }
        let begin_in = remaining.unwrap_or(COMMAND_TIME);
        match op {
            // The command may still come, and must not run then.
            CommandOp::Cancel => {
                self.insert(now, id, class, Bytes::new(), begin_in);
                self.settle(now, id, Status::Cancelled, Effect::None);
            }
            CommandOp::Run(_) if begin_in.is_zero() => {
                self.outputs.push_back(say(id, class, Status::Expired, Effect::None));
            }
            CommandOp::Run(payload) if !self.has_room(payload.len()) => {
                drop(payload);
                let busy = Effect::Failure(Failure::new(ErrorCode::Busy));
                self.outputs.push_back(say(id, class, Status::Failed, busy));
            }
            CommandOp::Run(payload) => {
                self.insert(now, id, class, payload, begin_in);
                self.put(id);
            }
        }
        Ok(())
    }

    /// The row of a command is stored as of `version`: it begins now, or is reported.
    pub(crate) fn stored(&mut self, now: Now, id: CommandId, version: u32) {
        let entry = self.commands.get_mut(&id);
        let Some(entry) = entry.filter(|entry| entry.row.version == version) else { return };
        match (&entry.phase, &entry.row.stage) {
            (Phase::Beginning(by), _) if *by <= now.instant => {
                self.settle(now, id, Status::Expired, Effect::None);
            }
            (Phase::Beginning(_), Stage::Begun(payload)) => {
                let (class, payload) = (entry.row.class, payload.clone());
                entry.phase = Phase::Running;
                self.events.push_back(ExecutorEvent::Run { id, class, payload, is_again: false });
                self.report(id);
            }
            (Phase::Settling(forgotten), _) => {
                entry.phase = Phase::Settled(*forgotten);
                self.report(id);
                self.evict();
            }
            _ => {}
        }
    }

    /// Ends a command.
    pub(crate) fn finish(
        &mut self,
        now: Now,
        id: CommandId,
        executed: Executed,
    ) -> Result<(), ExecutorError> {
        let phase = self.commands.get(&id).map(|entry| &entry.phase);
        if !matches!(phase, Some(Phase::Running | Phase::Stopping)) {
            return Err(ExecutorError::NotRunning);
        }
        match executed {
            Executed::Succeeded(result) => {
                self.settle(now, id, Status::Succeeded, Effect::Result(result));
            }
            Executed::Failed(failure) => {
                self.settle(now, id, Status::Failed, Effect::Failure(failure));
            }
            Executed::Cancelled => self.settle(now, id, Status::Cancelled, Effect::None),
        }
        Ok(())
    }

    /// The last report of a command cannot be lost any more: it is stored in an outbox, or was handled.
    pub(crate) fn told(&mut self, id: CommandId) {
        let Some(entry) = self.commands.get_mut(&id) else { return };
        if let (Phase::Settled(_), Stage::Settled { is_told: is_told @ false, .. }) =
            (&entry.phase, &mut entry.row.stage)
        {
            *is_told = true;
            self.put(id);
        }
    }

    /// Forgets old results.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((_, id)) = self.settled.first().filter(|(at, _)| *at <= now.instant).copied()
        {
            self.remove(id);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.settled.first().map(|(at, _)| *at)
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change<ExecutedRow>> {
        self.changes.pop_front()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<ExecutorEvent> {
        self.events.pop_front()
    }

    /// Commands that are not settled.
    pub(crate) fn open_commands(&self) -> usize {
        self.commands.len() - self.settled.len()
    }

    /// Results that are kept.
    pub(crate) fn results(&self) -> usize {
        self.settled.len()
    }

    fn has_room(&self, length: usize) -> bool {
        let bytes = self.open_bytes.saturating_add(length);
        self.open_commands() < COMMANDS_OPEN
            && (self.open_bytes == 0 || bytes <= COMMANDS_OPEN_BYTES)
    }

    fn cancel(&mut self, now: Now, id: CommandId) {
        let Some(entry) = self.commands.get_mut(&id) else { return };
        match entry.phase {
            Phase::Beginning(_) => self.settle(now, id, Status::Cancelled, Effect::None),
            Phase::Running => {
                entry.phase = Phase::Stopping;
                self.events.push_back(ExecutorEvent::Stop { id });
            }
            Phase::Stopping | Phase::Settling(_) => {}
            Phase::Settled(_) => self.report(id),
        }
    }

    fn insert(&mut self, now: Now, id: CommandId, class: Class, payload: Bytes, time: Duration) {
        self.open_bytes += payload.len();
        let stage = Stage::Begun(payload);
        let row = ExecutedRow { id, version: 0, stage, class, changed: now.unix };
        let phase = Phase::Beginning(now.instant.after(time));
        self.commands.insert(id, Entry { row, phase });
    }

    fn settle(&mut self, now: Now, id: CommandId, status: Status, effect: Effect) {
        let Some(entry) = self.commands.get_mut(&id) else { return };
        if let Stage::Begun(payload) = &entry.row.stage {
            self.open_bytes -= payload.len();
        }
        self.result_bytes += effect.bytes();
        let forgotten = now.instant.after(RESULT_TIME);
        entry.phase = Phase::Settling(forgotten);
        entry.row.stage = Stage::Settled { status, effect, is_told: false };
        entry.row.changed = now.unix;
        self.settled.insert((forgotten, id));
        self.put(id);
    }

    /// Writes the row of a command.
    fn put(&mut self, id: CommandId) {
        if let Some(entry) = self.commands.get_mut(&id) {
            entry.row.version += 1;
            self.changes.push_back(Change::Put(entry.row.clone()));
        }
    }

    /// Says what is known of a command. What is being stored is said when it is.
    fn report(&mut self, id: CommandId) {
        let Some(entry) = self.commands.get(&id) else { return };
        let (status, effect) = match (&entry.phase, &entry.row.stage) {
            (Phase::Running | Phase::Stopping, _) => (Status::Running, Effect::None),
            (Phase::Settled(_), Stage::Settled { status, effect, .. }) => (*status, effect.clone()),
            _ => return,
        };
        self.outputs.push_back(say(id, entry.row.class, status, effect));
    }

    /// Forgets the oldest results while there are too many. The latest stays, however large.
    fn evict(&mut self) {
        while self.settled.len() > 1
            && (self.settled.len() > RESULTS || self.result_bytes > RESULT_BYTES)
        {
            let is_reported = |(_, id): &&(Instant, CommandId)| {
                let phase = self.commands.get(id).map(|entry| &entry.phase);
                matches!(phase, Some(Phase::Settled(_)))
            };
            let Some((_, id)) = self.settled.iter().find(is_reported).copied() else { return };
            self.remove(id);
        }
    }

    fn remove(&mut self, id: CommandId) {
        let Some(entry) = self.commands.remove(&id) else { return };
        if let Stage::Settled { effect, .. } = &entry.row.stage {
            self.result_bytes -= effect.bytes();
        }
        if let Phase::Settling(forgotten) | Phase::Settled(forgotten) = entry.phase {
            self.settled.remove(&(forgotten, id));
        }
        self.changes.push_back(Change::Remove(id));
    }
}

fn say(id: CommandId, class: Class, status: Status, effect: Effect) -> Output {
    Output::Say(Say {
        kind: Kind::Status,
        subject: Subject::Command(id),
        payload: StatusBody { id, status, effect }.encode(),
        class,
        ttl: None,
        reliability: Reliability::Durable,
    })
}
