//! What an application hears, and whether it may.

use bytes::Bytes;

use super::cast::cast;
use super::end::{Work, channel};
use super::world::{World, note};
use crate::call::{AnswerEvent, Caller, ErrorCode, Outcome, RequestEvent};
use crate::delivery::inbox::PeerOutbox;
use crate::delivery::resume;
use crate::link::{Delivery, Event, Resumption};
use crate::session;

/// The number that a payload begins with.
pub(super) fn id_of(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

impl World {
    pub(super) fn hear(&mut self, end: usize, event: Event) {
        match event {
            Event::Message(delivery) => self.hear_message(end, delivery),
            Event::Settled(own, fate) => {
                let Some(id) = self.ends[end].ids.remove(&own) else {
                    let again = self.ends[end].told.remove(&own);
                    assert!(again, "end {end} hears twice what became of {own:?}: {fate:?}");
                    return;
                };
                note!(self, "end {end} learns that {id} is {fate:?}");
                let receiver = &self.processes[self.process_of(end ^ 1)];
                let lost = receiver.rows.is_none() && receiver.life > 0;
                let now = self.clock(end).instant;
                self.ledger.settle(id, fate, now, lost);
            }
            Event::Stored(own) => {
                if let Some(id) = self.ends[end].ids.get(&own) {
                    self.ledger.message(*id).is_stored = true;
                }
            }
            Event::Resumed(resumption) => self.hear_resumed(end, &resumption),
            Event::Detached(cause) => {
                note!(self, "end {end} is detached: {cause:?}");
                let over = self.ends[end].attaches.pop_front();
                assert!(over.is_some(), "end {end} is detached without a session");
                self.ends[end].order.clear();
            }
            Event::Session(event) => self.hear_session(end, event),
            Event::Request(event) => self.hear_request(end, event),
            Event::Call { channel: asked, event } => match event {
                AnswerEvent::Opened { correlation, caller, payload, .. } => {
                    let expected = channel(end / 2, 1 - end % 2, "policies");
                    assert_eq!(asked, Some(expected), "a call comes on its channel");
                    let offset = match caller {
                        Caller::WantsOne => None,
                        Caller::WantsStream { from } => Some(from),
                    };
                    note!(self, "end {end} is asked {:?}", id_of(&payload));
                    self.ends[end].calls.push(Work { correlation, payload, offset });
                }
                AnswerEvent::Stop { .. } | AnswerEvent::Room { .. } => {}
            },
            Event::Command(event) => self.hear_command(end, event),
            Event::Run { channel, event } => self.hear_run(end, channel, event),
            other => note!(self, "end {end} {other:?}"),
        }
    }

    fn hear_message(&mut self, end: usize, delivery: Delivery) {
        let text = delivery.headers.as_ref().unwrap_or(&delivery.payload);
        let Some(id) = id_of(text) else { unreachable!("a message without an id") };
        note!(self, "end {end} gets {id} {:?} again {}", delivery.class, delivery.again);
        let message = self.ledger.message(id);
        assert_eq!(message.from, end ^ 1, "{id} is not for end {end}");
        assert_eq!(message.bytes, delivery.payload.len(), "{id} lost or won bytes");
        assert_eq!(message.is_numbered, delivery.key.is_some(), "{id} changed its kind");
        let it = &mut self.ends[end];
        for subscription in delivery.subscriptions.iter() {
            let pattern = it.patterns.get(subscription);
            let wanted = pattern.is_some_and(|pattern| pattern.matches(&delivery.channel));
            assert!(wanted, "{id} comes to a subscription that did not ask for it");
        }
        if let Some((_, last)) = self.urgency.as_mut().filter(|(of, _)| *of == end) {
            assert!(*last <= delivery.class, "{id} of {:?} comes behind {last:?}", delivery.class);
            *last = delivery.class;
        }
        let number = delivery.key.map_or(id, |key| key.number);
        let key = (delivery.key.is_some(), delivery.class, delivery.channel.clone());
        let before = it.order.insert(key, number);
        assert!(before < Some(number), "{id} overtakes {before:?}");
        // Else it is taken when it is handled.
        if self.dice.once_in(2) {
            self.ends[end].taken(&delivery);
        }
        self.ends[end].working.push(delivery);
    }

    /// What one side lost is announced to the other.
    fn hear_resumed(&mut self, end: usize, resumption: &Resumption) {
        note!(self, "end {end} resumes: {:?}, {:?}", resumption.outcome, resumption.peer_outbox);
        let it = &mut self.ends[end];
        let conn = it.attaches.front().map_or(0, |attached| attached.conn);
        let Some((outbox, inbox)) = self.said.get(&(conn, 1 - it.side)).copied() else {
            unreachable!("a session has two ends")
        };
        let known = std::mem::replace(&mut it.known, (Some(inbox), Some(outbox)));
        let fits = match (&resumption.outcome, known.0) {
            (resume::Outcome::FirstContact, before) => before.is_none(),
            (resume::Outcome::Resumed { .. }, before) => before == Some(inbox),
            (resume::Outcome::PeerStateLost { .. }, before) => {
                before.is_some_and(|before| before != inbox)
            }
        };
        assert!(fits, "end {end} knew {:?}, meets {inbox:?}", known.0);
        let fits = match (resumption.peer_outbox, known.1) {
            (PeerOutbox::First, before) => before.is_none(),
            (PeerOutbox::Same, before) => before == Some(outbox),
            (PeerOutbox::Reset, before) => before.is_some_and(|before| before != outbox),
        };
        assert!(fits, "end {end} knew {:?}, hears of {outbox:?}", known.1);
    }

    fn hear_session(&mut self, end: usize, event: session::Event) {
        let attached = self.ends[end].attaches.front().copied();
        match event {
            session::Event::WantsSeed => {
                let clock = self.clock(end);
                self.ends[end].provide_seed(clock);
            }
            session::Event::Accepted { .. } => {
                let dialer = &mut self.dialers[end / 2];
                if attached.is_some_and(|attached| attached.conn == dialer.chain_of) {
                    dialer.chain = dialer.chain.take().map(|chain| chain.promoted());
                }
            }
            session::Event::Confirmed => {
                if let Some(generation) = attached.and_then(|attached| attached.generation) {
                    cast().confirm(end / 2, generation, &mut self.book);
                }
            }
            session::Event::RekeyFailed(error) => {
                unreachable!("honest ends agree on keys: {error}")
            }
            other => note!(self, "end {end} session {other:?}"),
        }
    }

    fn hear_request(&mut self, end: usize, event: RequestEvent) {
        match event {
            RequestEvent::Item { correlation, offset, payload } => {
                let clock = self.clock(end);
                let Some(asked) = self.ends[end].asked.get_mut(&correlation) else {
                    unreachable!("an item of a stream that ended")
                };
                assert_eq!(asked.next, offset, "a stream has a gap, or turns back");
                assert_eq!(id_of(&payload), Some(asked.id), "an item of another stream");
                asked.next += 1;
                let allowed = asked.next + 2;
                self.ends[end].allow(clock, correlation, allowed);
            }
            RequestEvent::Progress { .. } => {}
            RequestEvent::Ended { correlation, outcome } => {
                let Some(asked) = self.ends[end].asked.remove(&correlation) else {
                    unreachable!("a request ends once, and {correlation:?} did: {outcome:?}")
                };
                note!(self, "end {end} asked {}: {outcome:?}", asked.id);
                self.check_outcome(asked.id, asked.is_stream, &outcome);
            }
        }
    }

    fn check_outcome(&self, id: u64, is_stream: bool, outcome: &Outcome) {
        let payload: Option<&Bytes> = match outcome {
            Outcome::Answered(payload) => Some(payload),
            Outcome::Failed(failure) => {
                let is_known = matches!(
                    failure.code,
                    ErrorCode::Deadline
                        | ErrorCode::Detached
                        | ErrorCode::InDoubt
                        | ErrorCode::Cancelled
                        | ErrorCode::Busy
                        | ErrorCode::Application(7)
                );
                assert!(is_known, "{id} fails by {:?}", failure.code);
                None
            }
        };
        if let Some(payload) = payload {
            assert_eq!(id_of(payload), Some(id), "an answer to another request, {is_stream}");
        }
    }
}
