//! What a link remembers, as values of rows. Knows no key and no order of rows.
//!
//! Every value begins with its version. Numbers are big-endian; an epoch of zeros is none.
//!
//! ```text
//! Origin   version, peer id behind its length, outbox 16, inbox 16, peer's inbox 16, peer's outbox 16,
//!          the next number 8 of each class
//! Outbox   version, expiry: 0 or (1, ms since 1970 8), doubt 1, token 8, about, content
//!   about  1, channel behind its length  |  2, correlation 8, part 1  |  3 is for commands
//! Inbox    version, watermark 8, count 4, (first 8, last 8)..., count 4, (number 8, code 2, detail 4)...
//! Chain    version, side 1, what the chain wrote of itself
//! ```

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use zeroize::Zeroizing;

use crate::call::{CommandId, Correlation};
use crate::channel::ChannelName;
use crate::delivery::inbox::InboxChange;
use crate::delivery::outbox::{Doubt, Fresh, Row};
use crate::delivery::per_class::PerClass;
use crate::delivery::ranges::Numbers;
use crate::delivery::word::{Epoch, Verdict};
use crate::ids::PeerId;
use crate::link::{About, CallPart, CommandPart, MessageId, Token};
use crate::priority::Class;
use crate::time::{Instant, Now};
use crate::wire::{Malformed, Reader, put_lv8};

/// A value before it is sealed.
pub(super) type Plain = Zeroizing<Vec<u8>>;

/// What stands in front of every value.
const VERSION: u8 = 1;

/// Whose rows they are, and what of a link is not a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) peer: PeerId,
    pub(super) outbox: Epoch,
    pub(super) inbox: Epoch,
    pub(super) peer_inbox: Option<Epoch>,
    pub(super) peer_outbox: Option<Epoch>,
    /// The number after the last one of each class.
    pub(super) next: PerClass<u64>,
}

impl Origin {
    pub(super) fn encode(&self) -> Plain {
        let mut out = begin();
        put_lv8(&mut out, self.peer.as_str().as_bytes());
        let epochs = [Some(self.outbox), Some(self.inbox), self.peer_inbox, self.peer_outbox];
        epochs.into_iter().for_each(|epoch| out.put_slice(&epoch.map_or([0; 16], Epoch::to_bytes)));
        Class::ALL.into_iter().for_each(|class| out.put_u64(*self.next.get(class)));
        plain(out)
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut reader = read(value)?;
        let name = std::str::from_utf8(reader.lv8()?).map_err(|_| Malformed::Value("peer"))?;
        let peer = PeerId::new(name).map_err(|_| Malformed::Value("peer"))?;
        let mut epoch = || reader.array().map(Epoch::from_bytes);
        let (outbox, inbox, peer_inbox, peer_outbox) = (epoch()?, epoch()?, epoch()?, epoch()?);
        let outbox = outbox.ok_or(Malformed::Value("outbox"))?;
        let inbox = inbox.ok_or(Malformed::Value("inbox"))?;
        let mut next = PerClass::from_fn(|_| 1);
        for class in Class::ALL {
            *next.get_mut(class) = reader.u64()?;
        }
        reader.end()?;
        Ok(Self { peer, outbox, inbox, peer_inbox, peer_outbox, next })
    }
}

pub(super) fn encode_message(now: Now, message: &Fresh<Token>) -> Plain {
    let mut out = begin();
    match message.expires {
        None => out.put_u8(0),
        Some(at) => {
            out.put_u8(1);
            out.put_u64(to_wall(now, at));
        }
    }
    out.put_u8(match message.doubt {
        Doubt::SendAgain => 1,
        Doubt::Surface => 2,
    });
    out.put_u64(message.token.id.0);
    match &message.token.about {
        About::Event(channel) => {
            out.put_u8(1);
            put_lv8(&mut out, channel.as_str().as_bytes());
        }
        About::Call(correlation, part) => {
            out.put_u8(2);
            out.put_u64(correlation.to_wire());
            out.put_u8(match part {
                CallPart::Request => 1,
                CallPart::Answer => 2,
                CallPart::Demand => 3,
            });
        }
        About::Command(id, part) => {
            out.put_u8(3);
            out.put_slice(&id.0);
            out.put_u8(match part {
                CommandPart::Run => 1,
                CommandPart::Cancel => 2,
                CommandPart::Running => 3,
                CommandPart::End => 4,
            });
        }
    }
    out.put_slice(&message.content);
    plain(out)
}

