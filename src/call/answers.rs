//! The side that answers: calls of one peer that are open, until when, and that each gets one last
//! answer. Knows no handler: it tells whoever runs them what to begin and what to stop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use super::failure::{ErrorCode, Failure};
use super::payload::{Demand, DemandMode, Item, Opening, Progress, StreamEnd};
use super::say::{
    CancelReason, Correlation, Heard, Kind, Output, Reliability, Say, Shape, Subject, Violation,
};
use crate::limits::{
    CALLS, CALLS_REMEMBERED, REQUEST_TIME, STREAM_BYTES, STREAM_ITEMS, STREAMS_BYTES,
};
use crate::priority::Class;
use crate::time::Instant;

/// The calls of one peer, in all its sessions.
#[derive(Debug)]
pub(crate) struct Answers {
    is_attached: bool,
    open: BTreeMap<Correlation, Call>,
    timers: BTreeSet<(Instant, Correlation)>,
    /// Streams with something to send; the one behind `turn` is next.
    ready: BTreeSet<Correlation>,
    turn: Correlation,
    /// Streams whose handlers wait for room.
    starved: BTreeSet<Correlation>,
    /// Bytes that all streams keep.
    bytes: usize,
    memory: Memory,
    outputs: VecDeque<Output>,
    events: VecDeque<AnswerEvent>,
    strays: u64,
}

/// What whoever runs handlers learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AnswerEvent {
    /// A call to answer.
    Opened {
        correlation: Correlation,
        class: Class,
        deadline: Instant,
        caller: Caller,
        payload: Bytes,
    },
    /// A handler must stop. After [`Stop::Withdrawn`] it still owes an answer, if only
    /// [`ErrorCode::Cancelled`]; after the others none is taken.
    Stop { correlation: Correlation, stop: Stop },
    /// A stream that had no room has some.
    Room { correlation: Correlation },
}

/// What the caller wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caller {
    /// One answer.
    WantsOne,
    /// Items; the first that the handler offers has the offset `from`.
    WantsStream { from: u64 },
}

/// Why a handler must stop.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stop {
    /// The caller withdrew the request.
    Withdrawn(CancelReason),
    /// The deadline passed; the caller was told.
    Deadline,
    /// The transport is gone, and the caller does not wait.
    Detached,
    /// The caller came back without memory of its requests.
    CallerLost,
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The call had its last answer, or was stopped.
    #[error("call has ended")]
    Ended,
    /// The caller wants one answer.
    #[error("caller wants no stream")]
    NotAStream,
    /// The caller takes no item so large.
    #[error("item is larger than the caller takes")]
    TooLarge,
    /// The caller can take no item now; [`AnswerEvent::Room`] follows.
    #[error("caller can take no item now")]
    NoRoom,
}

#[derive(Debug)]
struct Call {
    class: Class,
    deadline: Instant,
    reliability: Reliability,
    stage: CallStage,
    /// `None` if one answer is wanted.
    outflow: Option<Outflow>,
}

#[derive(Debug)]
enum CallStage {
    Running,
    /// The handler was told to stop and owes an answer.
    Stopping,
    /// The handler gave the last answer of a stream, which waits for the items before it.
    Ending(Bytes),
    /// The last answer of a stream is said; its items are kept until they have arrived.
    Lingering,
}

/// A stream as its sender sees it.
#[derive(Debug)]
struct Outflow {
    /// Offset of the first item kept.
    base: u64,
    /// Offset of the item to be offered next.
    count: u64,
    /// Items that have not arrived as far as is known.
    items: VecDeque<Bytes>,
    bytes: usize,
    /// Offset of the item to be sent next.
    cursor: u64,
    /// Items below it may be sent.
    allowed: u64,
    /// Items below it are not wanted, whether they were offered or not.
    wanted: u64,
}

