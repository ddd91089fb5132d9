//! The 24 bytes in front of every record: what anyone on the path may read. Knows no key and no
//! body; all of it is authenticated with the body that follows.

use crate::ids::LinkId;
use crate::limits::{
    COOKIE_BYTES, HANDSHAKE_BYTES, HELLO_BYTES, HELLO_BYTES_MIN, RECORD_BYTES_MAX, SEQ_END,
};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 24;
/// Bytes of the tag at the end of every sealed body.
pub const TAG_BYTES: usize = 16;
/// The protocol version that stands in every header.
pub const VERSION: u8 = 1;

const BODY_MIN: usize = 16;

/// What a record is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RecordType {
    /// First message of a handshake, in clear.
    Hello,
    /// Second message of a handshake.
    Reply,
    /// Third message of a handshake.
    Finish,
    /// "Say hello again with this cookie."
    Retry,
    /// Sealed frames.
    Data,
    /// "No." Proves nothing.
    Reject,
    /// "I hold no such session."
    NoSession,
}

/// A header, read and checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// What the record is for.
    pub kind: RecordType,
    /// Bytes that follow the header.
    pub length: u16,
    /// The link it belongs to, as its receiver named it.
    pub link: LinkId,
    /// Which key of that link sealed it.
    pub epoch: u32,
    /// Its position in its direction; the nonce is made of it.
    pub seq: u64,
}

/// Why 24 bytes are no header. Nothing was changed by it; the transport that carried it is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer than 24 bytes, or fewer bytes follow than the header says.
    #[error("record is cut short")]
    Truncated,
    /// More bytes follow than the header says.
    #[error("bytes follow the end of the record")]
    TrailingBytes,
    /// Another major version of the protocol.
    #[error("record has protocol version {0}; this build speaks {VERSION}")]
    UnsupportedVersion(u8),
    /// A type this version does not have.
    #[error("record type {0} is unknown")]
    UnknownType(u8),
    /// A flag bit that this version reserves.
    #[error("reserved bits are set")]
    ReservedBits,
    /// Shorter than a record of its type can be.
    #[error("record is shorter than its type allows")]
    TooShort,
    /// Longer than a record of its type may be.
    #[error("record is longer than its type allows")]
    TooLarge,
    /// A position or epoch in a record that has none.
    #[error("record of this type has no epoch and no sequence number")]
    NonzeroPosition,
    /// A sequence number that no sender may reach.
    #[error("sequence number is beyond 2^62")]
    SequenceExhausted,
}

impl RecordType {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Hello,
            2 => Self::Reply,
            3 => Self::Finish,
            4 => Self::Retry,
            5 => Self::Data,
            7 => Self::Reject,
            8 => Self::NoSession,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Reply => 2,
            Self::Finish => 3,
            Self::Retry => 4,
            Self::Data => 5,
            Self::Reject => 7,
            Self::NoSession => 8,
        }
    }

    /// Least and most bytes that may follow the header.
    const fn body_bounds(self) -> (usize, usize) {
        match self {
            Self::Hello => (HELLO_BYTES_MIN, HELLO_BYTES),
            Self::Reply | Self::Finish => (BODY_MIN, HANDSHAKE_BYTES),
            Self::Retry => (BODY_MIN, COOKIE_BYTES + 2),
            Self::Data => (BODY_MIN, RECORD_BYTES_MAX + TAG_BYTES),
            Self::Reject | Self::NoSession => (BODY_MIN, BODY_MIN),
        }
    }
}

impl Header {
    /// A header of a handshake record: no epoch, no position.
    pub(crate) fn handshake(kind: RecordType, link: LinkId, length: u16) -> Self {
        Self { kind, length, link, epoch: 0, seq: 0 }
    }

    /// Reads the header at the front of `bytes`; what follows may not have arrived yet.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] says which rule it breaks; [`HeaderError::Truncated`] if fewer than 24 bytes
    /// are there.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(&[first, flags, l0, l1, ref rest @ ..]) = bytes.first_chunk::<HEADER_BYTES>()
        else {
            return Err(HeaderError::Truncated);
        };
        let (link, rest) = rest.split_first_chunk::<8>().ok_or(HeaderError::Truncated)?;
        let (epoch, rest) = rest.split_first_chunk::<4>().ok_or(HeaderError::Truncated)?;
        let seq = rest.first_chunk::<8>().ok_or(HeaderError::Truncated)?;
        let (epoch, seq) = (u32::from_be_bytes(*epoch), u64::from_be_bytes(*seq));
        if first >> 4 != VERSION {
            return Err(HeaderError::UnsupportedVersion(first >> 4));
        }
        let bits = first & 0x0f;
        let kind = RecordType::from_bits(bits).ok_or(HeaderError::UnknownType(bits))?;
        if flags != 0 {
            return Err(HeaderError::ReservedBits);
        }
        let length = u16::from_be_bytes([l0, l1]);
        let (least, most) = kind.body_bounds();
        if usize::from(length) < least {
            return Err(HeaderError::TooShort);
        }
        if usize::from(length) > most {
            return Err(HeaderError::TooLarge);
        }
        if kind != RecordType::Data && (epoch != 0 || seq != 0) {
            return Err(HeaderError::NonzeroPosition);
        }
        if seq >= SEQ_END {
            return Err(HeaderError::SequenceExhausted);
        }
        Ok(Self { kind, length, link: LinkId(*link), epoch, seq })
    }

    /// Reads the header of `record`, which must be one whole record and nothing more.
    ///
    /// # Errors
    ///
    /// As [`Header::decode`], and [`HeaderError::TrailingBytes`].
    pub fn of_record(record: &[u8]) -> Result<Self, HeaderError> {
        let header = Self::decode(record)?;
        match record.len().cmp(&header.record_bytes()) {
            std::cmp::Ordering::Less => Err(HeaderError::Truncated),
            std::cmp::Ordering::Equal => Ok(header),
            std::cmp::Ordering::Greater => Err(HeaderError::TrailingBytes),
        }
    }

    /// Bytes of the whole record, header included.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        HEADER_BYTES + usize::from(self.length)
    }

    /// The 24 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let [first, _, rest @ ..] = &mut out;
        *first = VERSION << 4 | self.kind.bits();
        let fields = (self.length.to_be_bytes().into_iter())
            .chain(self.link.0)
            .chain(self.epoch.to_be_bytes())
            .chain(self.seq.to_be_bytes());
        rest.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = byte);
        out
    }
}
