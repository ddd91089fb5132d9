//! Why a call ended without a response, and what that says about asking again.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::FAILURE_TEXT_BYTES;
use crate::wire::{Malformed, Reader, put_lv16};

/// A terminal answer that is no response. Its text is the other side's and belongs to the
/// application, so it does not print.
#[derive(Clone, Eq, PartialEq)]
pub struct Failure {
    /// Why.
    pub code: ErrorCode,
    /// What the answering application adds, at most [`FAILURE_TEXT_BYTES`].
    pub text: String,
}

/// Why. The numbers never change.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The deadline passed. The work may have been done.
    Deadline,
    /// The caller withdrew the request, and the handler stopped.
    Cancelled,
    /// Nobody answers here. Nothing was done.
    NoHandler,
    /// Too many calls are open. Nothing was done.
    Busy,
    /// A policy forbids it. Nothing was done.
    Refused,
    /// The answering side lost its state: nobody knows whether the work was done.
    InDoubt,
    /// The link was lost before an answer came. The work may have been done.
    Detached,
    /// The message does not fit. Nothing was done.
    TooLarge,
    /// The handler failed by its own fault.
    Internal,
    /// The payload is not what the handler takes. Nothing was done.
    BadPayload,
    /// The handler's own number.
    Application(u32),
    /// A code of a later version.
    Other(u16),
}

/// Whether to ask again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Retry {
    /// Nothing was done; the same call may succeed after a pause.
    Later,
    /// It may have been done: ask again only what may be done twice.
    IfRepeatable,
    /// The same call fails again.
    No,
}

const APPLICATION: u16 = 0x8000;

impl ErrorCode {
    /// Code and detail as they travel.
    pub(crate) const fn to_wire(self) -> (u16, u32) {
        let code = match self {
            Self::Deadline => 1,
            Self::Cancelled => 2,
            Self::NoHandler => 3,
            Self::Busy => 4,
            Self::Refused => 5,
            Self::InDoubt => 6,
            Self::Detached => 7,
            Self::TooLarge => 8,
            Self::Internal => 9,
            Self::BadPayload => 10,
            Self::Application(detail) => return (APPLICATION, detail),
            Self::Other(code) => code,
        };
        (code, 0)
    }

    /// `None` for a detail beside a code of ours, which has none.
    pub(crate) const fn from_wire(code: u16, detail: u32) -> Option<Self> {
        Some(match (code, detail) {
            (APPLICATION, detail) => Self::Application(detail),
            (1, 0) => Self::Deadline,
            (2, 0) => Self::Cancelled,
            (3, 0) => Self::NoHandler,
            (4, 0) => Self::Busy,
            (5, 0) => Self::Refused,
            (6, 0) => Self::InDoubt,
            (7, 0) => Self::Detached,
            (8, 0) => Self::TooLarge,
            (9, 0) => Self::Internal,
            (10, 0) => Self::BadPayload,
            (other, 0) => Self::Other(other),
            _ => return None,
        })
    }

    /// What the code says about asking again. A code of a later version is judged as in doubt.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Busy => Retry::Later,
            Self::Deadline | Self::InDoubt | Self::Detached | Self::Internal | Self::Other(_) => {
                Retry::IfRepeatable
            }
            Self::Cancelled
            | Self::NoHandler
            | Self::Refused
            | Self::TooLarge
            | Self::BadPayload
            | Self::Application(_) => Retry::No,
        }
    }
}

impl Failure {
    /// Without a text.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self { code, text: String::new() }
    }

    /// With a text, cut where a character ends if it is too long.
    #[must_use]
    pub fn with_text(code: ErrorCode, text: &str) -> Self {
        let fits = |end: &usize| *end <= FAILURE_TEXT_BYTES;
        let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
        let end = ends.take_while(fits).last().unwrap_or(0);
        Self { code, text: text.get(..end).unwrap_or_default().to_owned() }
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let (code, detail) = (reader.u16()?, reader.u32()?);
        let code = ErrorCode::from_wire(code, detail).ok_or(Malformed::Value("detail"))?;
        let text = reader.lv16()?;
        reader.end()?;
        if text.len() > FAILURE_TEXT_BYTES {
            return Err(Malformed::Bounds("text"));
        }
        let text = std::str::from_utf8(text).map_err(|_| Malformed::Value("text"))?;
        Ok(Self { code, text: text.to_owned() })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(8 + self.text.len());
        self.put(&mut out);
        out.freeze()
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        let (code, detail) = self.code.to_wire();
        out.put_u16(code);
        out.put_u32(detail);
        put_lv16(out, self.text.as_bytes());
    }
}

