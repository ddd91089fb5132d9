//! What a message says: its kind, the channel or call it belongs to, headers, payload (proto-spec
//! 09-messages). Numbers, classes and time to live stand in front of it, in `message`.

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::{Malformed, Reader};
use super::writer::{put_lv8, put_lv16};

const NAMED: u8 = 0b0000_0001;
const ALIASED: u8 = 0b0000_0010;
const CORRELATED: u8 = 0b0000_0100;
const HEADERS: u8 = 0b0000_1000;
const STREAM: u8 = 0b0001_0000;

/// What a message is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub(crate) enum ContentKind {
    /// Published on a channel.
    Event = 0,
    /// Wants an answer.
    Request = 1,
    /// The answer, or the end of a stream of them.
    Response = 2,
    /// One of many answers.
    Item = 3,
    /// How far the work on a request is.
    Progress = 4,
    /// There will be no answer.
    Failure = 5,
    /// To be done once, now or later.
    Command = 6,
    /// How far a command is.
    Status = 7,
    /// How many items of a stream are wanted in all.
    Demand = 8,
}

/// The channel of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ChannelRef<'a> {
    /// Spelled out; its form was not checked.
    Name(&'a [u8]),
    /// A name that a NAME frame of this session gave.
    Alias(u32),
}

/// A message's content. Borrows from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Content<'a> {
    pub kind: ContentKind,
    /// Where it was published, or which channel a request is for.
    pub channel: Option<ChannelRef<'a>>,
    /// Which call it belongs to.
    pub correlation: Option<u64>,
    /// A MessagePack map; not read here.
    pub headers: Option<&'a [u8]>,
    /// A request that wants items before its response.
    pub stream: bool,
    pub payload: &'a [u8],
}

impl<'a> Content<'a> {
    /// Reads a content.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none.
    pub(crate) fn decode(content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let kind = ContentKind::from_u8(reader.u8()?).ok_or(Malformed::Value("kind"))?;
        let flags = reader.u8()?;
        if !kind.allows(flags) {
            return Err(Malformed::Value("flags"));
        }
        let channel = match flags & (NAMED | ALIASED) {
            NAMED => Some(ChannelRef::Name(reader.lv8()?)),
            ALIASED => Some(ChannelRef::Alias(reader.u32()?)),
            _ => None,
        };
        let correlation = if flags & CORRELATED == 0 { None } else { Some(reader.u64()?) };
        let headers = if flags & HEADERS == 0 { None } else { Some(reader.lv16()?) };
        let stream = flags & STREAM != 0;
        Ok(Self { kind, channel, correlation, headers, stream, payload: reader.take_rest() })
    }

    /// The content, in an allocation of its size: bytes with room behind them would take two.
    pub(crate) fn encoded(&self) -> Bytes {
        let channel = match self.channel {
            Some(ChannelRef::Name(name)) => 1 + name.len(),
            Some(ChannelRef::Alias(_)) => 4,
            None => 0,
        };
        let correlation = self.correlation.map_or(0, |_| 8);
        let headers = self.headers.map_or(0, |headers| 2 + headers.len());
        let bytes = 2 + channel + correlation + headers + self.payload.len();
        let mut out = BytesMut::with_capacity(bytes);
        self.encode(&mut out);
        out.freeze()
    }

    /// Appends the content.
    #[inline]
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&[self.kind as u8, self.flags()]);
        match self.channel {
            Some(ChannelRef::Name(name)) => put_lv8(out, name),
            Some(ChannelRef::Alias(alias)) => out.put_u32(alias),
            None => {}
        }
        if let Some(correlation) = self.correlation {
            out.put_u64(correlation);
        }
        if let Some(headers) = self.headers {
            put_lv16(out, headers);
        }
        out.put_slice(self.payload);
    }

    fn flags(&self) -> u8 {
        let channel = match self.channel {
            Some(ChannelRef::Name(_)) => NAMED,
            Some(ChannelRef::Alias(_)) => ALIASED,
            None => 0,
        };
        let correlated = self.correlation.map_or(0, |_| CORRELATED);
        let headers = self.headers.map_or(0, |_| HEADERS);
        channel | correlated | headers | if self.stream { STREAM } else { 0 }
    }
}

