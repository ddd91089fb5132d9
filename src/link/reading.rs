//! What the frames of a record do. RESUME comes first; what breaks a rule ends the session.

use bytes::Bytes;

use super::error::LinkError;
use super::event::{ChannelChange, Delivery, Event, MessageKey, Resumption, State};
use super::inbound::{Begun, Inbound};
use super::life::{Link, Stage};
use super::notices::Notice;
use crate::call::Violation;
use crate::channel::{ChannelCode, ChannelName, Party};
use crate::delivery::credit::{Amount, Scope};
use crate::delivery::inbox::{Arrival, PeerOutbox};
use crate::delivery::per_class::PerClass;
use crate::delivery::ranges::Numbers;
use crate::delivery::reassembly::End;
use crate::delivery::resume::{self, resumption};
use crate::delivery::word::{Epoch, Verdict};
use crate::ids::{PeerId, Role};
use crate::limits::{ALIASES, LINK_DATAGRAMS};
use crate::priority::Class;
use crate::session::{Peer, UpperFrame, UpperFrames};
use crate::time::Now;
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::{self, Label, Level, LinkFrame};
use crate::wire::{FrameKind, Malformed};

/// Why a message was not handled (proto-spec 9.5).
pub(crate) mod result {
    pub(crate) const BAD_CHANNEL: u16 = 1;
    pub(crate) const EXPIRED: u16 = 2;
    pub(crate) const REJECTED: u16 = 3;
    pub(crate) const UNAUTHORIZED: u16 = 4;
    pub(crate) const NO_SUBSCRIBER: u16 = 5;
    pub(crate) const TOO_LARGE: u16 = 6;
    pub(crate) const CONFLICT: u16 = 7;
    pub(crate) const DISABLED: u16 = 8;
}

/// What of a record tells how soon its sender wants an answer.
#[derive(Default)]
struct Tally {
    numbered: u32,
    last: Option<Class>,
    pieces: bool,
}

impl Link {
    pub(super) fn read_frames(&mut self, now: Now, frames: UpperFrames) -> Result<(), LinkError> {
        let mut tally = Tally::default();
        for UpperFrame { kind, flags, body } in frames {
            if kind == FrameKind::Datagram as u8 {
                if self.datagrams < LINK_DATAGRAMS {
                    self.datagrams += 1;
                    self.events.push_back(Event::Datagram(body));
                }
                continue;
            }
            let Some(frame) = LinkFrame::decode(kind, flags, &body) else { continue };
            let frame = frame?;
            match (&frame, self.stage) {
                (LinkFrame::Resume(_), Stage::Heard) => return Err(LinkError::Resume),
                (LinkFrame::Resume(resume), _) => self.read_resume(now, resume)?,
                (_, Stage::Heard) => self.read_frame(now, &body, frame, &mut tally)?,
                _ => return Err(LinkError::NoResume),
            }
        }
        // A message that comes alone has a sender who waits, and pieces keep a path measured.
        if let Tally { numbered: 1, last: Some(class), pieces } = tally {
            let level = if pieces { Level::Received } else { Level::Handled };
            self.inbound.inbox.hurry(class, level);
        }
        Ok(())
    }

    fn read_resume(&mut self, now: Now, theirs: &message::Resume<'_>) -> Result<(), LinkError> {
        let [critical, high, normal, low] = theirs.handled;
        let mut handled = PerClass::default();
        for (class, wire) in [
            (Class::Critical, critical),
            (Class::High, high),
            (Class::Normal, normal),
            (Class::Low, low),
        ] {
            *handled.get_mut(class) = numbers(&wire)?;
        }
        self.outbound.peer_bytes = usize::try_from(theirs.message_bytes).unwrap_or(usize::MAX);
        let theirs = resume::Resume {
            outbox: Epoch::from_bytes(theirs.outbox).ok_or(LinkError::Resume)?,
            inbox: Epoch::from_bytes(theirs.inbox).ok_or(LinkError::Resume)?,
            known: Epoch::from_bytes(theirs.known),
            handled,
        };
        let resumption = resumption(&mut self.outbound.outbox, &mut self.inbound.inbox, &theirs)?;
        if resumption.peer_outbox == PeerOutbox::Reset {
            self.inbound.forget_numbers();
        }
        self.stage = Stage::Heard;
        let resume::Resumption { outcome, peer_outbox } = resumption;
        self.outbound.drain(now.instant, &mut self.events);
        self.resume_calls(now, &outcome, peer_outbox);
        self.events.push_back(Event::Resumed(Resumption { outcome, peer_outbox }));
        if self.state == State::Connecting {
            self.enter(State::Connected);
        }
        Ok(())
    }

