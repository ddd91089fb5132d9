//! RETRY, REJECT and NO_SESSION: the records that prove nothing and are only read.

use bytes::{BufMut, BytesMut};

use super::close::CloseCode;
use super::reader::{Malformed, Reader};
use super::writer::put_lv16;
use crate::limits::COOKIE_BYTES;

const REJECT_RESERVED: usize = 10;

/// "Say hello again with this cookie."
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Retry<'a> {
    pub cookie: &'a [u8],
}

impl<'a> Retry<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let cookie = reader.lv16()?;
        reader.end()?;
        if !(1..=COOKIE_BYTES).contains(&cookie.len()) {
            return Err(Malformed::Bounds("cookie"));
        }
        Ok(Self { cookie })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        put_lv16(out, self.cookie);
    }
}

/// "No", for a reason that proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Reject {
    pub code: CloseCode,
    pub retry_after_ms: u32,
}

impl Reject {
    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let code = CloseCode::from_u16(reader.u16()?);
        let retry_after_ms = reader.u32()?;
        let reserved = reader.array::<REJECT_RESERVED>()?;
        reader.end()?;
        if reserved != [0; REJECT_RESERVED] {
            return Err(Malformed::NonzeroPadding);
        }
        Ok(Self { code, retry_after_ms })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.code.to_u16());
        out.put_u32(self.retry_after_ms);
        out.put_bytes(0, REJECT_RESERVED);
    }
}

/// "I hold no such session": the token that its responder gave in ACCEPT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoSession {
    pub token: [u8; 16],
}

impl NoSession {
    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let token = reader.array()?;
        reader.end()?;
        Ok(Self { token })
    }
}