impl ContentKind {
    fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            0 => Self::Event,
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Item,
            4 => Self::Progress,
            5 => Self::Failure,
            6 => Self::Command,
            7 => Self::Status,
            8 => Self::Demand,
            _ => return None,
        })
    }

    /// Whether a message of this kind may have exactly these flags: one channel or none, a
    /// correlation or none.
    fn allows(self, flags: u8) -> bool {
        let (channel, correlated, others) = match self {
            // A command names itself in its payload: its id outlives sessions and processes.
            Self::Event | Self::Command => (true, false, HEADERS),
            Self::Request => (true, true, HEADERS | STREAM),
            Self::Response | Self::Item | Self::Failure => (false, true, HEADERS),
            Self::Progress | Self::Demand => (false, true, 0),
            Self::Status => (false, false, 0),
        };
        let named = matches!(flags & (NAMED | ALIASED), NAMED | ALIASED);
        let known = flags & !(NAMED | ALIASED | CORRELATED | others) == 0;
        let channel_fits = if channel { named } else { flags & (NAMED | ALIASED) == 0 };
        known && channel_fits && (flags & CORRELATED != 0) == correlated
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// proto-spec [M-4]
    #[test]
    fn a_content_stands_as_the_table_draws_it() {
        let request = Content {
            kind: ContentKind::Request,
            channel: Some(ChannelRef::Name(b"a.b")),
            correlation: Some(0x0102),
            headers: Some(&[0x80]),
            stream: true,
            payload: &[9],
        };
        let expected = [1, 0b1_1101, 3, b'a', b'.', b'b', 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0x80, 9];
        let mut out = BytesMut::new();
        request.encode(&mut out);
        assert_eq!(out[..], expected);
        assert_eq!(Content::decode(&expected), Ok(request));
    }

    /// proto-spec [M-4]
    #[test]
    fn each_kind_has_its_own_fields_and_no_others() {
        for kind in 0..=u8::MAX {
            for flags in 0..=u8::MAX {
                let bytes = [&[kind, flags][..], &[0; 20]].concat();
                let read = Content::decode(&bytes);
                let (channel, call, allowed) = match kind {
                    0 | 6 => (true, false, HEADERS),
                    1 => (true, true, HEADERS | STREAM),
                    2 | 3 | 5 => (false, true, HEADERS),
                    4 | 8 => (false, true, 0),
                    7 => (false, false, 0),
                    _ => {
                        assert_eq!(read, Err(Malformed::Value("kind")));
                        continue;
                    }
                };
                let one = (flags & NAMED != 0) ^ (flags & ALIASED != 0);
                let none = flags & (NAMED | ALIASED) == 0;
                let legal = (if channel { one } else { none })
                    && (flags & CORRELATED != 0) == call
                    && flags & !(NAMED | ALIASED | CORRELATED | allowed) == 0;
                assert_eq!(read.is_ok(), legal, "kind {kind} flags {flags:#b}: {read:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(
            headers in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
            alias: u32, named: bool, correlation: u64, stream: bool, payload: Vec<u8>,
        ) {
            let channel = if named { ChannelRef::Name(b"x.y") } else { ChannelRef::Alias(alias) };
            let content = Content {
                kind: ContentKind::Request,
                channel: Some(channel),
                correlation: Some(correlation),
                headers: headers.as_deref(),
                stream,
                payload: &payload,
            };
            let mut out = BytesMut::new();
            content.encode(&mut out);
            prop_assert_eq!(Content::decode(&out), Ok(content));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Content::decode(&bytes);
        }
    }
}