impl ErrorCode {
    /// Its name in `snake_case`, for logs and metrics; it never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
            Self::NoHandler => "no_handler",
            Self::Busy => "busy",
            Self::Refused => "call_refused",
            Self::InDoubt => "call_in_doubt",
            Self::Detached => "call_detached",
            Self::TooLarge => "call_too_large",
            Self::Internal => "internal",
            Self::BadPayload => "bad_payload",
            Self::Application(_) => "application",
            Self::Other(_) => "call_other",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "the deadline passed",
            Self::Cancelled => "it was cancelled",
            Self::NoHandler => "nobody answers there",
            Self::Busy => "too many calls are open",
            Self::Refused => "a policy forbids it",
            Self::InDoubt => "the answering side lost its state",
            Self::Detached => "the link was lost before an answer came",
            Self::TooLarge => "the message does not fit",
            Self::Internal => "the handler failed by its own fault",
            Self::BadPayload => "the payload is not what the handler takes",
            Self::Application(detail) => return write!(f, "the handler refused it with {detail}"),
            Self::Other(code) => return write!(f, "code {code}"),
        })
    }
}

/// Names the code; the text is the other side's, and is not printed.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({:?}, {} bytes)", self.code, self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: [ErrorCode; 10] = [
        ErrorCode::Deadline,
        ErrorCode::Cancelled,
        ErrorCode::NoHandler,
        ErrorCode::Busy,
        ErrorCode::Refused,
        ErrorCode::InDoubt,
        ErrorCode::Detached,
        ErrorCode::TooLarge,
        ErrorCode::Internal,
        ErrorCode::BadPayload,
    ];

    /// proto-spec 11-calls: the whole table.
    #[test]
    fn each_code_has_its_number() {
        for (number, code) in (1..).zip(NAMED) {
            assert_eq!(code.to_wire(), (number, 0));
        }
        assert_eq!(ErrorCode::Application(77).to_wire(), (0x8000, 77));
        for number in 0..=u16::MAX {
            let code = ErrorCode::from_wire(number, 0).expect("no detail");
            assert_eq!(code.to_wire(), (number, 0));
            let is_other = matches!(code, ErrorCode::Other(_));
            assert_eq!(is_other, number != 0x8000 && !(1..=10).contains(&number), "{number}");
        }
    }

    /// proto-spec: only an application's failure has a detail.
    #[test]
    fn a_detail_beside_a_code_of_ours_is_refused() {
        for number in [0, 1, 9, 10, 0x7fff, 0x8001, u16::MAX] {
            assert_eq!(ErrorCode::from_wire(number, 1), None);
        }
        let detailed = [0, 1, 0, 0, 0, 9, 0, 0];
        assert_eq!(Failure::decode(&detailed), Err(Malformed::Value("detail")));
    }

    /// proto-spec: a code that is not known is judged as in doubt.
    #[test]
    fn a_code_says_whether_to_ask_again() {
        let advice = NAMED.map(ErrorCode::retry);
        let expected = [
            Retry::IfRepeatable,
            Retry::No,
            Retry::No,
            Retry::Later,
            Retry::No,
            Retry::IfRepeatable,
            Retry::IfRepeatable,
            Retry::No,
            Retry::IfRepeatable,
            Retry::No,
        ];
        assert_eq!(advice, expected);
        assert_eq!(ErrorCode::Application(1).retry(), Retry::No);
        assert_eq!(ErrorCode::Other(500).retry(), ErrorCode::InDoubt.retry());
    }

    /// proto-spec: the layout of a failure.
    #[test]
    fn a_failure_stands_as_the_table_draws_it() {
        let failure = Failure::with_text(ErrorCode::Application(0x0102_0304), "no");
        let bytes = failure.encode();
        assert_eq!(bytes[..], [0x80, 0, 1, 2, 3, 4, 0, 2, b'n', b'o']);
        assert_eq!(Failure::decode(&bytes), Ok(failure));
        for length in 0..bytes.len() {
            assert_eq!(Failure::decode(&bytes[..length]), Err(Malformed::Truncated));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Failure::decode(&longer), Err(Malformed::TrailingBytes));
    }

    /// proto-spec: a text has a bound and is UTF-8.
    #[test]
    fn a_text_is_short_and_is_text() {
        let head = |length: u16| [&[0, 1, 0, 0, 0, 0][..], &length.to_be_bytes()].concat();
        let longest = [head(512), vec![b'x'; 512]].concat();
        assert_eq!(Failure::decode(&longest).map(|read| read.text.len()), Ok(512));
        let longer = [head(513), vec![b'x'; 513]].concat();
        assert_eq!(Failure::decode(&longer), Err(Malformed::Bounds("text")));
        let torn = [head(1), vec![0xff]].concat();
        assert_eq!(Failure::decode(&torn), Err(Malformed::Value("text")));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let cut = |text: &str| Failure::with_text(ErrorCode::Busy, text).text;
        assert_eq!(cut(&"x".repeat(513)).len(), 512);
        assert_eq!(cut(&format!("{}é", "x".repeat(511))).len(), 511);
        assert_eq!(cut(&format!("{}é", "x".repeat(510))).len(), 512);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn a_failure_prints_no_text() {
        let failure = Failure::with_text(ErrorCode::Refused, "secret");
        assert_eq!(format!("{failure:?}"), "Failure(Refused, 6 bytes)");
    }
}
