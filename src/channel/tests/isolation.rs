//! No party reaches what belongs to another, and rules only narrow.

use proptest::prelude::*;

use super::naive::{self, name, pattern, peer, some_name, some_pattern};
use crate::channel::{
    Act, ChannelName, Owner, Party, Pattern, Policy, Reason, Router, RouterLimits, Rule, SubId,
};
use crate::ids::PeerId;

/// proto-spec [N-5]: names under another id, in another case, without an id, without a topic, of the
/// other side, and ids that begin like one's own.
#[test]
fn an_agent_publishes_under_its_own_id_only() {
    let id = peer("a");
    let agent = Party::agent(&id, &[]);
    for own in ["agent.a.logs", "agent.a.any.thing", "agent.a.agent.b.logs", "agent.a.a"] {
        assert_eq!(Policy::allowing().may_publish(&agent, &name(own)), Ok(()), "{own}");
    }
    for foreign in [
        "agent.b.logs",
        "agent.A.logs",
        "Agent.a.logs",
        "AGENT.a.logs",
        "agent.aa.logs",
        "agent.a-.logs",
        "agent.a",
        "agent",
        "a",
        "agent.agent.a.logs",
        "a.agent.logs",
        "backend.a.policies",
        "backend.b.policies",
        "logs.a.agent",
    ] {
        let refused = Policy::allowing().may_publish(&agent, &name(foreign)).unwrap_err();
        assert_eq!(refused.reason(), Reason::Border, "{foreign}");
        assert_eq!((refused.act(), refused.channel()), (Act::Publish, &pattern(foreign)));
        assert!(refused.to_string().contains(foreign), "{refused}");
    }
}

/// proto-spec [N-6]: wildcards where the side or the id must stand, and patterns of others.
#[test]
fn an_agent_receives_under_its_own_id_only() {
    let id = peer("a");
    let agent = Party::agent(&id, &[]);
    for own in
        ["backend.a.policies", "backend.a.>", "backend.a.*", "backend.a.*.x", "backend.a.*.>"]
    {
        assert_eq!(Policy::allowing().may_subscribe(&agent, &pattern(own)), Ok(()), "{own}");
    }
    for foreign in [
        ">",
        "*",
        "*.>",
        "*.*.>",
        "*.a.>",
        "*.a.policies",
        "backend.>",
        "backend.*",
        "backend.*.policies",
        "backend.*.>",
        "backend.a",
        "backend.b.>",
        "backend.A.>",
        "Backend.a.>",
        "backend.aa.>",
        "agent.>",
        "agent.a.>",
        "agent.a.logs",
        "agent.b.>",
    ] {
        let refused = Policy::allowing().may_subscribe(&agent, &pattern(foreign)).unwrap_err();
        assert_eq!(refused.reason(), Reason::Border, "{foreign}");
        assert_eq!((refused.act(), refused.channel()), (Act::Subscribe, &pattern(foreign)));
    }
}

/// proto-spec [N-7], [N-8]: an agent judges its backend by the same table.
#[test]
fn a_backend_speaks_to_the_agent_of_the_link_and_hears_agents() {
    let (id, agent) = (peer("b"), peer("a"));
    let backend = Party::backend(&id, &agent, &[]);
    let policy = Policy::allowing();
    assert_eq!(policy.may_publish(&backend, &name("backend.a.policies")), Ok(()));
    for foreign in
        ["backend.b.policies", "backend.c.policies", "backend.a", "agent.a.logs", "x.a.y"]
    {
        assert!(policy.may_publish(&backend, &name(foreign)).is_err(), "{foreign}");
    }
    for heard in ["agent.>", "agent.*.anomalies", "agent.a.>", "agent.a.logs", "agent.c.logs"] {
        assert_eq!(policy.may_subscribe(&backend, &pattern(heard)), Ok(()), "{heard}");
    }
    for foreign in [">", "*.>", "*.a.logs", "backend.>", "backend.a.>", "agent", "*", "Agent.>"] {
        assert!(policy.may_subscribe(&backend, &pattern(foreign)).is_err(), "{foreign}");
    }
}

/// proto-spec [N-9]: an agent has no say over what its backend speaks on, nor over other agents.
#[test]
fn a_channel_is_managed_by_who_has_a_part_in_it() {
    let (id, agent) = (peer("b"), peer("a"));
    let policy = Policy::allowing();
    for (channel, by_agent, by_backend) in [
        ("agent.a.x", true, true),
        ("backend.a.x", false, true),
        ("agent.c.x", false, false),
        ("backend.c.x", false, false),
        ("agent.a", false, false),
        ("x.a.x", false, false),
    ] {
        let of_agent = policy.may_manage(&Party::agent(&agent, &[]), &name(channel));
        let of_backend = policy.may_manage(&Party::backend(&id, &agent, &[]), &name(channel));
        assert_eq!((of_agent.is_ok(), of_backend.is_ok()), (by_agent, by_backend), "{channel}");
    }
}

