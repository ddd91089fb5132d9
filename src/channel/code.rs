//! What a peer is told about a channel: a number, and none of our text.

use super::name::BadChannel;
use super::policy::Unauthorized;
use super::registry::ChannelError;
use super::router::SubscribeError;

/// The answer to a SUBSCRIBE or CHANNEL frame (proto-spec 10-channels).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum ChannelCode {
    /// It was done.
    Done,
    /// The text is no name or no pattern.
    BadChannel,
    /// The peer may not do this.
    Unauthorized,
    /// The subscription's number is in use.
    NumberInUse,
    /// The connection has too many subscriptions.
    TooManySubscriptions,
    /// The channel has too many subscribers.
    TooManySubscribers,
    /// The channel does not exist.
    Unknown,
    /// The channel exists already.
    Exists,
    /// The channel is disabled.
    Disabled,
    /// There are too many channels.
    TooManyChannels,
    /// A code of a later version.
    Other(u16),
}

impl ChannelCode {
    /// Reads a code; every value is one.
    pub(crate) fn from_u16(code: u16) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::BadChannel,
            4 => Self::Unauthorized,
            16 => Self::NumberInUse,
            17 => Self::TooManySubscriptions,
            18 => Self::TooManySubscribers,
            19 => Self::Unknown,
            20 => Self::Exists,
            21 => Self::Disabled,
            22 => Self::TooManyChannels,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub(crate) fn to_u16(self) -> u16 {
        match self {
            Self::Done => 0,
            Self::BadChannel => 1,
            Self::Unauthorized => 4,
            Self::NumberInUse => 16,
            Self::TooManySubscriptions => 17,
            Self::TooManySubscribers => 18,
            Self::Unknown => 19,
            Self::Exists => 20,
            Self::Disabled => 21,
            Self::TooManyChannels => 22,
            Self::Other(code) => code,
        }
    }

    /// Whether it was done; a code of a later version says it was not.
    pub(crate) fn is_done(self) -> bool {
        self == Self::Done
    }
}

impl From<&BadChannel> for ChannelCode {
    fn from(_: &BadChannel) -> Self {
        Self::BadChannel
    }
}

impl From<&Unauthorized> for ChannelCode {
    fn from(_: &Unauthorized) -> Self {
        Self::Unauthorized
    }
}

impl From<&SubscribeError> for ChannelCode {
    fn from(error: &SubscribeError) -> Self {
        match error {
            SubscribeError::NumberInUse(_) => Self::NumberInUse,
            SubscribeError::TooMany { .. } => Self::TooManySubscriptions,
            SubscribeError::Full { .. } => Self::TooManySubscribers,
        }
    }
}

impl From<&ChannelError> for ChannelCode {
    fn from(error: &ChannelError) -> Self {
        match error {
            ChannelError::Unknown(_) => Self::Unknown,
            ChannelError::Exists(_) => Self::Exists,
            ChannelError::Disabled(_) => Self::Disabled,
            ChannelError::ClosedByBackend(_) => Self::Unauthorized,
            ChannelError::TooMany(_) => Self::TooManyChannels,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::channel::{
        Act, ChannelCode, ChannelError, ChannelName, Party, Pattern, Policy, SubscribeError,
    };
    use crate::ids::PeerId;

    const TABLE: [(u16, ChannelCode); 10] = [
        (0, ChannelCode::Done),
        (1, ChannelCode::BadChannel),
        (4, ChannelCode::Unauthorized),
        (16, ChannelCode::NumberInUse),
        (17, ChannelCode::TooManySubscriptions),
        (18, ChannelCode::TooManySubscribers),
        (19, ChannelCode::Unknown),
        (20, ChannelCode::Exists),
        (21, ChannelCode::Disabled),
        (22, ChannelCode::TooManyChannels),
    ];

    /// proto-spec 10-channels, 10.6: the whole table.
    #[test]
    fn each_code_has_its_number() {
        for (number, code) in TABLE {
            assert_eq!(ChannelCode::from_u16(number), code);
            assert_eq!(code.to_u16(), number);
        }
        let named = |code: &u16| ChannelCode::from_u16(*code) != ChannelCode::Other(*code);
        assert_eq!((0..=u16::MAX).filter(named).count(), TABLE.len());
    }

    /// proto-spec [N-19]: what is not known was not done.
    #[test]
    fn a_code_that_is_not_known_is_a_refusal() {
        for number in 0..=u16::MAX {
            let code = ChannelCode::from_u16(number);
            assert_eq!(code.to_u16(), number);
            assert_eq!(code.is_done(), number == 0, "{number}");
        }
    }

    /// proto-spec [N-18]: the code of each cause.
    #[test]
    fn each_refusal_has_its_code() {
        let name = ChannelName::new("agent.a.x").unwrap();
        let pattern = Pattern::from(&name);
        let bad = ChannelName::new("").unwrap_err();
        assert_eq!(ChannelCode::from(&bad), ChannelCode::BadChannel);
        let id = PeerId::new("b").unwrap();
        let refused = Policy::default().may_publish(&Party::agent(&id, &[]), &name).unwrap_err();
        assert_eq!(refused.act(), Act::Publish);
        assert_eq!(ChannelCode::from(&refused), ChannelCode::Unauthorized);
        for (error, code) in [
            (SubscribeError::NumberInUse(1), ChannelCode::NumberInUse),
            (
                SubscribeError::TooMany { pattern: pattern.clone(), most: 1 },
                ChannelCode::TooManySubscriptions,
            ),
            (SubscribeError::Full { pattern, most: 1 }, ChannelCode::TooManySubscribers),
        ] {
            assert_eq!(ChannelCode::from(&error), code);
        }
        for (error, code) in [
            (ChannelError::Unknown(name.clone()), ChannelCode::Unknown),
            (ChannelError::Exists(name.clone()), ChannelCode::Exists),
            (ChannelError::Disabled(name.clone()), ChannelCode::Disabled),
            (ChannelError::ClosedByBackend(name.clone()), ChannelCode::Unauthorized),
            (ChannelError::TooMany(name), ChannelCode::TooManyChannels),
        ] {
            assert_eq!(ChannelCode::from(&error), code);
        }
    }
}
