//! Commands: which were issued, what their issuers heard, how often they ran, and whether all of that
//! may be true together.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::end::channel;
use super::world::{Phase, World, note};
use crate::call::{
    Command, CommandId, Effect, ErrorCode, Executed, ExecutorEvent, Failure, IssueError,
    IssuerEvent, OnCrash, OnPeerLost, Status,
};
use crate::link::CommandError;

/// What is known of a command.
#[derive(Debug)]
pub(super) struct Ordered {
    /// The end that issued it.
    from: usize,
    on_peer_lost: OnPeerLost,
    /// What its issuer heard last; `None` if that died and has no row of it.
    status: Option<Status>,
    /// How often it ran, by the life of the executor; under [`OnCrash::Report`], one with a disk has one
    /// life.
    runs: BTreeMap<u64, u32>,
    /// How handlers ended it.
    ends: Vec<Status>,
    /// Issued when nothing hostile happened any more.
    is_late: bool,
}

impl World {
    pub(super) fn order(&mut self, end: usize) {
        let number = self.ledger.next();
        let id = CommandId(u128::from(number).to_be_bytes());
        let bytes = if self.dice.once_in(8) { 20_000 + self.dice.pick(50_000) } else { 16 };
        let on_peer_lost = self.dice.one_of([OnPeerLost::InDoubt, OnPeerLost::Redrive]);
        let is_late = self.phase == Phase::Healed;
        let command = Command {
            id,
            payload: vec![0; bytes].into(),
            class: self.dice.one_of(super::work::CLASSES),
            time: self.dice.millis(if is_late { 5_000 } else { 100 }, 20_000),
            on_peer_lost,
        };
        let (clock, channel) = (self.clock(end), self.ends[end].channel("policies"));
        match self.ends[end].command(clock, channel, command) {
            Ok(()) => {
                note!(self, "end {end} commands {number}, {bytes} bytes, {on_peer_lost:?}");
                let (status, runs, ends) = (Some(Status::Queued), BTreeMap::new(), Vec::new());
                let ordered = Ordered { from: end, on_peer_lost, status, runs, ends, is_late };
                self.orders.insert(id, ordered);
            }
            Err(error) => {
                let full = CommandError::Issue(IssueError::TooMany);
                assert_eq!(error, full, "a command is not taken");
            }
        }
    }

    /// The issuer of one of the last commands withdraws it.
    pub(super) fn withdraw(&mut self) {
        let back = self.dice.pick(self.orders.len().min(8));
        let Some((id, ordered)) = self.orders.iter().nth_back(back) else { return };
        let (id, end) = (*id, ordered.from);
        let process = self.process_of(end);
        if self.processes[process].is_up && self.processes[process].sleeps_until <= self.now {
            note!(self, "end {end} withdraws {id:?}");
            let clock = self.clock(end);
            self.ends[end].cancel_command(clock, id);
            self.pump(end);
        }
    }

    /// A handler ends one of the commands that it runs.
    pub(super) fn obey(&mut self, end: usize) {
        let place = self.dice.pick(self.ends[end].running.len());
        let id = self.ends[end].running.swap_remove(place);
        let (status, executed) = match self.dice.roll(6) {
            0 => (Status::Failed, Executed::Failed(Failure::new(ErrorCode::Application(1)))),
            1 => (Status::Cancelled, Executed::Cancelled),
            _ => (Status::Succeeded, Executed::Succeeded(Bytes::copy_from_slice(&id.0))),
        };
        note!(self, "end {end} ends {id:?}: {status:?}");
        self.ordered(id).ends.push(status);
        let clock = self.clock(end);
        let finished = self.ends[end].finish(clock, id, executed);
        assert_eq!(finished, Ok(()), "{id:?} runs");
    }

    pub(super) fn hear_command(&mut self, end: usize, event: IssuerEvent) {
        let IssuerEvent::Changed { id, status, effect } = event;
        note!(self, "end {end} learns that {id:?} is {status:?}");
        let ordered = self.ordered(id);
        assert_eq!(ordered.from, end, "{id:?} is not of end {end}");
        let before = ordered.status.replace(status);
        let follows = before.is_some_and(|before| before.may_become(status));
        assert!(follows, "{id:?} goes from {before:?} to {status:?}");
        match status {
            Status::Succeeded => {
                assert_eq!(effect, Effect::Result(Bytes::copy_from_slice(&id.0)), "{id:?}");
                assert!(ordered.ends.contains(&status), "{id:?} never succeeded");
            }
            Status::Failed => {
                let Effect::Failure(failure) = effect else { unreachable!("it says why") };
                let is_own = failure.code == ErrorCode::Application(1);
                assert_eq!(is_own, ordered.ends.contains(&status), "{id:?}: {failure:?}");
            }
            _ => {}
        }
    }

