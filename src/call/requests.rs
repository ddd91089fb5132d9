//! The side that asks: what is pending, until when, and what became of it. Every request ends exactly
//! once. Knows nothing of who answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::failure::{ErrorCode, Failure};
use super::payload::{Demand, DemandMode, Item, Opening, Progress, StreamEnd};
use super::say::{
    Cancel, CancelReason, Correlation, Heard, Kind, Output, Reliability, Say, Shape, Subject,
    Violation,
};
use crate::limits::{REQUESTS, STREAM_ITEMS};
use crate::priority::Class;
use crate::time::Instant;

/// The receiver of a stream tells what has arrived at least this often, so that its sender, who keeps
/// twice as many, does not stall.
const TELL_ITEMS: u64 = STREAM_ITEMS / 2;

/// The requests of one link, in all its sessions.
#[derive(Debug)]
pub(crate) struct Requests {
    next: Correlation,
    is_attached: bool,
    pending: BTreeMap<Correlation, Pending>,
    timers: BTreeSet<(Instant, Correlation)>,
    outputs: VecDeque<Output>,
    events: VecDeque<RequestEvent>,
    strays: u64,
}

/// A request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub payload: Bytes,
    pub class: Class,
    /// Time for the answer.
    pub time: Duration,
    pub answering: Answering,
    pub on_detach: OnDetach,
    pub on_peer_lost: OnPeerLost,
}

/// How many answers are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answering {
    One,
    /// Items, as many as allowed in total so far, then a last answer.
    Stream {
        allowed: u64,
    },
}

/// What becomes of a request when the link loses its transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnDetach {
    /// It ends as [`ErrorCode::Detached`]; the answering side stops.
    Fail,
    /// It goes on: request and answer are delivered after the link is back.
    Redrive,
}

/// What becomes of a request that outlived its transport when the peer comes back without memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnPeerLost {
    /// It ends as [`ErrorCode::InDoubt`].
    InDoubt,
    /// It is said again, and may be done twice; a stream goes on from its next item.
    Redrive,
}

/// Why a request was not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum AskError {
    /// [`REQUESTS`] are pending.
    #[error("too many requests are pending")]
    TooMany,
    /// The link is detached, and the request may not wait.
    #[error("link is detached")]
    Detached,
}

/// What the application learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RequestEvent {
    /// The next item of a stream, in order and without gap.
    Item { correlation: Correlation, offset: u64, payload: Bytes },
    /// How far the work is.
    Progress { correlation: Correlation, progress: Progress },
    /// The end, exactly once.
    Ended { correlation: Correlation, outcome: Outcome },
}

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Answered(Bytes),
    Failed(Failure),
}

#[derive(Debug)]
struct Pending {
    class: Class,
    deadline: Instant,
    /// Whether it ever left. What did not cannot be in doubt.
    is_sent: bool,
    /// Withdrawn, and waiting to learn what became of it.
    is_withdrawn: bool,
    survival: Survival,
    /// `None` if one answer is wanted.
    intake: Option<Intake>,
}

/// What a request outlives.
#[derive(Debug)]
enum Survival {
    Nothing,
    Detach,
    /// The peer's memory too: the request is kept to be said again.
    PeerLoss(Bytes),
}

/// A stream as its receiver sees it.
#[derive(Debug)]
struct Intake {
    allowed: u64,
    /// The offset that comes next.
    next: u64,
    /// `next` as the sender knows it.
    told: u64,
    /// Something beyond `next` is there: what lies between was lost or overtaken.
    has_gap: bool,
    /// Where it was asked to go on from, so that it is asked once.
    asked: Option<u64>,
    /// The end, which came before the last items.
    end: Option<StreamEnd>,
}

impl Requests {
    /// `seed` is random. It keeps the correlations of one process apart from those of another behind
    /// the same outbox.
    pub(crate) fn new(seed: [u8; 8]) -> Self {
        Self {
            next: Correlation::from_wire(u64::from_be_bytes(seed) >> 1),
            is_attached: false,
            pending: BTreeMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            strays: 0,
        }
    }

