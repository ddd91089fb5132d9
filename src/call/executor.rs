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

    /// Delivery gave up the last report of a command. It is said anew, as long as its result is kept.
    pub(crate) fn untold(&mut self, id: CommandId) {
        let Some(entry) = self.commands.get_mut(&id) else { return };
        if let (Phase::Settled(_), Stage::Settled { is_told, .. }) =
            (&entry.phase, &mut entry.row.stage)
        {
            if std::mem::take(is_told) {
                self.put(id);
            }
            self.report(id);
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
        // That it runs is no end: it may be lost with the process, and no `told` speaks of it.
        reliability: match status {
            Status::Running => Reliability::Numbered,
            _ => Reliability::Durable,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Malformed;

    const ID: CommandId = CommandId([1; 16]);

    /// proto-spec: the row before the effect, the result before the report.
    #[test]
    fn a_command_is_stored_before_it_runs_and_before_it_is_reported() {
        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, run(b"go"));
        assert_eq!((executor.poll_event(), executor.poll_output()), (None, None));
        let begun = put(&mut executor);
        assert_eq!(begun.stage, Stage::Begun(Bytes::from_static(b"go")));
        executor.stored(at(1), ID, begun.version);
        assert_eq!(executor.poll_event(), Some(runs(ID, b"go", false)));
        assert_eq!(report(&mut executor), (Status::Running, Effect::None));
        let done = Executed::Succeeded(Bytes::from_static(b"done"));
        executor.finish(at(2), ID, done.clone()).expect("it runs");
        assert_eq!(executor.poll_output(), None, "its result is not stored");
        assert_eq!(executor.finish(at(2), ID, done), Err(ExecutorError::NotRunning));
        let settled = put(&mut executor);
        executor.stored(at(2), ID, settled.version);
        let effect = Effect::Result(Bytes::from_static(b"done"));
        assert_eq!(report(&mut executor), (Status::Succeeded, effect));
        executor.stored(at(2), ID, settled.version);
        assert_eq!(executor.poll_output(), None);
        assert_eq!((executor.open_commands(), executor.results()), (0, 1));
    }

    #[test]
    fn a_command_ends_as_its_handler_says() {
        let failure = Failure::with_text(ErrorCode::Application(4), "no");
        for (executed, expected) in [
            (Executed::Failed(failure.clone()), (Status::Failed, Effect::Failure(failure))),
            (Executed::Cancelled, (Status::Cancelled, Effect::None)),
        ] {
            let mut executor = running();
            executor.finish(at(1), ID, executed).expect("it runs");
            store(&mut executor, at(1));
            assert_eq!(report(&mut executor), expected);
        }
    }

    /// proto-spec, [Q-22]: a copy never runs, and gets what is known of the first.
    #[test]
    fn a_copy_gets_the_first_result() {
        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, run(b"go"));
        hear(&mut executor, ID, run(b"go"));
        assert_eq!(executor.poll_output(), None);
        store(&mut executor, at(0));
        report(&mut executor);
        hear(&mut executor, ID, run(b"go"));
        assert_eq!(report(&mut executor).0, Status::Running);
        executor.finish(at(1), ID, Executed::Succeeded(Bytes::from_static(b"1"))).expect("it runs");
        hear(&mut executor, ID, run(b"go"));
        assert_eq!(executor.poll_output(), None);
        store(&mut executor, at(1));
        for _ in 0..2 {
            let first = (Status::Succeeded, Effect::Result(Bytes::from_static(b"1")));
            assert_eq!(report(&mut executor), first);
            hear(&mut executor, ID, run(b"other"));
        }
        let runs = std::iter::from_fn(|| executor.poll_event()).count();
        assert_eq!(runs, 1);
    }

    #[test]
    fn a_command_begins_in_time_or_not_at_all() {
        let mut executor = Executor::new(OnCrash::Report);
        let payload = CommandBody { id: ID, op: run(b"go") }.encode();
        executor.handle(at(0), &payload, Class::Low, Some(Duration::ZERO)).expect("well formed");
        assert_eq!(report(&mut executor).0, Status::Expired);
        assert_eq!((executor.poll_event(), executor.poll_change()), (None, None));
        hear(&mut executor, ID, run(b"go"));
        let row = put(&mut executor);
        executor.stored(at(100), ID, row.version);
        store(&mut executor, at(100));
        assert_eq!(executor.poll_event(), None, "the store took too long");
        assert_eq!(report(&mut executor).0, Status::Expired);
        let other = CommandBody { id: CommandId([2; 16]), op: run(b"go") }.encode();
        executor.handle(at(0), &other, Class::Low, None).expect("well formed");
        store(&mut executor, at(24 * 3600 - 1));
        assert!(executor.poll_event().is_some(), "without a time it has a day");
    }

    #[test]
    fn a_running_command_is_asked_to_stop() {
        let mut executor = running();
        hear(&mut executor, ID, CommandOp::Cancel);
        hear(&mut executor, ID, CommandOp::Cancel);
        assert_eq!(executor.poll_event(), Some(ExecutorEvent::Stop { id: ID }));
        assert_eq!((executor.poll_event(), executor.poll_output()), (None, None));
        executor.finish(at(1), ID, Executed::Cancelled).expect("it runs");
        store(&mut executor, at(1));
        assert_eq!(report(&mut executor).0, Status::Cancelled);
        hear(&mut executor, ID, CommandOp::Cancel);
        assert_eq!(report(&mut executor).0, Status::Cancelled);
    }

    /// A row that was being stored when the command was withdrawn does not begin it.
    #[test]
    fn a_command_withdrawn_while_it_is_stored_never_runs() {
        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, run(b"go"));
        hear(&mut executor, ID, CommandOp::Cancel);
        let (begun, cancelled) = (put(&mut executor), put(&mut executor));
        executor.stored(at(0), ID, begun.version);
        assert_eq!((executor.poll_event(), executor.poll_output()), (None, None));
        executor.stored(at(0), ID, cancelled.version);
        assert_eq!(report(&mut executor).0, Status::Cancelled);
        assert_eq!(executor.open_bytes, 0);
    }

    /// proto-spec.
    #[test]
    fn a_command_that_comes_behind_its_cancel_never_runs() {
        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, CommandOp::Cancel);
        store(&mut executor, at(0));
        assert_eq!(report(&mut executor).0, Status::Cancelled);
        hear(&mut executor, ID, run(b"go"));
        assert_eq!(report(&mut executor).0, Status::Cancelled);
        assert_eq!(executor.poll_event(), None);
    }

    /// proto-spec.
    #[test]
    fn a_command_too_many_fails_as_busy_and_is_forgotten() {
        let mut executor = Executor::new(OnCrash::Report);
        for number in 0..u8::try_from(COMMANDS_OPEN).unwrap() {
            hear(&mut executor, CommandId([number; 16]), run(b"go"));
        }
        assert_busy(&mut executor, CommandId([99; 16]), run(b"go"));
        store(&mut executor, at(0));
        executor.finish(at(0), ID, Executed::Cancelled).expect("it runs");
        while executor.poll_output().is_some() || executor.poll_event().is_some() {}
        hear(&mut executor, CommandId([99; 16]), run(b"go"));
        store(&mut executor, at(0));
        assert!(executor.poll_event().is_some(), "it was forgotten, and there is room");

        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, run(&vec![0; COMMANDS_OPEN_BYTES]));
        assert_busy(&mut executor, CommandId([99; 16]), run(b"x"));
    }

    /// proto-spec: a process that died while a command ran.
    #[test]
    fn a_command_found_begun_is_unknown_or_runs_again() {
        let mut first = Executor::new(OnCrash::Report);
        hear(&mut first, ID, run(b"go"));
        let row = put(&mut first);

        let mut reporting = Executor::new(OnCrash::Report);
        reporting.load(at(9), [row.clone()]);
        assert_eq!((reporting.poll_event(), reporting.poll_output()), (None, None));
        store(&mut reporting, at(9));
        assert_eq!(report(&mut reporting).0, Status::Unknown);
        hear(&mut reporting, ID, run(b"go"));
        assert_eq!(report(&mut reporting).0, Status::Unknown);
        assert_eq!((reporting.poll_event(), reporting.open_bytes), (None, 0));

        let mut rerunning = Executor::new(OnCrash::Rerun);
        rerunning.load(at(9), [row]);
        assert_eq!(rerunning.poll_event(), Some(runs(ID, b"go", true)));
        rerunning.finish(at(9), ID, Executed::Cancelled).expect("it runs");
        store(&mut rerunning, at(9));
        assert_eq!(report(&mut rerunning).0, Status::Cancelled);
    }

    /// proto-spec: and until the new report is safe, the store knows that it has to be said.
    #[test]
    fn a_report_that_delivery_gave_up_is_said_anew() {
        let mut executor = running();
        executor.untold(ID);
        assert_eq!((executor.poll_output(), executor.poll_change()), (None, None));
        executor.finish(at(1), ID, Executed::Cancelled).expect("it runs");
        store(&mut executor, at(1));
        assert_eq!(report(&mut executor).0, Status::Cancelled);
        for is_stored in [false, true] {
            if is_stored {
                executor.told(ID);
                let told = put(&mut executor);
                assert!(matches!(told.stage, Stage::Settled { is_told: true, .. }));
            }
            executor.untold(ID);
            assert_eq!(report(&mut executor).0, Status::Cancelled);
            let change = executor.poll_change();
            assert_eq!(change.is_some(), is_stored);
            if let Some(Change::Put(row)) = change {
                assert!(matches!(row.stage, Stage::Settled { is_told: false, .. }));
            }
        }
    }

    /// proto-spec: results outlive the process, and reports that were not told are said again.
    #[test]
    fn a_result_found_in_the_store_is_told_once_more_unless_it_was() {
        let mut executor = running();
        let failure = Failure::new(ErrorCode::Internal);
        executor.finish(at(1), ID, Executed::Failed(failure.clone())).expect("it runs");
        executor.told(ID);
        let untold = put(&mut executor);
        assert_eq!(executor.poll_change(), None, "there is no report to be told");
        executor.stored(at(1), ID, untold.version);
        executor.told(ID);
        executor.told(ID);
        let told = put(&mut executor);
        assert_eq!(executor.poll_change(), None);

        let mut next = Executor::new(OnCrash::Report);
        next.load(at(2), [untold]);
        assert_eq!(report(&mut next), (Status::Failed, Effect::Failure(failure)));
        let mut next = Executor::new(OnCrash::Report);
        next.load(at(2), [told]);
        assert_eq!(next.poll_output(), None);
        assert_eq!(next.next_timeout(), Some(at(1 + 7 * 86_400).instant));
        hear(&mut next, ID, run(b"go"));
        assert_eq!((report(&mut next).0, next.poll_event()), (Status::Failed, None));
    }

    /// proto-spec: seven days.
    #[test]
    fn a_result_is_kept_for_its_time() {
        let mut executor = running();
        executor.finish(at(1), ID, Executed::Cancelled).expect("it runs");
        store(&mut executor, at(1));
        executor.handle_timeout(at(7 * 86_400));
        assert_eq!(executor.results(), 1);
        executor.handle_timeout(at(1 + 7 * 86_400));
        assert_eq!((executor.results(), executor.next_timeout()), (0, None));
        assert_eq!(executor.poll_change(), Some(Change::Remove(ID)));
    }

    /// proto-spec: the oldest goes first, by count and by bytes.
    #[test]
    fn results_are_bounded() {
        let mut executor = Executor::new(OnCrash::Report);
        for number in 0..=RESULTS as u64 {
            settle(&mut executor, number, 0);
        }
        assert_eq!(executor.results(), RESULTS);
        assert!(!executor.commands.contains_key(&numbered(0)), "the oldest");

        let mut executor = Executor::new(OnCrash::Report);
        for number in 0..3 {
            settle(&mut executor, number, RESULT_BYTES / 2);
        }
        assert_eq!((executor.results(), executor.result_bytes), (2, RESULT_BYTES));
        settle(&mut executor, 3, RESULT_BYTES + 1);
        assert_eq!(executor.results(), 1);
        assert!(executor.commands.contains_key(&numbered(3)), "the latest stays");
    }

    #[test]
    fn a_torn_command_is_a_violation() {
        let mut executor = Executor::new(OnCrash::Report);
        let torn = executor.handle(at(0), &Bytes::new(), Class::Low, None);
        assert_eq!(torn, Err(Violation::Malformed(Malformed::Truncated)));
    }

    fn at(secs: u64) -> Now {
        let instant = Instant::from_nanos(secs * 1_000_000_000);
        Now { instant, unix: UnixTime::from_secs(1_000_000 + secs) }
    }

    fn run(payload: &[u8]) -> CommandOp {
        CommandOp::Run(Bytes::copy_from_slice(payload))
    }

    fn numbered(number: u64) -> CommandId {
        CommandId((u128::from(number) + 7).to_be_bytes())
    }

    fn hear(executor: &mut Executor, id: CommandId, op: CommandOp) {
        let payload = CommandBody { id, op }.encode();
        let remaining = Some(Duration::from_secs(100));
        executor.handle(at(0), &payload, Class::High, remaining).expect("well formed");
    }

    fn running() -> Executor {
        let mut executor = Executor::new(OnCrash::Report);
        hear(&mut executor, ID, run(b"go"));
        store(&mut executor, at(0));
        assert_eq!(executor.poll_event(), Some(runs(ID, b"go", false)));
        assert_eq!(report(&mut executor).0, Status::Running);
        executor
    }

    fn settle(executor: &mut Executor, number: u64, bytes: usize) {
        let id = numbered(number);
        let now = at(number);
        let payload = CommandBody { id, op: run(b"") }.encode();
        executor.handle(now, &payload, Class::High, None).expect("well formed");
        store(executor, now);
        let result = Executed::Succeeded(Bytes::from(vec![0; bytes]));
        executor.finish(now, id, result).expect("it runs");
        store(executor, now);
    }

    fn runs(id: CommandId, payload: &[u8], is_again: bool) -> ExecutorEvent {
        let payload = Bytes::copy_from_slice(payload);
        ExecutorEvent::Run { id, class: Class::High, payload, is_again }
    }

    fn put(executor: &mut Executor) -> ExecutedRow {
        match executor.poll_change() {
            Some(Change::Put(row)) => row,
            other => panic!("{other:?}"),
        }
    }

    /// A store that takes everything at once.
    fn store(executor: &mut Executor, now: Now) {
        while let Some(change) = executor.poll_change() {
            if let Change::Put(row) = change {
                executor.stored(now, row.id, row.version);
            }
        }
    }

    fn report(executor: &mut Executor) -> (Status, Effect) {
        match executor.poll_output() {
            Some(Output::Say(say)) => {
                let body = StatusBody::decode(&say.payload).expect("well formed");
                let is_end = say.reliability == Reliability::Durable;
                assert_eq!((say.kind, is_end), (Kind::Status, body.status != Status::Running));
                assert_eq!(say.subject, Subject::Command(body.id));
                (body.status, body.effect)
            }
            other => panic!("{other:?}"),
        }
    }

    fn assert_busy(executor: &mut Executor, id: CommandId, op: CommandOp) {
        while executor.poll_output().is_some() {}
        hear(executor, id, op);
        let busy = Effect::Failure(Failure::new(ErrorCode::Busy));
        assert_eq!(report(executor), (Status::Failed, busy));
        assert!(!executor.commands.contains_key(&id));
    }
}
