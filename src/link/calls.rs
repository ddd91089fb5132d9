//! Requests and answers of one link: what `call` says goes out as messages, and what arrives of its
//! kinds goes in. Knows no record.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::error::{LinkError, RequestError};
use super::event::{Event, Fate};
use super::life::Link;
use super::notices::Notice;
use super::reading::result;
use super::storing::{About, CallPart};
use crate::call::{
    AnswerError, AnswerEvent, Answers, Ask, CancelReason, Correlation, ErrorCode, Failure, Heard,
    Kind, Output, Progress, Reliability, Requests, Say, Shape, Subject,
};
use crate::channel::ChannelName;
use crate::delivery::inbox::{Key, PeerOutbox};
use crate::delivery::outbox::Doubt;
use crate::delivery::resume::Outcome;
use crate::delivery::word::Verdict;
use crate::priority::Class;
use crate::time::{Instant, Now};
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::Label;

/// The calls of both directions.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) requests: Requests,
    pub(super) answers: Answers,
    /// Where each request of this side goes.
    asked: BTreeMap<Correlation, ChannelName>,
    /// Numbers of the peer's requests, which count as handled when they are answered.
    keys: BTreeMap<Correlation, Key>,
    /// Channels of requests that open in this call.
    opening: Option<ChannelName>,
    /// What found no room.
    stalled: VecDeque<Say>,
}

impl Calls {
    /// `seed` is random: correlations of two processes behind one outbox differ by it.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            requests: Requests::new(seed.to_be_bytes()),
            answers: Answers::new(),
            asked: BTreeMap::new(),
            keys: BTreeMap::new(),
            opening: None,
            stalled: VecDeque::new(),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let due = [self.requests.next_timeout(), self.answers.next_timeout()];
        due.into_iter().flatten().min()
    }

    pub(super) fn detached(&mut self, now: Instant) {
        self.requests.detached();
        self.answers.detached(now);
        self.stalled.retain(|say| say.reliability != Reliability::BestEffort);
    }
}

impl Link {
    /// Asks the peer. The end is told once, by [`Event::Request`].
    ///
    /// # Errors
    ///
    /// [`RequestError`] says why not; nothing follows.
    pub(crate) fn request(
        &mut self,
        now: Now,
        channel: ChannelName,
        ask: Ask,
    ) -> Result<Correlation, RequestError> {
        if !self.takes_messages() {
            return Err(RequestError::Closed);
        }
        self.check_border(&channel)?;
        // Kind, flags, name, correlation, and what stands in front of a stream's request.
        let bytes = ask.payload.len() + channel.as_str().len() + 27;
        let largest = self.largest();
        if bytes > largest {
            return Err(RequestError::TooLarge(bytes, largest));
        }
        let correlation = self.calls.requests.ask(now.instant, ask)?;
        self.calls.asked.insert(correlation, channel);
        self.move_calls(now);
        Ok(correlation)
    }

    /// Withdraws a request. Its end is still told.
    pub(crate) fn cancel(&mut self, now: Now, correlation: Correlation) {
        self.calls.requests.cancel(correlation);
        self.move_calls(now);
    }

    /// Lets the sender of a stream send items below the offset `allowed`.
    pub(crate) fn allow(&mut self, now: Now, correlation: Correlation, allowed: u64) {
        self.calls.requests.allow(now.instant, correlation, allowed);
        self.move_calls(now);
    }

    /// Whether an answer with such a payload is one that the peer takes: with kind, flags, correlation and
    /// the place in a stream.
    fn answer_fits(&self, payload: &Bytes) -> bool {
        payload.len() + 18 <= self.largest()
    }

