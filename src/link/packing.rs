//! Fills one record: the link's own frames, then messages, the most urgent first, then what of the
//! acknowledgements fits. A message goes whole if a record of its own holds it, else in pieces with
//! others between them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::event::{Event, Fate};
use super::inbound::Inbound;
use super::outbound::{Begun, EXPIRED, Item, Outbound, Source};
use super::reading::result;
use super::storing::About;
use super::subscriptions::Subscriptions;
use crate::delivery;
use crate::delivery::chunk::{Chunks, Piece};
use crate::delivery::credit::Scope;
use crate::delivery::inbox::{Ack, Refusal, Ripe};
use crate::delivery::queue::{Gate, Popped, Verdict};
use crate::limits::{ACK_RANGES, RECORD_BYTES};
use crate::priority::Class;
use crate::session::RecordWriter;
use crate::time::Instant;
use crate::wire::FRAME_HEADER_BYTES;
use crate::wire::message::{
    Label, NEXT_CHUNK_BYTES, ack_bytes, put_ack, put_first_chunk, put_message, put_next_chunk,
    put_outcome, put_void,
};

const RESULT_BYTES: usize = FRAME_HEADER_BYTES + 14;
const VOID_BYTES: usize = FRAME_HEADER_BYTES + 16;

/// What the peer would say of a message that is too large for it.
const TOO_LARGE: delivery::word::Verdict =
    delivery::word::Verdict { code: result::TOO_LARGE, detail: 0 };

/// What goes of the message whose turn it is.
enum Step {
    Whole {
        label: Label,
        content: Bytes,
    },
    First {
        label: Label,
        content: Bytes,
        piece: Piece,
    },
    Next {
        content: Bytes,
        piece: Piece,
    },
    /// Nobody listens.
    Unheard,
    /// The peer takes none so large.
    TooLarge,
    /// It is not to be sent any more.
    Gone,
}

/// Bytes of frames that still go into a record.
fn room(record: &RecordWriter<'_>) -> usize {
    record.room().min(RECORD_BYTES.saturating_sub(record.used()))
}

/// Writes results and acknowledgements: those that are due, or all that fit.
pub(super) fn write_acks(
    now: Instant,
    inbound: &mut Inbound,
    ripe: Ripe,
    record: &mut RecordWriter<'_>,
) {
    while room(record) >= RESULT_BYTES
        && let Some(Refusal { class, number, verdict }) = inbound.inbox.poll_result()
    {
        record.frames(RESULT_BYTES, |out| {
            put_outcome(class, number, verdict.code, verdict.detail, out);
        });
    }
    let most = ack_bytes(ACK_RANGES);
    while room(record) >= most
        && let Some(Ack { class, level, numbers }) = inbound.inbox.poll_ack(now, ripe)
    {
        let ranges: Vec<_> = numbers.ranges().collect();
        record.frames(most, |out| put_ack(class, level, numbers.through(), &ranges, out));
    }
}

impl Outbound {
    /// Writes what may go and fits.
    pub(super) fn write(
        &mut self,
        now: Instant,
        subscriptions: &Subscriptions,
        record: &mut RecordWriter<'_>,
        events: &mut VecDeque<Event>,
    ) {
        while room(record) >= VOID_BYTES
            && let Some((class, first, last)) = self.outbox.poll_void(now)
        {
            record.frames(VOID_BYTES, |out| put_void(class, first, last, out));
        }
        self.refill(now);
        while self.write_one(now, subscriptions, record, events) {
            self.refill(now);
        }
    }

