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