/// Reads the row that stands at this class and number.
pub(super) fn decode_message(
    now: Now,
    (class, number): (Class, u64),
    value: &[u8],
) -> Result<Row<Token>, Malformed> {
    let mut reader = read(value)?;
    let expires = match reader.u8()? {
        0 => None,
        1 => Some(from_wall(now, reader.u64()?)),
        _ => return Err(Malformed::Value("expiry")),
    };
    let doubt = match reader.u8()? {
        1 => Doubt::SendAgain,
        2 => Doubt::Surface,
        _ => return Err(Malformed::Value("doubt")),
    };
    let id = MessageId(reader.u64()?);
    let about = match reader.u8()? {
        1 => About::Event(read_channel(&mut reader)?),
        2 => {
            let correlation = Correlation::from_wire(reader.u64()?);
            let part = match reader.u8()? {
                1 => CallPart::Request,
                2 => CallPart::Answer,
                3 => CallPart::Demand,
                _ => return Err(Malformed::Value("part")),
            };
            About::Call(correlation, part)
        }
        3 => {
            let id = CommandId(reader.array()?);
            let part = match reader.u8()? {
                1 => CommandPart::Run,
                2 => CommandPart::Cancel,
                3 => CommandPart::Running,
                4 => CommandPart::End,
                _ => return Err(Malformed::Value("part")),
            };
            About::Command(id, part)
        }
        _ => return Err(Malformed::Value("about")),
    };
    let content = Bytes::copy_from_slice(reader.take_rest());
    let message = Fresh { content, expires, doubt, token: Token { id, about } };
    Ok(Row { class, number, message })
}

pub(super) fn encode_mark(handled: &Numbers, verdicts: &[(u64, Verdict)]) -> Plain {
    let mut out = begin();
    out.put_u64(handled.through());
    put_count(&mut out, handled.ranges().len());
    for (first, last) in handled.ranges() {
        out.put_u64(first);
        out.put_u64(last);
    }
    put_count(&mut out, verdicts.len());
    for (number, Verdict { code, detail }) in verdicts {
        out.put_u64(*number);
        out.put_u16(*code);
        out.put_u32(*detail);
    }
    plain(out)
}

/// Reads the row that stands at this class.
pub(super) fn decode_mark(class: Class, value: &[u8]) -> Result<InboxChange, Malformed> {
    let mut reader = read(value)?;
    let through = reader.u64()?;
    let ranges = (0..reader.u32()?).map(|_| Ok((reader.u64()?, reader.u64()?)));
    let ranges = ranges.collect::<Result<Vec<_>, Malformed>>()?;
    let handled = Numbers::from_parts(through, ranges).map_err(|_| Malformed::Order("numbers"))?;
    let verdicts = (0..reader.u32()?).map(|_| {
        let number = reader.u64()?;
        Ok((number, Verdict { code: reader.u16()?, detail: reader.u32()? }))
    });
    let verdicts = verdicts.collect::<Result<Vec<_>, Malformed>>()?;
    reader.end()?;
    Ok(InboxChange::Mark { class, handled, verdicts })
}

/// Which side of a chain this process is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ChainSide {
    Dialled,
    Answered,
}

pub(super) fn encode_chain(side: ChainSide, chain: &[u8]) -> Plain {
    let side = match side {
        ChainSide::Dialled => 1,
        ChainSide::Answered => 2,
    };
    let mut out = Zeroizing::new(Vec::with_capacity(2 + chain.len()));
    out.extend_from_slice(&[VERSION, side]);
    out.extend_from_slice(chain);
    out
}

pub(super) fn decode_chain(value: &[u8]) -> Result<(ChainSide, &[u8]), Malformed> {
    let mut reader = read(value)?;
    let side = match reader.u8()? {
        1 => ChainSide::Dialled,
        2 => ChainSide::Answered,
        _ => return Err(Malformed::Value("side")),
    };
    Ok((side, reader.take_rest()))
}

/// The wall clock when `at` comes, in ms. As exact as the wall clock of `now`: to the second.
fn to_wall(now: Now, at: Instant) -> u64 {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (ahead, behind) = (at.since(now.instant), now.instant.since(at));
    wall(now).saturating_add(ms(ahead)).saturating_sub(ms(behind))
}

/// When the wall clock says so. What has passed is now: no clock of this process can say when.
fn from_wall(now: Now, ms: u64) -> Instant {
    now.instant.after(Duration::from_millis(ms.saturating_sub(wall(now))))
}

fn wall(now: Now) -> u64 {
    now.unix.as_secs().saturating_mul(1_000)
}

pub(super) fn read_channel(reader: &mut Reader<'_>) -> Result<ChannelName, Malformed> {
    ChannelName::decode(reader.lv8()?).map_err(|_| Malformed::Value("channel"))
}

/// A count, or a length that two bytes cannot say.
pub(super) fn put_count(out: &mut BytesMut, count: usize) {
    let count = u32::try_from(count);
    assert!(count.is_ok(), "a row has more than 4 GiB");
    out.put_u32(count.unwrap_or(u32::MAX));
}

pub(super) fn begin() -> BytesMut {
    let mut out = BytesMut::with_capacity(64);
    out.put_u8(VERSION);
    out
}

pub(super) fn plain(out: BytesMut) -> Plain {
    Zeroizing::new(out.into())
}

/// What stands behind the version.
pub(super) fn read(value: &[u8]) -> Result<Reader<'_>, Malformed> {
    let mut reader = Reader::new(value);
    if reader.u8()? == VERSION { Ok(reader) } else { Err(Malformed::Value("version")) }
}