/// Calls that have ended, the latest ones.
#[derive(Debug, Default)]
struct Memory {
    order: VecDeque<Correlation>,
    calls: BTreeMap<Correlation, Past>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Past {
    Ended,
    /// Withdrawn before its request came.
    Withdrawn,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self {
            is_attached: false,
            open: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: BTreeSet::new(),
            turn: Correlation::from_wire(0),
            starved: BTreeSet::new(),
            bytes: 0,
            memory: Memory::default(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            strays: 0,
        }
    }

    /// Takes a request or a demand.
    pub(crate) fn handle(&mut self, now: Instant, heard: &Heard) -> Result<(), Violation> {
        match heard.kind {
            Kind::Request(shape) => self.open(now, heard, shape),
            Kind::Demand => {
                let demand = Demand::decode(&heard.payload)?;
                self.flow(now, heard.correlation, demand);
                Ok(())
            }
            _ => Err(Violation::Misplaced),
        }
    }

    /// Takes a CANCEL frame, which may come before its request.
    pub(crate) fn handle_cancel(
        &mut self,
        now: Instant,
        correlation: Correlation,
        reason: CancelReason,
    ) {
        let Some(call) = self.open.get_mut(&correlation) else {
            if !self.memory.calls.contains_key(&correlation) {
                self.memory.add(correlation, Past::Withdrawn);
            }
            return;
        };
        match call.stage {
            CallStage::Running => {
                call.stage = CallStage::Stopping;
                self.stop(correlation, Stop::Withdrawn(reason));
            }
            CallStage::Stopping => {}
            CallStage::Ending(_) => self.close(now, correlation, Some(ErrorCode::Cancelled)),
            CallStage::Lingering => self.close(now, correlation, None),
        }
    }

    /// Answers, for the last time.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        let call = self.answerable(correlation)?;
        if call.outflow.is_some() {
            call.stage = CallStage::Ending(payload);
            self.ready.insert(correlation);
        } else {
            let say = call.say(now, correlation, Kind::Response, payload);
            self.outputs.push_back(Output::Say(say));
            self.close(now, correlation, None);
        }
        Ok(())
    }

