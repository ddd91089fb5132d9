//! A matcher that follows the words of the specification, and names to try it on.

use proptest::prelude::*;

use crate::channel::{ChannelName, Pattern};
use crate::ids::PeerId;

pub(super) fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(super) fn peer(text: &str) -> PeerId {
    PeerId::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Whether the tokens of the pattern stand for those of the name, by recursion.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    fn stand(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern, name) {
            ([], []) | ([">"], [_, ..]) => true,
            ([first, pattern @ ..], [token, name @ ..]) => {
                (*first == "*" || first == token) && stand(pattern, name)
            }
            _ => false,
        }
    }
    stand(&pattern.split('.').collect::<Vec<_>>(), &name.split('.').collect::<Vec<_>>())
}

/// Whether the text keeps the rules of a name, or of a pattern.
pub(super) fn is_valid(text: &[u8], wildcards: bool) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let tokens: Vec<&str> = text.split('.').collect();
    let plain = |token: &str| {
        !token.is_empty()
            && token.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-'))
    };
    let good = |(place, token): (usize, &&str)| {
        let last = place + 1 == tokens.len();
        plain(token) || wildcards && (*token == "*" || *token == ">" && last)
    };
    text.len() <= 255 && tokens.len() <= 16 && tokens.iter().enumerate().all(good)
}

/// Names of one to five tokens out of few, so that they often match.
pub(super) fn some_name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "A", "agent", "backend"]), 1..=5)
        .prop_map(|tokens| tokens.join("."))
}

/// Patterns of one to five tokens out of few.
pub(super) fn some_pattern() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec!["a", "b", "A", "agent", "backend", "*", "*"]);
    let rest = prop_oneof![2 => Just(None), 1 => Just(Some(">"))];
    (prop::collection::vec(token, 1..=4), rest)
        .prop_map(|(tokens, rest)| tokens.into_iter().chain(rest).collect::<Vec<_>>().join("."))
}

/// Text that is nearly a name or a pattern.
pub(super) fn some_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => "[a-c_A-Z0-9-]{1,3}",
        2 => Just("*".to_owned()),
        2 => Just(">".to_owned()),
        1 => Just(String::new()),
        1 => prop::collection::vec(any::<char>(), 1..3).prop_map(String::from_iter),
        1 => "[a-z]{60,70}",
        1 => "[a*>]{2}",
    ];
    prop::collection::vec(token, 0..18).prop_map(|tokens| tokens.join("."))
}
