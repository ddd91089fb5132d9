//! The 24 bytes in front of every record: what anyone on the path may read. Knows no key and no
//! body; all of it is authenticated with the body that follows.

use crate::ids::LinkId;
use crate::limits::{COOKIE_BYTES, HANDSHAKE_BYTES, HELLO_BYTES, HELLO_BYTES_MIN, SEQ_END};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 24;
/// Bytes of the tag at the end of every sealed body.
pub const TAG_BYTES: usize = 16;
/// The protocol version that stands in every header.
pub const VERSION: u8 = 1;

const BODY_MIN: usize = 16;
/// What the field holds; a plaintext of [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX) and
/// its tag.
const DATA_MAX: usize = u16::MAX as usize;

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
            Self::Data => (BODY_MIN, DATA_MAX),
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
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let first = (VERSION << 4) + self.kind.bits();
        let [l0, l1] = self.length.to_be_bytes();
        let [i0, i1, i2, i3, i4, i5, i6, i7] = self.link.0;
        let [e0, e1, e2, e3] = self.epoch.to_be_bytes();
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.seq.to_be_bytes();
        [
            first, 0, l0, l1, i0, i1, i2, i3, i4, i5, i6, i7, //
            e0, e1, e2, e3, s0, s1, s2, s3, s4, s5, s6, s7,
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::RECORD_BYTES_MAX;

    /// Type, its number, least and most bytes of a body (proto-spec 02-records, 2.1).
    const TYPES: [(RecordType, u8, u16, u16); 7] = [
        (RecordType::Hello, 1, 1_280, 4_096),
        (RecordType::Reply, 2, 16, 8_192),
        (RecordType::Finish, 3, 16, 8_192),
        (RecordType::Retry, 4, 16, 66),
        (RecordType::Data, 5, 16, 65_535),
        (RecordType::Reject, 7, 16, 16),
        (RecordType::NoSession, 8, 16, 16),
    ];

    #[test]
    fn a_header_stands_as_the_table_draws_it() {
        let link = LinkId([1, 2, 3, 4, 5, 6, 7, 8]);
        let header = Header {
            kind: RecordType::Data,
            length: 0x0910,
            link,
            epoch: 0x0b0c_0d0e,
            seq: 0x0102_0304_0506_0708,
        };
        let bytes = [
            0x15, 0, 9, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 0x0b, 0x0c, 0x0d, 0x0e, 1, 2, 3, 4, 5, 6, 7,
            8,
        ];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(&bytes), Ok(header));
        assert_eq!(header.record_bytes(), 24 + 0x0910);
        let hello = Header::handshake(RecordType::Hello, link, 1_280);
        assert_eq!(
            hello,
            Header { kind: RecordType::Hello, length: 1_280, link, epoch: 0, seq: 0 }
        );
    }

    /// proto-spec, steps 3, 5 and 6.
    #[test]
    fn each_type_has_its_number_and_its_bounds() {
        for (kind, number, least, most) in TYPES {
            assert_eq!(at(kind, least).encode()[0], 0x10 + number);
            for length in [least, most] {
                assert_eq!(Header::decode(&at(kind, length).encode()), Ok(at(kind, length)));
            }
            let below = Header::decode(&at(kind, least - 1).encode());
            assert_eq!(below, Err(HeaderError::TooShort), "{kind:?}");
            if let Some(beyond) = most.checked_add(1) {
                let above = Header::decode(&at(kind, beyond).encode());
                assert_eq!(above, Err(HeaderError::TooLarge), "{kind:?}");
            }
        }
        assert_eq!(RECORD_BYTES_MAX + TAG_BYTES, usize::from(u16::MAX));
    }

    /// proto-spec, step 3.
    #[test]
    fn a_type_that_is_not_in_the_table_is_unknown() {
        for number in 0..16 {
            let mut bytes = at(RecordType::Data, 16).encode();
            bytes[0] = 0x10 + number;
            let unknown = Header::decode(&bytes) == Err(HeaderError::UnknownType(number));
            assert_eq!(unknown, TYPES.iter().all(|row| row.1 != number), "type {number}");
        }
    }

    /// proto-spec, step 2.
    #[test]
    fn another_version_is_named() {
        for version in (0..16).filter(|version| *version != VERSION) {
            let mut bytes = at(RecordType::Data, 16).encode();
            bytes[0] = version << 4 | 5;
            assert_eq!(Header::decode(&bytes), Err(HeaderError::UnsupportedVersion(version)));
        }
    }

    /// proto-spec, step 4.
    #[test]
    fn each_flag_is_reserved() {
        for bit in 0..8 {
            let mut bytes = at(RecordType::Data, 16).encode();
            bytes[1] = 1 << bit;
            assert_eq!(Header::decode(&bytes), Err(HeaderError::ReservedBits));
        }
    }

    /// proto-spec, step 7.
    #[test]
    fn only_data_has_an_epoch_and_a_position() {
        for (kind, _, least, _) in TYPES {
            for (epoch, seq) in [(1, 0), (u32::MAX, 0), (0, 1), (0, SEQ_END), (1, 1)] {
                let read = Header::decode(&Header { epoch, seq, ..at(kind, least) }.encode());
                if kind != RecordType::Data {
                    assert_eq!(read, Err(HeaderError::NonzeroPosition), "{kind:?} {epoch} {seq}");
                } else if seq < SEQ_END {
                    assert_eq!(read.map(|header| (header.epoch, header.seq)), Ok((epoch, seq)));
                }
            }
        }
    }

    /// proto-spec, step 8.
    #[test]
    fn the_last_position_is_read_and_the_next_is_not() {
        let last = Header { seq: (1 << 62) - 1, ..at(RecordType::Data, 16) };
        assert_eq!(Header::decode(&last.encode()), Ok(last));
        for seq in [1 << 62, 1 << 63, u64::MAX] {
            let beyond = Header { seq, ..at(RecordType::Data, 16) };
            assert_eq!(Header::decode(&beyond.encode()), Err(HeaderError::SequenceExhausted));
        }
    }

    /// proto-spec: of several broken rules, the first is named.
    #[test]
    fn the_rules_are_judged_in_their_order() {
        let mut bytes = [0xff; HEADER_BYTES];
        assert_eq!(Header::decode(&bytes[..23]), Err(HeaderError::Truncated));
        assert_eq!(Header::decode(&bytes), Err(HeaderError::UnsupportedVersion(15)));
        bytes[0] = 0x1f;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::UnknownType(15)));
        bytes[0] = 0x12;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::ReservedBits));
        bytes[1] = 0;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::TooLarge));
        bytes[2..4].copy_from_slice(&15_u16.to_be_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::TooShort));
        bytes[2..4].copy_from_slice(&16_u16.to_be_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::NonzeroPosition));
        bytes[0] = 0x15;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::SequenceExhausted));
    }

    /// proto-spec.
    #[test]
    fn a_message_is_exactly_one_record() {
        let header = at(RecordType::Data, 20);
        let mut record = header.encode().to_vec();
        record.resize(header.record_bytes(), 0);
        assert_eq!(Header::of_record(&record), Ok(header));
        for length in 0..record.len() {
            assert_eq!(Header::of_record(&record[..length]), Err(HeaderError::Truncated));
        }
        record.push(0);
        assert_eq!(Header::of_record(&record), Err(HeaderError::TrailingBytes));
        assert_eq!(Header::decode(&record), Ok(header));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            first in 0x11_u8..0x19,
            flags in prop_oneof![9 => Just(0_u8), 1 => any::<u8>()],
            length in prop_oneof![Just(16_u16), any::<u16>()],
            link in any::<[u8; 8]>(),
            position in prop_oneof![Just([0; 12]), any::<[u8; 12]>()],
        ) {
            let bytes = [&[first, flags], &length.to_be_bytes()[..], &link, &position].concat();
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(&header.encode()[..], bytes);
            }
        }
    }

    fn at(kind: RecordType, length: u16) -> Header {
        Header { kind, length, link: LinkId([7; 8]), epoch: 0, seq: 0 }
    }
}
