//! What is a pattern, and what it matches.

use proptest::prelude::*;

use super::naive::{self, is_valid, name, pattern, peer, some_name, some_pattern, some_text};
use crate::channel::{BadChannel, ChannelName, Pattern};

/// proto-spec [N-3]: wildcards out of place, and all that a name may not hold.
#[test]
fn a_pattern_that_breaks_the_form_is_refused() {
    let seventeen = ["*"; 17].join(".");
    let longer = "x".repeat(256);
    for (bad, error) in [
        ("", BadChannel::Empty),
        (">.a", BadChannel::RestNotLast { at: 0 }),
        ("a.>.>", BadChannel::RestNotLast { at: 2 }),
        ("a.>.", BadChannel::RestNotLast { at: 2 }),
        ("a*", BadChannel::Wildcard { at: 1 }),
        ("agent.a>", BadChannel::Wildcard { at: 7 }),
        ("**", BadChannel::Wildcard { at: 0 }),
        (">>", BadChannel::Wildcard { at: 0 }),
        ("*>", BadChannel::Wildcard { at: 0 }),
        ("*.", BadChannel::EmptyToken { at: 2 }),
        (".*", BadChannel::EmptyToken { at: 0 }),
        ("*..>", BadChannel::EmptyToken { at: 2 }),
        ("* ", BadChannel::Wildcard { at: 0 }),
        ("\u{2217}", BadChannel::Character { at: 0 }),
        ("agent.\u{ff1e}", BadChannel::Character { at: 6 }),
        ("a.\n", BadChannel::Character { at: 2 }),
        ("?", BadChannel::Character { at: 0 }),
        ("#", BadChannel::Character { at: 0 }),
        ("+", BadChannel::Character { at: 0 }),
        (&seventeen, BadChannel::TooManyTokens { at: 32 }),
        (&longer, BadChannel::TooLong { bytes: 256 }),
    ] {
        assert_eq!(Pattern::new(bad), Err(error), "{bad:?}");
        assert_eq!(Pattern::decode(bad.as_bytes()), Err(error), "{bad:?}");
    }
    for good in ["*", ">", "*.>", "agent.*.logs", "a.*.*.>", "a"] {
        assert_eq!(Pattern::new(good).map(|read| read.to_string()), Ok(good.to_owned()));
    }
}

/// proto-spec [N-4]: one line of 10.2 each.
#[test]
fn each_token_stands_for_what_the_table_says() {
    for (text, yes, no) in [
        ("*", &["a"][..], &["a.b"][..]),
        (">", &["a", "a.b", "a.b.c"], &[]),
        ("a", &["a"], &["b", "A", "a.a"]),
        ("a.*", &["a.b", "a.a"], &["a", "a.b.c", "b.a"]),
        ("a.>", &["a.b", "a.b.c"], &["a", "b.a"]),
        ("*.a", &["a.a", "b.a"], &["a", "a.b", "b.a.a"]),
        ("*.>", &["a.b", "a.b.c"], &["a"]),
        ("a.*.c", &["a.b.c", "a.c.c"], &["a.c", "a.b.b.c", "a.b.C"]),
    ] {
        let pattern = pattern(text);
        assert!(yes.iter().all(|hit| pattern.matches(&name(hit))), "{text}");
        assert!(!no.iter().any(|miss| pattern.matches(&name(miss))), "{text}");
    }
}

#[test]
fn a_pattern_without_wildcards_is_a_name_and_shares_its_text() {
    let channel = name("agent.a.logs");
    let same = Pattern::from(&channel);
    assert_eq!(same.as_name(), Some(channel.clone()));
    assert!(std::ptr::eq(same.as_str(), channel.as_str()));
    assert_eq!(Pattern::from(channel), pattern("agent.a.logs"));
    for wild in ["*", ">", "agent.*", "agent.*.logs", "agent.>"] {
        assert_eq!(pattern(wild).as_name(), None, "{wild}");
    }
    assert_eq!(Pattern::agent(&peer("a"), ">"), Ok(pattern("agent.a.>")));
    assert_eq!(Pattern::backend(&peer("a"), "*"), Ok(pattern("backend.a.*")));
}