    /// Answers a call of the peer, for the last time. One that is larger than the peer takes becomes a
    /// failure, which says so.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Ended`] if it had its last answer, or was stopped.
    pub(crate) fn answer(
        &mut self,
        now: Now,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        let answered = if self.answer_fits(&payload) {
            self.calls.answers.answer(now.instant, correlation, payload)
        } else {
            let failure = Failure::new(ErrorCode::TooLarge);
            self.calls.answers.fail(now.instant, correlation, &failure)
        };
        self.move_calls(now);
        answered
    }

    /// Answers a call of the peer with a failure, for the last time.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`].
    pub(crate) fn fail(
        &mut self,
        now: Now,
        correlation: Correlation,
        failure: &Failure,
    ) -> Result<(), AnswerError> {
        let answered = self.calls.answers.fail(now.instant, correlation, failure);
        self.move_calls(now);
        answered
    }

    /// Says how far the work on a call is. What is larger than the peer takes is not said.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`].
    pub(crate) fn progress(
        &mut self,
        now: Now,
        correlation: Correlation,
        progress: &Progress,
    ) -> Result<(), AnswerError> {
        // A word on the way is not worth an end: what the peer does not take is left out.
        if let Progress::Payload(payload) = progress
            && !self.answer_fits(payload)
        {
            return Ok(());
        }
        let answered = self.calls.answers.progress(now.instant, correlation, progress);
        self.move_calls(now);
        answered
    }

    /// Offers the next item of a stream.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; after [`AnswerError::NoRoom`] an event says when there is room.
    /// [`AnswerError::TooLarge`] if the peer takes none so large.
    pub(crate) fn item(
        &mut self,
        now: Now,
        correlation: Correlation,
        payload: Bytes,
    ) -> Result<(), AnswerError> {
        if !self.answer_fits(&payload) {
            return Err(AnswerError::TooLarge);
        }
        let offered = self.calls.answers.item(correlation, payload);
        self.move_calls(now);
        offered
    }

    /// A session goes on, or begins anew for a side that lost its memory.
    pub(super) fn resume_calls(&mut self, now: Now, outcome: &Outcome, peer: PeerOutbox) {
        if peer == PeerOutbox::Reset {
            self.calls.answers.caller_lost(now.instant);
            self.calls.keys.clear();
            self.calls.stalled.retain(|say| matches!(say.kind, Kind::Request(_)));
            let is_answer = |about: &About| matches!(about, About::Call(_, CallPart::Answer));
            self.outbound.withdraw(now.instant, is_answer);
        }
        self.calls.answers.attached();
        match outcome {
            Outcome::PeerStateLost { .. } => self.calls.requests.attached_anew(now.instant),
            Outcome::FirstContact | Outcome::Resumed { .. } => {
                self.calls.requests.attached(now.instant)
            }
        }
        self.resume_commands(now, outcome);
        self.move_calls(now);
    }

    /// Does what is due.
    pub(super) fn time_calls(&mut self, now: Now) {
        self.calls.requests.handle_timeout(now.instant);
        self.calls.answers.handle_timeout(now.instant);
        self.commands.handle_timeout(now);
        self.move_calls(now);
    }

    /// Moves what calls have to say towards the peer, and what happened to the application.
    pub(super) fn move_calls(&mut self, now: Now) {
        while let Some((correlation, part, fate)) = self.outbound.call_fates.pop_front() {
            self.heed_fate(correlation, part, fate);
        }
        while let Some(say) = self.calls.stalled.pop_front() {
            if let Err(say) = self.say(now, say) {
                self.calls.stalled.push_front(say);
                break;
            }
        }
        while self.calls.stalled.is_empty()
            && let Some(output) = self
                .calls
                .requests
                .poll_output()
                .or_else(|| self.calls.answers.poll_output(now.instant))
        {
            match output {
                Output::Cancel(cancel) => self.notices.push(Notice::Cancel {
                    correlation: cancel.correlation.to_wire(),
                    reason: cancel.reason.to_u16(),
                }),
                Output::Say(say) => {
                    self.close_key(now, &say);
                    if let Err(say) = self.say(now, say) {
                        self.calls.stalled.push_back(say);
                    }
                }
            }
        }
        while let Some(event) = self.calls.requests.poll_event() {
            if let crate::call::RequestEvent::Ended { correlation, .. } = &event {
                self.calls.asked.remove(correlation);
            }
            self.events.push_back(Event::Request(event));
        }
        while let Some(event) = self.calls.answers.poll_event() {
            let channel = match &event {
                AnswerEvent::Opened { .. } => self.calls.opening.take(),
                _ => None,
            };
            self.events.push_back(Event::Call { channel, event });
        }
        self.move_commands(now);
    }

