//! What a look-up costs, in nodes visited, as routers grow.

use super::naive::{name, pattern};
use crate::channel::{Owner, Router, RouterLimits, SubId};

#[test]
fn subscriptions_that_do_not_match_are_not_visited() {
    let visited = |unrelated: u64| {
        let mut router = Router::new(RouterLimits::default());
        for owner in 0..unrelated {
            for (number, topic) in (0..).zip([">", "policies", "*.x"]) {
                let text = format!("backend.id-{owner}.{topic}");
                router.subscribe(SubId { owner: Owner(owner), number }, pattern(&text)).unwrap();
            }
        }
        let mut matches = router.matches(&name("backend.id-5.policies"));
        assert_eq!(matches.by_ref().count(), 2);
        matches.visited()
    };
    let few = visited(10);
    assert!((1..=6).contains(&few), "{few}");
    assert_eq!(visited(3_000), few);
}

/// Patterns that share the most paths with a name: a node is visited for each path that there is, so
/// fifty subscriptions of one connection cost at most fifty paths.
#[test]
fn one_connection_costs_no_more_than_its_own_paths() {
    let mut router = Router::new(RouterLimits::default());
    for number in 0..50_u32 {
        let token = |bit: u32| if number >> bit & 1 == 0 { "*" } else { "a" };
        let tokens: Vec<_> = (0..6).map(token).chain(["a"; 9]).chain(["b"]).collect();
        let id = SubId { owner: Owner(1), number };
        router.subscribe(id, pattern(&tokens.join("."))).unwrap();
    }
    let mut matches = router.matches(&name(&["a"; 16].join(".")));
    assert_eq!(matches.by_ref().count(), 0);
    assert!((50..=50 * 16).contains(&matches.visited()), "{}", matches.visited());
}

/// All paths at once: two at each of sixteen tokens, as deep as a walk can go.
#[test]
fn the_deepest_walk_finds_every_pattern_once() {
    let mut router = Router::new(RouterLimits { per_owner: 1 << 10, per_pattern: 1 });
    for number in 0..1 << 10_u32 {
        let token = |bit: u32| if number >> bit & 1 == 0 { "*" } else { "a" };
        let tokens: Vec<_> = (0..10).map(token).chain(["a"; 5]).chain(["*"]).collect();
        let id = SubId { owner: Owner(1), number };
        router.subscribe(id, pattern(&tokens.join("."))).unwrap();
    }
    let mut found: Vec<u32> =
        router.matches(&name(&["a"; 16].join("."))).map(|id| id.number).collect();
    found.sort_unstable();
    assert_eq!(found, (0..1 << 10).collect::<Vec<_>>());
}
