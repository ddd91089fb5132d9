//! Frames of the floors above the session: messages and their acknowledgement, credit, resumption,
//! subscriptions (proto-spec 09-messages).

use bytes::{BufMut, BytesMut};

use super::frame::{FRAME_HEADER_BYTES, FrameError};
use super::reader::{Malformed, Reader};
use super::writer::{length16, put_lv8};
use crate::limits::ACK_RANGES;
use crate::priority::Class;

const CLASS: u8 = 0b0000_0011;
const NUMBERED: u8 = 0b0000_0100;
const AGAIN: u8 = 0b0000_1000;
const EXPIRES: u8 = 0b0001_0000;
const FIRST: u8 = 0b0010_0000;
const LAST: u8 = 0b0100_0000;
const HANDLED: u8 = 0b0000_0100;
const SUBSCRIPTION: u8 = 0b0000_0100;
const RANGE_BYTES: usize = 16;
/// Classes that an application sends in.
pub(crate) const CLASSES: usize = 4;

/// The types above the session, by number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum LinkKind {
    Message = 0x03,
    Chunk = 0x04,
    Ack = 0x05,
    Outcome = 0x06,
    Credit = 0x07,
    Cancel = 0x08,
    Void = 0x0c,
    Resume = 0x10,
    Subscribe = 0x20,
    Unsubscribe = 0x21,
    Subscribed = 0x22,
    Name = 0x23,
    Channel = 0x24,
    ChannelDone = 0x25,
}

/// What stands in front of a message's content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Label {
    pub class: Class,
    /// None: best effort, neither acknowledged nor sent again.
    pub number: Option<u64>,
    /// It was sent before and may be a duplicate.
    pub again: bool,
    /// What is left of its time to live.
    pub ttl_ms: Option<u32>,
}

/// How far a message came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Level {
    /// The peer holds it.
    Received,
    /// The peer's application is done with it.
    Handled,
}

/// Numbers seen: all up to `through`, and those of `ranges` above it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Numbers<'a> {
    pub through: u64,
    ranges: &'a [u8],
}

/// One frame of a floor above the session. Borrows from the record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LinkFrame<'a> {
    Message {
        label: Label,
        content: &'a [u8],
    },
    /// The first piece of a content of `total` bytes.
    FirstChunk {
        label: Label,
        total: u32,
        last: bool,
        data: &'a [u8],
    },
    NextChunk {
        class: Class,
        offset: u32,
        last: bool,
        data: &'a [u8],
    },
    Ack {
        class: Class,
        level: Level,
        numbers: Numbers<'a>,
    },
    /// The final fate of a message that was not handled.
    Outcome {
        class: Class,
        number: u64,
        code: u16,
        detail: u32,
    },
    /// What the peer may send in this session, in total.
    Credit {
        class: Class,
        messages: u64,
        bytes: u64,
    },
    SubscriptionCredit {
        subscription: u32,
        messages: u64,
        bytes: u64,
    },
    Cancel {
        correlation: u64,
        reason: u16,
    },
    /// No message of the class will have these numbers, ends included.
    Void {
        class: Class,
        first: u64,
        last: u64,
    },
    Resume(Resume<'a>),
    Subscribe {
        subscription: u32,
        messages: u64,
        bytes: u64,
        pattern: &'a [u8],
    },
    Unsubscribe {
        subscription: u32,
    },
    Subscribed {
        subscription: u32,
        code: u16,
    },
    /// From here on `alias` stands for `name`, in this direction of this session.
    Name {
        alias: u32,
        name: &'a [u8],
    },
    Channel {
        request: u32,
        op: u8,
        name: &'a [u8],
    },
    ChannelDone {
        request: u32,
        code: u16,
    },
}

/// What a side holds of an earlier session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Resume<'a> {
    /// Which outbox numbers this side's messages.
    pub outbox: [u8; 16],
    /// Which inbox remembers what this side handled.
    pub inbox: [u8; 16],
    /// The peer's outbox that `handled` counts; zero if none is known.
    pub known: [u8; 16],
    /// Bytes of the largest content that this side takes.
    pub message_bytes: u32,
    /// What this side handled of that outbox, from critical to low.
    pub handled: [Numbers<'a>; CLASSES],
}

