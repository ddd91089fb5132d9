//! Texts beside the payload of a message, each with a name.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::codec::to_bytes;
use super::error::BodyError;
use super::token::{Token, Tokens};
use crate::limits::{HEADER_ENTRIES, HEADER_KEY_BYTES, HEADERS_BYTES};

/// Headers of a message: a map from text to text, in the order of the keys, so that the same headers
/// are the same bytes. At most 64 entries and 65 535 bytes as they travel; a key has 1 to 255 bytes.
///
/// ```
/// use waxwire::body::Headers;
///
/// let mut headers = Headers::new();
/// headers.insert("trace", "4bf92f35")?;
/// let bytes = headers.to_bytes().expect("there is one");
/// assert_eq!(Headers::from_slice(&bytes)?.get("trace"), Some("4bf92f35"));
/// # Ok::<(), waxwire::body::HeaderError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers {
    entries: BTreeMap<String, String>,
    /// Of the entries as they travel, without what stands in front of the first.
    entry_bytes: usize,
}

/// Why headers are not taken. Holds none of their text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A key of no bytes, or of more than 255.
    #[error("the key of a header has {bytes} bytes, not 1 to {HEADER_KEY_BYTES}")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// More than 64 entries.
    #[error("there are more than {HEADER_ENTRIES} headers")]
    TooMany,
    /// More than 65 535 bytes.
    #[error("headers have more than {HEADERS_BYTES} bytes")]
    TooLong,
    /// A peer gave a key twice.
    #[error("the key of a header stands twice")]
    Duplicate,
    /// A peer sent something that is not a map from text to text.
    #[error("headers are not a map from text to text")]
    NotText,
    /// A peer sent something that is not one value of MessagePack.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl Headers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an entry, and returns the value that stood under its key.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Key`], [`HeaderError::TooMany`], [`HeaderError::TooLong`]; nothing changed.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Option<String>, HeaderError> {
        let (key, value) = (key.into(), value.into());
        let bytes = key.len();
        if bytes == 0 || bytes > HEADER_KEY_BYTES {
            return Err(HeaderError::Key { bytes });
        }
        let (held, count) = (self.entries.get(&key), self.entries.len());
        let entries = count + usize::from(held.is_none());
        if entries > HEADER_ENTRIES {
            return Err(HeaderError::TooMany);
        }
        let freed = held.map_or(0, |held| text_bytes(&key) + text_bytes(held));
        let entry_bytes = self.entry_bytes - freed + text_bytes(&key) + text_bytes(&value);
        if map_bytes(entries) + entry_bytes > HEADERS_BYTES {
            return Err(HeaderError::TooLong);
        }
        self.entry_bytes = entry_bytes;
        Ok(self.entries.insert(key, value))
    }

    /// The value under this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// As they travel; `None` if there is none, as a message without headers has no room for them.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Bytes> {
        if self.is_empty() { None } else { to_bytes(&self.entries).ok() }
    }

    /// Reads what a peer sent.
    ///
    /// # Errors
    ///
    /// [`HeaderError`]; it refuses what [`insert`](Self::insert) would, keys that stand twice, and
    /// everything but text.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > HEADERS_BYTES {
            return Err(HeaderError::TooLong);
        }
        let mut tokens = Tokens::new(bytes);
        let Token::Map(pairs) = tokens.read()? else { return Err(HeaderError::NotText) };
        if pairs > HEADER_ENTRIES {
            return Err(HeaderError::TooMany);
        }
        let mut headers = Self::new();
        for _ in 0..pairs {
            let (key, value) = (text(&mut tokens)?, text(&mut tokens)?);
            if headers.insert(key, value)?.is_some() {
                return Err(HeaderError::Duplicate);
            }
        }
        tokens.end()?;
        Ok(headers)
    }
}

fn text<'a>(tokens: &mut Tokens<'a>) -> Result<&'a str, HeaderError> {
    match tokens.read()? {
        Token::Text(bytes) => str::from_utf8(bytes).map_err(|_| HeaderError::NotText),
        _ => Err(HeaderError::NotText),
    }
}

/// What a text of this length takes.
fn text_bytes(text: &str) -> usize {
    let length = match text.len() {
        0..=31 => 1,
        32..=255 => 2,
        256..=65_535 => 3,
        _ => 5,
    };
    length + text.len()
}

fn map_bytes(entries: usize) -> usize {
    if entries < 16 { 1 } else { 3 }
}