    /// The last answer to a numbered request: its number is handled.
    fn close_key(&mut self, now: Now, say: &Say) {
        if let (Kind::Response | Kind::Failure, Subject::Call(correlation)) =
            (say.kind, say.subject)
            && let Some(key) = self.calls.keys.remove(&correlation)
        {
            self.inbound.inbox.handled(now.instant, key);
        }
    }

    fn heed_fate(&mut self, correlation: Correlation, part: CallPart, fate: Fate) {
        if part == CallPart::Answer
            && let Fate::Refused(Verdict { code: result::TOO_LARGE, .. }) = fate
        {
            // It was offered to an earlier session, whose peer took more.
            let payload = Failure::new(ErrorCode::TooLarge).encode();
            self.calls.stalled.push_back(Say {
                kind: Kind::Failure,
                subject: Subject::Call(correlation),
                payload,
                class: Class::Normal,
                ttl: None,
                reliability: Reliability::Numbered,
            });
        }
        if part != CallPart::Request {
            return;
        }
        let requests = &mut self.calls.requests;
        match fate {
            Fate::Sent => requests.sent(correlation),
            // The answer tells, or the session that follows.
            Fate::Handled | Fate::InDoubt => {}
            Fate::Expired(_) => requests.undelivered(correlation, ErrorCode::Deadline),
            Fate::Undeliverable => requests.undelivered(correlation, ErrorCode::InDoubt),
            Fate::Dropped => requests.undelivered(correlation, ErrorCode::Busy),
            Fate::NoSubscriber => requests.undelivered(correlation, ErrorCode::NoHandler),
            Fate::Refused(verdict) => requests.undelivered(correlation, judge(verdict)),
        }
    }

    /// Puts a content where it waits to be sent. Gives it back if there is no room.
    fn say(&mut self, now: Now, say: Say) -> Result<(), Say> {
        let Subject::Call(correlation) = say.subject else { return Ok(()) };
        let (kind, part) = match say.kind {
            Kind::Request(_) => (ContentKind::Request, CallPart::Request),
            Kind::Response => (ContentKind::Response, CallPart::Answer),
            Kind::Item => (ContentKind::Item, CallPart::Answer),
            Kind::Progress => (ContentKind::Progress, CallPart::Answer),
            Kind::Failure => (ContentKind::Failure, CallPart::Answer),
            Kind::Demand => (ContentKind::Demand, CallPart::Demand),
            Kind::Command | Kind::Status => return Ok(()),
        };
        let channel = match part {
            // One that ended meanwhile is not asked any more.
            CallPart::Request => match self.calls.asked.get(&correlation) {
                Some(channel) => Some(channel.clone()),
                None => return Ok(()),
            },
            CallPart::Answer | CallPart::Demand => None,
        };
        let mut content = BytesMut::with_capacity(say.payload.len() + 64);
        Content {
            kind,
            channel: channel.as_ref().map(|name| ChannelRef::Name(name.as_str().as_bytes())),
            correlation: Some(correlation.to_wire()),
            headers: None,
            stream: say.kind == Kind::Request(Shape::Stream),
            payload: &say.payload,
        }
        .encode(&mut content);
        let (content, about) = (content.freeze(), About::Call(correlation, part));
        let expires = say.ttl.map(|span| now.instant.after(span));
        let taken = match say.reliability {
            Reliability::BestEffort => {
                let events = &mut self.events;
                self.outbound.offer(now.instant, say.class, about, content, expires, events)
            }
            // What the peer's new inbox is to hear is said anew, with the request.
            Reliability::Numbered | Reliability::Durable => {
                self.outbound.insert(say.class, about, content, expires, Doubt::Surface)
            }
        };
        if taken.is_some() { Ok(()) } else { Err(say) }
    }

