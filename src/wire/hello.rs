//! HELLO, the first message of a handshake: what the initiator offers, in clear.

use bytes::{BufMut, BytesMut};

use super::list::List;
use super::reader::{Malformed, Reader};
use super::writer::{length16, put_lv16};
use crate::limits::{COOKIE_BYTES, HELLO_BYTES_MIN, OFFERS, RESUME_OFFERS};

/// Bytes of one entry of the resume list: an id and its binder.
pub(crate) const RESUME_ENTRY_BYTES: usize = 16 + 32;
const KNOCK_BYTES: usize = 16;

/// A HELLO body, read. Borrows from it.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    /// Versions offered, newest first.
    pub versions: &'a [u8],
    suites: &'a [u8],
    /// The link that the initiator wants to be written to on.
    pub link: [u8; 8],
    /// The suite whose share is sent.
    pub share_suite: u16,
    /// Ephemeral public keys of `share_suite`.
    pub share: &'a [u8],
    resume: &'a [u8],
    /// The cookie of a RETRY, or nothing.
    pub cookie: &'a [u8],
    /// What else is offered.
    pub extensions: List<'a>,
    /// Where in the body things stand that are hashed up to there.
    pub marks: HelloMarks,
}

/// Offsets into a HELLO body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct HelloMarks {
    /// The resume list begins here; binders cover what stands before.
    pub resume: usize,
    /// The knock stands here; it covers what stands before.
    pub knock: usize,
}

impl<'a> Hello<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let (head, _) = body.split_last_chunk::<KNOCK_BYTES>().ok_or(Malformed::Truncated)?;
        let mut reader = Reader::new(head);
        let versions = reader.lv8()?;
        if !(1..=OFFERS).contains(&versions.len()) {
            return Err(Malformed::Bounds("versions"));
        }
        let count = usize::from(reader.u8()?);
        if !(1..=OFFERS).contains(&count) {
            return Err(Malformed::Bounds("suites"));
        }
        let suites = reader.take(count * 2)?;
        let link: [u8; 8] = reader.array()?;
        if link == [0; 8] {
            return Err(Malformed::Value("link id"));
        }
        reader.array::<32>()?;
        let share_suite = reader.u16()?;
        let share = reader.lv16()?;
        let resume_at = head.len() - reader.rest().len();
        let count = usize::from(reader.u8()?);
        if count > RESUME_OFFERS {
            return Err(Malformed::Bounds("resume list"));
        }
        let resume = reader.take(count * RESUME_ENTRY_BYTES)?;
        let cookie = reader.lv16()?;
        if cookie.len() > COOKIE_BYTES {
            return Err(Malformed::Bounds("cookie"));
        }
        let extensions = List::decode(reader.lv16()?, "extensions")?;
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(Malformed::NonzeroPadding);
        }
        let marks = HelloMarks { resume: resume_at, knock: head.len() };
        let hello =
            Self { versions, suites, link, share_suite, share, resume, cookie, extensions, marks };
        if !hello.suites().any(|suite| suite == share_suite) {
            return Err(Malformed::Value("share suite"));
        }
        Ok(hello)
    }

    /// Suites offered, preferred first.
    pub(crate) fn suites(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.suites.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// Ids of the chains offered for resumption, each with its binder.
    pub(crate) fn resume(&self) -> impl Iterator<Item = ([u8; 16], [u8; 32])> + use<'a> {
        self.resume.as_chunks::<RESUME_ENTRY_BYTES>().0.iter().filter_map(|entry| {
            let (rid, binder) = entry.split_first_chunk::<16>()?;
            Some((*rid, *binder.first_chunk()?))
        })
    }
}

/// What a HELLO says, to be written.
pub(crate) struct HelloFields<'a> {
    pub versions: &'a [u8],
    pub suites: &'a [u16],
    pub link: [u8; 8],
    pub random: [u8; 32],
    pub share_suite: u16,
    pub share: &'a [u8],
    pub rids: &'a [[u8; 16]],
    pub cookie: &'a [u8],
    pub extensions: &'a [u8],
}

