//! What a link does, one fact at a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::pair::{Two, all, channel, epoch, moment, numbered, who};
use crate::channel::{ChannelCode, Pattern};
use crate::delivery::credit::{Amount, CreditError};
use crate::delivery::inbox::PeerOutbox;
use crate::delivery::outbox::{Doubt, Seen};
use crate::delivery::resume::Outcome;
use crate::delivery::word::{Lie, Verdict};
use crate::limits::LINK_EVENTS;
use crate::link::reading::result;
use crate::link::{
    ChannelChange, Config, DetachCause, Event, Fate, Link, LinkError, PublishError, Reliability,
    Resumption, State, SubscribeError, Undelivered,
};
use crate::priority::Class;
use crate::session::tests::rig::seed;
use crate::session::{CloseCode, FrameError, Malformed, Order};
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::{
    Label, Level, put_ack, put_channel, put_credit, put_first_chunk, put_message, put_name,
    put_next_chunk, put_outcome, put_resume, put_subscribe, put_subscribed,
    put_subscription_credit, put_void,
};

#[test]
fn a_message_is_delivered_handled_and_settled() {
    let mut two = Two::connected();
    let id = two.publish(0, "one");
    assert_eq!(two.settle(), 1, "an acknowledgement waits for more to tell");
    assert_eq!(two.handle_all(1), ["one"]);
    two.settle();
    two.pass(Duration::from_millis(20));
    assert_eq!(two.events(0), [Event::Settled(id, Fate::Handled)]);
    assert_eq!((two.links[0].load(), two.links[1].load()), ((0, 0), (0, 0)));
}

#[test]
fn messages_that_wait_go_in_one_record_the_most_urgent_first() {
    let mut two = Two::connected();
    for (class, payload) in
        [(Class::Low, "low"), (Class::Normal, "normal"), (Class::Critical, "critical")]
    {
        let publish = numbered(channel(0, "threats"), payload);
        two.links[0].publish(two.now, crate::link::Publish { class, ..publish }).unwrap();
    }
    assert_eq!(two.settle(), 1);
    assert_eq!(two.handle_all(1), ["critical", "normal", "low"]);
}

#[test]
fn a_critical_message_overtakes_a_large_one_under_way() {
    let mut two = Two::connected();
    let large = Bytes::from(vec![7; 30_000]);
    two.publish(0, large.clone());
    let first = two.record(0).unwrap();
    let publish = numbered(channel(0, "threats"), "now");
    two.links[0]
        .publish(two.now, crate::link::Publish { class: Class::Critical, ..publish })
        .unwrap();
    two.give(1, first).unwrap();
    two.settle();
    assert_eq!(two.handle_all(1), [Bytes::from("now"), large]);
}

/// A message in pieces is acknowledged as a whole: what frees its pieces is the answer to a PING.
#[test]
fn a_message_larger_than_what_may_be_under_way_arrives() {
    let mut two = Two::connected();
    let large = Bytes::from(vec![7; 900_000]);
    let id = two.publish(0, large.clone());
    two.settle();
    assert_eq!(two.handle_all(1), [large]);
    two.pass(Duration::from_millis(20));
    assert!(two.events(0).contains(&Event::Settled(id, Fate::Handled)));
}

#[test]
fn best_effort_is_sent_once_and_forgotten() {
    let mut two = Two::connected();
    let mut publish = numbered(channel(0, "threats"), "one");
    publish.reliability = Reliability::BestEffort;
    let id = two.links[0].publish(two.now, publish).unwrap();
    let _lost = two.record(0).unwrap();
    assert_eq!(two.events(0), [Event::Settled(id, Fate::Sent)]);
    two.detach();
    two.attach();
    two.settle();
    assert_eq!(two.handle_all(1), Vec::<Bytes>::new());
}

#[test]
fn a_refused_message_is_settled_with_the_detail() {
    let mut two = Two::connected();
    let id = two.publish(0, "one");
    two.settle();
    let Some(Event::Message(delivery)) = two.links[1].poll_event() else { panic!("a message") };
    two.links[1].refused(delivery.id, 77);
    two.settle();
    let [Event::Settled(settled, Fate::Refused(verdict))] = two.events(0)[..] else {
        panic!("a fate")
    };
    assert_eq!((settled, verdict.code, verdict.detail), (id, 3, 77));
}

