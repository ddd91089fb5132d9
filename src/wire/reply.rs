//! REPLY, the second message of a handshake: what the responder chose, in clear, and its sealed
//! block, which `block` reads once it is opened.

use bytes::{BufMut, BytesMut};

use super::reader::{Malformed, Reader};
use super::writer::put_lv16;
use crate::limits::RESUME_OFFERS;

const NOTHING_RESUMED: u8 = 0xff;

/// A REPLY body, read. Borrows from it.
#[derive(Clone, Copy)]
pub(crate) struct Reply<'a> {
    /// The version chosen.
    pub version: u8,
    /// The suite chosen.
    pub suite: u16,
    /// Which of the chains offered is resumed.
    pub resumed: Option<usize>,
    /// The link that the responder wants to be written to on.
    pub link: [u8; 8],
    /// Ephemeral public key and ciphertext of the suite.
    pub share: &'a [u8],
    /// Bytes of the body that stand in clear.
    pub clear_bytes: usize,
}

impl<'a> Reply<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let version = reader.u8()?;
        let suite = reader.u16()?;
        let resumed = match reader.u8()? {
            NOTHING_RESUMED => None,
            index if usize::from(index) < RESUME_OFFERS => Some(usize::from(index)),
            _ => return Err(Malformed::Value("resume index")),
        };
        let link: [u8; 8] = reader.array()?;
        if link == [0; 8] {
            return Err(Malformed::Value("link id"));
        }
        reader.array::<32>()?;
        let share = reader.lv16()?;
        let clear_bytes = body.len() - reader.rest().len();
        Ok(Self { version, suite, resumed, link, share, clear_bytes })
    }
}

/// Appends the clear part of a REPLY body.
pub(crate) fn encode_reply(reply: &Reply<'_>, random: &[u8; 32], out: &mut BytesMut) {
    out.put_u8(reply.version);
    out.put_u16(reply.suite);
    let index = reply.resumed.and_then(|index| u8::try_from(index).ok());
    out.put_u8(index.unwrap_or(NOTHING_RESUMED));
    out.put_slice(&reply.link);
    out.put_slice(random);
    put_lv16(out, reply.share);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::edited;
    use super::*;

    const REPLY: Reply<'static> = Reply {
        version: 1,
        suite: 0x0102,
        resumed: Some(1),
        link: [8; 8],
        share: b"share",
        clear_bytes: 51,
    };

    #[test]
    fn a_reply_stands_as_the_table_draws_it() {
        let bytes = body(&REPLY);
        let expected =
            [&[1, 1, 2, 1][..], &[8; 8], &[5; 32], &[0, 5], b"share", b"sealed"].concat();
        assert_eq!(bytes, expected);
        let read = Reply::decode(&bytes).expect("well formed");
        assert_eq!((read.version, read.suite, read.resumed), (1, 0x0102, Some(1)));
        assert_eq!((read.link, read.share), ([8; 8], &b"share"[..]));
        assert_eq!(&bytes[read.clear_bytes..], b"sealed");
    }

    /// proto-spec [H-4]: the index names one of two entries, or nothing.
    #[test]
    fn a_resume_index_is_zero_one_or_none() {
        for (index, resumed) in [(0, Some(0)), (1, Some(1)), (0xff, None)] {
            let bytes = body(&Reply { resumed, ..REPLY });
            assert_eq!(bytes[3], index);
            assert_eq!(Reply::decode(&bytes).map(|read| read.resumed), Ok(resumed));
        }
        for index in [2, 3, 0x7f, 0xfe] {
            let mut bytes = body(&REPLY);
            bytes[3] = index;
            assert_eq!(Reply::decode(&bytes).err(), Some(Malformed::Value("resume index")));
        }
    }

    /// proto-spec [H-4].
    #[test]
    fn a_link_of_zeros_is_refused() {
        let bytes = body(&Reply { link: [0; 8], ..REPLY });
        assert_eq!(Reply::decode(&bytes).err(), Some(Malformed::Value("link id")));
        let bytes = body(&Reply { link: [0, 0, 0, 0, 0, 0, 0, 1], ..REPLY });
        assert!(Reply::decode(&bytes).is_ok());
    }

    #[test]
    fn a_clear_part_cut_short_is_refused() {
        let bytes = body(&REPLY);
        for length in 0..REPLY.clear_bytes {
            assert_eq!(Reply::decode(&bytes[..length]).err(), Some(Malformed::Truncated));
        }
        let read = Reply::decode(&bytes[..REPLY.clear_bytes]);
        assert_eq!(read.map(|read| read.clear_bytes), Ok(REPLY.clear_bytes));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            bytes in edited(vec![body(&REPLY), body(&Reply { resumed: None, ..REPLY })]),
        ) {
            if let Ok(read) = Reply::decode(&bytes) {
                let random = bytes[12..44].try_into().expect("32 bytes");
                let mut again = BytesMut::new();
                encode_reply(&read, &random, &mut again);
                prop_assert_eq!(&again[..], &bytes[..read.clear_bytes]);
            }
        }
    }

    fn body(reply: &Reply<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode_reply(reply, &[5; 32], &mut out);
        out.put_slice(b"sealed");
        out.to_vec()
    }
}