impl HelloFields<'_> {
    /// Appends the body, padded, with zeros where binders and knock will stand.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> HelloMarks {
        let start = out.len();
        super::writer::put_lv8(out, self.versions);
        let [.., count] = length16(self.suites.len()).to_be_bytes();
        out.put_u8(count);
        self.suites.iter().for_each(|suite| out.put_u16(*suite));
        out.put_slice(&self.link);
        out.put_slice(&self.random);
        out.put_u16(self.share_suite);
        put_lv16(out, self.share);
        let resume = out.len() - start;
        let [.., count] = length16(self.rids.len()).to_be_bytes();
        out.put_u8(count);
        for rid in self.rids {
            out.put_slice(rid);
            out.put_bytes(0, RESUME_ENTRY_BYTES - rid.len());
        }
        put_lv16(out, self.cookie);
        put_lv16(out, self.extensions);
        let written = out.len() - start + KNOCK_BYTES;
        out.put_bytes(0, HELLO_BYTES_MIN.saturating_sub(written));
        let knock = out.len() - start;
        out.put_bytes(0, KNOCK_BYTES);
        HelloMarks { resume, knock }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::edited;
    use super::super::list::put_entry;
    use super::*;

    const HYBRID: &[u8] = &[4; 1_216];
    const FIELDS: HelloFields<'static> = HelloFields {
        versions: &[1, 0x0a],
        suites: &[0x0001, 0x0203],
        link: [2; 8],
        random: [3; 32],
        share_suite: 0x0203,
        share: b"share",
        rids: &[[5; 16], [6; 16]],
        cookie: b"cookie",
        extensions: &[],
    };

    #[test]
    fn a_hello_stands_as_the_table_draws_it() {
        let (body, marks) = encoded(&FIELDS);
        let before =
            [&[2, 1, 0x0a, 2, 0, 1, 2, 3][..], &[2; 8], &[3; 32], &[2, 3, 0, 5], b"share"].concat();
        let after = [&[2][..], &[5; 16], &[0; 32], &[6; 16], &[0; 32], &[0, 6], b"cookie", &[0, 0]]
            .concat();
        assert_eq!(marks, HelloMarks { resume: before.len(), knock: 1_264 });
        assert_eq!(body[..marks.resume], before);
        assert_eq!(body[marks.resume..][..after.len()], after);
        assert_eq!(body[marks.resume + after.len()..], vec![0; 1_280 - before.len() - after.len()]);
    }

    #[test]
    fn what_was_written_is_read() {
        let mut extensions = BytesMut::new();
        put_entry(&mut extensions, 0x8007, b"x");
        let (mut body, marks) = encoded(&HelloFields { extensions: &extensions, ..FIELDS });
        body[marks.resume + 17..][..32].fill(7);
        body[marks.resume + 65..][..32].fill(8);
        body[marks.knock..].fill(9);
        let read = Hello::decode(&body).expect("well formed");
        assert_eq!(read.versions, [1, 0x0a]);
        assert_eq!(read.suites().collect::<Vec<_>>(), [0x0001, 0x0203]);
        assert_eq!((read.link, read.share_suite, read.share), ([2; 8], 0x0203, &b"share"[..]));
        let resume: Vec<_> = read.resume().collect();
        assert_eq!(resume, [([5; 16], [7; 32]), ([6; 16], [8; 32])]);
        assert_eq!(read.cookie, b"cookie");
        assert_eq!(read.extensions.get(0x8007), Some(&b"x"[..]));
        assert_eq!(read.marks, marks);
    }

    /// proto-spec [H-1], and the sizes of 03-handshake, 3.1.
    #[test]
    fn a_body_has_at_least_1280_bytes() {
        let (rid, cookie) = ([[5; 16]; 2], [6; 21]);
        let plain = HelloFields { share: HYBRID, rids: &[], cookie: &[], ..FIELDS };
        assert_eq!(encoded(&plain).0.len(), 1_289);
        assert_eq!(encoded(&HelloFields { rids: &rid[..1], ..plain }).0.len(), 1_337);
        let two = HelloFields { rids: &rid, ..plain };
        assert_eq!(encoded(&two).0.len(), 1_385);
        assert_eq!(encoded(&HelloFields { cookie: &cookie, ..two }).0.len(), 1_406);
        for (share, length) in [(32, 1_280), (1_206, 1_280), (1_207, 1_280), (1_208, 1_281)] {
            let fields = HelloFields { share: &HYBRID[..share], ..plain };
            assert_eq!(encoded(&fields).0.len(), length, "share of {share}");
        }
    }

    /// proto-spec [H-2].
    #[test]
    fn one_to_eight_versions_are_offered() {
        for (count, fits) in [(0, false), (1, true), (8, true), (9, false)] {
            let (body, _) = encoded(&HelloFields { versions: &vec![1; count], ..FIELDS });
            let expected = (!fits).then_some(Malformed::Bounds("versions"));
            assert_eq!(Hello::decode(&body).err(), expected, "{count}");
        }
    }

    /// proto-spec [H-2].
    #[test]
    fn one_to_eight_suites_are_offered() {
        for (count, fits) in [(0, false), (1, true), (8, true), (9, false)] {
            let (body, _) = encoded(&HelloFields { suites: &vec![0x0203; count], ..FIELDS });
            let expected = (!fits).then_some(Malformed::Bounds("suites"));
            assert_eq!(Hello::decode(&body).err(), expected, "{count}");
        }
    }

    /// proto-spec [H-2].
    #[test]
    fn at_most_two_chains_are_offered() {
        for count in 0..=4 {
            let (body, _) = encoded(&HelloFields { rids: &vec![[5; 16]; count], ..FIELDS });
            let expected = (count > 2).then_some(Malformed::Bounds("resume list"));
            assert_eq!(Hello::decode(&body).err(), expected, "{count}");
        }
    }

    /// proto-spec [H-2].
    #[test]
    fn a_cookie_has_at_most_64_bytes() {
        for length in [0, 1, 64, 65] {
            let (body, _) = encoded(&HelloFields { cookie: &vec![7; length], ..FIELDS });
            let expected = (length > 64).then_some(Malformed::Bounds("cookie"));
            assert_eq!(Hello::decode(&body).err(), expected, "{length}");
        }
    }

    /// proto-spec [H-2].
    #[test]
    fn a_link_of_zeros_is_refused() {
        let (body, _) = encoded(&HelloFields { link: [0; 8], ..FIELDS });
        assert_eq!(Hello::decode(&body).err(), Some(Malformed::Value("link id")));
        let (body, _) = encoded(&HelloFields { link: [0, 0, 0, 0, 0, 0, 0, 1], ..FIELDS });
        assert!(Hello::decode(&body).is_ok());
    }

    /// proto-spec [H-2].
    #[test]
    fn the_share_is_for_a_suite_that_is_offered() {
        let (body, _) = encoded(&HelloFields { share_suite: 0x0002, ..FIELDS });
        assert_eq!(Hello::decode(&body).err(), Some(Malformed::Value("share suite")));
        let (body, _) = encoded(&HelloFields { share_suite: 0x0001, ..FIELDS });
        assert!(Hello::decode(&body).is_ok());
    }

    /// proto-spec [H-2].
    #[test]
    fn extensions_that_do_not_ascend_are_refused() {
        let mut extensions = BytesMut::new();
        put_entry(&mut extensions, 2, b"");
        put_entry(&mut extensions, 2, b"");
        let (body, _) = encoded(&HelloFields { extensions: &extensions, ..FIELDS });
        assert_eq!(Hello::decode(&body).err(), Some(Malformed::Order("extensions")));
    }

    /// proto-spec [H-2].
    #[test]
    fn each_byte_of_padding_is_zero() {
        let (body, marks) = encoded(&FIELDS);
        let first = marks.resume + 1 + 2 * 48 + 2 + 6 + 2;
        for index in [first, first + 1, marks.knock - 1] {
            let mut body = body.clone();
            body[index] = 1;
            assert_eq!(Hello::decode(&body).err(), Some(Malformed::NonzeroPadding), "{index}");
        }
        let longer = [&body[..], &[0; 100]].concat();
        assert!(Hello::decode(&longer).is_ok_and(|read| read.marks.knock == marks.knock + 100));
    }

    /// proto-spec [H-2].
    #[test]
    fn a_field_cut_short_is_refused() {
        let (mut body, marks) = encoded(&FIELDS);
        body[marks.knock..].fill(9);
        let fields = marks.resume + 1 + 2 * 48 + 2 + 6 + 2;
        for length in 0..fields {
            let cut = [&body[..length], &[9; 16]].concat();
            assert_eq!(Hello::decode(&cut).err(), Some(Malformed::Truncated), "{length}");
        }
        for length in 0..16 {
            assert_eq!(Hello::decode(&body[..length]).err(), Some(Malformed::Truncated));
        }
        let whole = [&body[..fields], &[9; 16]].concat();
        assert!(Hello::decode(&whole).is_ok_and(|read| read.marks.knock == fields));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            body in edited(vec![
                unpadded(&FIELDS),
                unpadded(&HelloFields { rids: &[], cookie: &[], ..FIELDS }),
                encoded(&HelloFields { share: HYBRID, ..FIELDS }).0,
            ]),
        ) {
            if let Ok(read) = Hello::decode(&body) {
                let suites: Vec<_> = read.suites().collect();
                let (rids, binders): (Vec<_>, Vec<_>) = read.resume().unzip();
                let share_at = read.marks.resume - read.share.len() - 4;
                let (mut again, marks) = encoded(&HelloFields {
                    versions: read.versions,
                    suites: &suites,
                    link: read.link,
                    random: body[share_at - 32..share_at].try_into().expect("32 bytes"),
                    share_suite: read.share_suite,
                    share: read.share,
                    rids: &rids,
                    cookie: read.cookie,
                    extensions: read.extensions.bytes(),
                });
                for (entry, binder) in again[marks.resume + 1..].chunks_mut(48).zip(binders) {
                    entry[16..].copy_from_slice(&binder);
                }
                prop_assert_eq!(marks.resume, read.marks.resume);
                // Padding is free: both end in zeros, one of them earlier.
                let common = marks.knock.min(read.marks.knock);
                prop_assert_eq!(&again[..common], &body[..common]);
                prop_assert!(body[common..read.marks.knock].iter().all(|byte| *byte == 0));
                prop_assert_eq!(body.len(), read.marks.knock + 16);
            }
        }
    }

    /// Written behind other bytes, as it is behind its header.
    fn encoded(fields: &HelloFields<'_>) -> (Vec<u8>, HelloMarks) {
        let mut out = BytesMut::from(&[0xee; 24][..]);
        let marks = fields.encode(&mut out);
        (out[24..].to_vec(), marks)
    }

    fn unpadded(fields: &HelloFields<'_>) -> Vec<u8> {
        let (body, marks) = encoded(fields);
        let rest = 1 + fields.rids.len() * 48 + 2 + fields.cookie.len() + 2;
        [&body[..marks.resume + rest], &[9; 16]].concat()
    }
}