    /// Makes a request. It ends by [`RequestEvent::Ended`] at its deadline at the latest.
    pub(crate) fn ask(&mut self, now: Instant, ask: Ask) -> Result<Correlation, AskError> {
        if self.pending.len() >= REQUESTS {
            return Err(AskError::TooMany);
        }
        if !self.is_attached && ask.on_detach == OnDetach::Fail {
            return Err(AskError::Detached);
        }
        let correlation = self.next;
        self.next = correlation.next();
        let deadline = now.after(ask.time);
        let survival = match (ask.on_detach, ask.on_peer_lost) {
            (OnDetach::Fail, _) => Survival::Nothing,
            (OnDetach::Redrive, OnPeerLost::InDoubt) => Survival::Detach,
            (OnDetach::Redrive, OnPeerLost::Redrive) => Survival::PeerLoss(ask.payload.clone()),
        };
        let intake = match ask.answering {
            Answering::One => None,
            Answering::Stream { allowed } => Some(Intake::new(allowed)),
        };
        let pending = Pending {
            class: ask.class,
            deadline,
            is_sent: false,
            is_withdrawn: false,
            survival,
            intake,
        };
        let say = pending.request(now, correlation, ask.payload);
        self.outputs.push_back(Output::Say(say));
        self.timers.insert((deadline, correlation));
        self.pending.insert(correlation, pending);
        Ok(correlation)
    }

    /// Withdraws a request. Its end is still told: as cancelled, as answered if the answer was on its
    /// way, or as late.
    pub(crate) fn cancel(&mut self, correlation: Correlation) {
        let Some(pending) = self.pending.get_mut(&correlation) else { return };
        if pending.is_withdrawn {
            return;
        }
        pending.is_withdrawn = true;
        self.say_cancel(correlation, CancelReason::Unwanted);
    }

    /// Lets the sender of a stream send items below the offset `allowed`. It never falls.
    pub(crate) fn allow(&mut self, now: Instant, correlation: Correlation, allowed: u64) {
        let Some(pending) = self.pending.get_mut(&correlation) else { return };
        let Some(intake) = pending.intake.as_mut().filter(|intake| allowed > intake.allowed) else {
            return;
        };
        intake.allowed = allowed;
        self.say_demand(now, correlation, DemandMode::Note);
    }

    /// The request left. Tells one that is in doubt from one that still waits in the outbox.
    pub(crate) fn sent(&mut self, correlation: Correlation) {
        if let Some(pending) = self.pending.get_mut(&correlation) {
            pending.is_sent = true;
        }
    }

    /// Ends a request that delivery gave up: expired, rejected, unauthorised, too large.
    pub(crate) fn undelivered(&mut self, correlation: Correlation, code: ErrorCode) {
        self.end(correlation, Outcome::Failed(Failure::new(code)));
    }

    /// Takes a response, item, progress or failure.
    pub(crate) fn handle(&mut self, now: Instant, heard: &Heard) -> Result<(), Violation> {
        let correlation = heard.correlation;
        let known = self.pending.get_mut(&correlation);
        match heard.kind {
            Kind::Response => match known.map(|pending| pending.intake.as_mut()) {
                None => self.strays += 1,
                Some(None) => self.end(correlation, Outcome::Answered(heard.payload.clone())),
                Some(Some(intake)) => {
                    intake.finish(StreamEnd::decode(&heard.payload)?)?;
                    self.advance(now, correlation);
                }
            },
            Kind::Item => {
                let item = Item::decode(&heard.payload)?;
                let Some(pending) = known else {
                    self.strays += 1;
                    // Whoever sends it did not hear that nobody waits any more.
                    self.say_cancel(correlation, CancelReason::Unknown);
                    return Ok(());
                };
                let intake = pending.intake.as_mut().ok_or(Violation::NotAStream)?;
                match intake.take(&item)? {
                    Place::Next => self.events.push_back(RequestEvent::Item {
                        correlation,
                        offset: item.offset,
                        payload: item.payload,
                    }),
                    Place::Before => self.strays += 1,
                    Place::Beyond => {}
                }
                self.advance(now, correlation);
            }
            Kind::Progress => {
                let progress = Progress::decode(&heard.payload)?;
                match known {
                    Some(_) => {
                        self.events.push_back(RequestEvent::Progress { correlation, progress });
                    }
                    None => self.strays += 1,
                }
            }
            Kind::Failure => {
                let failure = Failure::decode(&heard.payload)?;
                self.end(correlation, Outcome::Failed(failure));
            }
            _ => return Err(Violation::Misplaced),
        }
        Ok(())
    }

