//! The side that commands: which commands are under way and what is known of each. Knows nothing of
//! what they do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::failure::{ErrorCode, Failure};
use super::payload::{CommandBody, CommandOp, StatusBody};
use super::requests::OnPeerLost;
use super::say::{Change, CommandId, Kind, Output, Reliability, Say, Subject, Violation};
use super::status::{Effect, Status};
use crate::limits::{COMMAND_GRACE, COMMANDS_ISSUED, RESULT_TIME};
use crate::priority::Class;
use crate::time::{Instant, Now, UnixTime};

/// The commands issued to one peer. With a store they outlive the process.
#[derive(Debug, Default)]
pub(crate) struct Issuer {
    commands: BTreeMap<CommandId, Issued>,
    timers: BTreeSet<(Instant, CommandId)>,
    changes: VecDeque<Change<IssuedRow>>,
    outputs: VecDeque<Output>,
    events: VecDeque<IssuerEvent>,
    strays: u64,
}

/// A command to be issued.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// 128 random bits.
    pub id: CommandId,
    pub payload: Bytes,
    pub class: Class,
    /// Time in which it must begin.
    pub time: Duration,
    pub on_peer_lost: OnPeerLost,
}

/// Why a command was not issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum IssueError {
    /// A command with this id is there already.
    #[error("command was issued before")]
    Known,
    /// [`COMMANDS_ISSUED`] are under way.
    #[error("too many commands are under way")]
    TooMany,
}

/// What the application learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum IssuerEvent {
    /// A command moved on. What was taken back before it was sent needs to leave the outbox.
    Changed { id: CommandId, status: Status, effect: Effect },
}

/// A command as a store keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IssuedRow {
    pub id: CommandId,
    pub status: Status,
    pub effect: Effect,
    pub class: Class,
    pub begin_by: UnixTime,
    /// When the status was reached.
    pub changed: UnixTime,
    pub on_peer_lost: OnPeerLost,
    /// The payload, while it may have to be said again.
    pub payload: Option<Bytes>,
}

#[derive(Debug)]
struct Issued {
    row: IssuedRow,
    deadline: Instant,
    /// When its timer is due.
    wake: Instant,
    /// It was said again to a peer without memory, so that what becomes of the copy tells little of
    /// the first. Not stored: after a restart every command that may have been counts as such.
    is_redriven: bool,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes back what a store kept, before anything else.
    pub(crate) fn load(&mut self, now: Now, rows: impl IntoIterator<Item = IssuedRow>) {
        for row in rows {
            let id = row.id;
            let deadline = now.instant.after(now.unix.until(row.begin_by));
            let settled = row.changed.after(RESULT_TIME);
            let wake = match row.status.is_settled() {
                true => now.instant.after(now.unix.until(settled)),
                false => wake(row.status, deadline, now.instant),
            };
            self.timers.insert((wake, id));
            let is_redriven = row.payload.is_some() && row.status != Status::Queued;
            self.commands.insert(id, Issued { row, deadline, wake, is_redriven });
        }
    }

    /// Issues a command. Its row is in the changes, its message in the outputs.
    pub(crate) fn issue(&mut self, now: Now, command: Command) -> Result<(), IssueError> {
        let Command { id, payload, class, time, on_peer_lost } = command;
        if self.commands.contains_key(&id) {
            return Err(IssueError::Known);
        }
        if self.commands.len() >= COMMANDS_ISSUED {
            self.forget_oldest()?;
        }
        let deadline = now.instant.after(time);
        let keeps = on_peer_lost == OnPeerLost::Redrive;
        let row = IssuedRow {
            id,
            status: Status::Queued,
            effect: Effect::None,
            class,
            begin_by: now.unix.after(time),
            changed: now.unix,
            on_peer_lost,
            payload: keeps.then(|| payload.clone()),
        };
        let wake = wake(Status::Queued, deadline, now.instant);
        self.changes.push_back(Change::Put(row.clone()));
        self.outputs.push_back(say(id, CommandOp::Run(payload), class, time));
        self.timers.insert((wake, id));
        self.commands.insert(id, Issued { row, deadline, wake, is_redriven: false });
        Ok(())
    }