#[test]
fn what_nobody_listens_to_is_not_sent_and_its_publisher_learns_it() {
    let mut two = Two::new();
    two.links[1].unsubscribe(1);
    two.attach();
    two.settle();
    two.events(0);
    let id = two.publish(0, "one");
    two.settle();
    assert_eq!(two.events(0), [Event::Settled(id, Fate::NoSubscriber)]);
    assert!(!two.events(1).iter().any(|event| matches!(event, Event::Message(_))));
}

/// proto-spec [M-11]: the subscriptions that go on come before credit, so nothing is refused that was
/// published before the session.
#[test]
fn what_waited_before_the_session_finds_its_subscribers() {
    let mut two = Two::new();
    for number in 2..=50 {
        let pattern = format!("agent.agent.{}{number}", "x".repeat(230));
        let pattern = Pattern::new(pattern).unwrap();
        assert_eq!(two.links[1].subscribe(pattern, Amount::SUBSCRIPTION_WINDOW), Ok(number));
    }
    two.links[1].unsubscribe(1);
    two.links[1].subscribe(all(1), Amount::SUBSCRIPTION_WINDOW).unwrap();
    two.publish(0, "one");
    two.attach();
    two.settle();
    assert_eq!(two.handle_all(1), ["one"]);
}

#[test]
fn an_expired_message_is_not_sent_and_its_publisher_learns_it() {
    let mut two = Two::new();
    let mut publish = numbered(channel(0, "threats"), "late");
    publish.ttl = Some(Duration::from_secs(1));
    let kept = two.links[0].publish(two.now, publish.clone()).unwrap();
    publish.reliability = Reliability::BestEffort;
    let loose = two.links[0].publish(two.now, publish).unwrap();
    two.pass(Duration::from_secs(1));
    let mut events = two.events(0);
    events.sort_by_key(|event| matches!(event, Event::Settled(id, _) if *id == loose));
    let expired = Fate::Expired(Seen::Never);
    assert_eq!(events, [Event::Settled(kept, expired), Event::Settled(loose, expired)]);
    two.attach();
    two.settle();
    assert_eq!(two.handle_all(1), Vec::<Bytes>::new());
}

/// The numbers of what was not sent do not hold up the watermark: VOID tells of them.
#[test]
fn the_number_of_an_expired_message_is_told_to_be_void() {
    let mut two = Two::new();
    let mut publish = numbered(channel(0, "threats"), "late");
    publish.ttl = Some(Duration::from_secs(1));
    two.links[0].publish(two.now, publish).unwrap();
    two.pass(Duration::from_secs(1));
    two.publish(0, "next");
    two.attach();
    two.settle();
    two.handle_all(1);
    two.settle();
    let inbox = &two.links[1].inbound.inbox;
    assert_eq!(inbox.resumable().get(Class::Normal).through(), 2);
}

#[test]
fn a_cut_loses_nothing_and_repeats_nothing() {
    let mut two = Two::connected();
    two.publish(0, "one");
    two.settle();
    assert_eq!(two.handle_all(1), ["one"]);
    two.publish(0, "two");
    let _lost = two.record(0).unwrap();
    two.detach();
    two.attach();
    two.settle();
    let resumed = |replayed| {
        let outcome = Outcome::Resumed { replayed };
        Event::Resumed(Resumption { outcome, peer_outbox: PeerOutbox::Same })
    };
    // The first was handled, and its acknowledgement lost: RESUME says so.
    assert!(two.events(0).contains(&resumed(1)));
    assert_eq!(two.handle_all(1), ["two"]);
}

#[test]
fn a_peer_that_lost_its_memory_is_found_out() {
    for (doubt, fate) in [(Doubt::Surface, Some(Fate::InDoubt)), (Doubt::SendAgain, None)] {
        let mut two = Two::connected();
        let mut publish = numbered(channel(0, "threats"), "one");
        publish.doubt = doubt;
        let id = two.links[0].publish(two.now, publish).unwrap();
        two.settle();
        two.links[1] = Link::new(Config::new(who(1)), epoch(20), epoch(21), 7);
        two.links[1].subscribe(all(1), Amount::SUBSCRIPTION_WINDOW).unwrap();
        two.attach();
        two.settle();
        let events = two.events(0);
        let outcome = Outcome::PeerStateLost { in_doubt: vec![(Class::Normal, 1)] };
        let resumption = Resumption { outcome, peer_outbox: PeerOutbox::Reset };
        assert!(events.contains(&Event::Resumed(resumption)), "{events:?}");
        let settled = fate.map(|fate| Event::Settled(id, fate));
        assert!(settled.is_none_or(|settled| events.contains(&settled)));
        let again = if fate.is_some() { vec![] } else { vec![Bytes::from("one")] };
        assert_eq!(two.handle_all(1), again);
    }
}

