//! Payloads of calls, and the four machines that read them.

use std::time::Duration;

use bytes::Bytes;

use super::input::Input;
use crate::call::{
    Answering, Answers, Ask, CancelReason, Change, CommandBody, Correlation, Demand, Executor,
    Failure, Heard, Issuer, Item, Kind, OnCrash, OnDetach, OnPeerLost, Opening, Output, Progress,
    Reliability, RequestEvent, Requests, Say, Shape, StatusBody, StreamEnd, Violation,
};
use crate::limits::CALLS;
use crate::priority::Class;
use crate::time::{Instant, Now};

const REQUESTS: u64 = 3;

/// The first byte chooses: one payload for every layout, or a list of contents for the machines.
pub fn call(data: &[u8]) {
    match data.split_first() {
        Some((0, payload)) => payloads(&Bytes::copy_from_slice(payload)),
        Some((_, story)) => machines(&mut Input::new(story)),
        None => {}
    }
}

fn payloads(bytes: &Bytes) {
    let written = [
        Opening::decode(bytes).map(|read| read.encode()),
        Item::decode(bytes).map(|read| read.encode()),
        StreamEnd::decode(bytes).map(|read| read.encode()),
        Demand::decode(bytes).map(Demand::encode),
        Progress::decode(bytes).map(|read| read.encode()),
        Failure::decode(bytes).map(|read| read.encode()),
        CommandBody::decode(bytes).map(|read| read.encode()),
        StatusBody::decode(bytes).map(|read| read.encode()),
    ];
    for written in written.into_iter().flatten() {
        assert_eq!(&written, bytes, "a payload has one encoding");
    }
}

/// A peer says what it likes to two requests and a stream, and asks what it likes.
fn machines(input: &mut Input<'_>) {
    let (mut requests, mut answers) = (Requests::new([0; 8]), Answers::new());
    let (mut issuer, mut executor) = (Issuer::new(), Executor::new(OnCrash::Report));
    requests.attached(Instant::default());
    answers.attached();
    for number in 0..REQUESTS {
        let answering = match number {
            0 => Answering::Stream { allowed: 4 },
            _ => Answering::One,
        };
        let ask = Ask {
            payload: Bytes::new(),
            class: Class::Normal,
            time: Duration::from_secs(10),
            answering,
            on_detach: OnDetach::Redrive,
            on_peer_lost: OnPeerLost::Redrive,
        };
        let asked = requests.ask(Instant::default(), ask);
        assert_eq!(asked, Ok(Correlation::from_wire(number)), "the seed is zero");
    }
    let (mut now, mut ends) = (Now::default(), 0);
    while !input.is_empty() {
        let (op, correlation) = (input.u8(), Correlation::from_wire(u64::from(input.u8() % 8)));
        let length = usize::from(input.u8());
        let payload = Bytes::copy_from_slice(input.take(length));
        let shape = if op & 0x80 == 0 { Shape::One } else { Shape::Stream };
        match (op & 0x1f, Kind::from_wire(op & 0x1f, shape)) {
            (_, Some(kind)) => {
                let heard = Heard {
                    kind,
                    correlation,
                    payload,
                    class: Class::Normal,
                    remaining: Some(Duration::from_secs(5)),
                    reliability: Reliability::Numbered,
                };
                let heard =
                    hear(now, &heard, (&mut requests, &mut answers), (&mut issuer, &mut executor));
                if heard.is_err() {
                    return;
                }
            }
            (9, _) => answers.handle_cancel(now.instant, correlation, CancelReason::Unwanted),
            (10, _) => {
                now.instant = now.instant.after(Duration::from_millis(500));
                requests.handle_timeout(now.instant);
                answers.handle_timeout(now.instant);
            }
            (11, _) => _ = answers.item(correlation, payload),
            (12, _) => _ = answers.answer(now.instant, correlation, payload),
            (13, _) => {
                answers.detached(now.instant);
                answers.attached();
                requests.detached();
                requests.attached(now.instant);
            }
            (14, _) => {
                let allowed = (length % 256) as u64;
                requests.allow(now.instant, correlation, allowed);
            }
            _ => {}
        }
        while let Some(output) = answers.poll_output(now.instant) {
            assert_readable(&output);
        }
        while let Some(output) = requests.poll_output() {
            assert_readable(&output);
        }
        while let Some(output) = executor.poll_output() {
            assert_readable(&output);
        }
        while let Some(event) = requests.poll_event() {
            ends += u64::from(matches!(event, RequestEvent::Ended { .. }));
        }
        while answers.poll_event().is_some() || executor.poll_event().is_some() {}
        assert!(answers.open_calls() <= CALLS, "calls are bounded");
        assert_eq!(ends + requests.pending() as u64, REQUESTS, "a request ends once");
    }
    let end = now.instant.after(Duration::from_secs(20));
    requests.handle_timeout(end);
    answers.handle_timeout(end);
    assert_eq!((requests.pending(), requests.next_timeout()), (0, None), "nothing is left");
    assert_eq!((answers.open_calls(), answers.kept_bytes()), (0, 0), "nothing is left");
}

fn hear(
    now: Now,
    heard: &Heard,
    (requests, answers): (&mut Requests, &mut Answers),
    (issuer, executor): (&mut Issuer, &mut Executor),
) -> Result<(), Violation> {
    match heard.kind {
        Kind::Request(_) | Kind::Demand => answers.handle(now.instant, heard),
        Kind::Command => {
            let handled = executor.handle(now, &heard.payload, heard.class, heard.remaining);
            while let Some(change) = executor.poll_change() {
                if let Change::Put(row) = change {
                    executor.stored(now, row.id, row.version);
                }
            }
            handled
        }
        Kind::Status => issuer.handle(now, &heard.payload),
        _ => requests.handle(now.instant, heard),
    }
}

/// What is said is what a peer reads.
fn assert_readable(output: &Output) {
    let Output::Say(Say { kind, payload, .. }) = output else { return };
    let is_read = match kind {
        Kind::Request(Shape::Stream) => Opening::decode(payload).is_ok(),
        Kind::Item => Item::decode(payload).is_ok(),
        Kind::Progress => Progress::decode(payload).is_ok(),
        Kind::Failure => Failure::decode(payload).is_ok(),
        Kind::Command => CommandBody::decode(payload).is_ok(),
        Kind::Status => StatusBody::decode(payload).is_ok(),
        Kind::Demand => Demand::decode(payload).is_ok(),
        Kind::Request(Shape::One) | Kind::Response => true,
    };
    assert!(is_read, "{kind:?} is not readable");
}