#[test]
fn the_first_rule_about_peer_act_and_channel_decides() {
    let canary = [("ring".to_owned(), "canary".to_owned())];
    let other = [("ring".to_owned(), "wide".to_owned()), ("canary".to_owned(), "ring".to_owned())];
    let policy = Policy::allowing()
        .with(Rule::allow(pattern("agent.*.rollbacks")).for_label("ring", "canary"))
        .with(Rule::deny(pattern("agent.*.rollbacks")).on(Act::Publish))
        .with(Rule::deny(pattern(">")).for_peer(peer("c")));
    let publish = |id: &str, labels: &[(String, String)], topic: &str| {
        let id = peer(id);
        let channel = ChannelName::agent(&id, topic).unwrap();
        policy.may_publish(&Party::agent(&id, labels), &channel).map_err(|no| no.reason())
    };
    assert_eq!(publish("a", &canary, "rollbacks"), Ok(()));
    assert_eq!(publish("a", &other, "rollbacks"), Err(Reason::Rule(1)));
    assert_eq!(publish("a", &[], "rollbacks"), Err(Reason::Rule(1)));
    assert_eq!(publish("a", &[], "rollbacks.x"), Ok(()));
    assert_eq!(publish("c", &[], "logs"), Err(Reason::Rule(2)));
    assert_eq!(publish("c", &canary, "rollbacks"), Ok(()));
    let (a, rollbacks) = (peer("a"), name("agent.a.rollbacks"));
    assert_eq!(policy.may_manage(&Party::agent(&a, &[]), &rollbacks), Ok(()));
    let denied = Policy::denying().may_publish(&Party::agent(&a, &[]), &rollbacks).unwrap_err();
    assert_eq!(denied.reason(), Reason::Default);
    assert_eq!(Policy::default(), Policy::allowing());
}

/// proto-spec [N-11]: a subscription is taken whole or not at all.
#[test]
fn a_subscription_that_a_rule_denies_in_part_is_refused() {
    let id = peer("a");
    let subscribe = |policy: &Policy, text: &str| {
        policy.may_subscribe(&Party::agent(&id, &[]), &pattern(text)).map_err(|no| no.reason())
    };
    let one_denied = Policy::allowing().with(Rule::deny(pattern("backend.*.tests")));
    assert_eq!(subscribe(&one_denied, "backend.a.>"), Err(Reason::Rule(0)));
    assert_eq!(subscribe(&one_denied, "backend.a.*"), Err(Reason::Rule(0)));
    assert_eq!(subscribe(&one_denied, "backend.a.policies"), Ok(()));
    let one_allowed = Policy::denying().with(Rule::allow(pattern("backend.*.tests")));
    assert_eq!(subscribe(&one_allowed, "backend.a.*"), Err(Reason::Default));
    assert_eq!(subscribe(&one_allowed, "backend.a.tests"), Ok(()));
    let by_order = Policy::allowing()
        .with(Rule::allow(pattern("backend.a.>")))
        .with(Rule::deny(pattern("backend.*.tests")));
    assert_eq!(subscribe(&by_order, "backend.a.>"), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// proto-spec [N-5], [N-6], [N-10]: whatever the rules of the other side say and whatever an
    /// agent asks for, it publishes on nothing, and receives nothing, that belongs to another.
    #[test]
    fn no_name_or_pattern_reaches_what_belongs_to_another_agent(
        own in id(), other in id(), policy in policy(),
        channel in channel(), asked in prop::collection::vec(asked(), 0..40),
        topic in some_name(),
    ) {
        let (own, other) = (peer(&own), peer(&other));
        prop_assume!(own != other);
        let agent = Party::agent(&own, &[]);
        let policy = build(&policy);
        if let Ok(channel) = ChannelName::new(&channel)
            && policy.may_publish(&agent, &channel).is_ok()
        {
            let front = format!("agent.{own}.");
            prop_assert!(channel.as_str().starts_with(&front), "{} {}", own, channel);
        }
        let mut router = Router::new(RouterLimits::default());
        let theirs = SubId { owner: Owner(2), number: 0 };
        router.subscribe(theirs, Pattern::backend(&other, ">").unwrap()).unwrap();
        for (number, asked) in (0..).zip(asked) {
            if let Ok(asked) = Pattern::new(asked)
                && policy.may_subscribe(&agent, &asked).is_ok()
            {
                router.subscribe(SubId { owner: Owner(1), number }, asked).unwrap();
            }
        }
        let to_other = ChannelName::backend(&other, &topic).unwrap();
        prop_assert_eq!(router.matches(&to_other).collect::<Vec<_>>(), [theirs]);
        for foreign in [ChannelName::agent(&other, &topic), ChannelName::agent(&own, &topic)] {
            prop_assert_eq!(router.matches(&foreign.unwrap()).count(), 0);
        }
    }

    /// Against the words of 10.3, name by name.
    #[test]
    fn rules_decide_a_name_in_order(rules in policy(), channel in some_name(), of in 0..3_usize) {
        let (id, labels) = who(of);
        let channel = ChannelName::agent(&id, channel).unwrap();
        let verdict = build(&rules).may_publish(&Party::agent(&id, &labels), &channel);
        prop_assert_eq!(verdict.is_ok(), allows(&rules, of, Act::Publish, channel.as_str()));
    }

    /// proto-spec [N-11]: no name of an allowed subscription is denied.
    #[test]
    fn an_allowed_subscription_matches_no_denied_name(
        rules in policy(), asked in some_pattern(), of in 0..3_usize,
        names in prop::collection::vec(some_name(), 20),
    ) {
        let (id, labels) = who(of);
        let asked = Pattern::backend(&id, asked).unwrap();
        let verdict = build(&rules).may_subscribe(&Party::agent(&id, &labels), &asked);
        for channel in names {
            let channel = ChannelName::backend(&id, channel).unwrap();
            if verdict.is_ok() && asked.matches(&channel) {
                let allowed = allows(&rules, of, Act::Subscribe, channel.as_str());
                prop_assert!(allowed, "{} {}", asked, channel);
            }
        }
    }
}

/// A rule in words: whether it allows, its pattern, its act, its peer, whether it wants the label.
type Words = (bool, String, Option<Act>, Option<usize>, bool);

/// Rules, and whether the default allows.
fn policy() -> impl Strategy<Value = (Vec<Words>, bool)> {
    let act = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Act::Publish)),
        1 => Just(Some(Act::Subscribe)),
        1 => Just(Some(Act::Manage)),
    ];
    let of = prop_oneof![2 => Just(None), 1 => (0..3_usize).prop_map(Some)];
    let under = some_pattern().prop_flat_map(|tail| {
        let side = prop::sample::select(vec!["agent.*.", "backend.*.", "*.*.", ""]);
        side.prop_map(move |side| format!("{side}{tail}"))
    });
    let rule = (any::<bool>(), under, act, of, prop::bool::weighted(0.2));
    (prop::collection::vec(rule, 0..6), any::<bool>())
}