impl<'a> Numbers<'a> {
    /// The ranges above `through`, ends included, ascending.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let (ranges, _) = self.ranges.as_chunks::<RANGE_BYTES>();
        ranges.iter().map(|range| {
            let (first, last) = range.split_at(RANGE_BYTES / 2);
            (number_of(first), number_of(last))
        })
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let through = reader.u64()?;
        let count = usize::from(reader.u8()?);
        if count > ACK_RANGES {
            return Err(Malformed::Bounds("ranges"));
        }
        let numbers = Self { through, ranges: reader.take(count * RANGE_BYTES)? };
        let mut below = through;
        for (first, last) in numbers.ranges() {
            // A range that touched what is below it would be part of it.
            if first <= below.saturating_add(1) || last < first {
                return Err(Malformed::Order("ranges"));
            }
            below = last;
        }
        Ok(numbers)
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl<'a> LinkFrame<'a> {
    /// Reads the body of a frame of type `kind`. `None`: no type of this floor.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the frame is broken.
    pub(crate) fn decode(kind: u8, flags: u8, body: &'a [u8]) -> Option<Result<Self, FrameError>> {
        let allowed = match kind {
            0x03 => CLASS | NUMBERED | AGAIN | EXPIRES,
            0x04 if flags & FIRST != 0 => CLASS | NUMBERED | AGAIN | EXPIRES | FIRST | LAST,
            0x04 => CLASS | LAST,
            0x05 => CLASS | HANDLED,
            0x06 | 0x0c => CLASS,
            0x07 if flags & SUBSCRIPTION != 0 => SUBSCRIPTION,
            0x07 => CLASS,
            0x08 | 0x10 | 0x20..=0x25 => 0,
            _ => return None,
        };
        if flags & !allowed != 0 {
            return Some(Err(FrameError::ReservedFlags(kind)));
        }
        let mut reader = Reader::new(body);
        let frame = Self::read(kind, flags, &mut reader)
            .and_then(|frame| reader.end().map(|()| frame))
            .map_err(|cause| FrameError::Malformed(kind, cause));
        Some(frame)
    }

    fn read(kind: u8, flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let class = class_of(flags);
        Ok(match kind {
            0x03 => Self::Message { label: label(flags, reader)?, content: reader.take_rest() },
            0x04 => Self::read_chunk(flags, reader)?,
            0x05 => {
                let level = if flags & HANDLED == 0 { Level::Received } else { Level::Handled };
                Self::Ack { class, level, numbers: Numbers::read(reader)? }
            }
            0x06 => Self::Outcome {
                class,
                number: number(reader)?,
                code: reader.u16()?,
                detail: reader.u32()?,
            },
            0x07 if flags & SUBSCRIPTION != 0 => Self::SubscriptionCredit {
                subscription: reader.u32()?,
                messages: reader.u64()?,
                bytes: reader.u64()?,
            },
            0x07 => Self::Credit { class, messages: reader.u64()?, bytes: reader.u64()? },
            0x08 => Self::Cancel { correlation: reader.u64()?, reason: reader.u16()? },
            0x0c => {
                let (first, last) = (number(reader)?, number(reader)?);
                if last < first {
                    return Err(Malformed::Order("numbers"));
                }
                Self::Void { class, first, last }
            }
            0x10 => Self::Resume(Resume {
                outbox: reader.array()?,
                inbox: reader.array()?,
                known: reader.array()?,
                message_bytes: reader.u32()?,
                handled: [
                    Numbers::read(reader)?,
                    Numbers::read(reader)?,
                    Numbers::read(reader)?,
                    Numbers::read(reader)?,
                ],
            }),
            0x20 => Self::Subscribe {
                subscription: reader.u32()?,
                messages: reader.u64()?,
                bytes: reader.u64()?,
                pattern: reader.lv8()?,
            },
            0x21 => Self::Unsubscribe { subscription: reader.u32()? },
            0x22 => Self::Subscribed { subscription: reader.u32()?, code: reader.u16()? },
            0x23 => Self::Name { alias: reader.u32()?, name: reader.lv8()? },
            0x24 => Self::Channel { request: reader.u32()?, op: reader.u8()?, name: reader.lv8()? },
            _ => Self::ChannelDone { request: reader.u32()?, code: reader.u16()? },
        })
    }

    fn read_chunk(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let last = flags & LAST != 0;
        if flags & FIRST != 0 {
            let label = label(flags, reader)?;
            let total = reader.u32()?;
            return Ok(Self::FirstChunk { label, total, last, data: reader.take_rest() });
        }
        let offset = reader.u32()?;
        Ok(Self::NextChunk { class: class_of(flags), offset, last, data: reader.take_rest() })
    }
}

fn label(flags: u8, reader: &mut Reader<'_>) -> Result<Label, Malformed> {
    let number = if flags & NUMBERED == 0 { None } else { Some(number(reader)?) };
    let ttl_ms = if flags & EXPIRES == 0 { None } else { Some(reader.u32()?) };
    let again = flags & AGAIN != 0;
    if again && number.is_none() {
        return Err(Malformed::Value("again"));
    }
    Ok(Label { class: class_of(flags), number, again, ttl_ms })
}

/// Messages are counted from 1.
fn number(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    match reader.u64()? {
        0 => Err(Malformed::Value("number")),
        number => Ok(number),
    }
}

fn class_of(flags: u8) -> Class {
    match flags & CLASS {
        0 => Class::Critical,
        1 => Class::High,
        2 => Class::Normal,
        _ => Class::Low,
    }
}

fn class_bits(class: Class) -> u8 {
    match class {
        Class::Critical => 0,
        Class::High => 1,
        Class::Normal => 2,
        Class::Low => 3,
        Class::Control => unreachable!("control frames are not messages"),
    }
}

impl Label {
    /// Bytes in front of the content of a MSG frame, its header included.
    pub(crate) fn bytes(&self) -> usize {
        FRAME_HEADER_BYTES
            + self.number.map_or(0, |_| size_of::<u64>())
            + self.ttl_ms.map_or(0, |_| size_of::<u32>())
    }