    /// Writes one message or one piece, or ends one that goes nowhere. `false`: nothing goes now.
    fn write_one(
        &mut self,
        now: Instant,
        subscriptions: &Subscriptions,
        record: &mut RecordWriter<'_>,
        events: &mut VecDeque<Event>,
    ) -> bool {
        let (room, is_first) = (room(record), record.used() == 0);
        let Self { queue, outbox, allowances, heard, in_flight, parked, peer_bytes, .. } = self;
        let mut step = None;
        let judge = |class, item: &mut Item, _| {
            if !in_flight.has_room(class) {
                return Verdict::Skip;
            }
            if let Some(Begun { content, chunks }) = &mut item.begun {
                let Some(piece) = chunks.next(room.saturating_sub(NEXT_CHUNK_BYTES)) else {
                    return Verdict::Stop;
                };
                let verdict = verdict_of(&piece);
                step = Some(Step::Next { content: content.clone(), piece });
                return verdict;
            }
            let (content, again, remaining) = match &item.source {
                Source::Loose { content, expires } => {
                    (content, false, expires.map(|at| at.since(now)))
                }
                Source::Numbered(number) => match outbox.outgoing(now, class, *number) {
                    Some(outgoing) => (outgoing.content, outgoing.again, outgoing.remaining),
                    None => {
                        step = Some(Step::Gone);
                        return Verdict::Take;
                    }
                },
            };
            if content.len() > *peer_bytes {
                step = Some(Step::TooLarge);
                return Verdict::Take;
            }
            // Credit comes behind the subscriptions that the peer continues.
            if allowances.left(Scope::Class(class)).messages == 0 {
                return Verdict::Skip;
            }
            let mut hearers: &[u32] = &[];
            if let About::Event(channel) = &item.token.about {
                hearers = heard.by(channel, subscriptions);
                // What the peer may have is for the peer to judge.
                if hearers.is_empty() && !again {
                    step = Some(Step::Unheard);
                    return Verdict::Take;
                }
            }
            let number = match item.source {
                Source::Numbered(number) => Some(number),
                Source::Loose { .. } => None,
            };
            let ttl_ms = remaining.map(|span| u32::try_from(span.as_millis()).unwrap_or(u32::MAX));
            let label = Label { class, number, again, ttl_ms };
            let is_whole = label.bytes() + content.len() <= room;
            let mut chunks = None;
            if !is_whole {
                if !is_first && label.bytes() + content.len() <= RECORD_BYTES {
                    return Verdict::Stop;
                }
                let mut whole = Chunks::new(content.len());
                let piece = whole
                    .as_mut()
                    .and_then(|chunks| chunks.next(room.saturating_sub(label.first_chunk_bytes())));
                let (Some(whole), Some(piece)) = (whole, piece) else { return Verdict::Stop };
                chunks = Some((whole, piece));
            }
            match allowances.spend(class, hearers, content.len()) {
                Ok(()) => {}
                Err(Scope::Class(_)) => return Verdict::Skip,
                Err(Scope::Subscription(_)) => {
                    if let (Some(lane), About::Event(channel)) = (item.lane, &item.token.about) {
                        parked.insert(lane, channel.clone());
                    }
                    return Verdict::Park;
                }
            }
            match chunks {
                None => {
                    // One of best effort is taken out of the queue with its content.
                    let content = number.map(|_| content.clone()).unwrap_or_default();
                    step = Some(Step::Whole { label, content });
                    Verdict::Take
                }
                Some((chunks, piece)) => {
                    let verdict = verdict_of(&piece);
                    let content = content.clone();
                    item.begun = Some(Begun { content: content.clone(), chunks });
                    step = Some(Step::First { label, content, piece });
                    verdict
                }
            }
        };
        let popped = queue.pop(now, |item| item.lane.map(Gate), judge);
        let (class, mut item) = match popped {
            None => return false,
            Some(Popped::Expired(_, item)) => {
                self.settle(item.token, EXPIRED, events);
                return true;
            }
            Some(Popped::Whole(class, item)) => (class, item),
            Some(Popped::Part(class, item)) => {
                // What was begun is finished, so a command has left by now.
                if let (Some(Step::First { .. }), About::Command(id, part)) =
                    (&step, &item.token.about)
                {
                    self.command_fates.push_back((*id, *part, Fate::Sent));
                }
                let bytes = put(class, step, record);
                self.piece_flies(now, class, bytes);
                return true;
            }
        };
        if let Some(Step::Whole { content, .. }) = &mut step
            && let Source::Loose { content: loose, .. } = &mut item.source
        {
            *content = std::mem::take(loose);
        }
        let is_piece = matches!(step, Some(Step::First { .. } | Step::Next { .. }));
        match (&step, item.source) {
            (None | Some(Step::Gone), _) => {}
            (Some(step @ (Step::Unheard | Step::TooLarge)), source) => {
                if let Source::Numbered(number) = source {
                    self.outbox.withdraw(class, number);
                }
                let fate = match step {
                    Step::TooLarge => Fate::Refused(TOO_LARGE),
                    _ => Fate::NoSubscriber,
                };
                self.settle(item.token, fate, events);
            }
            (Some(_), source) => {
                let bytes = put(class, step, record);
                if is_piece {
                    self.piece_flies(now, class, bytes);
                }
                match source {
                    Source::Numbered(number) => {
                        if !is_piece {
                            self.flies(now, item.token.id, class, bytes);
                        }
                        self.outbox.sent(now, class, number);
                        if let About::Call(..) | About::Command(..) = item.token.about {
                            self.settle(item.token, Fate::Sent, events);
                        }
                    }
                    Source::Loose { .. } => self.settle(item.token, Fate::Sent, events),
                }
            }
        }
        true
    }
}

fn verdict_of(piece: &Piece) -> Verdict {
    if piece.last { Verdict::Take } else { Verdict::Part(piece.range.len()) }
}

/// Writes a message or a piece, which fits. Returns the bytes of content that went.
fn put(class: Class, step: Option<Step>, record: &mut RecordWriter<'_>) -> usize {
    let data = |content: &Bytes, range: &Range<usize>| content.slice(range.clone());
    match step {
        Some(Step::Whole { label, content }) => {
            record.frames(label.bytes() + content.len(), |out| put_message(&label, &content, out));
            content.len()
        }
        Some(Step::First { label, content, piece }) => {
            let total = u32::try_from(content.len()).unwrap_or(u32::MAX);
            let data = data(&content, &piece.range);
            record.frames(label.first_chunk_bytes() + data.len(), |out| {
                put_first_chunk(&label, total, piece.last, &data, out);
            });
            data.len()
        }
        Some(Step::Next { content, piece }) => {
            let data = data(&content, &piece.range);
            record.frames(NEXT_CHUNK_BYTES + data.len(), |out| {
                put_next_chunk(class, piece.offset, piece.last, &data, out);
            });
            data.len()
        }
        Some(Step::Unheard | Step::TooLarge | Step::Gone) | None => 0,
    }
}
