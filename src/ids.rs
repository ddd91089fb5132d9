//! Names of parties, links and sessions. Knows neither their keys nor how they are proven.

use std::fmt;

/// Bytes of a name (realm, peer id), at least one. Stands here, not in `limits`, because floor 0
/// imports nothing.
const NAME_BYTES: usize = 64;

/// A realm: the fleet that a handshake belongs to. Parties of different realms never agree.
///
/// 1 to 64 bytes of `[A-Za-z0-9_-]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Realm(String);

/// Who a party is inside its realm, as a credential or a pinned key names it.
///
/// 1 to 64 bytes of `[A-Za-z0-9_-]`, so that it can stand as one token of a channel name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(String);

/// A name that is empty, longer than 64 bytes, or holds a character outside `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a name is 1 to 64 bytes of letters, digits, '_' and '-'")]
pub struct InvalidName;

impl Realm {
    /// Reads a realm's name.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if it breaks the form.
    ///
    /// ```
    /// use waxwire::Realm;
    /// assert!(Realm::new("prod").is_ok());
    /// assert!(Realm::new("prod.eu").is_err());
    /// ```
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into()).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PeerId {
    /// Reads a party's name.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if it breaks the form.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        checked(name.into()).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that a name that was proven can stand where one is asked for, as in `Backend::agent`.
impl AsRef<str> for PeerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a party acts as. Bound into every handshake: a credential for one role never serves the
/// other.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Dials, and is commanded.
    Agent,
    /// Listens, and commands.
    Backend,
}

impl Role {
    /// The byte that stands for the role in a transcript (proto-spec 03-handshake).
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Agent => 1,
            Self::Backend => 2,
        }
    }

    /// The role at the other end.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Agent => Self::Backend,
            Self::Backend => Self::Agent,
        }
    }
}

/// Which link a record belongs to, chosen by the side that receives it. Read by relays, so it says
/// nothing about who speaks.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub(crate) [u8; 8]);

impl LinkId {
    /// The address of a HELLO, which no one has been given a link for yet.
    pub const NONE: Self = Self([0; 8]);

    /// A link id from its eight bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The eight bytes that stand in a header.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

/// One session, the same at both ends; derived from its keys, so it can be logged.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub(crate) [u8; 16]);

impl SessionId {
    /// The sixteen bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How many handshakes this chain has seen; the newest fences off the others.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(pub(crate) u64);

impl Generation {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after, or the last one there is.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

fn checked(name: String) -> Result<String, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name)
    } else {
        Err(InvalidName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_token() {
        for good in ["a", "agent-7", "A_b-9", &"x".repeat(NAME_BYTES)] {
            assert_eq!(PeerId::new(good).map(|id| id.as_str().to_owned()), Ok(good.to_owned()));
            assert_eq!(Realm::new(good).map(|r| r.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a.b", "a*", ">", "ä", "a b", "a\n", &"x".repeat(NAME_BYTES + 1)] {
            assert_eq!(PeerId::new(bad), Err(InvalidName), "{bad:?}");
            assert_eq!(Realm::new(bad), Err(InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn the_opposite_of_the_opposite_is_the_role() {
        for role in [Role::Agent, Role::Backend] {
            assert_ne!(role, role.opposite());
            assert_eq!(role, role.opposite().opposite());
            assert_ne!(role.byte(), role.opposite().byte());
        }
    }

    #[test]
    fn ids_print_as_text() {
        let id = SessionId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(format!("{id:?}"), format!("SessionId({id})"));
        assert_eq!(PeerId::new("a-1").map(|id| id.to_string()), Ok("a-1".to_owned()));
        assert_eq!(PeerId::new("a-1").as_ref().map(AsRef::as_ref), Ok("a-1"));
        assert_eq!(Generation(u64::MAX).next(), Generation(u64::MAX));
        assert_eq!(Generation(1).next().get(), 2);
        assert_eq!(LinkId::from_bytes([1; 8]).to_bytes(), [1; 8]);
    }
}
