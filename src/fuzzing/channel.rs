//! Channel names, patterns, the router and the border between agents.

use crate::channel::{ChannelName, Owner, Party, Pattern, Policy, Router, RouterLimits, SubId};
use crate::ids::PeerId;

/// Patterns of one input that are used.
const PATTERNS: usize = 24;

/// Lines: a name, then patterns. Each line is tried as both.
pub fn channel(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    for line in lines.clone().take(PATTERNS) {
        assert_one_form(line);
    }
    let Some(Ok(name)) = lines.next().map(ChannelName::decode) else { return };
    let patterns: Vec<_> =
        lines.filter_map(|line| Pattern::decode(line).ok()).take(PATTERNS).collect();
    assert_sets(&name, &patterns);
    assert_routed(&name, &patterns);
    assert_border(&name, &patterns);
}

fn assert_one_form(line: &[u8]) {
    let (name, pattern) = (ChannelName::decode(line), Pattern::decode(line));
    if let Ok(name) = &name {
        assert_eq!(name.as_str().as_bytes(), line, "a name has one form");
        assert_eq!(pattern.as_ref(), Ok(&Pattern::from(name)), "a name is a pattern of itself");
    }
    if let Ok(pattern) = pattern {
        assert_eq!(pattern.as_str().as_bytes(), line, "a pattern has one form");
        assert_eq!(pattern.as_name(), name.ok(), "a pattern without wildcards is a name");
        assert!(pattern.tokens().count() <= 16 && line.len() <= 255, "{pattern}");
    }
}

fn assert_sets(name: &ChannelName, patterns: &[Pattern]) {
    for one in patterns {
        let hit = one.matches(name);
        assert_eq!(hit, stands_for(one, name), "{one} {name}");
        assert_eq!(hit, one.covers(&name.into()), "{one} {name}");
        for other in patterns {
            let other_hit = other.matches(name);
            assert!(!(one.covers(other) && other_hit) || hit, "{one} covers {other}, not {name}");
            assert!(!(hit && other_hit) || one.intersects(other), "{one} {other} share {name}");
            assert_eq!(one.intersects(other), other.intersects(one), "{one} {other}");
            assert!(!one.covers(other) || one.intersects(other), "{one} {other}");
        }
    }
}

fn assert_routed(name: &ChannelName, patterns: &[Pattern]) {
    let mut router = Router::new(RouterLimits::default());
    let numbered = || (0..).map(|number| SubId { owner: Owner(1), number }).zip(patterns);
    for (id, pattern) in numbered() {
        assert_eq!(router.subscribe(id, pattern.clone()), Ok(()), "{pattern}");
    }
    let assert_found = |router: &Router, gone: usize| {
        let mut found: Vec<_> = router.matches(name).collect();
        found.sort_unstable();
        let wanted = numbered().skip(gone).filter(|(_, pattern)| stands_for(pattern, name));
        assert_eq!(found, wanted.map(|(id, _)| id).collect::<Vec<_>>(), "{name}");
    };
    assert_found(&router, 0);
    let half = patterns.len() / 2;
    for (id, pattern) in numbered().take(half) {
        assert_eq!(router.unsubscribe(id).as_ref(), Some(pattern), "{pattern}");
    }
    assert_found(&router, half);
    assert_eq!(router.remove_owner(Owner(1)), patterns.len() - half, "the others are left");
    assert_eq!((router.len(), router.matches(name).count()), (0, 0), "nothing is left");
}

fn assert_border(name: &ChannelName, patterns: &[Pattern]) {
    let Ok(id) = PeerId::new("a") else { return };
    let (agent, policy) = (Party::agent(&id, &[]), Policy::allowing());
    let published = policy.may_publish(&agent, name).is_ok();
    let is_own = name.as_str().starts_with("agent.a.");
    assert_eq!(published, is_own, "{name}");
    for pattern in patterns.iter().filter(|asked| policy.may_subscribe(&agent, asked).is_ok()) {
        let is_own = name.as_str().starts_with("backend.a.");
        assert!(!pattern.matches(name) || is_own, "{pattern} reaches {name}");
    }
}

/// The words of proto-spec 10-channels, 10.2.
fn stands_for(pattern: &Pattern, name: &ChannelName) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.tokens().collect(), name.tokens().collect());
    let (fixed, enough) = match pattern.split_last() {
        Some((&">", fixed)) => (fixed, name.len() > fixed.len()),
        _ => (&pattern[..], name.len() == pattern.len()),
    };
    enough && fixed.iter().zip(name).all(|(token, named)| *token == "*" || *token == named)
}