    /// The transport is gone.
    pub(crate) fn detached(&mut self) {
        self.is_attached = false;
        self.outputs.retain(Output::outlives_transport);
        let fails = |pending: &&Correlation| {
            let pending = self.pending.get(pending);
            pending.is_some_and(|pending| matches!(pending.survival, Survival::Nothing))
        };
        let failing: Vec<_> = self.pending.keys().filter(fails).copied().collect();
        for correlation in failing {
            self.end(correlation, Outcome::Failed(Failure::new(ErrorCode::Detached)));
        }
    }

    /// A transport is there, and the peer remembers what it heard before.
    pub(crate) fn attached(&mut self, now: Instant) {
        self.is_attached = true;
        let pending: Vec<_> = self.pending.keys().copied().collect();
        for correlation in pending {
            self.remind(now, correlation);
        }
    }

    /// A transport is there, and the peer remembers nothing.
    pub(crate) fn attached_anew(&mut self, now: Instant) {
        self.is_attached = true;
        let pending: Vec<_> = self.pending.keys().copied().collect();
        for correlation in pending {
            let Some(pending) = self.pending.get_mut(&correlation) else { continue };
            if !pending.is_sent {
                self.remind(now, correlation);
                continue;
            }
            match &pending.survival {
                Survival::PeerLoss(payload) if !pending.is_withdrawn => {
                    let say = pending.request(now, correlation, payload.clone());
                    self.outputs.push_back(Output::Say(say));
                    pending.is_sent = false;
                    if let Some(intake) = &mut pending.intake {
                        // What the end was before says nothing about the stream that begins now.
                        intake.end = None;
                        intake.told = intake.next;
                        intake.has_gap = false;
                        intake.asked = None;
                    }
                }
                _ => self.end(correlation, Outcome::Failed(Failure::new(ErrorCode::InDoubt))),
            }
        }
    }

    /// Ends what is late.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, correlation)) = self.timers.first().filter(|(at, _)| *at <= now).copied()
        {
            self.say_cancel(correlation, CancelReason::Deadline);
            self.end(correlation, Outcome::Failed(Failure::new(ErrorCode::Deadline)));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<RequestEvent> {
        self.events.pop_front()
    }

    /// Requests that have not ended.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Answers that came late, twice, or for nobody, and were dropped.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    fn end(&mut self, correlation: Correlation, outcome: Outcome) {
        let Some(pending) = self.pending.remove(&correlation) else {
            self.strays += 1;
            return;
        };
        self.timers.remove(&(pending.deadline, correlation));
        self.events.push_back(RequestEvent::Ended { correlation, outcome });
    }

    /// After an item or the end: ends the stream, asks again behind a gap, or tells what arrived.
    fn advance(&mut self, now: Instant, correlation: Correlation) {
        let pending = self.pending.get_mut(&correlation);
        let Some(intake) = pending.and_then(|pending| pending.intake.as_mut()) else { return };
        match intake.end.take_if(|end| end.count <= intake.next) {
            Some(end) => {
                let is_whole = end.count == intake.next;
                self.say_demand(now, correlation, DemandMode::Note);
                self.end(
                    correlation,
                    match is_whole {
                        true => Outcome::Answered(end.payload),
                        // More came than there is: two runs of one request disagree.
                        false => Outcome::Failed(Failure::new(ErrorCode::InDoubt)),
                    },
                );
            }
            None if intake.must_ask() => self.say_demand(now, correlation, DemandMode::GoOn),
            None if intake.next - intake.told >= TELL_ITEMS => {
                self.say_demand(now, correlation, DemandMode::Note);
            }
            None => {}
        }
    }

