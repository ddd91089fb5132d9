//! What is a name.

use proptest::prelude::*;

use super::naive::{is_valid, name, peer, some_text};
use crate::channel::{BadChannel, ChannelName, topics};
use crate::limits::{CHANNEL_NAME_BYTES, CHANNEL_TOKENS};

#[test]
fn a_name_is_one_to_sixteen_plain_tokens_of_at_most_255_bytes() {
    let sixteen = ["t"; CHANNEL_TOKENS].join(".");
    let longest = "x".repeat(CHANNEL_NAME_BYTES);
    for good in ["a", "agent.a-1.logs", "A_b-9.Z", &sixteen, &longest] {
        let read = ChannelName::new(good);
        assert_eq!(read.as_ref().map(ChannelName::as_str), Ok(good));
        assert_eq!(ChannelName::decode(good.as_bytes()), read);
        assert_eq!(good.parse(), read);
        assert_eq!(read.map(|read| read.to_string()), Ok(good.to_owned()));
    }
    let seventeen = ["t"; CHANNEL_TOKENS + 1].join(".");
    assert_eq!(ChannelName::new(seventeen), Err(BadChannel::TooManyTokens { at: 32 }));
    let longer = "x".repeat(CHANNEL_NAME_BYTES + 1);
    assert_eq!(ChannelName::new(longer), Err(BadChannel::TooLong { bytes: 256 }));
    assert_eq!(ChannelName::new(""), Err(BadChannel::Empty));
}

/// proto-spec [N-1]: dots where no token is between them.
#[test]
fn a_name_with_an_empty_token_is_refused() {
    for (bad, at) in
        [(".", 0), (".a", 0), ("a.", 2), ("a..b", 2), ("..", 0), ("agent.a..", 8), ("a.b.", 4)]
    {
        assert_eq!(ChannelName::new(bad), Err(BadChannel::EmptyToken { at }), "{bad}");
    }
}

/// proto-spec [N-1]: wildcards, alone or in a token.
#[test]
fn a_name_with_a_wildcard_is_refused() {
    for (bad, at) in
        [("*", 0), (">", 0), ("agent.>", 6), ("agent.*.logs", 6), ("a.b*", 3), ("a>.b", 1)]
    {
        assert_eq!(ChannelName::new(bad), Err(BadChannel::Wildcard { at }), "{bad}");
    }
}

/// proto-spec [N-1]: control characters, spaces, separators of other systems, letters of other
/// scripts, and letters that look like others.
#[test]
fn a_name_with_any_other_character_is_refused() {
    for (bad, at) in [
        ("a b", 1),
        (" a", 0),
        ("a\0", 1),
        ("a\n", 1),
        ("a.\r\n", 2),
        ("a.\u{7f}", 2),
        ("a.\u{1b}[2J", 2),
        ("secrets:get_static", 7),
        ("a/b", 1),
        ("a\\b", 1),
        ("a.../b", 2),
        ("%2e", 0),
        ("agent.ä.logs", 6),
        ("\u{430}gent.a.logs", 0),
        ("agent\u{ff0e}a", 5),
        ("agent.\u{200b}a", 6),
        ("agent.a\u{301}", 7),
    ] {
        let error = ChannelName::new(bad).unwrap_err();
        let expected = match bad {
            "a.../b" => BadChannel::EmptyToken { at },
            _ => BadChannel::Character { at },
        };
        assert_eq!(error, expected, "{bad:?}");
    }
    for byte in 0..=u8::MAX {
        let plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        assert_eq!(
            ChannelName::decode(&[b'a', byte, b'z']).is_ok(),
            plain || byte == b'.',
            "{byte}"
        );
    }
    assert_eq!(ChannelName::decode(&[b'a', 0xc3, 0x28]), Err(BadChannel::Character { at: 1 }));
}

/// proto-spec [N-2]: no case is folded.
#[test]
fn names_that_differ_in_case_are_different() {
    assert_ne!(name("agent.a.logs"), name("agent.A.logs"));
    assert_ne!(name("agent.a.logs"), name("Agent.a.logs"));
    assert_eq!(name("agent.a.logs"), name("agent.a.logs"));
    assert_ne!(name("agent.a.logs"), name("agent.a.logs-"));
}

#[test]
fn a_topic_stands_behind_the_id_and_cannot_replace_it() {
    let id = peer("a-1");
    let logs = ChannelName::agent(&id, topics::LOGS);
    assert_eq!(logs, Ok(name("agent.a-1.logs")));
    assert_eq!(ChannelName::backend(&id, "x.y"), Ok(name("backend.a-1.x.y")));
    assert_eq!(name("agent.a-1.logs").tokens().collect::<Vec<_>>(), ["agent", "a-1", "logs"]);
    for (bad, error) in [
        ("", BadChannel::EmptyToken { at: 10 }),
        (".b.logs", BadChannel::EmptyToken { at: 10 }),
        ("*", BadChannel::Wildcard { at: 10 }),
        ("secrets:get", BadChannel::Character { at: 17 }),
    ] {
        assert_eq!(ChannelName::agent(&id, bad), Err(error), "{bad}");
    }
    let topics = topics::OF_AGENT.into_iter().chain(topics::OF_BACKEND);
    assert!(topics.into_iter().all(|topic| ChannelName::agent(&id, topic).is_ok()));
}

#[test]
fn an_error_holds_none_of_the_text() {
    let error = ChannelName::new("agent.\u{1b}[31mSECRET").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SECRET"));
    assert!(error.to_string().contains("byte 6"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// proto-spec [N-1]: against the rules in other words; what is read is written the same.
    #[test]
    fn a_name_is_read_if_it_keeps_the_rules_and_written_the_same(text in some_text()) {
        let read = ChannelName::decode(text.as_bytes());
        prop_assert_eq!(read.is_ok(), is_valid(text.as_bytes(), false), "{:?}", text);
        if let Ok(read) = read {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn bytes_are_judged_like_text(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let read = ChannelName::decode(&bytes);
        prop_assert_eq!(read.is_ok(), is_valid(&bytes, false));
    }

    /// Whatever a party is called, its name is one token.
    #[test]
    fn an_id_is_one_token_of_a_channel(text in some_text(), topic in "[a-z]{1,9}") {
        if let Ok(id) = crate::ids::PeerId::new(text) {
            let channel = ChannelName::agent(&id, &topic);
            let tokens = channel.as_ref().map(|name| name.tokens().collect::<Vec<_>>());
            prop_assert_eq!(tokens, Ok(vec!["agent", id.as_str(), topic.as_str()]));
        }
    }
}
