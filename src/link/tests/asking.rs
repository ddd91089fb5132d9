//! Requests, answers and streams over a link, one fact at a time.

use std::time::Duration;

use bytes::Bytes;

use super::pair::{Two, channel, epoch, who};
use crate::call::{
    AnswerError, AnswerEvent, Answering, Ask, CancelReason, Correlation, ErrorCode, Failure,
    OnDetach, OnPeerLost, Outcome, Progress, RequestEvent, Stop,
};
use crate::link::{Config, Event, Link, RequestError};
use crate::priority::Class;

#[test]
fn a_request_is_answered_on_its_channel() {
    let mut two = Two::connected();
    let correlation = two.ask(OnDetach::Fail);
    two.settle();
    let events = two.events(1);
    let [Event::Call { channel: asked, event: AnswerEvent::Opened { payload, .. } }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((asked, &payload[..]), (&Some(channel(0, "threats")), &b"what?"[..]));
    two.links[1].progress(two.now, correlation, &Progress::Permille(500)).unwrap();
    two.links[1].answer(two.now, correlation, "that".into()).unwrap();
    two.settle();
    let progress = Progress::Permille(500);
    let outcome = Outcome::Answered("that".into());
    assert_eq!(
        two.events(0),
        [
            Event::Request(RequestEvent::Progress { correlation, progress }),
            Event::Request(RequestEvent::Ended { correlation, outcome }),
        ]
    );
}

/// proto-spec [M-24]: an answer that the caller does not take ends the call, and nothing else.
#[test]
fn an_answer_that_is_too_large_becomes_a_failure() {
    let mut two = Two::new();
    two.links[0].config.message_bytes = 1_000;
    two.attach();
    two.settle();
    two.events(0);
    for on_detach in [OnDetach::Fail, OnDetach::Redrive] {
        let correlation = two.ask(on_detach);
        two.settle();
        two.links[1].answer(two.now, correlation, vec![0; 2_000].into()).unwrap();
        two.settle();
        two.assert_ends(correlation, ErrorCode::TooLarge);
    }
}

#[test]
fn a_withdrawn_request_stops_its_handler_and_ends_as_it_says() {
    let mut two = Two::connected();
    let correlation = two.ask(OnDetach::Fail);
    two.settle();
    two.events(1);
    two.links[0].cancel(two.now, correlation);
    two.settle();
    let stop = Stop::Withdrawn(CancelReason::Unwanted);
    let event = AnswerEvent::Stop { correlation, stop };
    assert_eq!(two.events(1), [Event::Call { channel: None, event }]);
    two.links[1].fail(two.now, correlation, &Failure::new(ErrorCode::Cancelled)).unwrap();
    two.settle();
    two.assert_ends(correlation, ErrorCode::Cancelled);
}

#[test]
fn a_request_ends_at_its_deadline_whoever_is_there() {
    let mut two = Two::connected();
    let correlation = two.ask(OnDetach::Redrive);
    two.pass(Duration::from_secs(10));
    two.assert_ends(correlation, ErrorCode::Deadline);
}

#[test]
fn a_cut_ends_a_request_or_carries_it_over_as_its_policy_says() {
    let mut two = Two::connected();
    let correlation = two.ask(OnDetach::Fail);
    two.detach();
    two.assert_ends(correlation, ErrorCode::Detached);

    let mut two = Two::connected();
    let correlation = two.ask(OnDetach::Redrive);
    let _lost = two.record(0).unwrap();
    two.detach();
    two.attach();
    two.settle();
    two.events(1);
    two.links[1].answer(two.now, correlation, "that".into()).unwrap();
    let _lost = two.record(1).unwrap();
    two.detach();
    two.attach();
    two.settle();
    let outcome = Outcome::Answered("that".into());
    let ended = Event::Request(RequestEvent::Ended { correlation, outcome });
    assert_eq!(two.events(0).iter().filter(|event| **event == ended).count(), 1);
    assert!(!two.events(1).iter().any(|event| matches!(event, Event::Call { .. })));
}

#[test]
fn a_peer_without_memory_puts_a_request_in_doubt_or_is_asked_again() {
    for (on_peer_lost, is_asked) in [(OnPeerLost::InDoubt, false), (OnPeerLost::Redrive, true)] {
        let mut two = Two::connected();
        let ask = Ask { on_peer_lost, ..question(OnDetach::Redrive) };
        let correlation = two.links[0].request(two.now, channel(0, "threats"), ask).unwrap();
        two.settle();
        two.links[1] = Link::new(Config::new(who(1)), epoch(20), epoch(21), 9);
        two.attach();
        two.settle();
        let opened =
            |event: &Event| matches!(event, Event::Call { event: AnswerEvent::Opened { .. }, .. });
        assert_eq!(
            two.events(1).iter().filter(|event| opened(event)).count(),
            usize::from(is_asked)
        );
        if !is_asked {
            two.assert_ends(correlation, ErrorCode::InDoubt);
        }
    }
}

#[test]
fn a_stream_comes_in_order_as_far_as_it_is_allowed_and_over_a_cut() {
    let mut two = Two::connected();
    let answering = Answering::Stream { allowed: 2 };
    let ask = Ask { answering, ..question(OnDetach::Redrive) };
    let correlation = two.links[0].request(two.now, channel(0, "threats"), ask).unwrap();
    two.settle();
    two.events(1);
    for item in ["a", "b"] {
        two.links[1].item(two.now, correlation, item.into()).unwrap();
    }
    let more = two.links[1].item(two.now, correlation, "c".into());
    assert_eq!(more, Err(AnswerError::NoRoom));
    two.settle();
    assert_eq!(two.items(), ["a", "b"]);
    two.links[0].allow(two.now, correlation, 4);
    two.settle();
    let room = Event::Call { channel: None, event: AnswerEvent::Room { correlation } };
    assert_eq!(two.events(1), [room]);
    for item in ["c", "d"] {
        two.links[1].item(two.now, correlation, item.into()).unwrap();
    }
    let _lost = two.record(1).unwrap();
    two.detach();
    two.attach();
    two.settle();
    assert_eq!(two.items(), ["c", "d"]);
    two.links[1].answer(two.now, correlation, "end".into()).unwrap();
    two.settle();
    let outcome = Outcome::Answered("end".into());
    assert!(two.events(0).contains(&Event::Request(RequestEvent::Ended { correlation, outcome })));
}

#[test]
fn a_request_outside_the_border_is_not_made() {
    let mut two = Two::connected();
    let asked = two.links[0].request(two.now, channel(1, "threats"), question(OnDetach::Fail));
    assert!(matches!(asked, Err(RequestError::Unauthorized(_))));
}

fn question(on_detach: OnDetach) -> Ask {
    Ask {
        payload: Bytes::from("what?"),
        class: Class::High,
        time: Duration::from_secs(10),
        answering: Answering::One,
        on_detach,
        on_peer_lost: OnPeerLost::InDoubt,
    }
}

impl Two {
    fn ask(&mut self, on_detach: OnDetach) -> Correlation {
        self.links[0].request(self.now, channel(0, "threats"), question(on_detach)).unwrap()
    }

    fn items(&mut self) -> Vec<Bytes> {
        let item = |event| match event {
            Event::Request(RequestEvent::Item { payload, .. }) => Some(payload),
            _ => None,
        };
        self.events(0).into_iter().filter_map(item).collect()
    }

    fn assert_ends(&mut self, correlation: Correlation, code: ErrorCode) {
        let outcome = Outcome::Failed(Failure::new(code));
        let ended = Event::Request(RequestEvent::Ended { correlation, outcome });
        let events = self.events(0);
        assert_eq!(events.iter().filter(|event| **event == ended).count(), 1, "{events:?}");
    }
}