    fn read_frame(
        &mut self,
        now: Now,
        body: &Bytes,
        frame: LinkFrame<'_>,
        tally: &mut Tally,
    ) -> Result<(), LinkError> {
        match frame {
            LinkFrame::Message { label, content } => {
                let begun = Begun { label, as_of: self.subscriptions.clock() };
                self.read_content(now, begun, &body.slice_ref(content), tally)?;
            }
            LinkFrame::FirstChunk { label, total, last, data } => {
                tally.pieces = true;
                let begun = Begun { label, as_of: self.subscriptions.clock() };
                let reassembly = &mut self.inbound.reassembly;
                let whole = reassembly.begin(label.class, begun, total, data, end(last))?;
                if let Some((begun, content)) = whole {
                    self.read_content(now, begun, &content, tally)?;
                }
            }
            LinkFrame::NextChunk { class, offset, last, data } => {
                tally.pieces = true;
                let whole = self.inbound.reassembly.extend(class, offset, data, end(last))?;
                if let Some((begun, content)) = whole {
                    self.read_content(now, begun, &content, tally)?;
                }
            }
            LinkFrame::Ack { class, level, numbers: wire } => {
                self.outbound.outbox.on_ack(class, level, &numbers(&wire)?)?;
                self.outbound.drain(now.instant, &mut self.events);
            }
            LinkFrame::Outcome { class, number, code, detail } => {
                self.outbound.outbox.on_result(class, number, Verdict { code, detail })?;
                self.outbound.drain(now.instant, &mut self.events);
            }
            LinkFrame::Void { class, first, last } => {
                self.inbound.inbox.void(now.instant, class, first, last)?;
            }
            LinkFrame::Credit { class, messages, bytes } => {
                let total = Amount { messages, bytes };
                self.outbound.allowances.grant(Scope::Class(class), total)?;
            }
            LinkFrame::SubscriptionCredit { subscription, messages, bytes } => {
                let scope = Scope::Subscription(subscription);
                self.outbound.allowances.grant(scope, Amount { messages, bytes })?;
                self.outbound.unpark(subscription, &self.subscriptions);
            }
            LinkFrame::Subscribe { subscription, messages, bytes, pattern } => {
                let code = self.read_subscribe(subscription, pattern)?;
                if code.is_done() {
                    let total = Amount { messages, bytes };
                    self.outbound.allowances.subscribe(subscription, total)?;
                }
                let code = code.to_u16();
                self.notices.answer(Notice::Subscribed { subscription, code })?;
            }
            LinkFrame::Unsubscribe { subscription } => {
                self.subscriptions.peer_unsubscribes(subscription);
                self.outbound.allowances.unsubscribe(subscription);
                self.outbound.unpark_all();
            }
            LinkFrame::Subscribed { subscription, code } => {
                let code = ChannelCode::from_u16(code);
                if self.subscriptions.answered(subscription, code) {
                    self.events.push_back(Event::Subscribed { subscription, code });
                }
            }
            LinkFrame::Name { alias, name } => self.read_name(alias, name)?,
            LinkFrame::Cancel { correlation, reason } => {
                self.read_cancel(now, correlation, reason);
            }
            LinkFrame::ChannelDone { request, code } => {
                let code = ChannelCode::from_u16(code);
                self.events.push_back(Event::Managed { request, code });
            }
            LinkFrame::Channel { request, op, name } => self.read_manage(request, op, name)?,
            LinkFrame::Resume(_) => return Err(LinkError::Resume),
        }
        Ok(())
    }

    fn read_subscribe(
        &mut self,
        subscription: u32,
        pattern: &[u8],
    ) -> Result<ChannelCode, LinkError> {
        let session = self.session.as_ref().ok_or(LinkError::Detached)?;
        let party = party(session.peer(), &self.config.who.id);
        let policy = &self.config.policy;
        Ok(self.subscriptions.peer_subscribes(subscription, pattern, &party, policy))
    }

    fn read_manage(&mut self, request: u32, op: u8, name: &[u8]) -> Result<(), LinkError> {
        let change = ChannelChange::from_u8(op).ok_or(Malformed::Value("op"))?;
        let session = self.session.as_ref().ok_or(LinkError::Detached)?;
        let party = party(session.peer(), &self.config.who.id);
        let refusal = match ChannelName::decode(name) {
            Err(error) => ChannelCode::from(&error),
            Ok(channel) => match self.config.policy.may_manage(&party, &channel) {
                Err(error) => ChannelCode::from(&error),
                Ok(()) => {
                    self.events.push_back(Event::Manage { request, change, channel });
                    return Ok(());
                }
            },
        };
        self.notices.answer(Notice::Managed { request, code: refusal.to_u16() })
    }

    fn read_name(&mut self, alias: u32, name: &[u8]) -> Result<(), LinkError> {
        let aliases = &mut self.inbound.aliases;
        if aliases.contains_key(&alias) || aliases.len() >= ALIASES {
            return Err(LinkError::Alias);
        }
        let name = ChannelName::decode(name).map_err(|_| LinkError::Alias)?;
        aliases.insert(alias, name);
        Ok(())
    }