    /// Withdraws a command: at once while it is queued, otherwise as its executor reports.
    pub(crate) fn cancel(&mut self, now: Now, id: CommandId) {
        let Some(Issued { row, deadline, .. }) = self.commands.get(&id) else { return };
        match row.status {
            Status::Queued => self.change(now, id, Status::Cancelled, Effect::None),
            Status::Sent | Status::Delivered | Status::Running => {
                let time = deadline.since(now.instant).saturating_add(COMMAND_GRACE);
                self.outputs.push_back(say(id, CommandOp::Cancel, row.class, time));
            }
            _ => {}
        }
    }

    /// The message of a command left.
    pub(crate) fn sent(&mut self, now: Now, id: CommandId) {
        self.change(now, id, Status::Sent, Effect::None);
    }

    /// The message of a command was handled, that is: stored by its executor.
    pub(crate) fn delivered(&mut self, now: Now, id: CommandId) {
        self.change(now, id, Status::Delivered, Effect::None);
    }

    /// Delivery gave up the message of a command.
    pub(crate) fn undelivered(&mut self, now: Now, id: CommandId, code: ErrorCode) {
        let status = self.commands.get(&id).map(|command| command.row.status);
        let failed = Effect::Failure(Failure::new(code));
        if self.is_redriven(id) && status.is_some_and(|status| !status.is_settled()) {
            return self.change(now, id, Status::Unknown, Effect::None);
        }
        match (status, code) {
            (Some(Status::Queued), ErrorCode::Deadline) => {
                self.change(now, id, Status::Expired, Effect::None);
            }
            (Some(Status::Sent), ErrorCode::Deadline | ErrorCode::InDoubt) => {
                self.change(now, id, Status::Unknown, Effect::None);
            }
            (Some(Status::Queued | Status::Sent), _) => {
                self.change(now, id, Status::Failed, failed);
            }
            _ => {}
        }
    }

    /// Takes a status.
    pub(crate) fn handle(&mut self, now: Now, payload: &Bytes) -> Result<(), Violation> {
        let StatusBody { id, status, effect } = StatusBody::decode(payload)?;
        let status = match status {
            // The copy did, and the first may have run.
            Status::Expired if self.is_redriven(id) => Status::Unknown,
            status => status,
        };
        self.change(now, id, status, effect);
        Ok(())
    }

    fn is_redriven(&self, id: CommandId) -> bool {
        self.commands.get(&id).is_some_and(|command| command.is_redriven)
    }

    /// The peer came back without memory: each command that left is said again or in doubt, as its
    /// policy says.
    pub(crate) fn attached_anew(&mut self, now: Now) {
        let ids: Vec<_> = self.commands.keys().copied().collect();
        for id in ids {
            let Some(Issued { row, deadline, is_redriven, .. }) = self.commands.get_mut(&id) else {
                continue;
            };
            if !matches!(row.status, Status::Sent | Status::Delivered | Status::Running) {
                continue;
            }
            let time = deadline.since(now.instant);
            match (row.on_peer_lost, &row.payload) {
                (OnPeerLost::Redrive, Some(payload)) if !time.is_zero() => {
                    let op = CommandOp::Run(payload.clone());
                    *is_redriven = true;
                    self.outputs.push_back(say(id, op, row.class, time));
                }
                _ => self.change(now, id, Status::Unknown, Effect::None),
            }
        }
    }

    /// Makes room: forgets the command that was settled first.
    fn forget_oldest(&mut self) -> Result<(), IssueError> {
        let is_settled = |(_, id): &&(Instant, CommandId)| {
            self.commands.get(id).is_some_and(|command| command.row.status.is_settled())
        };
        let oldest = self.timers.iter().find(is_settled).map(|(_, id)| *id);
        self.remove(oldest.ok_or(IssueError::TooMany)?);
        Ok(())
    }