#[test]
fn a_message_that_nobody_takes_holds_back_its_subscription_and_no_other() {
    let mut two = Two::connected();
    two.links[1].unsubscribe(1);
    let one = Amount { messages: 1, bytes: 1 };
    let pattern = |topic| Pattern::from(channel(0, topic));
    let slow = two.links[1].subscribe(pattern("threats"), one).unwrap();
    two.links[1].subscribe(pattern("logs"), Amount::SUBSCRIPTION_WINDOW).unwrap();
    two.settle();
    two.events(1);
    for number in 0..6 {
        for topic in ["threats", "logs"] {
            let publish = numbered(channel(0, topic), format!("{topic} {number}"));
            two.links[0].publish(two.now, publish).unwrap();
        }
    }
    two.settle();
    let deliveries: Vec<_> = two
        .events(1)
        .into_iter()
        .filter_map(|event| match event {
            Event::Message(delivery) => Some(delivery),
            _ => None,
        })
        .collect();
    let of = |topic: &str| {
        deliveries.iter().filter(|one| one.payload.starts_with(topic.as_bytes())).count()
    };
    assert_eq!((of("threats"), of("logs")), (1, 6));
    let first = deliveries.iter().find(|one| one.subscriptions == [slow]).unwrap();
    two.links[1].taken(first.id, slow);
    two.settle();
    assert_eq!(two.handle_all(1), ["threats 1"]);
}