    /// Bytes in front of the data of a first CHUNK, its header included.
    pub(crate) fn first_chunk_bytes(&self) -> usize {
        self.bytes() + size_of::<u32>()
    }

    fn flags(&self) -> u8 {
        let number = self.number.map_or(0, |_| NUMBERED);
        let ttl = self.ttl_ms.map_or(0, |_| EXPIRES);
        let again = if self.again { AGAIN } else { 0 };
        class_bits(self.class) | number | ttl | again
    }

    fn put(&self, out: &mut BytesMut) {
        if let Some(number) = self.number {
            out.put_u64(number);
        }
        if let Some(ttl) = self.ttl_ms {
            out.put_u32(ttl);
        }
    }
}

/// Bytes in front of the data of a CHUNK that is not the first, its header included.
pub(crate) const NEXT_CHUNK_BYTES: usize = FRAME_HEADER_BYTES + size_of::<u32>();

/// Appends a MSG frame.
#[inline]
pub(crate) fn put_message(label: &Label, content: &[u8], out: &mut BytesMut) {
    begin(
        out,
        LinkKind::Message,
        label.flags(),
        label.bytes() - FRAME_HEADER_BYTES + content.len(),
    );
    label.put(out);
    out.put_slice(content);
}

/// Appends the first CHUNK of a content of `total` bytes.
pub(crate) fn put_first_chunk(
    label: &Label,
    total: u32,
    last: bool,
    data: &[u8],
    out: &mut BytesMut,
) {
    let flags = label.flags() | FIRST | if last { LAST } else { 0 };
    let length = label.first_chunk_bytes() - FRAME_HEADER_BYTES + data.len();
    begin(out, LinkKind::Chunk, flags, length);
    label.put(out);
    out.put_u32(total);
    out.put_slice(data);
}

/// Appends a CHUNK that goes on at `offset`.
pub(crate) fn put_next_chunk(
    class: Class,
    offset: u32,
    last: bool,
    data: &[u8],
    out: &mut BytesMut,
) {
    let flags = class_bits(class) | if last { LAST } else { 0 };
    begin(out, LinkKind::Chunk, flags, size_of::<u32>() + data.len());
    out.put_u32(offset);
    out.put_slice(data);
}

/// Bytes of an ACK of `ranges` ranges, its header included.
pub(crate) fn ack_bytes(ranges: usize) -> usize {
    FRAME_HEADER_BYTES + numbers_bytes(ranges)
}

fn numbers_bytes(ranges: usize) -> usize {
    size_of::<u64>() + 1 + ranges.min(ACK_RANGES) * RANGE_BYTES
}

/// Appends an ACK; of more ranges than fit one frame, the first.
pub(crate) fn put_ack(
    class: Class,
    level: Level,
    through: u64,
    ranges: &[(u64, u64)],
    out: &mut BytesMut,
) {
    let level = if level == Level::Handled { HANDLED } else { 0 };
    begin(out, LinkKind::Ack, class_bits(class) | level, numbers_bytes(ranges.len()));
    put_numbers(through, ranges, out);
}

fn put_numbers(through: u64, ranges: &[(u64, u64)], out: &mut BytesMut) {
    out.put_u64(through);
    let ranges = ranges.get(..ACK_RANGES).unwrap_or(ranges);
    out.put_u8(u8::try_from(ranges.len()).unwrap_or(u8::MAX));
    for (first, last) in ranges {
        out.put_u64(*first);
        out.put_u64(*last);
    }
}

/// Appends a RESULT.
pub(crate) fn put_outcome(class: Class, number: u64, code: u16, detail: u32, out: &mut BytesMut) {
    begin(out, LinkKind::Outcome, class_bits(class), 14);
    out.put_u64(number);
    out.put_u16(code);
    out.put_u32(detail);
}

/// Appends the CREDIT of a class.
pub(crate) fn put_credit(class: Class, messages: u64, bytes: u64, out: &mut BytesMut) {
    begin(out, LinkKind::Credit, class_bits(class), 16);
    out.put_u64(messages);
    out.put_u64(bytes);
}

/// Appends the CREDIT of a subscription.
pub(crate) fn put_subscription_credit(
    subscription: u32,
    messages: u64,
    bytes: u64,
    out: &mut BytesMut,
) {
    begin(out, LinkKind::Credit, SUBSCRIPTION, 20);
    out.put_u32(subscription);
    out.put_u64(messages);
    out.put_u64(bytes);
}

/// Appends a VOID.
pub(crate) fn put_void(class: Class, first: u64, last: u64, out: &mut BytesMut) {
    begin(out, LinkKind::Void, class_bits(class), 16);
    out.put_u64(first);
    out.put_u64(last);
}

/// Appends a CANCEL.
pub(crate) fn put_cancel(correlation: u64, reason: u16, out: &mut BytesMut) {
    begin(out, LinkKind::Cancel, 0, 10);
    out.put_u64(correlation);
    out.put_u16(reason);
}

/// What a side handled of one class: all up to a number, and ranges above it.
pub(crate) type HandledNumbers<'a> = (u64, &'a [(u64, u64)]);