#[test]
fn a_wider_pattern_covers_and_an_overlapping_one_intersects() {
    for (wide, narrow) in [
        (">", ">"),
        (">", "*"),
        (">", "a.*"),
        ("*", "a"),
        ("a.>", "a.*.b"),
        ("a.*", "a.b"),
        ("*.>", "a.>"),
    ] {
        assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        assert!(pattern(wide).intersects(&pattern(narrow)), "{wide} {narrow}");
    }
    for (one, other) in [("a.*", "*.b"), ("a.>", "*.b"), ("a.*.c", "a.b.>"), ("*.a.>", "b.>")] {
        assert!(!pattern(one).covers(&pattern(other)), "{one} {other}");
        assert!(!pattern(other).covers(&pattern(one)), "{one} {other}");
        assert!(pattern(one).intersects(&pattern(other)), "{one} {other}");
    }
    for (one, other) in [("a", "b"), ("a.*", "a"), ("a.>", "a"), ("a.*", "b.>"), ("*", "*.*")] {
        assert!(!pattern(one).intersects(&pattern(other)), "{one} {other}");
        assert!(!pattern(other).intersects(&pattern(one)), "{one} {other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// proto-spec [N-3]: against the rules in other words; what is read is written the same.
    #[test]
    fn a_pattern_is_read_if_it_keeps_the_rules_and_written_the_same(text in some_text()) {
        let read = Pattern::decode(text.as_bytes());
        prop_assert_eq!(read.is_ok(), is_valid(text.as_bytes(), true), "{:?}", text);
        if let Ok(read) = read {
            prop_assert_eq!(read.to_string(), &text[..]);
            prop_assert_eq!(read.as_name(), ChannelName::new(&text).ok());
        }
    }

    /// proto-spec [N-4]: against a matcher by recursion.
    #[test]
    fn a_pattern_matches_as_its_tokens_stand(wild in some_pattern(), text in some_name()) {
        let matched = pattern(&wild).matches(&name(&text));
        prop_assert_eq!(matched, naive::matches(&wild, &text), "{} {}", wild, text);
    }

    /// Over all names of four tokens or fewer, with one token that neither pattern holds.
    #[test]
    fn covering_and_intersecting_mean_what_the_matched_names_say(
        one in prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..=3),
        one_rest in any::<bool>(),
        other in prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..=3),
        other_rest in any::<bool>(),
    ) {
        let text = |tokens: Vec<&str>, rest: bool| {
            let rest = (rest || tokens.is_empty()).then_some(">");
            tokens.into_iter().chain(rest).collect::<Vec<_>>().join(".")
        };
        let (one, other) = (text(one, one_rest), text(other, other_rest));
        let names = names(&["a", "b", "c"], 5);
        let hit = |pattern: &str| -> Vec<&String> {
            names.iter().filter(|name| naive::matches(pattern, name)).collect()
        };
        let (of_one, of_other) = (hit(&one), hit(&other));
        let covers = of_other.iter().all(|name| of_one.contains(name));
        let intersects = of_other.iter().any(|name| of_one.contains(name));
        let (one, other) = (pattern(&one), pattern(&other));
        prop_assert_eq!(one.covers(&other), covers, "{} {}", one, other);
        prop_assert_eq!(one.intersects(&other), intersects, "{} {}", one, other);
    }
}

/// All names of these tokens, up to this length.
fn names(tokens: &[&str], most: usize) -> Vec<String> {
    let mut all: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
    let mut longest = all.clone();
    for _ in 1..most {
        let longer =
            |name: &String| tokens.iter().map(|t| format!("{name}.{t}")).collect::<Vec<_>>();
        longest = longest.iter().flat_map(longer).collect();
        all.extend_from_slice(&longest);
    }
    all
}
