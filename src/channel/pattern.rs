//! A set of channel names, written with wildcards. Knows no subscriber.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::name::{BadChannel, ChannelName, Wildcards, check, checked, under};
use crate::ids::{PeerId, Role};

/// A channel name in which `*` may stand for one token, and `>`, last, for one token or more. The
/// bounds of a [`ChannelName`] hold. A name is the pattern of itself. A clone shares the text.
///
/// ```
/// use waxwire::{ChannelName, Pattern};
///
/// let anomalies = Pattern::new("agent.*.anomalies")?;
/// assert!(anomalies.matches(&ChannelName::new("agent.edge-7.anomalies")?));
/// assert!(!anomalies.matches(&ChannelName::new("agent.edge-7.disk.anomalies")?));
///
/// let all = Pattern::new("agent.>")?;
/// assert!(all.covers(&anomalies));
/// assert!(!anomalies.covers(&all));
/// # Ok::<(), waxwire::BadChannel>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`BadChannel`] says what is wrong, and where.
    pub fn new(pattern: impl AsRef<str>) -> Result<Self, BadChannel> {
        let pattern = pattern.as_ref();
        check(pattern.as_bytes(), Wildcards::Allowed)?;
        Ok(Self(pattern.into()))
    }

    /// What this agent says to its backend about `topic`, which may hold wildcards:
    /// `agent.<id>.<topic>`.
    ///
    /// # Errors
    ///
    /// [`BadChannel`], counted from the front of the whole pattern, if the topic breaks the form.
    pub fn agent(id: &PeerId, topic: impl AsRef<str>) -> Result<Self, BadChannel> {
        Self::new(under(Role::Agent, id, topic.as_ref()))
    }

    /// What the backend says to this agent about `topic`, which may hold wildcards:
    /// `backend.<id>.<topic>`.
    ///
    /// # Errors
    ///
    /// As those of [`agent`](Self::agent).
    pub fn backend(id: &PeerId, topic: impl AsRef<str>) -> Result<Self, BadChannel> {
        Self::new(under(Role::Backend, id, topic.as_ref()))
    }

    /// Reads a pattern that a peer sent.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadChannel> {
        Self::new(checked(bytes, Wildcards::Allowed)?)
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, from the front; `*` and `>` are tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The name, if there is no wildcard and so only one name.
    #[must_use]
    pub fn as_name(&self) -> Option<ChannelName> {
        let exact = !self.0.contains(['*', '>']);
        exact.then(|| ChannelName::from_checked(Arc::clone(&self.0)))
    }

    /// Whether the name is in the set.
    #[must_use]
    pub fn matches(&self, name: &ChannelName) -> bool {
        contains(self.tokens(), name.tokens())
    }

    /// Whether each name that `other` matches is matched by this one too. Judged token by token: a
    /// `>` counts as more than a `*` even where a name can have no further token.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        contains(self.tokens(), other.tokens())
    }

    /// Whether some name is matched by both. Judged token by token, whatever the length of that name.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.tokens(), other.tokens());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }
}

/// Whether everything that the tokens on the right stand for is among what those on the left do.
fn contains<'a>(
    mut wide: impl Iterator<Item = &'a str>,
    mut narrow: impl Iterator<Item = &'a str>,
) -> bool {
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = BadChannel;

    fn from_str(pattern: &str) -> Result<Self, BadChannel> {
        Self::new(pattern)
    }
}

impl AsRef<str> for Pattern {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The set of this one name.
impl From<ChannelName> for Pattern {
    fn from(name: ChannelName) -> Self {
        Self(Arc::clone(name.text()))
    }
}

/// The set of this one name.
impl From<&ChannelName> for Pattern {
    fn from(name: &ChannelName) -> Self {
        Self(Arc::clone(name.text()))
    }
}