/// Appends a RESUME.
pub(crate) fn put_resume(
    outbox: &[u8; 16],
    inbox: &[u8; 16],
    known: &[u8; 16],
    message_bytes: u32,
    handled: [HandledNumbers<'_>; CLASSES],
    out: &mut BytesMut,
) {
    let numbers: usize = handled.iter().map(|(_, ranges)| numbers_bytes(ranges.len())).sum();
    begin(out, LinkKind::Resume, 0, 52 + numbers);
    for epoch in [outbox, inbox, known] {
        out.put_slice(epoch);
    }
    out.put_u32(message_bytes);
    for (through, ranges) in handled {
        put_numbers(through, ranges, out);
    }
}

/// Appends a SUBSCRIBE.
pub(crate) fn put_subscribe(
    subscription: u32,
    messages: u64,
    bytes: u64,
    pattern: &str,
    out: &mut BytesMut,
) {
    begin(out, LinkKind::Subscribe, 0, 21 + pattern.len());
    out.put_u32(subscription);
    out.put_u64(messages);
    out.put_u64(bytes);
    put_lv8(out, pattern.as_bytes());
}

/// Appends an UNSUBSCRIBE.
pub(crate) fn put_unsubscribe(subscription: u32, out: &mut BytesMut) {
    begin(out, LinkKind::Unsubscribe, 0, 4);
    out.put_u32(subscription);
}

/// Appends a SUBSCRIBED.
pub(crate) fn put_subscribed(subscription: u32, code: u16, out: &mut BytesMut) {
    begin(out, LinkKind::Subscribed, 0, 6);
    out.put_u32(subscription);
    out.put_u16(code);
}

/// Appends a NAME.
pub(crate) fn put_name(alias: u32, name: &str, out: &mut BytesMut) {
    begin(out, LinkKind::Name, 0, 5 + name.len());
    out.put_u32(alias);
    put_lv8(out, name.as_bytes());
}

/// Appends a CHANNEL.
pub(crate) fn put_channel(request: u32, op: u8, name: &str, out: &mut BytesMut) {
    begin(out, LinkKind::Channel, 0, 6 + name.len());
    out.put_u32(request);
    out.put_u8(op);
    put_lv8(out, name.as_bytes());
}

/// Appends a CHANNEL_RESULT.
pub(crate) fn put_channel_done(request: u32, code: u16, out: &mut BytesMut) {
    begin(out, LinkKind::ChannelDone, 0, 6);
    out.put_u32(request);
    out.put_u16(code);
}

fn begin(out: &mut BytesMut, kind: LinkKind, flags: u8, length: usize) {
    let [l0, l1] = length16(length).to_be_bytes();
    out.put_slice(&[kind as u8, flags, l0, l1]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::{Frame, Frames};
    use super::*;

    const LABEL: Label =
        Label { class: Class::Normal, number: Some(0x0102), again: true, ttl_ms: Some(0x0304) };
    const BEST_EFFORT: Label =
        Label { class: Class::Critical, number: None, again: false, ttl_ms: None };

    /// proto-spec [M-1]: each frame stands as the tables draw it.
    #[test]
    fn each_frame_stands_as_the_table_draws_it() {
        type Put = fn(&mut BytesMut);
        let cases: [(Put, &[u8]); 17] = [
            (|out| put_message(&BEST_EFFORT, &[9], out), &[3, 0, 0, 1, 9]),
            (
                |out| put_message(&LABEL, &[9], out),
                &[3, 0b1_1110, 0, 13, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 9],
            ),
            (
                |out| put_first_chunk(&BEST_EFFORT, 0x0506, false, &[9], out),
                &[4, 0b10_0000, 0, 5, 0, 0, 5, 6, 9],
            ),
            (
                |out| put_next_chunk(Class::Low, 0x0506, true, &[9], out),
                &[4, 0b100_0011, 0, 5, 0, 0, 5, 6, 9],
            ),
            (
                |out| put_ack(Class::High, Level::Received, 7, &[], out),
                &[5, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0],
            ),
            (
                |out| put_ack(Class::High, Level::Handled, 0, &[(2, 3)], out),
                &[
                    5, 5, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0,
                    0, 0, 3,
                ],
            ),
            (
                |out| put_outcome(Class::Low, 7, 0x0102, 0x0304, out),
                &[6, 3, 0, 14, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 0, 0, 3, 4],
            ),
            (
                |out| put_credit(Class::Low, 7, 8, out),
                &[7, 3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8],
            ),
            (
                |out| put_subscription_credit(6, 7, 8, out),
                &[7, 4, 0, 20, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8],
            ),
            (
                |out| put_void(Class::High, 7, 8, out),
                &[0x0c, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8],
            ),
            (|out| put_cancel(7, 8, out), &[8, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 7, 0, 8]),
            (
                |out| put_subscribe(6, 7, 8, "a", out),
                &[
                    0x20, 0, 0, 22, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 1,
                    97,
                ],
            ),
            (|out| put_unsubscribe(6, out), &[0x21, 0, 0, 4, 0, 0, 0, 6]),
            (|out| put_subscribed(6, 7, out), &[0x22, 0, 0, 6, 0, 0, 0, 6, 0, 7]),
            (|out| put_name(6, "a", out), &[0x23, 0, 0, 6, 0, 0, 0, 6, 1, 97]),
            (|out| put_channel(6, 7, "a", out), &[0x24, 0, 0, 7, 0, 0, 0, 6, 7, 1, 97]),
            (|out| put_channel_done(6, 7, out), &[0x25, 0, 0, 6, 0, 0, 0, 6, 0, 7]),
        ];
        for (put, expected) in cases {
            let mut out = BytesMut::new();
            put(&mut out);
            assert_eq!(out[..], *expected);
        }
    }

    #[test]
    fn a_resume_holds_three_epochs_and_four_sets_of_numbers() {
        let handled = [(5, &[(7, 8), (10, 10)][..]), (0, &[]), (1, &[]), (2, &[])];
        let mut out = BytesMut::new();
        put_resume(&[1; 16], &[2; 16], &[3; 16], 77, handled, &mut out);

        let (_, body) = out.split_at(FRAME_HEADER_BYTES);
        let Some(Ok(LinkFrame::Resume(resume))) = LinkFrame::decode(0x10, 0, body) else {
            panic!("{out:?} is a RESUME")
        };

        assert_eq!((resume.outbox, resume.inbox, resume.known), ([1; 16], [2; 16], [3; 16]));
        assert_eq!(resume.message_bytes, 77);
        for (read, (through, ranges)) in resume.handled.iter().zip(handled) {
            assert_eq!(
                (read.through, read.ranges().collect::<Vec<_>>()),
                (through, ranges.to_vec())
            );
        }
    }

    /// proto-spec [M-1]
    #[test]
    fn flags_of_other_frames_are_reserved() {
        for (kind, allowed) in [
            (0x03, 0b1_1111),
            (0x05, 0b111),
            (0x06, 0b11),
            (0x08, 0),
            (0x0c, 0b11),
            (0x10, 0),
            (0x20, 0),
            (0x25, 0),
        ] {
            for flags in 0..=u8::MAX {
                let refused = LinkFrame::decode(kind, flags, &[])
                    .is_some_and(|read| read == Err(FrameError::ReservedFlags(kind)));
                assert_eq!(refused, flags & !allowed != 0, "{kind:#x} {flags:#b}");
            }
        }
    }

    /// proto-spec [M-2]
    #[test]
    fn ranges_that_touch_overlap_or_descend_are_refused() {
        let read = |through: u64, ranges: &[(u64, u64)]| {
            let mut out = BytesMut::new();
            put_ack(Class::Low, Level::Received, through, ranges, &mut out);
            LinkFrame::decode(5, 3, &out[FRAME_HEADER_BYTES..]).unwrap().map(|_| ())
        };
        let refused = Err(FrameError::Malformed(5, Malformed::Order("ranges")));
        assert_eq!(read(5, &[(7, 7), (9, 12)]), Ok(()));
        assert_eq!(read(u64::MAX, &[(u64::MAX, u64::MAX)]), refused);
        for ranges in [&[(6, 6)][..], &[(3, 4)], &[(8, 7)], &[(7, 8), (9, 9)], &[(9, 9), (7, 7)]] {
            assert_eq!(read(5, ranges), refused, "{ranges:?}");
        }
    }

    #[test]
    fn more_ranges_than_a_frame_holds_are_refused_and_never_written() {
        let many: Vec<_> = (1..=40).map(|n| (n * 10, n * 10)).collect();
        let mut out = BytesMut::new();
        put_ack(Class::Low, Level::Received, 0, &many, &mut out);
        assert_eq!(out.len(), ack_bytes(40));
        let Some(Ok(LinkFrame::Ack { numbers, .. })) = LinkFrame::decode(5, 3, &out[4..]) else {
            panic!("it is an ACK")
        };
        assert_eq!(numbers.ranges().count(), ACK_RANGES);

        out[FRAME_HEADER_BYTES + 8] = 33;
        out.extend_from_slice(&[0; RANGE_BYTES]);
        let read = LinkFrame::decode(5, 3, &out[4..]).unwrap();
        assert_eq!(read, Err(FrameError::Malformed(5, Malformed::Bounds("ranges"))));
    }

    /// proto-spec [M-3]
    #[test]
    fn no_message_has_the_number_zero_and_only_a_numbered_one_comes_again() {
        let zero = LinkFrame::decode(3, NUMBERED, &[0; 8]).unwrap();
        assert_eq!(zero, Err(FrameError::Malformed(3, Malformed::Value("number"))));
        let again = LinkFrame::decode(3, AGAIN, &[]).unwrap();
        assert_eq!(again, Err(FrameError::Malformed(3, Malformed::Value("again"))));
    }

    /// proto-spec [M-5]
    #[test]
    fn a_void_names_numbers_in_order() {
        let read = |first: u64, last: u64| {
            let mut out = BytesMut::new();
            put_void(Class::Low, first, last, &mut out);
            LinkFrame::decode(0x0c, 3, &out[FRAME_HEADER_BYTES..]).unwrap().map(|_| ())
        };
        let refused = |cause| Err(FrameError::Malformed(0x0c, cause));
        assert_eq!(read(1, 1), Ok(()));
        assert_eq!(read(3, u64::MAX), Ok(()));
        assert_eq!(read(0, 1), refused(Malformed::Value("number")));
        assert_eq!(read(2, 0), refused(Malformed::Value("number")));
        assert_eq!(read(2, 1), refused(Malformed::Order("numbers")));
        let longer = LinkFrame::decode(0x0c, 0, &[1; 17]).unwrap().map(|_| ());
        assert_eq!(longer, refused(Malformed::TrailingBytes));
        let shorter = LinkFrame::decode(0x0c, 0, &[1; 15]).unwrap().map(|_| ());
        assert_eq!(shorter, refused(Malformed::Truncated));
    }

    #[test]
    fn the_session_leaves_these_frames_to_this_floor() {
        let mut out = BytesMut::new();
        put_message(&LABEL, b"content", &mut out);
        put_cancel(1, 2, &mut out);
        let kinds: Vec<_> = Frames::new(&out)
            .map(|frame| match frame.unwrap() {
                Frame::Other { kind, .. } => kind,
                other => panic!("{other:?} is of the session"),
            })
            .collect();
        assert_eq!(kinds, [3, 8]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            class in 0_u8..4, number in proptest::option::of(1..u64::MAX), again: bool,
            ttl_ms: Option<u32>, content: Vec<u8>, total: u32, offset: u32, last: bool,
        ) {
            let class = class_of(class);
            let label = Label { class, number, again: again && number.is_some(), ttl_ms };
            let mut out = BytesMut::new();
            put_message(&label, &content, &mut out);
            prop_assert_eq!(read_one(&out), LinkFrame::Message { label, content: &content });
            prop_assert_eq!(out.len(), label.bytes() + content.len());

            out.clear();
            put_first_chunk(&label, total, last, &content, &mut out);
            let first = LinkFrame::FirstChunk { label, total, last, data: &content };
            prop_assert_eq!(read_one(&out), first);
            prop_assert_eq!(out.len(), label.first_chunk_bytes() + content.len());

            out.clear();
            put_next_chunk(class, offset, last, &content, &mut out);
            let next = LinkFrame::NextChunk { class, offset, last, data: &content };
            prop_assert_eq!(read_one(&out), next);
            prop_assert_eq!(out.len(), NEXT_CHUNK_BYTES + content.len());
        }

        #[test]
        fn any_bytes_are_read_or_refused(kind: u8, flags: u8, body: Vec<u8>) {
            let _ = LinkFrame::decode(kind, flags, &body);
        }
    }

    fn read_one(frame: &[u8]) -> LinkFrame<'_> {
        let body = &frame[FRAME_HEADER_BYTES..];
        assert_eq!(usize::from(u16::from_be_bytes([frame[2], frame[3]])), body.len());
        LinkFrame::decode(frame[0], frame[1], body).unwrap().unwrap()
    }
}
