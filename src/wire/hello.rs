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
