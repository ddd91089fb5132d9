//! One step through MessagePack: a marker and what belongs to it, but not the values inside an array
//! or a map. Knows no depth.

use super::error::BodyError;
use crate::limits::BODY_INTEGER_MAX;

/// What stands at a place of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// Of the type "str"; whether it is UTF-8 was not asked.
    Text(&'a [u8]),
    /// So many values follow.
    Array(usize),
    /// So many pairs of values follow.
    Map(usize),
    /// Nil, a boolean, a number, bytes, an extension.
    Other,
}

/// The tokens of a body, from the front.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    left: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Whether nothing follows.
    pub(super) fn end(&self) -> Result<(), BodyError> {
        if self.left.is_empty() { Ok(()) } else { Err(BodyError::TrailingBytes) }
    }

    pub(super) fn read(&mut self) -> Result<Token<'a>, BodyError> {
        let [marker] = self.array()?;
        match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Ok(Token::Other),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f)),
            0x90..=0x9f => self.list(usize::from(marker & 0x0f)),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f)),
            0xc1 => Err(BodyError::Reserved),
            0xc4..=0xc6 => {
                let bytes = self.length(marker - 0xc4)?;
                self.skip(bytes)
            }
            0xc7..=0xc9 => {
                let bytes = self.length(marker - 0xc7)?;
                self.extension(bytes)
            }
            0xcc | 0xd0 => self.skip(1),
            0xcd | 0xd1 => self.skip(2),
            0xca | 0xce | 0xd2 => self.skip(4),
            0xcb => self.skip(8),
            0xcf => within(u64::from_be_bytes(self.array()?)),
            0xd3 => within(i64::from_be_bytes(self.array()?).unsigned_abs()),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4)),
            0xd9..=0xdb => {
                let bytes = self.length(marker - 0xd9)?;
                self.text(bytes)
            }
            0xdc | 0xdd => {
                let values = self.length(marker - 0xdb)?;
                self.list(values)
            }
            0xde | 0xdf => {
                let pairs = self.length(marker - 0xdd)?;
                self.map(pairs)
            }
        }
    }

    /// A length of one byte, two or four.
    fn length(&mut self, width: u8) -> Result<usize, BodyError> {
        match width {
            0 => self.array().map(|[byte]| usize::from(byte)),
            1 => self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes))),
            _ => {
                let length = u32::from_be_bytes(self.array()?);
                usize::try_from(length).map_err(|_| BodyError::Truncated)
            }
        }
    }

    fn list(&self, values: usize) -> Result<Token<'a>, BodyError> {
        self.fits(values)?;
        Ok(Token::Array(values))
    }

    fn map(&self, pairs: usize) -> Result<Token<'a>, BodyError> {
        self.fits(pairs.saturating_mul(2))?;
        Ok(Token::Map(pairs))
    }

    /// Each value has at least one byte.
    fn fits(&self, values: usize) -> Result<(), BodyError> {
        if values > self.left.len() { Err(BodyError::Truncated) } else { Ok(()) }
    }

    fn text(&mut self, bytes: usize) -> Result<Token<'a>, BodyError> {
        self.take(bytes).map(Token::Text)
    }

    /// Its type stands in front of its bytes.
    fn extension(&mut self, bytes: usize) -> Result<Token<'a>, BodyError> {
        self.skip(1)?;
        self.skip(bytes)
    }

    fn skip(&mut self, bytes: usize) -> Result<Token<'a>, BodyError> {
        self.take(bytes).map(|_| Token::Other)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], BodyError> {
        let (taken, left) = self.left.split_at_checked(bytes).ok_or(BodyError::Truncated)?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BodyError> {
        let (taken, left) = self.left.split_first_chunk().ok_or(BodyError::Truncated)?;
        self.left = left;
        Ok(*taken)
    }
}

fn within<'a>(distance: u64) -> Result<Token<'a>, BodyError> {
    if distance > BODY_INTEGER_MAX { Err(BodyError::IntegerTooLarge) } else { Ok(Token::Other) }
}