    /// A message arrived whole.
    fn read_content(
        &mut self,
        now: Now,
        begun: Begun,
        content: &Bytes,
        tally: &mut Tally,
    ) -> Result<(), LinkError> {
        let Begun { label: Label { class, number, again, ttl_ms }, as_of } = begun;
        if number.is_some() {
            tally.numbered += 1;
            tally.last = Some(class);
        }
        let bytes = content.len();
        let read = Content::decode(content)?;
        if matches!(read.kind, ContentKind::Command | ContentKind::Status) && number.is_none() {
            return Err(Violation::Misplaced.into());
        }
        let channel = match read.channel {
            Some(ChannelRef::Name(name)) => self.inbound.name(name),
            Some(ChannelRef::Alias(alias)) => {
                Some(self.inbound.aliases.get(&alias).cloned().ok_or(LinkError::Alias)?)
            }
            None => None,
        };
        let subscriptions = match (&channel, read.kind) {
            (Some(channel), ContentKind::Event) => self.subscriptions.hearing(channel, as_of),
            _ => Vec::new(),
        };
        self.inbound.arrive(class, &subscriptions, bytes)?;
        let key = match number {
            None => None,
            Some(number) => {
                let hash = Inbound::hash(content);
                match self.inbound.inbox.receive(now.instant, class, number, hash)? {
                    Arrival::New(key) => Some(key),
                    Arrival::Duplicate(_) | Arrival::NoRoom => {
                        let notices = &mut self.notices;
                        self.inbound.give_back(class, &subscriptions, bytes, notices);
                        return Ok(());
                    }
                    Arrival::Conflict => {
                        let notices = &mut self.notices;
                        self.inbound.give_back(class, &subscriptions, bytes, notices);
                        let code = result::CONFLICT;
                        return self.notices.answer(Notice::Result { class, number, code });
                    }
                }
            }
        };
        let kind = read.kind;
        let refusal = match &channel {
            None if read.channel.is_some() => Some(result::BAD_CHANNEL),
            Some(channel) if !self.may_publish(channel) => Some(result::UNAUTHORIZED),
            _ if kind == ContentKind::Event && subscriptions.is_empty() => {
                Some(result::NO_SUBSCRIBER)
            }
            _ => None,
        };
        if let Some(code) = refusal {
            self.inbound.give_back(class, &subscriptions, bytes, &mut self.notices);
            match (key, read.correlation) {
                (Some(key), _) => {
                    self.inbound.inbox.refused(key, Verdict { code, detail: 0 });
                }
                (None, Some(correlation)) if kind == ContentKind::Request => {
                    self.refuse_request(now, &begun.label, correlation);
                }
                (None, _) => {}
            }
            return Ok(());
        }
        let payload = content.slice_ref(read.payload);
        let channel = match (kind, channel) {
            (ContentKind::Event, Some(channel)) => channel,
            (ContentKind::Command | ContentKind::Status, channel) => {
                self.inbound.owe(class, bytes);
                return self.read_command(now, &begun.label, key, channel, kind, payload);
            }
            (_, channel) => {
                self.inbound.owe(class, bytes);
                return self.read_call(now, &begun.label, key, channel, &read, payload);
            }
        };
        let outbox = self.inbound.inbox.peer();
        let id = self.inbound.hold(key, class, &subscriptions, bytes);
        let key = number.zip(outbox).map(|(number, outbox)| MessageKey { outbox, class, number });
        let span = |ms| std::time::Duration::from_millis(u64::from(ms));
        self.events.push_back(Event::Message(Delivery {
            id,
            subscriptions,
            channel,
            class,
            headers: read.headers.map(|headers| content.slice_ref(headers)),
            payload,
            expires: ttl_ms.map(|ms| now.instant.after(span(ms))),
            key,
            again,
        }));
        Ok(())
    }

    /// Whether the peer, as it was proven, may publish there.
    fn may_publish(&self, channel: &ChannelName) -> bool {
        self.session.as_ref().is_some_and(|session| {
            let party = party(session.peer(), &self.config.who.id);
            self.config.policy.may_publish(&party, channel).is_ok()
        })
    }
}

/// The peer as its session proved it. The agent of the link is one of the two.
fn party<'a>(peer: &'a Peer, own: &'a PeerId) -> Party<'a> {
    match peer.role {
        Role::Agent => Party::agent(&peer.id, &peer.labels),
        Role::Backend => Party::backend(&peer.id, own, &peer.labels),
    }
}

fn end(last: bool) -> End {
    if last { End::Last } else { End::More }
}

fn numbers(wire: &message::Numbers<'_>) -> Result<Numbers, LinkError> {
    Ok(Numbers::from_parts(wire.through, wire.ranges())?)
}
