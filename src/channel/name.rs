//! The name of one channel, checked once. Knows no pattern and no rule about who may use it.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{PeerId, Role};
use crate::limits::{CHANNEL_NAME_BYTES, CHANNEL_TOKENS};

/// The name of one channel: 1 to 16 tokens of `[A-Za-z0-9_-]` with a `.` between them, 255 bytes at
/// most. Upper and lower case are different. A clone shares the text.
///
/// ```
/// use waxwire::{ChannelName, PeerId, topics};
///
/// let id = PeerId::new("edge-7")?;
/// let name = ChannelName::agent(&id, topics::ANOMALIES)?;
/// assert_eq!(name.as_str(), "agent.edge-7.anomalies");
/// assert_eq!(name, ChannelName::new("agent.edge-7.anomalies")?);
/// assert!(ChannelName::new("agent.*.anomalies").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name or no pattern. `at` counts bytes from the front. Holds none of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadChannel {
    /// No text at all.
    #[error("a channel name is not empty")]
    Empty,
    /// More than 255 bytes.
    #[error("a channel name of {bytes} bytes is longer than {CHANNEL_NAME_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More than 16 tokens.
    #[error("a channel name has at most {CHANNEL_TOKENS} tokens; one more begins at byte {at}")]
    TooManyTokens {
        /// Where the first token too many begins.
        at: usize,
    },
    /// A `.` at the front, at the end, or behind another one.
    #[error("a token of a channel name is empty at byte {at}")]
    EmptyToken {
        /// Where the token should begin.
        at: usize,
    },
    /// A byte outside `[A-Za-z0-9_-]`.
    #[error("a channel name holds letters, digits, '_' and '-' only; byte {at} is none of them")]
    Character {
        /// The first such byte.
        at: usize,
    },
    /// A `*` or `>` in a name, or beside other characters in a token of a pattern.
    #[error("a wildcard may not stand at byte {at}")]
    Wildcard {
        /// The wildcard.
        at: usize,
    },
    /// A `>` with tokens behind it.
    #[error("'>' stands last in a pattern, not at byte {at}")]
    RestNotLast {
        /// The `>`.
        at: usize,
    },
}

impl ChannelName {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// [`BadChannel`] says what is wrong, and where.
    pub fn new(name: impl AsRef<str>) -> Result<Self, BadChannel> {
        let name = name.as_ref();
        check(name.as_bytes(), Wildcards::Refused)?;
        Ok(Self(name.into()))
    }

    /// The channel on which this agent speaks to its backend about `topic`: `agent.<id>.<topic>`.
    /// A topic is one token or several with `.` between them.
    ///
    /// # Errors
    ///
    /// [`BadChannel`], counted from the front of the whole name, if the topic breaks the form.
    pub fn agent(id: &PeerId, topic: impl AsRef<str>) -> Result<Self, BadChannel> {
        Self::new(under(Role::Agent, id, topic.as_ref()))
    }

    /// The channel on which the backend speaks to this agent about `topic`: `backend.<id>.<topic>`.
    ///
    /// # Errors
    ///
    /// As those of [`agent`](Self::agent).
    pub fn backend(id: &PeerId, topic: impl AsRef<str>) -> Result<Self, BadChannel> {
        Self::new(under(Role::Backend, id, topic.as_ref()))
    }

    /// Reads a name that a peer sent.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadChannel> {
        Self::new(checked(bytes, Wildcards::Refused)?)
    }

    /// What [`Pattern`](super::Pattern) shares with a name.
    pub(super) fn from_checked(text: Arc<str>) -> Self {
        Self(text)
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, from the front.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Who speaks here and which agent has a part in it, if the name is of the form
    /// `agent.<id>.<topic>` or `backend.<id>.<topic>`; and the topic.
    pub(super) fn parts(&self) -> Option<(Role, &str, &str)> {
        let (side, rest) = self.0.split_once('.')?;
        let (id, topic) = rest.split_once('.')?;
        let role = [Role::Agent, Role::Backend].into_iter().find(|role| word(*role) == side)?;
        Some((role, id, topic))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ChannelName {
    type Err = BadChannel;

    fn from_str(name: &str) -> Result<Self, BadChannel> {
        Self::new(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// As the text is ordered, so is the name.
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The first token of the channels that a side speaks on.
pub(super) fn word(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Backend => "backend",
    }
}

pub(super) fn under(role: Role, agent: &PeerId, topic: &str) -> String {
    [word(role), ".", agent.as_str(), ".", topic].concat()
}

/// Whether a text may hold wildcards.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Wildcards {
    Refused,
    Allowed,
}

/// A peer's bytes as the text they are.
pub(super) fn checked(bytes: &[u8], wildcards: Wildcards) -> Result<&str, BadChannel> {
    check(bytes, wildcards)?;
    std::str::from_utf8(bytes).map_err(|error| BadChannel::Character { at: error.valid_up_to() })
}

pub(super) fn check(text: &[u8], wildcards: Wildcards) -> Result<(), BadChannel> {
    if text.is_empty() {
        return Err(BadChannel::Empty);
    }
    if text.len() > CHANNEL_NAME_BYTES {
        return Err(BadChannel::TooLong { bytes: text.len() });
    }
    let mut at = 0;
    for (place, token) in text.split(|byte| *byte == b'.').enumerate() {
        if place == CHANNEL_TOKENS {
            return Err(BadChannel::TooManyTokens { at });
        }
        let last = at + token.len() == text.len();
        match (wildcards, token) {
            (_, []) => return Err(BadChannel::EmptyToken { at }),
            (Wildcards::Allowed, b"*") => {}
            (Wildcards::Allowed, b">") if last => {}
            (Wildcards::Allowed, b">") => return Err(BadChannel::RestNotLast { at }),
            _ => check_token(token, at)?,
        }
        at += token.len() + 1;
    }
    Ok(())
}

fn check_token(token: &[u8], at: usize) -> Result<(), BadChannel> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match token.iter().enumerate().find(|(_, byte)| !plain(**byte)) {
        None => Ok(()),
        Some((place, b'*' | b'>')) => Err(BadChannel::Wildcard { at: at + place }),
        Some((place, _)) => Err(BadChannel::Character { at: at + place }),
    }
}