    /// Forgets a command that is settled; one that is not stays.
    pub(crate) fn forget(&mut self, id: CommandId) {
        if self.commands.get(&id).is_some_and(|command| command.row.status.is_settled()) {
            self.remove(id);
        }
    }

    /// Settles what nobody reported, and forgets what is old.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((_, id)) = self.timers.first().filter(|(at, _)| *at <= now.instant).copied()
        {
            let status = self.commands.get(&id).map(|command| command.row.status);
            match status {
                Some(Status::Queued) => self.change(now, id, Status::Expired, Effect::None),
                Some(Status::Sent | Status::Delivered | Status::Running) => {
                    self.change(now, id, Status::Unknown, Effect::None);
                }
                _ => self.remove(id),
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change<IssuedRow>> {
        self.changes.pop_front()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<IssuerEvent> {
        self.events.pop_front()
    }

    /// Where a command stands.
    pub(crate) fn status(&self, id: CommandId) -> Option<Status> {
        self.commands.get(&id).map(|command| command.row.status)
    }

    /// What a command left, if it is settled.
    pub(crate) fn effect(&self, id: CommandId) -> Option<&Effect> {
        self.commands.get(&id).map(|command| &command.row.effect)
    }

    /// Commands that are followed.
    pub(crate) fn followed(&self) -> usize {
        self.commands.len()
    }

    /// Reports that came late, twice, or about nothing, and were dropped.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    fn change(&mut self, now: Now, id: CommandId, status: Status, effect: Effect) {
        let known = self.commands.get_mut(&id);
        let Some(command) = known.filter(|command| command.row.status.may_become(status)) else {
            self.strays += 1;
            return;
        };
        let row = &mut command.row;
        (row.status, row.effect, row.changed) = (status, effect.clone(), now.unix);
        if status.is_settled() {
            row.payload = None;
        }
        self.changes.push_back(Change::Put(row.clone()));
        self.timers.remove(&(command.wake, id));
        command.wake = wake(status, command.deadline, now.instant);
        self.timers.insert((command.wake, id));
        self.events.push_back(IssuerEvent::Changed { id, status, effect });
    }

    fn remove(&mut self, id: CommandId) {
        if let Some(command) = self.commands.remove(&id) {
            self.timers.remove(&(command.wake, id));
            self.changes.push_back(Change::Remove(id));
        }
    }
}

/// Until when a status may last. One that is settled waits to be forgotten; one that runs has as long
/// as its executor keeps a result.
fn wake(status: Status, deadline: Instant, now: Instant) -> Instant {
    match status {
        Status::Queued => deadline,
        Status::Sent | Status::Delivered => deadline.after(COMMAND_GRACE),
        Status::Running => deadline.after(RESULT_TIME),
        _ => now.after(RESULT_TIME),
    }
}

fn say(id: CommandId, op: CommandOp, class: Class, time: Duration) -> Output {
    Output::Say(Say {
        kind: Kind::Command,
        subject: Subject::Command(id),
        payload: CommandBody { id, op }.encode(),
        class,
        ttl: Some(time),
        reliability: Reliability::Durable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Malformed;

    const ID: CommandId = CommandId([1; 16]);

    #[test]
    fn a_command_is_stored_and_said() {
        let mut issuer = Issuer::new();
        assert_eq!(issuer.issue(at(0), command(OnPeerLost::Redrive)), Ok(()));
        let row = IssuedRow {
            id: ID,
            status: Status::Queued,
            effect: Effect::None,
            class: Class::Critical,
            begin_by: at(100).unix,
            changed: at(0).unix,
            on_peer_lost: OnPeerLost::Redrive,
            payload: Some(Bytes::from_static(b"go")),
        };
        assert_eq!(issuer.poll_change(), Some(Change::Put(row)));
        let (op, say) = said(&mut issuer);
        assert_eq!(op, CommandOp::Run(Bytes::from_static(b"go")));
        assert_eq!((say.kind, say.subject), (Kind::Command, Subject::Command(ID)));
        assert_eq!((say.class, say.ttl), (Class::Critical, Some(Duration::from_secs(100))));
        assert_eq!(say.reliability, Reliability::Durable);
        let again = issuer.issue(at(0), command(OnPeerLost::Redrive));
        assert_eq!((again, issuer.poll_output()), (Err(IssueError::Known), None));
    }

    #[test]
    fn commands_under_way_are_bounded() {
        let mut issuer = Issuer::new();
        let numbered = |number: u16| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            Command { id: CommandId(id), ..command(OnPeerLost::InDoubt) }
        };
        for number in 0..u16::try_from(COMMANDS_ISSUED).unwrap() {
            issuer.issue(at(0), numbered(number)).expect("room");
        }
        assert_eq!(issuer.issue(at(0), numbered(9_999)), Err(IssueError::TooMany));
        issuer.forget(numbered(0).id);
        assert_eq!(issuer.followed(), COMMANDS_ISSUED, "it is under way");
        issuer.cancel(at(0), numbered(0).id);
        issuer.forget(numbered(0).id);
        assert_eq!(issuer.issue(at(0), numbered(9_999)), Ok(()));
        // One that is settled gives way by itself, the oldest first.
        issuer.cancel(at(1), numbered(1).id);
        issuer.cancel(at(2), numbered(2).id);
        assert_eq!(issuer.issue(at(3), numbered(9_998)), Ok(()));
        let left = [1, 2].map(|number| issuer.status(numbered(number).id));
        assert_eq!(left, [None, Some(Status::Cancelled)]);
    }

    /// proto-spec: every pair of a status held and a status reported.
    #[test]
    fn only_legal_reports_change_a_command() {
        for (from, to) in Status::ALL.into_iter().flat_map(|from| Status::ALL.map(|to| (from, to)))
        {
            if !to.travels() {
                continue;
            }
            let mut issuer = loaded(from, OnPeerLost::InDoubt);
            report(&mut issuer, to);
            let moved = from.may_become(to);
            assert_eq!(issuer.status(ID), Some(if moved { to } else { from }), "{from:?} {to:?}");
            assert_eq!(issuer.strays(), u64::from(!moved));
            assert_eq!(issuer.poll_event().is_some(), moved);
            assert_eq!(issuer.poll_change().is_some(), moved);
        }
    }

    #[test]
    fn a_command_goes_its_way() {
        let mut issuer = issued();
        issuer.sent(at(1), ID);
        issuer.delivered(at(2), ID);
        report(&mut issuer, Status::Running);
        report(&mut issuer, Status::Succeeded);
        let mut way = Vec::new();
        while let Some(IssuerEvent::Changed { id, status, effect }) = issuer.poll_event() {
            assert_eq!((id, effect != Effect::None), (ID, status == Status::Succeeded));
            way.push(status);
        }
        assert_eq!(way, [Status::Sent, Status::Delivered, Status::Running, Status::Succeeded]);
        issuer.forget(ID);
        let last = std::iter::from_fn(|| issuer.poll_change()).last();
        assert_eq!((last, issuer.followed()), (Some(Change::Remove(ID)), 0));
        assert_eq!(issuer.next_timeout(), None);
    }

    #[test]
    fn a_command_is_withdrawn_here_while_it_is_queued_and_there_afterwards() {
        let mut issuer = issued();
        issuer.cancel(at(1), ID);
        assert_eq!((issuer.status(ID), issuer.poll_output()), (Some(Status::Cancelled), None));
        for status in [Status::Sent, Status::Delivered, Status::Running] {
            let mut issuer = loaded(status, OnPeerLost::InDoubt);
            issuer.cancel(at(1), ID);
            assert_eq!(issuer.status(ID), Some(status), "its executor decides");
            let (op, say) = said(&mut issuer);
            assert_eq!((op, say.ttl), (CommandOp::Cancel, Some(Duration::from_secs(99 + 60))));
        }
        let mut issuer = loaded(Status::Succeeded, OnPeerLost::InDoubt);
        issuer.cancel(at(1), ID);
        assert_eq!((issuer.status(ID), issuer.poll_output()), (Some(Status::Succeeded), None));
    }

    #[test]
    fn what_delivery_gave_up_is_judged_by_whether_it_left() {
        let refused = ErrorCode::Refused;
        for (held, code, becomes) in [
            (Status::Queued, ErrorCode::Deadline, Status::Expired),
            (Status::Queued, refused, Status::Failed),
            (Status::Sent, ErrorCode::Deadline, Status::Unknown),
            (Status::Sent, ErrorCode::InDoubt, Status::Unknown),
            (Status::Sent, refused, Status::Failed),
            (Status::Running, ErrorCode::Deadline, Status::Running),
            (Status::Delivered, refused, Status::Delivered),
        ] {
            let mut issuer = loaded(held, OnPeerLost::InDoubt);
            issuer.undelivered(at(1), ID, code);
            assert_eq!(issuer.status(ID), Some(becomes), "{held:?} {code:?}");
        }
    }

    #[test]
    fn silence_settles_a_command() {
        for (held, last, becomes) in [
            (Status::Queued, 100, Status::Expired),
            (Status::Sent, 160, Status::Unknown),
            (Status::Delivered, 160, Status::Unknown),
            (Status::Running, 100 + 7 * 86_400, Status::Unknown),
        ] {
            let mut issuer = loaded(held, OnPeerLost::InDoubt);
            assert_eq!(issuer.next_timeout(), Some(at(last).instant), "{held:?}");
            issuer.handle_timeout(at(last - 1));
            assert_eq!(issuer.status(ID), Some(held));
            issuer.handle_timeout(at(last));
            assert_eq!(issuer.status(ID), Some(becomes));
            report(&mut issuer, Status::Succeeded);
            let is_late_truth = becomes == Status::Unknown;
            assert_eq!(issuer.status(ID) == Some(Status::Succeeded), is_late_truth);
        }
    }

    #[test]
    fn a_settled_command_is_forgotten_in_the_end() {
        let mut issuer = issued();
        issuer.cancel(at(1), ID);
        issuer.handle_timeout(at(7 * 86_400));
        assert_eq!(issuer.followed(), 1);
        issuer.handle_timeout(at(1 + 7 * 86_400));
        assert_eq!((issuer.followed(), issuer.next_timeout()), (0, None));
    }

    #[test]
    fn a_peer_without_memory_leaves_commands_in_doubt_or_issued_again() {
        for status in [Status::Sent, Status::Delivered, Status::Running] {
            let mut issuer = loaded(status, OnPeerLost::InDoubt);
            issuer.attached_anew(at(1));
            assert_eq!((issuer.status(ID), issuer.poll_output()), (Some(Status::Unknown), None));
            let mut issuer = loaded(status, OnPeerLost::Redrive);
            issuer.attached_anew(at(1));
            let (op, say) = said(&mut issuer);
            assert_eq!(op, CommandOp::Run(Bytes::from_static(b"go")));
            assert_eq!((say.ttl, issuer.status(ID)), (Some(Duration::from_secs(99)), Some(status)));
            let mut issuer = loaded(status, OnPeerLost::Redrive);
            issuer.attached_anew(at(100));
            assert_eq!((issuer.status(ID), issuer.poll_output()), (Some(Status::Unknown), None));
        }
        for status in [Status::Queued, Status::Failed] {
            let mut issuer = loaded(status, OnPeerLost::Redrive);
            issuer.attached_anew(at(1));
            assert_eq!((issuer.status(ID), issuer.poll_output()), (Some(status), None));
        }
    }

    /// proto-spec: the first may have run, whatever becomes of the copy.
    #[test]
    fn a_command_that_was_issued_again_and_got_nowhere_is_unknown() {
        for status in [Status::Sent, Status::Delivered, Status::Running] {
            let again = || {
                let mut issuer = Issuer::new();
                issuer.issue(at(0), command(OnPeerLost::Redrive)).expect("room");
                issuer.sent(at(0), ID);
                match status {
                    Status::Delivered => issuer.delivered(at(0), ID),
                    Status::Running => report(&mut issuer, status),
                    _ => {}
                }
                issuer.attached_anew(at(1));
                assert_eq!(issuer.status(ID), Some(status));
                issuer
            };
            for code in [ErrorCode::Deadline, ErrorCode::Refused, ErrorCode::InDoubt] {
                let mut issuer = again();
                issuer.undelivered(at(2), ID, code);
                assert_eq!(issuer.status(ID), Some(Status::Unknown), "{status:?} {code:?}");
                report(&mut issuer, Status::Succeeded);
                issuer.undelivered(at(2), ID, code);
                assert_eq!(issuer.status(ID), Some(Status::Succeeded));
            }
            let mut issuer = again();
            report(&mut issuer, Status::Expired);
            assert_eq!(issuer.status(ID), Some(Status::Unknown), "{status:?}");
        }
    }

    /// What the changes say, put back into another process, is the same.
    #[test]
    fn a_store_brings_everything_back() {
        let mut issuer = issued();
        issuer.sent(at(1), ID);
        let row = std::iter::from_fn(|| issuer.poll_change()).last();
        let Some(Change::Put(row)) = row else { panic!("{row:?}") };
        let mut next = Issuer::new();
        next.load(at(50), [row]);
        assert_eq!(next.status(ID), Some(Status::Sent));
        assert_eq!(next.next_timeout(), issuer.next_timeout());
        next.cancel(at(50), ID);
        let settled = loaded(Status::Failed, OnPeerLost::InDoubt);
        assert_eq!(settled.next_timeout(), Some(at(7 * 86_400).instant));
    }

    #[test]
    fn a_torn_report_is_a_violation() {
        let torn = Issuer::new().handle(at(0), &Bytes::new());
        assert_eq!(torn, Err(Violation::Malformed(Malformed::Truncated)));
    }

    fn at(secs: u64) -> Now {
        let instant = Instant::from_nanos(secs * 1_000_000_000);
        Now { instant, unix: UnixTime::from_secs(1_000_000 + secs) }
    }

    fn command(on_peer_lost: OnPeerLost) -> Command {
        let time = Duration::from_secs(100);
        let payload = Bytes::from_static(b"go");
        Command { id: ID, payload, class: Class::Critical, time, on_peer_lost }
    }

    fn issued() -> Issuer {
        let mut issuer = Issuer::new();
        issuer.issue(at(0), command(OnPeerLost::InDoubt)).expect("room");
        issuer.poll_output().expect("a command");
        issuer
    }

    fn loaded(status: Status, on_peer_lost: OnPeerLost) -> Issuer {
        let mut issuer = Issuer::new();
        issuer.issue(at(0), command(on_peer_lost)).expect("room");
        let Some(Change::Put(row)) = issuer.poll_change() else { panic!("no row") };
        let mut issuer = Issuer::new();
        issuer.load(at(0), [IssuedRow { status, ..row }]);
        issuer
    }

    fn report(issuer: &mut Issuer, status: Status) {
        let effect = match status {
            Status::Succeeded => Effect::Result(Bytes::from_static(b"done")),
            Status::Failed => Effect::Failure(Failure::new(ErrorCode::Internal)),
            _ => Effect::None,
        };
        let payload = StatusBody { id: ID, status, effect }.encode();
        issuer.handle(at(3), &payload).expect("well formed");
    }

    fn said(issuer: &mut Issuer) -> (CommandOp, Say) {
        match issuer.poll_output() {
            Some(Output::Say(say)) => {
                (CommandBody::decode(&say.payload).expect("well formed").op, say)
            }
            other => panic!("{other:?}"),
        }
    }
}