    /// A content of a call arrived, and is new.
    pub(super) fn read_call(
        &mut self,
        now: Now,
        label: &Label,
        key: Option<Key>,
        channel: Option<ChannelName>,
        read: &Content<'_>,
        payload: Bytes,
    ) -> Result<(), LinkError> {
        let kind = match (read.kind, read.stream) {
            (ContentKind::Request, true) => Kind::Request(Shape::Stream),
            (ContentKind::Request, false) => Kind::Request(Shape::One),
            (ContentKind::Response, _) => Kind::Response,
            (ContentKind::Item, _) => Kind::Item,
            (ContentKind::Progress, _) => Kind::Progress,
            (ContentKind::Failure, _) => Kind::Failure,
            (ContentKind::Demand, _) => Kind::Demand,
            (ContentKind::Event | ContentKind::Command | ContentKind::Status, _) => return Ok(()),
        };
        let Some(correlation) = read.correlation.map(Correlation::from_wire) else { return Ok(()) };
        let millis = |ms| Duration::from_millis(u64::from(ms));
        let heard = Heard {
            kind,
            correlation,
            payload,
            class: label.class,
            remaining: label.ttl_ms.map(millis),
            reliability: key.map_or(Reliability::BestEffort, |_| Reliability::Numbered),
        };
        match kind {
            Kind::Request(_) => {
                self.calls.opening = channel;
                let was_open = self.calls.answers.is_open(correlation);
                self.calls.answers.handle(now.instant, &heard)?;
                let opens = !was_open && self.calls.answers.is_open(correlation);
                match key {
                    Some(key) if opens => {
                        self.calls.keys.insert(correlation, key);
                    }
                    Some(key) => {
                        self.inbound.inbox.handled(now.instant, key);
                    }
                    None => {}
                }
            }
            Kind::Demand => self.calls.answers.handle(now.instant, &heard)?,
            _ => {
                self.calls.requests.handle(now.instant, &heard)?;
                if let Some(key) = key {
                    self.inbound.inbox.handled(now.instant, key);
                }
            }
        }
        self.move_calls(now);
        self.calls.opening = None;
        Ok(())
    }

    /// A request without a number that is not allowed: its caller waits for a word.
    pub(super) fn refuse_request(&mut self, now: Now, label: &Label, correlation: u64) {
        let say = Say {
            kind: Kind::Failure,
            subject: Subject::Call(Correlation::from_wire(correlation)),
            payload: Failure::new(ErrorCode::Refused).encode(),
            class: label.class,
            ttl: None,
            reliability: Reliability::BestEffort,
        };
        // Without room the caller's deadline tells it.
        let _ = self.say(now, say);
    }

    pub(super) fn read_cancel(&mut self, now: Now, correlation: u64, reason: u16) {
        let correlation = Correlation::from_wire(correlation);
        let reason = CancelReason::from_u16(reason);
        self.calls.answers.handle_cancel(now.instant, correlation, reason);
        self.move_calls(now);
    }
}

/// Why a message of a call was refused, as a failure says it.
pub(super) fn judge(verdict: Verdict) -> ErrorCode {
    match verdict.code {
        result::UNAUTHORIZED | result::BAD_CHANNEL => ErrorCode::Refused,
        result::TOO_LARGE => ErrorCode::TooLarge,
        result::EXPIRED => ErrorCode::Deadline,
        _ => ErrorCode::NoHandler,
    }
}