    /// Answers that there is no answer, for the last time. Items that were not sent are dropped.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        correlation: Correlation,
        failure: &Failure,
    ) -> Result<(), AnswerError> {
        let say = self.answerable(correlation)?.failure(now, correlation, failure);
        self.outputs.push_back(Output::Say(say));
        self.close(now, correlation, None);
        Ok(())
    }

    /// Reports how far the work is. Lost if the link is detached.
    pub(crate) fn progress(
        &mut self,
        now: Instant,
        correlation: Correlation,
        progress: &Progress,
    ) -> Result<(), AnswerError> {
        let call = self.answerable(correlation)?;
        let mut say = call.say(now, correlation, Kind::Progress, progress.encode());
        say.reliability = Reliability::BestEffort;
        if self.is_attached {
            self.outputs.push_back(Output::Say(say));
        }
        Ok(())
    }

    /// Offers the next item of a stream.
    pub(crate) fn item(
        &mut self,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        let total = self.bytes;
        let outflow = self.answerable(correlation)?.outflow.as_mut();
        let outflow = outflow.ok_or(AnswerError::NotAStream)?;
        if !outflow.has_room(total, payload.len()) {
            self.starved.insert(correlation);
            return Err(AnswerError::NoRoom);
        }
        let kept = outflow.push(payload);
        self.bytes += kept;
        self.ready.insert(correlation);
        Ok(())
    }

    /// The transport is gone.
    pub(crate) fn detached(&mut self, now: Instant) {
        self.is_attached = false;
        self.outputs.retain(Output::outlives_transport);
        let ends = |(correlation, call): (&Correlation, &Call)| {
            (call.reliability == Reliability::BestEffort).then_some(*correlation)
        };
        let ending: Vec<_> = self.open.iter().filter_map(ends).collect();
        for correlation in ending {
            self.abandon(now, correlation, Stop::Detached);
        }
    }

    /// A transport is there.
    pub(crate) fn attached(&mut self) {
        self.is_attached = true;
    }

    /// The peer came back without memory of its requests, or as another process. What was to be said to
    /// the one before is dropped, here and by whoever has it.
    pub(crate) fn caller_lost(&mut self, now: Instant) {
        let open: Vec<_> = self.open.keys().copied().collect();
        for correlation in open {
            self.abandon(now, correlation, Stop::CallerLost);
        }
        self.outputs.clear();
        self.memory = Memory::default();
    }

    /// Tells callers and handlers of calls that are late.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, correlation)) = self.timers.first().filter(|(at, _)| *at <= now).copied()
        {
            let stage = self.open.get(&correlation).map(|call| &call.stage);
            let owes = !matches!(stage, Some(CallStage::Lingering));
            if matches!(stage, Some(CallStage::Running | CallStage::Stopping)) {
                self.stop(correlation, Stop::Deadline);
            }
            self.close(now, correlation, owes.then_some(ErrorCode::Deadline));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is to be sent next. Streams take turns, and wait while the link is detached.
    pub(crate) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while self.is_attached {
            let behind = (Bound::Excluded(self.turn), Bound::Unbounded);
            let correlation = *self.ready.range(behind).next().or_else(|| self.ready.first())?;
            self.turn = correlation;
            if let Some(say) = self.next_of(now, correlation) {
                return Some(Output::Say(say));
            }
            self.ready.remove(&correlation);
        }
        None
    }

    pub(crate) fn poll_event(&mut self) -> Option<AnswerEvent> {
        self.events.pop_front()
    }

    /// Whether a call has no last answer, or its items have not arrived.
    pub(crate) fn is_open(&self, correlation: Correlation) -> bool {
        self.open.contains_key(&correlation)
    }

    /// Calls without a last answer, and streams whose items have not arrived.
    pub(crate) fn open_calls(&self) -> usize {
        self.open.len()
    }

    /// Bytes of items that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.bytes
    }

    /// Requests that came twice and demands for nothing, which were dropped.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    fn open(&mut self, now: Instant, heard: &Heard, shape: Shape) -> Result<(), Violation> {
        let (caller, outflow, payload) = match shape {
            Shape::One => (Caller::WantsOne, None, heard.payload.clone()),
            Shape::Stream => {
                let opening = Opening::decode(&heard.payload)?;
                let caller = Caller::WantsStream { from: opening.from };
                let outflow = Outflow::new(opening.from, opening.allowed);
                (caller, Some(outflow), opening.payload)
            }
        };
        let correlation = heard.correlation;
        let past = self.memory.calls.get(&correlation).copied();
        if self.open.contains_key(&correlation) || past == Some(Past::Ended) {
            self.strays += 1;
            return Ok(());
        }
        let remaining = heard.remaining.unwrap_or(REQUEST_TIME);
        let deadline = now.after(remaining);
        let (class, reliability) = (heard.class, heard.reliability);
        let call = Call { class, deadline, reliability, stage: CallStage::Running, outflow };
        let refusal = if past == Some(Past::Withdrawn) {
            Some(ErrorCode::Cancelled)
        } else if remaining.is_zero() {
            Some(ErrorCode::Deadline)
        } else if self.open.len() >= CALLS {
            Some(ErrorCode::Busy)
        } else {
            None
        };
        if let Some(code) = refusal {
            let say = call.failure(now, correlation, &Failure::new(code));
            self.outputs.push_back(Output::Say(say));
            self.memory.add(correlation, Past::Ended);
            return Ok(());
        }
        self.timers.insert((deadline, correlation));
        self.open.insert(correlation, call);
        self.events.push_back(AnswerEvent::Opened {
            correlation,
            class,
            deadline,
            caller,
            payload,
        });
        Ok(())
    }

    fn flow(&mut self, now: Instant, correlation: Correlation, demand: Demand) {
        let call = self.open.get_mut(&correlation);
        let Some(call) = call.filter(|call| call.outflow.is_some()) else {
            self.strays += 1;
            return;
        };
        let Some(outflow) = &mut call.outflow else { return };
        let freed = outflow.heed(demand);
        self.bytes -= freed;
        if outflow.items.is_empty() && matches!(call.stage, CallStage::Lingering) {
            return self.close(now, correlation, None);
        }
        self.ready.insert(correlation);
        self.wake();
    }

    /// Tells starved handlers that there is room.
    fn wake(&mut self) {
        let (open, total) = (&self.open, self.bytes);
        let has_room = |correlation: &Correlation| {
            let outflow = open.get(correlation).and_then(|call| call.outflow.as_ref());
            outflow.is_some_and(|outflow| outflow.has_room(total, 1))
        };
        let fed: Vec<_> = self.starved.iter().copied().filter(has_room).collect();
        for correlation in fed {
            self.starved.remove(&correlation);
            self.events.push_back(AnswerEvent::Room { correlation });
        }
    }

    /// The next item of a stream, or its last answer.
    fn next_of(&mut self, now: Instant, correlation: Correlation) -> Option<Say> {
        let call = self.open.get_mut(&correlation)?;
        let outflow = call.outflow.as_mut()?;
        if let Some(item) = outflow.next() {
            let mut say = call.say(now, correlation, Kind::Item, item.encode());
            say.reliability = Reliability::BestEffort;
            return Some(say);
        }
        let CallStage::Ending(payload) = &mut call.stage else { return None };
        let end = StreamEnd { count: outflow.count, payload: std::mem::take(payload) };
        let is_empty = outflow.items.is_empty();
        call.stage = CallStage::Lingering;
        let say = call.say(now, correlation, Kind::Response, end.encode());
        if is_empty {
            self.close(now, correlation, None);
        }
        Some(say)
    }

    fn answerable(&mut self, correlation: Correlation) -> Result<&mut Call, AnswerError> {
        let call = self.open.get_mut(&correlation).ok_or(AnswerError::Ended)?;
        match call.stage {
            CallStage::Running | CallStage::Stopping => Ok(call),
            CallStage::Ending(_) | CallStage::Lingering => Err(AnswerError::Ended),
        }
    }

    fn stop(&mut self, correlation: Correlation, stop: Stop) {
        self.events.push_back(AnswerEvent::Stop { correlation, stop });
    }

    /// Ends a call whose caller is gone.
    fn abandon(&mut self, now: Instant, correlation: Correlation, stop: Stop) {
        let stage = self.open.get(&correlation).map(|call| &call.stage);
        if matches!(stage, Some(CallStage::Running | CallStage::Stopping)) {
            self.stop(correlation, stop);
        }
        self.close(now, correlation, None);
    }

    /// Forgets a call, with a failure as its last answer if it had none.
    fn close(&mut self, now: Instant, correlation: Correlation, failure: Option<ErrorCode>) {
        let Some(call) = self.open.remove(&correlation) else { return };
        if let Some(code) = failure {
            let say = call.failure(now, correlation, &Failure::new(code));
            self.outputs.push_back(Output::Say(say));
        }
        self.timers.remove(&(call.deadline, correlation));
        self.ready.remove(&correlation);
        self.starved.remove(&correlation);
        self.memory.add(correlation, Past::Ended);
        if let Some(outflow) = call.outflow {
            self.bytes -= outflow.bytes;
            self.wake();
        }
    }
}