    /// Says again what went without a number and may be lost.
    fn remind(&mut self, now: Instant, correlation: Correlation) {
        let Some(pending) = self.pending.get_mut(&correlation) else { return };
        if pending.is_withdrawn {
            return self.say_cancel(correlation, CancelReason::Unwanted);
        }
        if let Some(intake) = &mut pending.intake {
            intake.asked = Some(intake.next);
            self.say_demand(now, correlation, DemandMode::GoOn);
        }
    }

    fn say_cancel(&mut self, correlation: Correlation, reason: CancelReason) {
        if self.is_attached {
            self.outputs.push_back(Output::Cancel(Cancel { correlation, reason }));
        }
    }

    fn say_demand(&mut self, now: Instant, correlation: Correlation, mode: DemandMode) {
        let Some(pending) = self.pending.get_mut(&correlation) else { return };
        let ttl = Some(pending.deadline.since(now));
        let Some(intake) = pending.intake.as_mut().filter(|_| self.is_attached) else { return };
        intake.told = intake.next;
        let demand = Demand { allowed: intake.allowed, next: intake.next, mode };
        self.outputs.push_back(Output::Say(Say {
            kind: Kind::Demand,
            subject: Subject::Call(correlation),
            payload: demand.encode(),
            class: pending.class,
            ttl,
            reliability: Reliability::BestEffort,
        }));
    }
}

impl Pending {
    fn request(&self, now: Instant, correlation: Correlation, payload: Bytes) -> Say {
        let (shape, payload) = match &self.intake {
            None => (Shape::One, payload),
            Some(Intake { allowed, next, .. }) => {
                let opening = Opening { allowed: *allowed, from: *next, payload };
                (Shape::Stream, opening.encode())
            }
        };
        Say {
            kind: Kind::Request(shape),
            subject: Subject::Call(correlation),
            payload,
            class: self.class,
            ttl: Some(self.deadline.since(now)),
            reliability: match self.survival {
                Survival::Nothing => Reliability::BestEffort,
                Survival::Detach | Survival::PeerLoss(_) => Reliability::Numbered,
            },
        }
    }
}

/// Where an item belongs.
enum Place {
    Before,
    Next,
    Beyond,
}

impl Intake {
    fn new(allowed: u64) -> Self {
        Self { allowed, next: 0, told: 0, has_gap: false, asked: None, end: None }
    }

    /// Only the next item is taken: what lies beyond a gap is sent again with it.
    fn take(&mut self, item: &Item) -> Result<Place, Violation> {
        if item.offset >= self.allowed {
            return Err(Violation::OutOfBounds);
        }
        if item.offset == self.next {
            self.next += 1;
            return Ok(Place::Next);
        }
        self.has_gap |= item.offset > self.next;
        Ok(if item.offset < self.next { Place::Before } else { Place::Beyond })
    }

    /// Keeps the first end until all items before it are there.
    fn finish(&mut self, end: StreamEnd) -> Result<(), Violation> {
        if end.count > self.allowed {
            return Err(Violation::OutOfBounds);
        }
        if self.end.is_none() {
            self.has_gap |= end.count > self.next;
            self.end = Some(end);
        }
        Ok(())
    }

    /// Whether to ask the sender to go on from `next`, which is done once for each `next`.
    fn must_ask(&mut self) -> bool {
        let must = self.has_gap && self.asked != Some(self.next);
        self.has_gap = false;
        if must {
            self.asked = Some(self.next);
        }
        must
    }
}
