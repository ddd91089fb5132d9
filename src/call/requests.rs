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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Malformed;

    /// proto-spec: the seed is the first correlation, and each is used once in all sessions.
    #[test]
    fn correlations_rise_across_sessions() {
        let mut requests = Requests::new([0xff; 8]);
        requests.attached(at(0));
        let first = requests.ask(at(0), unary()).expect("attached");
        assert_eq!(first.to_wire(), u64::MAX >> 1);
        requests.detached();
        requests.attached_anew(at(0));
        let second = requests.ask(at(0), unary()).expect("attached");
        assert_eq!(second.to_wire(), first.to_wire() + 1);
    }

    #[test]
    fn a_request_says_how_long_it_waits() {
        let mut requests = attached();
        let correlation = requests.ask(at(5), unary()).expect("attached");
        let Some(Output::Say(say)) = requests.poll_output() else { panic!("nothing is said") };
        assert_eq!(
            (say.kind, say.subject),
            (Kind::Request(Shape::One), Subject::Call(correlation))
        );
        assert_eq!((say.class, say.ttl), (Class::High, Some(secs(10))));
        assert_eq!((&say.payload[..], say.reliability), (&b"?"[..], Reliability::BestEffort));
        requests.ask(at(5), surviving(OnPeerLost::InDoubt)).expect("attached");
        let Some(Output::Say(say)) = requests.poll_output() else { panic!("nothing is said") };
        assert_eq!(say.reliability, Reliability::Numbered);
    }

    /// proto-spec, [Q-6]: the first answer ends a request; what follows is dropped and counted.
    #[test]
    fn an_answer_ends_its_own_request_once() {
        let mut requests = attached();
        let (first, second) = (ask(&mut requests), ask(&mut requests));
        hear(&mut requests, second, Kind::Response, b"2");
        assert_eq!(ends(&mut requests), [(second, Outcome::Answered(Bytes::from_static(b"2")))]);
        let failure = Failure::new(ErrorCode::Busy);
        hear(&mut requests, second, Kind::Response, b"2");
        hear(&mut requests, second, Kind::Failure, &failure.encode());
        hear(&mut requests, second, Kind::Progress, &[1]);
        hear(&mut requests, Correlation::from_wire(99), Kind::Response, b"?");
        assert_eq!(ends(&mut requests), []);
        assert_eq!((requests.strays(), requests.pending()), (4, 1));
        hear(&mut requests, first, Kind::Failure, &failure.encode());
        assert_eq!(ends(&mut requests), [(first, Outcome::Failed(failure))]);
        assert_empty(&requests);
    }

    /// proto-spec: the deadline ends a request, and the peer is told.
    #[test]
    fn a_deadline_ends_a_request_and_tells_the_peer() {
        let mut requests = attached();
        let correlation = ask(&mut requests);
        assert_eq!(requests.next_timeout(), Some(at(10)));
        requests.handle_timeout(Instant::from_nanos(at(10).as_nanos() - 1));
        assert_eq!(ends(&mut requests), []);
        requests.handle_timeout(at(10));
        assert_eq!(ends(&mut requests), [failed(correlation, ErrorCode::Deadline)]);
        assert_eq!(cancels(&mut requests), [(correlation, CancelReason::Deadline)]);
        assert_empty(&requests);
    }

    /// proto-spec: a withdrawn request still has an end.
    #[test]
    fn a_withdrawn_request_waits_for_its_end() {
        let mut requests = attached();
        let (stopped, answered, silent) =
            (ask(&mut requests), ask(&mut requests), ask(&mut requests));
        for correlation in [stopped, answered, silent, silent] {
            requests.cancel(correlation);
        }
        requests.cancel(Correlation::from_wire(99));
        let said: Vec<_> = cancels(&mut requests).into_iter().map(|(named, _)| named).collect();
        assert_eq!(said, [stopped, answered, silent]);
        assert_eq!(requests.pending(), 3);
        let failure = Failure::new(ErrorCode::Cancelled);
        hear(&mut requests, stopped, Kind::Failure, &failure.encode());
        hear(&mut requests, answered, Kind::Response, b"!");
        requests.handle_timeout(at(10));
        let answer = Outcome::Answered(Bytes::from_static(b"!"));
        let expected = [
            failed(stopped, ErrorCode::Cancelled),
            (answered, answer),
            failed(silent, ErrorCode::Deadline),
        ];
        assert_eq!(ends(&mut requests), expected);
        assert_empty(&requests);
    }

    #[test]
    fn progress_reaches_the_one_who_asked() {
        let mut requests = attached();
        let correlation = ask(&mut requests);
        hear(&mut requests, correlation, Kind::Progress, &[0, 0, 0, 0, 9]);
        let progress = Progress::Permille(9);
        let expected = RequestEvent::Progress { correlation, progress };
        assert_eq!(requests.poll_event(), Some(expected));
    }

    #[test]
    fn a_detach_ends_what_may_not_wait() {
        let mut requests = attached();
        let fails = ask(&mut requests);
        let waits = requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("attached");
        requests.poll_output().expect("a request");
        requests.cancel(fails);
        requests.detached();
        assert_eq!(ends(&mut requests), [failed(fails, ErrorCode::Detached)]);
        assert_eq!(cancels(&mut requests), [], "a CANCEL without transport");
        assert_eq!(requests.ask(at(0), unary()), Err(AskError::Detached));
        requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("it may wait");
        requests.attached(at(1));
        hear(&mut requests, waits, Kind::Response, b"!");
        assert_eq!(ends(&mut requests), [(waits, Outcome::Answered(Bytes::from_static(b"!")))]);
    }

    /// Of the outputs that wait when the transport goes, those with a number stay.
    #[test]
    fn what_was_not_sent_outlives_a_detach_if_it_is_numbered() {
        let mut requests = attached();
        requests.ask(at(0), unary()).expect("attached");
        let waits = requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("attached");
        requests.detached();
        let Some(Output::Say(say)) = requests.poll_output() else { panic!("nothing is said") };
        assert_eq!(say.subject, Subject::Call(waits));
        assert_eq!(requests.poll_output(), None);
    }

    /// proto-spec.
    #[test]
    fn a_cancel_is_said_again_after_a_detach() {
        let mut requests = attached();
        let correlation = requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("attached");
        requests.cancel(correlation);
        requests.detached();
        drain(&mut requests);
        requests.attached(at(1));
        assert_eq!(cancels(&mut requests), [(correlation, CancelReason::Unwanted)]);
    }

    #[test]
    fn a_peer_without_memory_leaves_requests_in_doubt_or_asked_again() {
        let mut requests = attached();
        let doubted = requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("attached");
        let again = requests.ask(at(0), surviving(OnPeerLost::Redrive)).expect("attached");
        let unwanted = requests.ask(at(0), surviving(OnPeerLost::Redrive)).expect("attached");
        let unsent = requests.ask(at(0), surviving(OnPeerLost::InDoubt)).expect("attached");
        for correlation in [doubted, again, unwanted] {
            requests.sent(correlation);
        }
        requests.cancel(unwanted);
        requests.detached();
        drain(&mut requests);
        requests.attached_anew(at(4));
        let lost = [failed(doubted, ErrorCode::InDoubt), failed(unwanted, ErrorCode::InDoubt)];
        assert_eq!(ends(&mut requests), lost);
        let Some(Output::Say(say)) = requests.poll_output() else { panic!("nothing is said") };
        assert_eq!((say.subject, say.ttl), (Subject::Call(again), Some(secs(6))));
        assert_eq!((&say.payload[..], say.reliability), (&b"?"[..], Reliability::Numbered));
        assert_eq!(requests.poll_output(), None, "what never left is still in the outbox");
        hear(&mut requests, unsent, Kind::Response, b"!");
        assert_eq!(ends(&mut requests).len(), 1);
    }

    #[test]
    fn what_delivery_gives_up_ends() {
        let mut requests = attached();
        let correlation = ask(&mut requests);
        requests.undelivered(correlation, ErrorCode::NoHandler);
        assert_eq!(ends(&mut requests), [failed(correlation, ErrorCode::NoHandler)]);
        assert_empty(&requests);
    }

    #[test]
    fn requests_under_way_are_bounded() {
        let mut requests = attached();
        let first = ask(&mut requests);
        for _ in 1..REQUESTS {
            ask(&mut requests);
        }
        assert_eq!(requests.ask(at(0), unary()), Err(AskError::TooMany));
        hear(&mut requests, first, Kind::Response, b"");
        assert!(requests.ask(at(0), unary()).is_ok());
    }

    /// proto-spec: order and duplicates.
    #[test]
    fn items_come_in_order_and_once() {
        let (mut requests, stream) = streaming(8);
        for offset in [0, 1, 1, 0, 2] {
            item(&mut requests, stream, offset).expect("allowed");
        }
        assert_eq!(offsets(&mut requests), [0, 1, 2]);
        assert_eq!(requests.strays(), 2);
        hear(&mut requests, stream, Kind::Response, &end(3));
        assert_eq!(ends(&mut requests), [(stream, Outcome::Answered(Bytes::from_static(b"end")))]);
        assert_eq!(demands(&mut requests), [(8, 3, DemandMode::Note)]);
        assert_empty(&requests);
    }

    /// proto-spec: a gap is asked for once.
    #[test]
    fn a_gap_is_asked_for_once() {
        let (mut requests, stream) = streaming(8);
        for offset in [0, 2, 3] {
            item(&mut requests, stream, offset).expect("allowed");
        }
        assert_eq!(offsets(&mut requests), [0]);
        assert_eq!(demands(&mut requests), [(8, 1, DemandMode::GoOn)]);
        for offset in [1, 3] {
            item(&mut requests, stream, offset).expect("allowed");
        }
        assert_eq!(offsets(&mut requests), [1]);
        assert_eq!(demands(&mut requests), [(8, 2, DemandMode::GoOn)]);
    }

    /// proto-spec, [Q-17]: an end that overtook items waits for them.
    #[test]
    fn an_end_waits_for_the_items_before_it() {
        let (mut requests, stream) = streaming(8);
        hear(&mut requests, stream, Kind::Response, &end(2));
        assert_eq!(demands(&mut requests), [(8, 0, DemandMode::GoOn)]);
        hear(&mut requests, stream, Kind::Response, &end(1));
        item(&mut requests, stream, 0).expect("allowed");
        assert_eq!(requests.pending(), 1, "the first end counts");
        item(&mut requests, stream, 1).expect("allowed");
        assert_eq!(offsets_and_end(&mut requests), (vec![0, 1], 1));
        assert_empty(&requests);
    }

    #[test]
    fn an_end_behind_what_came_is_in_doubt() {
        let (mut requests, stream) = streaming(8);
        item(&mut requests, stream, 0).expect("allowed");
        offsets(&mut requests);
        hear(&mut requests, stream, Kind::Response, &end(0));
        assert_eq!(ends(&mut requests), [failed(stream, ErrorCode::InDoubt)]);
    }

    /// proto-spec: the receiver's half.
    #[test]
    fn what_was_not_allowed_is_a_violation() {
        let (mut requests, stream) = streaming(2);
        assert_eq!(item(&mut requests, stream, 2), Err(Violation::OutOfBounds));
        let beyond = heard(stream, Kind::Response, &end(3));
        assert_eq!(requests.handle(at(0), &beyond), Err(Violation::OutOfBounds));
        requests.allow(at(0), stream, 3);
        assert_eq!(demands(&mut requests), [(3, 0, DemandMode::Note)]);
        item(&mut requests, stream, 2).expect("allowed now");
        demands(&mut requests);
        requests.allow(at(0), stream, 3);
        assert_eq!(demands(&mut requests), [], "nothing rose");
        let one = ask(&mut requests);
        assert_eq!(item(&mut requests, one, 0), Err(Violation::NotAStream));
    }

    #[test]
    fn what_arrived_is_told_for_every_half_window() {
        let (mut requests, stream) = streaming(200);
        let mut told = Vec::new();
        for offset in 0..70 {
            item(&mut requests, stream, offset).expect("allowed");
            told.extend(demands(&mut requests));
        }
        assert_eq!(told, [(200, 32, DemandMode::Note), (200, 64, DemandMode::Note)]);
    }

    /// proto-spec: after a detach a stream goes on from its next item.
    #[test]
    fn a_stream_goes_on_after_a_detach() {
        let (mut requests, stream) = streaming(8);
        item(&mut requests, stream, 0).expect("allowed");
        requests.detached();
        requests.allow(at(0), stream, 9);
        assert_eq!(demands(&mut requests), [], "no transport");
        requests.attached(at(1));
        assert_eq!(demands(&mut requests), [(9, 1, DemandMode::GoOn)]);
    }

    #[test]
    fn a_stream_begins_again_from_its_next_item_at_a_peer_without_memory() {
        let (mut requests, stream) = streaming(8);
        requests.sent(stream);
        item(&mut requests, stream, 0).expect("allowed");
        hear(&mut requests, stream, Kind::Response, &end(5));
        requests.detached();
        drain(&mut requests);
        requests.attached_anew(at(1));
        let Some(Output::Say(say)) = requests.poll_output() else { panic!("nothing is said") };
        let opening = Opening { allowed: 8, from: 1, payload: Bytes::from_static(b"?") };
        assert_eq!(Opening::decode(&say.payload), Ok(opening));
        hear(&mut requests, stream, Kind::Response, &end(1));
        assert_eq!(offsets_and_end(&mut requests), (vec![], 1), "the old end is forgotten");
    }

    /// proto-spec.
    #[test]
    fn an_item_for_nobody_is_answered_with_a_cancel() {
        let mut requests = attached();
        let gone = Correlation::from_wire(99);
        item(&mut requests, gone, 0).expect("dropped");
        assert_eq!(cancels(&mut requests), [(gone, CancelReason::Unknown)]);
        assert_eq!(requests.strays(), 1);
    }

    #[test]
    fn what_a_caller_does_not_read_is_a_violation() {
        let mut requests = attached();
        let correlation = ask(&mut requests);
        let kinds = [Kind::Request(Shape::One), Kind::Command, Kind::Status, Kind::Demand];
        for kind in kinds {
            let misplaced = requests.handle(at(0), &heard(correlation, kind, b""));
            assert_eq!(misplaced, Err(Violation::Misplaced));
        }
        for kind in [Kind::Item, Kind::Progress, Kind::Failure] {
            let torn = requests.handle(at(0), &heard(correlation, kind, b""));
            assert_eq!(torn, Err(Violation::Malformed(Malformed::Truncated)));
        }
        assert_eq!(requests.pending(), 1);
    }

    fn at(secs: u64) -> Instant {
        Instant::from_nanos(secs * 1_000_000_000)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn unary() -> Ask {
        Ask {
            payload: Bytes::from_static(b"?"),
            class: Class::High,
            time: secs(10),
            answering: Answering::One,
            on_detach: OnDetach::Fail,
            on_peer_lost: OnPeerLost::InDoubt,
        }
    }

    fn surviving(on_peer_lost: OnPeerLost) -> Ask {
        Ask { on_detach: OnDetach::Redrive, on_peer_lost, ..unary() }
    }

    fn attached() -> Requests {
        let mut requests = Requests::new([0; 8]);
        requests.attached(at(0));
        requests
    }

    fn ask(requests: &mut Requests) -> Correlation {
        let correlation = requests.ask(at(0), unary()).expect("room");
        requests.poll_output().expect("a request");
        correlation
    }

    fn streaming(allowed: u64) -> (Requests, Correlation) {
        let mut requests = attached();
        let answering = Answering::Stream { allowed };
        let ask = Ask { answering, ..surviving(OnPeerLost::Redrive) };
        let correlation = requests.ask(at(0), ask).expect("room");
        requests.poll_output().expect("a request");
        (requests, correlation)
    }

    fn heard(correlation: Correlation, kind: Kind, payload: &[u8]) -> Heard {
        Heard {
            kind,
            correlation,
            payload: Bytes::copy_from_slice(payload),
            class: Class::High,
            remaining: None,
            reliability: Reliability::BestEffort,
        }
    }

    fn hear(requests: &mut Requests, correlation: Correlation, kind: Kind, payload: &[u8]) {
        requests.handle(at(0), &heard(correlation, kind, payload)).expect("well formed");
    }

    fn item(
        requests: &mut Requests,
        correlation: Correlation,
        offset: u64,
    ) -> Result<(), Violation> {
        let payload = Item { offset, payload: Bytes::new() }.encode();
        requests.handle(at(0), &heard(correlation, Kind::Item, &payload))
    }

    fn end(count: u64) -> Bytes {
        StreamEnd { count, payload: Bytes::from_static(b"end") }.encode()
    }

    fn drain(requests: &mut Requests) {
        while requests.poll_output().is_some() || requests.poll_event().is_some() {}
    }

    fn ends(requests: &mut Requests) -> Vec<(Correlation, Outcome)> {
        let mut ends = Vec::new();
        while let Some(event) = requests.poll_event() {
            if let RequestEvent::Ended { correlation, outcome } = event {
                ends.push((correlation, outcome));
            }
        }
        ends
    }

    fn offsets_and_end(requests: &mut Requests) -> (Vec<u64>, usize) {
        let (mut offsets, mut ended) = (Vec::new(), 0);
        while let Some(event) = requests.poll_event() {
            match event {
                RequestEvent::Item { offset, .. } => offsets.push(offset),
                RequestEvent::Ended { outcome: Outcome::Answered(_), .. } => ended += 1,
                other => panic!("{other:?}"),
            }
        }
        (offsets, ended)
    }

    fn offsets(requests: &mut Requests) -> Vec<u64> {
        offsets_and_end(requests).0
    }

    fn failed(correlation: Correlation, code: ErrorCode) -> (Correlation, Outcome) {
        (correlation, Outcome::Failed(Failure::new(code)))
    }

    fn cancels(requests: &mut Requests) -> Vec<(Correlation, CancelReason)> {
        let mut cancels = Vec::new();
        while let Some(output) = requests.poll_output() {
            match output {
                Output::Cancel(cancel) => cancels.push((cancel.correlation, cancel.reason)),
                Output::Say(say) => panic!("{say:?}"),
            }
        }
        cancels
    }

    fn demands(requests: &mut Requests) -> Vec<(u64, u64, DemandMode)> {
        let mut demands = Vec::new();
        while let Some(output) = requests.poll_output() {
            let Output::Say(say) = output else { panic!("{output:?}") };
            assert_eq!((say.kind, say.reliability), (Kind::Demand, Reliability::BestEffort));
            let demand = Demand::decode(&say.payload).expect("well formed");
            demands.push((demand.allowed, demand.next, demand.mode));
        }
        demands
    }

    fn assert_empty(requests: &Requests) {
        assert_eq!((requests.pending(), requests.next_timeout()), (0, None));
    }
}