/// proto-spec 9.4: its credit was spent when it began, of the subscriptions that there were.
#[test]
fn a_message_under_way_does_not_count_for_a_subscription_that_came_later() {
    let mut two = Two::connected();
    two.publish(0, vec![7; 30_000]);
    let first = two.record(0).unwrap();
    two.give(1, first).unwrap();
    let later = two.links[1].subscribe(all(1), Amount { messages: 1, bytes: 1 }).unwrap();
    two.settle();
    two.publish(0, "next");
    two.settle();
    let heard: Vec<_> = two
        .events(1)
        .into_iter()
        .filter_map(|event| match event {
            Event::Message(delivery) => Some(delivery.subscriptions),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [vec![1], vec![1, later]]);
}

/// Its sender hears the peer, and the peer nothing of its sender.
#[test]
fn a_message_that_the_peer_never_takes_is_a_dead_letter() {
    let mut two = Two::connected();
    let id = two.publish(0, "one");
    let undeliverable = Event::Settled(id, Fate::Undeliverable);
    for _ in 0..40 {
        while two.record(0).is_some() {}
        two.now = moment(two.now.instant.after(Duration::from_secs(1)));
        let mut publish = numbered(channel(1, "policies"), "still here");
        publish.reliability = Reliability::BestEffort;
        two.links[1].publish(two.now, publish).unwrap();
        let record = two.record(1).unwrap();
        two.give(0, record).unwrap();
        two.links[0].handle_timeout(two.now);
    }
    assert!(two.events(0).contains(&undeliverable));
    let (channel, payload) = (channel(0, "threats"), Bytes::from("one"));
    let dead = Undelivered { id, channel, class: Class::Normal, headers: None, payload };
    assert_eq!(two.links[0].take_dead(), [dead]);
    assert_eq!(two.links[0].take_dead(), []);
}

/// proto-spec [N-6]
#[test]
fn an_agent_that_subscribes_to_another_agent_is_refused() {
    let mut two = Two::connected();
    let foreign = Pattern::new("backend.other.>").unwrap();
    let subscription = two.links[0].subscribe(foreign, Amount::SUBSCRIPTION_WINDOW).unwrap();
    two.settle();
    let code = ChannelCode::Unauthorized;
    assert_eq!(two.events(0), [Event::Subscribed { subscription, code }]);
}

/// proto-spec [N-5]: and the number counts as handled, as its sender is told.
#[test]
fn a_message_outside_the_border_is_refused() {
    let mut two = Two::connected();
    let foreign = numbered("agent.other.threats".parse().unwrap(), "one");
    let refused = two.links[0].publish(two.now, foreign);
    assert!(matches!(refused, Err(PublishError::Unauthorized(_))));
    let content = event("agent.other.threats");
    let label = Label { class: Class::Low, number: Some(1), again: false, ttl_ms: None };
    two.forge(0, |out| put_message(&label, &content, out)).unwrap();
    two.events(1);
    let refusal = two.links[1].inbound.inbox.poll_result().unwrap();
    assert_eq!((refusal.number, refusal.verdict.code), (1, 4));
}

/// proto-spec [M-6]: a record with anything in front of RESUME costs the transport; a second RESUME
/// the session.
#[test]
fn resume_comes_first_and_once() {
    let mut two = Two::new();
    two.attach();
    let accept = two.record(1).unwrap();
    two.give(0, accept).unwrap();
    let read = two.forge(0, |out| put_credit(Class::Low, 1, 1, out));
    assert_eq!(read, Err(LinkError::NoResume));
    assert_eq!(two.links[1].state(), State::Detached);

    let mut two = Two::connected();
    let none = (0, &[][..]);
    let read = two.forge(0, |out| {
        put_resume(&[1; 16], &[2; 16], &[0; 16], 1 << 20, [none; 4], out);
    });
    assert_eq!(read, Err(LinkError::Resume));
    two.assert_closes(1, CloseCode::ProtocolViolation);
}

/// proto-spec [M-24]: what the peer does not take is refused by the side that has it.
#[test]
fn a_message_that_is_larger_than_the_peer_takes_is_not_begun() {
    let mut two = Two::new();
    two.links[1].config.message_bytes = 1_000;
    // Nothing is known of the peer yet.
    let early = two.publish(0, vec![1; 2_000]);
    two.attach();
    two.settle();
    let is_settled = |event: &Event| matches!(event, Event::Settled(..));
    let settled: Vec<_> = two.events(0).into_iter().filter(is_settled).collect();
    let verdict = Verdict { code: result::TOO_LARGE, detail: 0 };
    assert_eq!(settled, [Event::Settled(early, Fate::Refused(verdict))]);
    let late = numbered(channel(0, "threats"), vec![1; 2_000]);
    let refused = two.links[0].publish(two.now, late);
    assert!(matches!(refused, Err(PublishError::TooLarge(_, 1_000))), "{refused:?}");
    assert_eq!(two.links.each_ref().map(|link| link.state()), [State::Connected; 2]);
}

/// proto-spec [M-7], [M-8], [M-9], [M-10], [M-12], [M-13], [M-14]: what cannot be ends the session, and the
/// peer is told.
#[test]
fn a_peer_that_breaks_the_rules_loses_its_session() {
    let label = Label { class: Class::Low, number: None, again: false, ttl_ms: None };
    let none = (0, &[][..]);
    type Put = Box<dyn Fn(&mut BytesMut)>;
    let cases: [(LinkError, Put); 10] = [
        (
            Lie::AckForUnsent.into(),
            Box::new(|out| put_ack(Class::Low, Level::Handled, 1, &[], out)),
        ),
        (Lie::ResultForUnsent.into(), Box::new(|out| put_outcome(Class::Low, 1, 3, 0, out))),
        (Lie::BadNumber.into(), Box::new(|out| put_void(Class::Low, 1, u64::MAX, out))),
        (CreditError::Decreased.into(), Box::new(|out| put_credit(Class::Low, 0, 0, out))),
        (
            CreditError::UnknownSubscription.into(),
            Box::new(|out| put_subscription_credit(9, 1, 1, out)),
        ),
        (
            crate::delivery::reassembly::ChunkError::NotBegun.into(),
            Box::new(|out| put_next_chunk(Class::Low, 1, true, b"x", out)),
        ),
        (
            crate::delivery::reassembly::ChunkError::TooLarge.into(),
            Box::new(move |out| put_first_chunk(&label, u32::MAX, false, b"x", out)),
        ),
        (Malformed::Value("kind").into(), Box::new(move |out| put_message(&label, &[99, 0], out))),
        (
            LinkError::Alias,
            Box::new(move |out| {
                put_name(1, "agent.agent.logs", out);
                put_name(1, "agent.agent.logs", out);
            }),
        ),
        (
            FrameError::Malformed(0x0c, Malformed::Order("numbers")).into(),
            Box::new(|out| put_void(Class::Low, 2, 1, out)),
        ),
    ];
    for (cause, put) in cases {
        let mut two = Two::connected();
        let read = two.forge(0, |out| put(out));
        match (cause, read) {
            (LinkError::Frame(cause), read) => {
                assert_eq!(read, Err(crate::session::OpenError::Frame(cause).into()));
            }
            (cause, read) => assert_eq!(read, Err(cause)),
        }
        two.assert_closes(1, CloseCode::ProtocolViolation);
    }
    let mut two = Two::new();
    two.attach();
    let accept = two.record(1).unwrap();
    two.give(0, accept).unwrap();
    let own = epoch(12).to_bytes();
    let read = two.forge(0, |out| put_resume(&own, &[2; 16], &[0; 16], 1 << 20, [none; 4], out));
    assert_eq!(read, Err(Lie::ResumeReflected.into()));
}

/// proto-spec [M-12]
#[test]
fn a_peer_that_sends_more_than_it_was_granted_loses_its_session() {
    let mut two = Two::with(|config| config.class_window = Amount { messages: 2, bytes: 1 });
    two.attach();
    two.settle();
    let content = event("agent.agent.logs");
    let label = Label { class: Class::Low, number: None, again: false, ttl_ms: None };
    for _ in 0..2 {
        two.forge(0, |out| put_message(&label, &content, out)).unwrap();
    }
    let read = two.forge(0, |out| put_message(&label, &content, out));
    assert_eq!(read, Err(CreditError::FlowControl.into()));
    two.assert_closes(1, CloseCode::ProtocolViolation);
}

#[test]
fn a_flood_of_subscriptions_that_are_not_heard_ends_the_session() {
    let mut two = Two::connected();
    let mut read = Ok(());
    for round in 0..3 {
        read = two.forge(0, |out| {
            (0..200).for_each(|id| put_subscribe(round * 200 + id, 1, 1, "agent.*", out));
        });
        if read.is_err() {
            break;
        }
    }
    assert_eq!(read, Err(LinkError::Flood));
    two.assert_closes(1, CloseCode::Busy);
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut two = Two::connected();
    let flood =
        |two: &mut Two| two.forge(0, |out| (0..1_500).for_each(|_| put_subscribed(1, 0, out)));
    let mut records = 0;
    let read = loop {
        match flood(&mut two) {
            Ok(()) => records += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((read, records), (LinkError::Flood, LINK_EVENTS.div_ceil(1_500)));
    two.assert_closes(1, CloseCode::Busy);
}

#[test]
fn datagrams_that_nobody_takes_are_dropped() {
    let mut two = Two::connected();
    let mut record = BytesMut::new();
    for number in 0..100_u8 {
        let session = two.links[0].session.as_mut().unwrap();
        session.seal_datagram(two.now.instant, &[number], &mut record).unwrap();
        let record = record.split();
        two.give(1, record).unwrap();
    }
    let events = two.events(1);
    let expected: Vec<_> = (0..64).map(|number| Event::Datagram(vec![number].into())).collect();
    assert_eq!(events, expected);
}

/// proto-spec [N-9]: what is outside the border is refused here, the rest goes to the floor above.
#[test]
fn a_change_of_a_channel_is_judged_and_answered() {
    let mut two = Two::connected();
    two.links[0].manage(1, ChannelChange::Create, channel(1, "threats"));
    two.links[0].manage(2, ChannelChange::Disable, channel(0, "threats"));
    two.settle();
    let change = ChannelChange::Disable;
    let manage = Event::Manage { request: 2, change, channel: channel(0, "threats") };
    assert_eq!(two.events(1), [manage]);
    two.links[1].managed(2, ChannelCode::Done);
    two.settle();
    let managed = |request, code| Event::Managed { request, code };
    let expected = [managed(1, ChannelCode::Unauthorized), managed(2, ChannelCode::Done)];
    assert_eq!(two.events(0), expected);
    let read = two.forge(0, |out| put_channel(1, 5, "agent.agent.logs", out));
    assert_eq!(read, Err(Malformed::Value("op").into()));
}

#[test]
fn a_name_that_was_given_stands_for_its_channel() {
    let mut two = Two::connected();
    let mut content = BytesMut::new();
    Content {
        kind: ContentKind::Event,
        channel: Some(ChannelRef::Alias(5)),
        correlation: None,
        headers: None,
        stream: false,
        payload: b"one",
    }
    .encode(&mut content);
    let label = Label { class: Class::Low, number: None, again: false, ttl_ms: None };
    two.forge(0, |out| {
        put_name(5, "agent.agent.logs", out);
        put_message(&label, &content, out);
    })
    .unwrap();
    assert_eq!(two.handle_all(1), ["one"]);
}

#[test]
fn a_silent_peer_is_asked_and_given_up() {
    let mut two = Two::connected();
    let records = two.links.each_ref().map(|link| link.poll_timeout().unwrap());
    assert!(records.iter().all(|at| at.since(two.now.instant) <= Duration::from_secs(33)));
    two.pass(Duration::from_secs(300));
    assert_eq!(two.links.each_ref().map(Link::state), [State::Connected; 2]);
    // Nobody carries records any more.
    let end = two.now.instant.after(Duration::from_secs(60));
    two.links[0].handle_timeout(moment(end));
    assert_eq!(two.links[0].state(), State::Detached);
    assert!(two.events(0).contains(&Event::Detached(DetachCause::Dead)));
}

#[test]
fn a_link_that_drains_takes_nothing_and_closes_when_all_is_handled() {
    let mut two = Two::connected();
    two.publish(0, "one");
    let by = two.now.instant.after(Duration::from_secs(5));
    two.links[0].drain(two.now, by, CloseCode::Normal);
    let more = two.links[0].publish(two.now, numbered(channel(0, "threats"), "two"));
    assert_eq!(more, Err(PublishError::Closed));
    two.settle();
    assert_eq!(two.links[0].state(), State::Draining);
    assert_eq!(two.handle_all(1), ["one"]);
    two.pass(Duration::from_millis(20));
    assert_eq!(two.links[0].state(), State::Closed);
    let closed = DetachCause::ClosedByPeer { code: CloseCode::Normal, retry_after: Duration::ZERO };
    assert!(two.events(1).contains(&Event::Detached(closed)));
}

#[test]
fn a_link_that_drains_closes_in_time_whatever_waits() {
    let mut two = Two::connected();
    two.publish(0, "one");
    let by = two.now.instant.after(Duration::from_secs(5));
    two.links[0].drain(two.now, by, CloseCode::Normal);
    two.pass(Duration::from_secs(5));
    assert_eq!(two.links[0].state(), State::Closed);
    assert_eq!(two.links[0].poll_timeout(), None);
}

#[test]
fn a_session_of_another_peer_or_without_order_is_not_taken() {
    let mut two = Two::connected();
    let [agent, mut backend] = two.parties.session(two.now);
    // The agent's end is a session with the backend.
    assert_eq!(two.links[1].attach(two.now, agent), Err(LinkError::OtherPeer));
    backend.attach(Order::Window);
    assert_eq!(two.links[1].attach(two.now, backend), Err(LinkError::Unordered));
    assert_eq!(two.links[1].state(), State::Connected);
}

fn event(channel: &str) -> BytesMut {
    let mut content = BytesMut::new();
    Content {
        kind: ContentKind::Event,
        channel: Some(ChannelRef::Name(channel.as_bytes())),
        correlation: None,
        headers: None,
        stream: false,
        payload: b"one",
    }
    .encode(&mut content);
    content
}

#[test]
fn a_connection_has_a_bounded_number_of_subscriptions() {
    let mut two = Two::connected();
    for _ in 1..50 {
        two.links[0].subscribe(all(0), Amount::SUBSCRIPTION_WINDOW).unwrap();
    }
    let more = two.links[0].subscribe(all(0), Amount::SUBSCRIPTION_WINDOW);
    assert_eq!(more, Err(SubscribeError::TooMany(50)));
}

#[test]
fn a_session_that_asks_for_entropy_gets_it_through_its_link() {
    let mut two = Two::connected();
    let wants = Event::Session(crate::session::Event::WantsSeed);
    two.pass(Duration::from_secs(16 * 60));
    assert!(two.events(0).contains(&wants));
    for side in [0, 1, 0] {
        two.links[side].provide_seed(two.now, &seed(u8::try_from(40 + side).unwrap()));
        two.settle();
    }
    assert!(two.events(0).contains(&Event::Session(crate::session::Event::Rekeyed)));
}