impl Call {
    fn say(&self, now: Instant, correlation: Correlation, kind: Kind, payload: Bytes) -> Say {
        Say {
            kind,
            subject: Subject::Call(correlation),
            payload,
            class: self.class,
            ttl: Some(self.deadline.since(now)),
            reliability: self.reliability,
        }
    }

    fn failure(&self, now: Instant, correlation: Correlation, failure: &Failure) -> Say {
        self.say(now, correlation, Kind::Failure, failure.encode())
    }
}

impl Outflow {
    fn new(from: u64, allowed: u64) -> Self {
        Self {
            base: from,
            count: from,
            items: VecDeque::new(),
            bytes: 0,
            cursor: from,
            allowed,
            wanted: from,
        }
    }

    /// Whether an item of this length may be kept. One that is alone may, so that no stream starves for
    /// ever behind others.
    fn has_room(&self, total: usize, length: usize) -> bool {
        let last = self.allowed.min(self.base.saturating_add(STREAM_ITEMS));
        let fits = |kept: usize, limit: usize| kept.saturating_add(length) <= limit;
        let has_bytes = fits(self.bytes, STREAM_BYTES) && fits(total, STREAMS_BYTES);
        self.count < last && (self.items.is_empty() || has_bytes)
    }

    /// Keeps an item that is wanted, and says how many bytes that takes.
    fn push(&mut self, payload: Bytes) -> usize {
        let length = payload.len();
        self.count += 1;
        if self.count <= self.wanted {
            self.base = self.count;
            self.cursor = self.cursor.max(self.base);
            return 0;
        }
        self.bytes += length;
        self.items.push_back(payload);
        length
    }

    /// Takes note of a demand, and says how many bytes are no longer kept.
    fn heed(&mut self, demand: Demand) -> usize {
        self.allowed = self.allowed.max(demand.allowed);
        self.wanted = self.wanted.max(demand.next);
        let before = self.bytes;
        while self.base < self.wanted
            && let Some(item) = self.items.pop_front()
        {
            self.base += 1;
            self.bytes -= item.len();
        }
        self.cursor = match demand.mode {
            DemandMode::Note => self.cursor.max(self.base),
            DemandMode::GoOn => self.base,
        };
        before - self.bytes
    }

    /// The item at the cursor, which moves on.
    fn next(&mut self) -> Option<Item> {
        let place = usize::try_from(self.cursor.checked_sub(self.base)?).ok()?;
        let payload = self.items.get(place)?.clone();
        let item = Item { offset: self.cursor, payload };
        self.cursor += 1;
        Some(item)
    }
}