    pub(super) fn hear_run(
        &mut self,
        end: usize,
        of: Option<crate::channel::ChannelName>,
        event: ExecutorEvent,
    ) {
        let ExecutorEvent::Run { id, is_again, .. } = event else { return };
        note!(self, "end {end} runs {id:?}, again {is_again}");
        assert_eq!(of, Some(channel(end / 2, 1 - end % 2, "policies")), "it comes on its channel");
        let process = &self.processes[self.process_of(end)];
        let reports = self.ends[end].terms().on_crash == OnCrash::Report;
        assert!(!is_again || !reports && process.life > 0, "{id:?} did not run before");
        let life = if process.rows.is_some() && reports { 0 } else { process.life };
        let ordered = self.ordered(id);
        assert_eq!(ordered.from, end ^ 1, "{id:?} is not for end {end}");
        let count = ordered.runs.entry(life).or_default();
        *count += 1;
        assert_eq!(*count, 1, "{id:?} runs twice");
        self.ends[end].running.push(id);
    }

    /// A process begins again: its commands stand where its disk has them.
    pub(super) fn recall(&mut self, process: usize) {
        let ids: Vec<CommandId> = self.orders.keys().copied().collect();
        for id in ids {
            let from = self.ordered(id).from;
            if self.process_of(from) == process {
                let rows = self.processes[process].rows.as_ref().and_then(|rows| rows.get(&from));
                let status = rows.and_then(|rows| rows.issued(id));
                self.ordered(id).status = status;
            }
        }
    }

    /// Commands whose end is not known yet.
    pub(super) fn open_orders(&self) -> impl Iterator<Item = (&CommandId, &Ordered)> {
        let is_open = |ordered: &Ordered| ordered.status.is_some_and(|at| !at.is_settled());
        self.orders.iter().filter(move |(_, ordered)| is_open(ordered))
    }

    pub(super) fn judge_orders(&self) {
        for (id, ordered) in &self.orders {
            let Ordered { from, on_peer_lost, status, runs, ends, is_late } = ordered;
            let now = self.ends[*from].command_status(*id);
            // One that ended is forgotten in time, and a clock that jumps makes that soon.
            let is_forgotten = now.is_none() && status.is_some_and(Status::is_settled);
            assert!(
                now == *status || is_forgotten,
                "{id:?} is {now:?}, and its issuer heard {status:?}"
            );
            if *is_late {
                assert_eq!(*status, ends.first().copied(), "{id:?} goes wrong on a good link");
                assert_eq!((runs.len(), ends.len()), (1, 1), "{id:?} runs once");
            }
            let reports = self.ends[*from].terms().on_crash == OnCrash::Report;
            if !reports || *on_peer_lost == OnPeerLost::Redrive {
                // It may run again for each life that its executor lost.
                continue;
            }
            assert!(runs.len() <= 1, "{id:?} runs twice: {runs:?}");
            match status {
                Some(Status::Succeeded) => {
                    assert_eq!((runs.len(), &ends[..]), (1, &[Status::Succeeded][..]), "{id:?}");
                }
                Some(Status::Failed) => {
                    let is_own = ends[..] == [Status::Failed];
                    assert!(is_own || runs.is_empty(), "{id:?} failed, and runs: {ends:?}");
                }
                Some(Status::Expired) => assert!(runs.is_empty(), "{id:?} expired, and runs"),
                Some(Status::Cancelled) => {
                    let is_own = ends[..] == [Status::Cancelled];
                    assert!(is_own || runs.is_empty(), "{id:?} is cancelled, and runs: {ends:?}");
                }
                Some(Status::Unknown) | None => {}
                Some(other) => unreachable!("{id:?} stays {other:?}"),
            }
        }
    }

    fn ordered(&mut self, id: CommandId) -> &mut Ordered {
        match self.orders.get_mut(&id) {
            Some(ordered) => ordered,
            None => unreachable!("{id:?} was never issued"),
        }
    }
}
