//! The router against a list that is searched from end to end.

use std::collections::BTreeMap;

use allocation_counter::measure;
use proptest::prelude::*;

use super::naive::{self, name, pattern, some_name, some_pattern};
use crate::channel::{Matches, Owner, Router, RouterLimits, SubId, SubscribeError};

#[test]
fn a_message_reaches_the_subscriptions_whose_pattern_matches() {
    let mut router = Router::new(RouterLimits::default());
    for (number, text) in (0..).zip(["agent.a.logs", "agent.*.logs", "agent.>", "agent.b.>", "*"]) {
        router.subscribe(id(1, number), pattern(text)).unwrap();
    }
    let heard = |text: &str| -> Vec<u32> {
        let mut numbers: Vec<_> = router.matches(&name(text)).map(|id| id.number).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(heard("agent.a.logs"), [0, 1, 2]);
    assert_eq!(heard("agent.b.logs"), [1, 2, 3]);
    assert_eq!(heard("agent.b.x.y"), [2, 3]);
    assert_eq!(heard("agent"), [4]);
    assert!(heard("backend.a.logs").is_empty());
    assert_eq!(router.pattern(id(1, 3)), Some(&pattern("agent.b.>")));
    assert_eq!(router.len(), 5);
}

/// proto-spec [N-12]: the fifty before stay, and another connection is not concerned.
#[test]
fn a_connection_has_fifty_subscriptions() {
    let mut router = Router::new(RouterLimits::default());
    for number in 0..50 {
        router.subscribe(id(1, number), pattern(&format!("backend.a.t{number}"))).unwrap();
    }
    let more = pattern("backend.a.more");
    let refused = router.subscribe(id(1, 50), more.clone());
    assert_eq!(refused, Err(SubscribeError::TooMany { pattern: more.clone(), most: 50 }));
    assert_eq!(router.of_owner(Owner(1)).count(), 50);
    assert_eq!(router.subscribe(id(2, 50), more.clone()), Ok(()));
    router.unsubscribe(id(1, 0));
    assert_eq!(router.subscribe(id(1, 50), more), Ok(()));
}

/// proto-spec [N-13]: of a name, and of a pattern with wildcards.
#[test]
fn a_channel_has_ten_thousand_subscribers() {
    for text in ["agent.a.logs", "agent.*.logs"] {
        let mut router = Router::new(RouterLimits::default());
        for owner in 0..10_000 {
            router.subscribe(id(owner, 0), pattern(text)).unwrap();
        }
        let refused = router.subscribe(id(10_000, 0), pattern(text));
        assert_eq!(refused, Err(SubscribeError::Full { pattern: pattern(text), most: 10_000 }));
        assert_eq!(router.matches(&name("agent.a.logs")).count(), 10_000);
        assert_eq!(router.subscribe(id(10_000, 0), pattern("agent.>")), Ok(()));
        router.remove_owner(Owner(77));
        assert_eq!(router.subscribe(id(10_000, 1), pattern(text)), Ok(()));
    }
}

/// proto-spec [N-14]: the first stays.
#[test]
fn a_number_names_one_subscription_of_a_connection() {
    let mut router = Router::new(RouterLimits::default());
    router.subscribe(id(1, 7), pattern("a")).unwrap();
    let refused = router.subscribe(id(1, 7), pattern("b"));
    assert_eq!(refused, Err(SubscribeError::NumberInUse(7)));
    assert_eq!(router.pattern(id(1, 7)), Some(&pattern("a")));
    assert_eq!(router.matches(&name("b")).count(), 0);
    assert_eq!(router.subscribe(id(2, 7), pattern("b")), Ok(()));
}

/// proto-spec [N-15]: neither what was ended nor what was refused is found.
#[test]
fn an_ended_or_refused_subscription_hears_nothing() {
    let mut router = Router::new(RouterLimits { per_owner: 2, per_pattern: 2 });
    router.subscribe(id(1, 0), pattern("a.b")).unwrap();
    router.subscribe(id(1, 1), pattern("a.*")).unwrap();
    router.subscribe(id(1, 2), pattern("a.>")).unwrap_err();
    assert_eq!(heard(&router, "a.b"), [id(1, 0), id(1, 1)]);
    assert_eq!(router.unsubscribe(id(1, 0)), Some(pattern("a.b")));
    assert_eq!(router.unsubscribe(id(1, 0)), None);
    assert_eq!(heard(&router, "a.b"), [id(1, 1)]);
    router.subscribe(id(2, 0), pattern("a.*")).unwrap();
    assert_eq!(router.remove_owner(Owner(1)), 1);
    assert_eq!(heard(&router, "a.b"), [id(2, 0)]);
    assert_eq!(router.remove_owner(Owner(1)), 0);
    assert_eq!(router.remove_owner(Owner(2)), 1);
    assert!(router.is_tidy());
}

#[test]
fn owners_and_numbers_at_the_ends_of_their_range_are_kept_apart() {
    let mut router = Router::new(RouterLimits::default());
    let ids = [id(0, 0), id(0, u32::MAX), id(1, 0), id(u64::MAX, 0), id(u64::MAX, u32::MAX)];
    for each in ids {
        router.subscribe(each, pattern("a.*")).unwrap();
    }
    assert_eq!(heard(&router, "a.b"), ids);
    assert_eq!(router.remove_owner(Owner(0)), 2);
    assert_eq!(heard(&router, "a.b"), ids[2..]);
    assert_eq!(router.remove_owner(Owner(u64::MAX)), 2);
    assert_eq!(heard(&router, "a.b"), [id(1, 0)]);
}

/// What is refused leaves nothing behind either, so no one can fill a router without being counted.
#[test]
fn a_refused_pattern_leaves_nothing_behind() {
    let mut router = Router::new(RouterLimits { per_owner: 0, per_pattern: 1 });
    router.subscribe(id(1, 0), pattern("a.*.b")).unwrap_err();
    router.subscribe(id(1, 0), pattern("a.b")).unwrap_err();
    assert!(router.is_tidy());
}

#[test]
fn a_look_up_allocates_nothing() {
    let mut router = Router::new(RouterLimits::default());
    for (number, text) in (0..).zip(["a.b.c", "a.*.c", "a.>", "*.*.*", "*.b.>", "*.>", ">"]) {
        router.subscribe(id(1, number), pattern(text)).unwrap();
    }
    let name = name("a.b.c");
    let mut found = 0;
    let allocated = measure(|| found = router.matches(&name).count());
    assert_eq!((found, allocated.count_total), (7, 0));
}

/// The bound that the module states, for the patterns that cost most: sixteen tokens, none of them
/// shared.
#[test]
fn fifty_subscriptions_take_under_two_hundred_kibibytes() {
    let token = |n: usize| format!("{n:015}");
    let wild = |n: usize| {
        let tokens =
            (0..15).map(|place| token(n * 16 + place)[..15 - usize::from(place > 0)].to_owned());
        tokens.chain([">".to_owned()]).collect::<Vec<_>>().join(".")
    };
    let mut kept = None;
    let allocated = measure(|| {
        let mut router = Router::new(RouterLimits::default());
        for (number, n) in (0..).zip(0..50) {
            router.subscribe(id(1, number), pattern(&wild(n))).unwrap();
        }
        kept = Some(router);
    });
    assert!(allocated.bytes_current < 200 * 1024, "{} bytes", allocated.bytes_current);
    assert!(kept.is_some_and(|router| router.len() == 50));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Against the list: who is found, once each, and what is left when all is gone.
    #[test]
    fn the_router_finds_what_a_search_of_the_list_finds(
        steps in prop::collection::vec(step(), 1..120),
        names in prop::collection::vec(some_name(), 1..20),
    ) {
        let mut router = Router::new(RouterLimits { per_owner: 12, per_pattern: 4 });
        let mut list: BTreeMap<SubId, String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Subscribe(owner, number, text) => {
                    let made = router.subscribe(id(owner, number), pattern(&text)).is_ok();
                    let of_owner = list.keys().filter(|id| id.owner == Owner(owner)).count();
                    let of_text = list.values().filter(|other| **other == text).count();
                    let is_new = !list.contains_key(&id(owner, number));
                    prop_assert_eq!(made, is_new && of_owner < 12 && of_text < 4);
                    if made {
                        list.insert(id(owner, number), text);
                    }
                }
                Step::Unsubscribe(owner, number) => {
                    let ended = router.unsubscribe(id(owner, number)).map(|p| p.to_string());
                    prop_assert_eq!(ended, list.remove(&id(owner, number)));
                }
                Step::Leave(owner) => {
                    let before = list.len();
                    list.retain(|id, _| id.owner != Owner(owner));
                    prop_assert_eq!(router.remove_owner(Owner(owner)), before - list.len());
                }
            }
            prop_assert!(router.is_tidy());
        }
        for text in &names {
            let mut found = heard(&router, text);
            found.sort_unstable();
            let wanted = list.iter().filter(|(_, pattern)| naive::matches(pattern, text));
            prop_assert_eq!(found, wanted.map(|(id, _)| *id).collect::<Vec<_>>(), "{}", text);
        }
        for owner in 0..4 {
            router.remove_owner(Owner(owner));
        }
        prop_assert!(router.len() == 0 && router.is_tidy());
    }

    /// The order in which they are found does not tell who came first.
    #[test]
    fn the_order_is_that_of_the_patterns(
        patterns in prop::collection::vec((0..4_u64, some_pattern()), 1..40),
        names in prop::collection::vec(some_name(), 1..10),
    ) {
        let mut one = Router::new(RouterLimits::default());
        let mut other = Router::new(RouterLimits::default());
        for (number, (owner, text)) in (0..).zip(&patterns) {
            one.subscribe(id(*owner, number), pattern(text)).unwrap();
        }
        for (number, (owner, text)) in (0..).zip(&patterns).collect::<Vec<_>>().into_iter().rev() {
            other.subscribe(id(*owner, number), pattern(text)).unwrap();
        }
        for text in names {
            prop_assert_eq!(heard(&one, &text), heard(&other, &text), "{}", text);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(u64, u32, String),
    Unsubscribe(u64, u32),
    Leave(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![some_pattern(), some_name()];
    prop_oneof![
        8 => (0..4_u64, 0..20_u32, text).prop_map(|(o, n, text)| Step::Subscribe(o, n, text)),
        3 => (0..4_u64, 0..20_u32).prop_map(|(o, n)| Step::Unsubscribe(o, n)),
        1 => (0..4_u64).prop_map(Step::Leave),
    ]
}

fn id(owner: u64, number: u32) -> SubId {
    SubId { owner: Owner(owner), number }
}

fn heard(router: &Router, text: &str) -> Vec<SubId> {
    let matches: Matches<'_> = router.matches(&name(text));
    matches.collect()
}