impl Memory {
    fn add(&mut self, correlation: Correlation, past: Past) {
        if self.calls.insert(correlation, past).is_none() {
            self.order.push_back(correlation);
        }
        if self.order.len() > CALLS_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::Malformed;

    const ONE: Correlation = Correlation::from_wire(1);
    const TWO: Correlation = Correlation::from_wire(2);

    /// proto-spec, [Q-9]: one terminal answer, in the class of the request.
    #[test]
    fn a_call_is_answered_once() {
        for reliability in [Reliability::BestEffort, Reliability::Numbered] {
            let mut answers = attached();
            hear(&mut answers, Heard { reliability, ..request(ONE) });
            assert_eq!(answers.poll_event(), Some(opened(ONE, Caller::WantsOne)));
            assert_eq!(answers.answer(at(1), ONE, Bytes::from_static(b"!")), Ok(()));
            let say = said(&mut answers);
            assert_eq!((say.kind, say.subject), (Kind::Response, Subject::Call(ONE)));
            assert_eq!((say.class, say.reliability), (Class::High, reliability));
            assert_eq!((&say.payload[..], say.ttl), (&b"!"[..], Some(Duration::from_secs(4))));
            let failure = Failure::new(ErrorCode::Internal);
            assert_eq!(answers.answer(at(1), ONE, Bytes::new()), Err(AnswerError::Ended));
            assert_eq!(answers.fail(at(1), ONE, &failure), Err(AnswerError::Ended));
            let progress = Progress::Permille(1);
            assert_eq!(answers.progress(at(1), ONE, &progress), Err(AnswerError::Ended));
            assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::Ended));
            assert_empty(&mut answers);
        }
    }

    /// proto-spec: a copy is dropped while the call is open, and after.
    #[test]
    fn a_copy_of_a_request_opens_nothing() {
        let mut answers = attached();
        hear(&mut answers, request(ONE));
        hear(&mut answers, request(ONE));
        answers.answer(at(0), ONE, Bytes::new()).expect("open");
        hear(&mut answers, request(ONE));
        let opened = std::iter::from_fn(|| answers.poll_event()).count();
        assert_eq!((opened, answers.strays()), (1, 2));
        said(&mut answers);
        assert_empty(&mut answers);
    }

    /// proto-spec: the last 1024 endings are remembered, and no more.
    #[test]
    fn endings_are_remembered_up_to_a_bound() {
        let mut answers = attached();
        let end = |answers: &mut Answers, number| {
            let correlation = Correlation::from_wire(number);
            hear(answers, request(correlation));
            answers.answer(at(0), correlation, Bytes::new())
        };
        for number in 0..1024 {
            end(&mut answers, number).expect("new");
        }
        assert_eq!(end(&mut answers, 0), Err(AnswerError::Ended));
        end(&mut answers, 1024).expect("new");
        assert_eq!(end(&mut answers, 1), Err(AnswerError::Ended));
        assert_eq!(end(&mut answers, 0), Ok(()), "forgotten");
        assert_eq!(answers.memory.order.len(), answers.memory.calls.len());
    }

    /// proto-spec: the deadline.
    #[test]
    fn a_deadline_fails_the_call_and_stops_the_handler() {
        let mut answers = attached();
        hear(&mut answers, request(ONE));
        answers.poll_event();
        assert_eq!(answers.next_timeout(), Some(at(5)));
        answers.handle_timeout(Instant::from_nanos(at(5).as_nanos() - 1));
        assert_eq!(answers.poll_event(), None);
        answers.handle_timeout(at(5));
        assert_eq!(answers.poll_event(), Some(stop(ONE, Stop::Deadline)));
        assert_eq!(failure(&mut answers), ErrorCode::Deadline);
        assert_eq!(answers.answer(at(5), ONE, Bytes::new()), Err(AnswerError::Ended));
        assert_empty(&mut answers);
    }

    /// proto-spec: a request without a time has ten seconds; one without time left is not begun.
    #[test]
    fn a_request_has_the_time_it_says() {
        let mut answers = attached();
        hear(&mut answers, Heard { remaining: None, ..request(ONE) });
        assert_eq!(answers.next_timeout(), Some(at(10)));
        answers.poll_event();
        hear(&mut answers, Heard { remaining: Some(Duration::ZERO), ..request(TWO) });
        assert_eq!(answers.poll_event(), None);
        assert_eq!(failure(&mut answers), ErrorCode::Deadline);
    }

    /// proto-spec.
    #[test]
    fn a_call_too_many_is_refused_as_busy() {
        let mut answers = attached();
        let more = Correlation::from_wire(999);
        for number in 0..CALLS as u64 {
            hear(&mut answers, request(Correlation::from_wire(number)));
            assert!(answers.poll_event().is_some());
        }
        hear(&mut answers, request(more));
        assert_eq!(answers.poll_event(), None);
        assert_eq!(failure(&mut answers), ErrorCode::Busy);
        answers.answer(at(0), ONE, Bytes::new()).expect("open");
        said(&mut answers);
        hear(&mut answers, request(more));
        assert_eq!(answers.poll_event(), None, "it was answered");
        hear(&mut answers, request(Correlation::from_wire(1000)));
        assert!(answers.poll_event().is_some(), "there is room again");
    }

    /// proto-spec.
    #[test]
    fn a_withdrawn_call_gets_the_answer_its_handler_gives() {
        let mut answers = attached();
        hear(&mut answers, request(ONE));
        answers.poll_event();
        for _ in 0..2 {
            answers.handle_cancel(at(0), ONE, CancelReason::Unwanted);
        }
        let stopped = stop(ONE, Stop::Withdrawn(CancelReason::Unwanted));
        assert_eq!(answers.poll_event(), Some(stopped));
        assert_eq!((answers.poll_event(), answers.poll_output(at(0))), (None, None));
        answers.fail(at(0), ONE, &Failure::new(ErrorCode::Cancelled)).expect("owed");
        assert_eq!(failure(&mut answers), ErrorCode::Cancelled);
        answers.handle_cancel(at(0), ONE, CancelReason::Unwanted);
        assert_empty(&mut answers);
    }

    /// proto-spec.
    #[test]
    fn a_cancel_that_overtook_its_request_stops_it() {
        let mut answers = attached();
        answers.handle_cancel(at(0), ONE, CancelReason::Unwanted);
        hear(&mut answers, request(ONE));
        assert_eq!(failure(&mut answers), ErrorCode::Cancelled);
        assert_empty(&mut answers);
        hear(&mut answers, request(ONE));
        assert_eq!(answers.poll_output(at(0)), None, "it is answered once");
    }

    #[test]
    fn a_detach_ends_calls_without_a_number() {
        let mut answers = attached();
        hear(&mut answers, request(ONE));
        hear(&mut answers, numbered(TWO));
        hear(&mut answers, request(Correlation::from_wire(3)));
        answers.answer(at(0), Correlation::from_wire(3), Bytes::new()).expect("open");
        while answers.poll_event().is_some() {}
        answers.detached(at(1));
        assert_eq!(answers.poll_event(), Some(stop(ONE, Stop::Detached)));
        assert_eq!(answers.poll_event(), None);
        assert_eq!(answers.poll_output(at(1)), None, "nobody waits for it");
        answers.progress(at(1), TWO, &Progress::Permille(1)).expect("open");
        assert_eq!(answers.poll_output(at(1)), None, "progress does not wait");
        answers.answer(at(1), TWO, Bytes::new()).expect("open");
        assert_eq!(said(&mut answers).kind, Kind::Response);
        assert_empty(&mut answers);
    }

    #[test]
    fn a_caller_without_memory_is_not_answered() {
        let mut answers = attached();
        for correlation in [ONE, TWO] {
            hear(&mut answers, numbered(correlation));
            answers.poll_event();
        }
        answers.answer(at(0), TWO, Bytes::new()).expect("open");
        answers.caller_lost(at(0));
        assert_eq!(answers.poll_event(), Some(stop(ONE, Stop::CallerLost)));
        assert_empty(&mut answers);
        hear(&mut answers, request(ONE));
        assert_eq!(answers.poll_event(), Some(opened(ONE, Caller::WantsOne)));
    }

    #[test]
    fn progress_is_said_at_once_and_never_again() {
        let mut answers = attached();
        hear(&mut answers, numbered(ONE));
        answers.progress(at(0), ONE, &Progress::Permille(7)).expect("open");
        let say = said(&mut answers);
        assert_eq!((say.kind, say.reliability), (Kind::Progress, Reliability::BestEffort));
        assert_eq!(Progress::decode(&say.payload), Ok(Progress::Permille(7)));
    }

    #[test]
    fn who_wants_one_answer_gets_no_items() {
        let mut answers = attached();
        hear(&mut answers, request(ONE));
        assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::NotAStream));
        hear(&mut answers, demand(ONE, 1, 0, DemandMode::Note));
        assert_eq!(answers.strays(), 1);
    }

    /// proto-spec: the sender's half.
    #[test]
    fn no_item_goes_beyond_the_demand() {
        let mut answers = streaming(2, 0);
        offer(&mut answers, ONE, 2);
        assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::NoRoom));
        assert_eq!(offsets(&mut answers), [0, 1]);
        hear(&mut answers, demand(ONE, 1, 0, DemandMode::Note));
        assert_eq!(answers.poll_event(), None, "a demand never falls, nor does this one rise");
        hear(&mut answers, demand(ONE, 3, 1, DemandMode::Note));
        assert_eq!(answers.poll_event(), Some(AnswerEvent::Room { correlation: ONE }));
        offer(&mut answers, ONE, 1);
        assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::NoRoom));
        assert_eq!(offsets(&mut answers), [2]);
    }

    /// proto-spec: the sender's half.
    #[test]
    fn a_stream_goes_on_from_where_its_receiver_is() {
        let mut answers = streaming(8, 0);
        offer(&mut answers, ONE, 4);
        assert_eq!(offsets(&mut answers), [0, 1, 2, 3]);
        hear(&mut answers, demand(ONE, 8, 2, DemandMode::GoOn));
        assert_eq!(offsets(&mut answers), [2, 3]);
        hear(&mut answers, demand(ONE, 8, 3, DemandMode::Note));
        assert_eq!(offsets(&mut answers), [0; 0]);
        hear(&mut answers, demand(ONE, 8, 0, DemandMode::GoOn));
        assert_eq!(offsets(&mut answers), [3], "what has arrived is not kept");
        assert_eq!(answers.kept_bytes(), 1);
    }

    #[test]
    fn items_wait_for_a_transport() {
        let mut answers = streaming(8, 0);
        answers.detached(at(0));
        offer(&mut answers, ONE, 1);
        answers.answer(at(0), ONE, Bytes::new()).expect("open");
        assert_eq!(answers.poll_output(at(0)), None);
        answers.attached();
        assert_eq!(said(&mut answers).kind, Kind::Item);
        assert_eq!(said(&mut answers).kind, Kind::Response);
    }

    #[test]
    fn a_stream_ends_behind_its_items_and_lingers_until_they_arrived() {
        let mut answers = streaming(8, 0);
        offer(&mut answers, ONE, 2);
        answers.answer(at(0), ONE, Bytes::from_static(b"end")).expect("open");
        assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::Ended));
        assert_eq!(answers.answer(at(0), ONE, Bytes::new()), Err(AnswerError::Ended));
        assert_eq!((said(&mut answers).kind, said(&mut answers).kind), (Kind::Item, Kind::Item));
        let end = StreamEnd { count: 2, payload: Bytes::from_static(b"end") };
        let say = said(&mut answers);
        assert_eq!((say.kind, say.reliability), (Kind::Response, Reliability::Numbered));
        assert_eq!(StreamEnd::decode(&say.payload), Ok(end));
        hear(&mut answers, demand(ONE, 8, 1, DemandMode::GoOn));
        assert_eq!(offsets(&mut answers), [1]);
        assert_eq!(answers.open_calls(), 1);
        hear(&mut answers, demand(ONE, 8, 2, DemandMode::Note));
        assert_empty(&mut answers);
    }

    #[test]
    fn a_stream_whose_items_arrived_ends_at_once() {
        let mut answers = streaming(8, 3);
        offer(&mut answers, ONE, 1);
        assert_eq!(offsets(&mut answers), [3], "it begins where its receiver is");
        hear(&mut answers, demand(ONE, 8, 4, DemandMode::Note));
        answers.answer(at(0), ONE, Bytes::new()).expect("open");
        assert_eq!(StreamEnd::decode(&said(&mut answers).payload).map(|end| end.count), Ok(4));
        assert_empty(&mut answers);
    }

    /// A stream that its deadline or a CANCEL meets at its end still has one terminal answer.
    #[test]
    fn a_stream_that_is_late_or_withdrawn_at_its_end_is_answered_once() {
        type Close = fn(&mut Answers);
        let close: [(Close, ErrorCode); 2] = [
            (|answers| answers.handle_timeout(at(5)), ErrorCode::Deadline),
            (
                |answers| answers.handle_cancel(at(0), ONE, CancelReason::Unwanted),
                ErrorCode::Cancelled,
            ),
        ];
        for (close, code) in close {
            let mut answers = streaming(8, 0);
            offer(&mut answers, ONE, 1);
            answers.answer(at(0), ONE, Bytes::new()).expect("open");
            close(&mut answers);
            assert_eq!(failure(&mut answers), code, "the answer was not said yet");
            assert_empty(&mut answers);

            let mut answers = streaming(8, 0);
            offer(&mut answers, ONE, 1);
            answers.answer(at(0), ONE, Bytes::new()).expect("open");
            assert_eq!(
                (said(&mut answers).kind, said(&mut answers).kind),
                (Kind::Item, Kind::Response)
            );
            close(&mut answers);
            assert_empty(&mut answers);
        }
    }

    #[test]
    fn what_a_receiver_has_already_is_not_kept() {
        let mut answers = streaming(9, 0);
        hear(&mut answers, demand(ONE, 9, 2, DemandMode::Note));
        offer(&mut answers, ONE, 3);
        assert_eq!(offsets(&mut answers), [2]);
        hear(&mut answers, demand(ONE, u64::MAX, u64::MAX, DemandMode::GoOn));
        offer(&mut answers, ONE, 100);
        assert_eq!((offsets(&mut answers), answers.kept_bytes()), (vec![], 0));
    }

    #[test]
    fn the_items_kept_are_bounded() {
        let mut answers = streaming(u64::MAX, 0);
        offer(&mut answers, ONE, STREAM_ITEMS);
        assert_eq!(answers.item(ONE, Bytes::new()), Err(AnswerError::NoRoom));
        let large = Bytes::from(vec![0; STREAM_BYTES + 1]);
        let mut answers = streaming(u64::MAX, 0);
        answers.item(ONE, large.clone()).expect("it is alone");
        assert_eq!(answers.item(ONE, Bytes::from_static(b".")), Err(AnswerError::NoRoom));
        hear(&mut answers, demand(ONE, u64::MAX, 0, DemandMode::Note));
        assert_eq!(answers.poll_event(), None, "nothing was freed");
    }

    #[test]
    fn all_streams_together_are_bounded_and_wake_when_one_ends() {
        let mut answers = attached();
        let half = Bytes::from(vec![0; STREAM_BYTES / 2]);
        let fit = STREAMS_BYTES / half.len();
        let streams: Vec<_> = (1..=fit as u64 + 1).map(Correlation::from_wire).collect();
        for stream in &streams {
            hear(&mut answers, open_stream(*stream, u64::MAX, 0));
            answers.item(*stream, half.clone()).expect("it is alone");
            answers.poll_event();
        }
        assert_eq!(answers.item(ONE, half.clone()), Err(AnswerError::NoRoom));
        for stream in &streams[1..] {
            answers.fail(at(0), *stream, &Failure::new(ErrorCode::Internal)).expect("open");
        }
        assert_eq!(answers.poll_event(), Some(AnswerEvent::Room { correlation: ONE }));
        assert_eq!((answers.poll_event(), answers.kept_bytes()), (None, half.len()));
    }

    #[test]
    fn streams_take_turns() {
        let mut answers = streaming(8, 0);
        hear(&mut answers, open_stream(TWO, 8, 0));
        offer(&mut answers, ONE, 2);
        offer(&mut answers, TWO, 2);
        let turns: Vec<_> = (0..4).map(|_| said(&mut answers).subject).collect();
        let (one, two) = (Subject::Call(ONE), Subject::Call(TWO));
        assert_eq!(turns, [one, two, one, two]);
    }

    #[test]
    fn what_an_answerer_does_not_read_is_a_violation() {
        let mut answers = attached();
        for kind in [Kind::Response, Kind::Item, Kind::Failure, Kind::Command, Kind::Status] {
            let misplaced = answers.handle(at(0), &Heard { kind, ..request(ONE) });
            assert_eq!(misplaced, Err(Violation::Misplaced));
        }
        for kind in [Kind::Request(Shape::Stream), Kind::Demand] {
            let torn = answers.handle(at(0), &Heard { kind, ..request(ONE) });
            assert_eq!(torn, Err(Violation::Malformed(Malformed::Truncated)));
        }
        assert_empty(&mut answers);
    }

    fn at(secs: u64) -> Instant {
        Instant::from_nanos(secs * 1_000_000_000)
    }

    fn attached() -> Answers {
        let mut answers = Answers::new();
        answers.attached();
        answers
    }

    /// A stream called `ONE`.
    fn streaming(allowed: u64, from: u64) -> Answers {
        let mut answers = attached();
        hear(&mut answers, open_stream(ONE, allowed, from));
        assert_eq!(answers.poll_event(), Some(opened(ONE, Caller::WantsStream { from })));
        answers
    }

    fn request(correlation: Correlation) -> Heard {
        Heard {
            kind: Kind::Request(Shape::One),
            correlation,
            payload: Bytes::from_static(b"?"),
            class: Class::High,
            remaining: Some(Duration::from_secs(5)),
            reliability: Reliability::BestEffort,
        }
    }

    fn numbered(correlation: Correlation) -> Heard {
        Heard { reliability: Reliability::Numbered, ..request(correlation) }
    }

    fn open_stream(correlation: Correlation, allowed: u64, from: u64) -> Heard {
        let payload = Opening { allowed, from, payload: Bytes::from_static(b"?") }.encode();
        Heard { kind: Kind::Request(Shape::Stream), payload, ..numbered(correlation) }
    }

    fn demand(correlation: Correlation, allowed: u64, next: u64, mode: DemandMode) -> Heard {
        let payload = Demand { allowed, next, mode }.encode();
        Heard { kind: Kind::Demand, payload, ..request(correlation) }
    }

    fn hear(answers: &mut Answers, heard: Heard) {
        answers.handle(at(0), &heard).expect("well formed");
    }

    fn offer(answers: &mut Answers, correlation: Correlation, count: u64) {
        for _ in 0..count {
            answers.item(correlation, Bytes::from_static(b".")).expect("room");
        }
    }

    fn opened(correlation: Correlation, caller: Caller) -> AnswerEvent {
        let payload = Bytes::from_static(b"?");
        AnswerEvent::Opened { correlation, class: Class::High, deadline: at(5), caller, payload }
    }

    fn stop(correlation: Correlation, stop: Stop) -> AnswerEvent {
        AnswerEvent::Stop { correlation, stop }
    }

    fn said(answers: &mut Answers) -> Say {
        match answers.poll_output(at(1)) {
            Some(Output::Say(say)) => say,
            other => panic!("{other:?}"),
        }
    }

    fn failure(answers: &mut Answers) -> ErrorCode {
        let say = said(answers);
        assert_eq!(say.kind, Kind::Failure);
        Failure::decode(&say.payload).expect("well formed").code
    }

    fn offsets(answers: &mut Answers) -> Vec<u64> {
        let mut offsets = Vec::new();
        while let Some(output) = answers.poll_output(at(0)) {
            let Output::Say(say) = output else { panic!("{output:?}") };
            assert_eq!((say.kind, say.reliability), (Kind::Item, Reliability::BestEffort));
            offsets.push(Item::decode(&say.payload).expect("well formed").offset);
        }
        offsets
    }

    fn assert_empty(answers: &mut Answers) {
        assert_eq!((answers.open_calls(), answers.next_timeout()), (0, None));
        assert_eq!((answers.kept_bytes(), answers.ready.len(), answers.starved.len()), (0, 0, 0));
        assert_eq!((answers.poll_output(at(0)), answers.poll_event()), (None, None));
    }
}
