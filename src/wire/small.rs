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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::{assert_fills, edited};
    use super::*;

    /// proto-spec [H-28]: exactly one cookie of 1 to 64 bytes.
    #[test]
    fn a_retry_is_one_cookie_and_nothing_else() {
        for length in [1, 21, 64] {
            let cookie = vec![9; length];
            let bytes = written(|out| Retry { cookie: &cookie }.encode(out));
            assert_eq!(bytes, [&[0, u8::try_from(length).unwrap()][..], &cookie].concat());
            assert_eq!(Retry::decode(&bytes), Ok(Retry { cookie: &cookie }));
            assert_fills(&bytes, |bytes| Retry::decode(bytes).map(|_| ()));
        }
        for length in [0, 65] {
            let bytes = written(|out| Retry { cookie: &vec![9; length] }.encode(out));
            assert_eq!(Retry::decode(&bytes), Err(Malformed::Bounds("cookie")));
        }
    }

    #[test]
    fn a_rejection_is_sixteen_bytes_of_which_ten_are_zero() {
        let reject = Reject { code: CloseCode::Busy, retry_after_ms: 0x0102_0304 };
        let bytes = written(|out| reject.encode(out));
        assert_eq!(bytes, [0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Reject::decode(&bytes), Ok(reject));
        assert_fills(&bytes, Reject::decode);
        for index in 6..16 {
            let mut bytes = bytes.clone();
            bytes[index] = 1;
            assert_eq!(Reject::decode(&bytes), Err(Malformed::NonzeroPadding), "byte {index}");
        }
    }

    #[test]
    fn no_session_is_its_token() {
        let token: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(NoSession::decode(&token), Ok(NoSession { token }));
        assert_fills(&token, NoSession::decode);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            bytes in edited(vec![vec![0, 3, 7, 8, 9], [&[0x80, 1, 0, 0, 4, 0], &[0; 10][..]].concat()]),
        ) {
            if let Ok(retry) = Retry::decode(&bytes) {
                prop_assert_eq!(&written(|out| retry.encode(out)), &bytes);
            }
            if let Ok(reject) = Reject::decode(&bytes) {
                prop_assert_eq!(&written(|out| reject.encode(out)), &bytes);
            }
        }
    }

    fn written(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode(&mut out);
        out.to_vec()
    }
}