fn build((rules, otherwise): &(Vec<Words>, bool)) -> Policy {
    let start = if *otherwise { Policy::allowing() } else { Policy::denying() };
    rules.iter().fold(start, |policy, (allow, text, act, of, labelled)| {
        let rule = if *allow { Rule::allow(pattern(text)) } else { Rule::deny(pattern(text)) };
        let rule = act.map_or(rule.clone(), |act| rule.on(act));
        let rule = of.map_or(rule.clone(), |of| rule.for_peer(who(of).0));
        policy.with(if *labelled { rule.for_label("k", "v") } else { rule })
    })
}

fn allows((rules, otherwise): &(Vec<Words>, bool), of: usize, act: Act, channel: &str) -> bool {
    let decides = |(_, text, only, peer, labelled): &&Words| {
        only.is_none_or(|only| only == act)
            && peer.is_none_or(|peer| peer == of)
            && (!labelled || !who(of).1.is_empty())
            && naive::matches(text, channel)
    };
    rules.iter().find(decides).map_or(*otherwise, |(allow, ..)| *allow)
}

/// Three peers; the last has the label.
fn who(of: usize) -> (PeerId, Vec<(String, String)>) {
    let labels = if of == 2 { vec![("k".to_owned(), "v".to_owned())] } else { Vec::new() };
    (peer(["a", "b", "c"][of]), labels)
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "A", "aa", "a-", "agent", "backend"])
            .prop_map(str::to_owned),
        1 => "[A-Za-z0-9_-]{1,8}",
    ]
}

/// What a hostile agent may try as the name of a channel.
fn channel() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => id(),
        3 => prop::sample::select(vec!["agent", "backend", "Agent", "*", ">", "", "ä", "a\0", " "])
            .prop_map(str::to_owned),
    ];
    let front = prop::sample::select(vec!["", "agent.", "backend.", "agent.a.", "backend.a."]);
    (front, prop::collection::vec(token, 1..5))
        .prop_map(|(front, tokens)| front.to_owned() + &tokens.join("."))
}

/// What a hostile agent may try as a pattern.
fn asked() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => channel(),
        1 => some_pattern(),
        1 => some_pattern().prop_map(|tail| format!("backend.a.{tail}")),
    ]
}
