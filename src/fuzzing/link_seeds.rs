//! Inputs to begin with for the targets above the session: each kind of frame, and stories in the numbers of
//! `resumption` and `link`.

use bytes::{Bytes, BytesMut};

use crate::body::Headers;
use crate::call::{
    CommandBody, CommandId, CommandOp, Effect, ErrorCode, Failure, Item, Progress, Status,
    StatusBody, StreamEnd,
};
use crate::priority::Class;
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::{
    Label, Level, put_ack, put_cancel, put_channel, put_channel_done, put_credit, put_first_chunk,
    put_message, put_name, put_next_chunk, put_outcome, put_resume, put_subscribe, put_subscribed,
    put_subscription_credit, put_unsubscribe, put_void,
};

/// Target, name, input.
pub(super) type Named = (&'static str, String, Vec<u8>);

pub(super) fn all() -> Vec<Named> {
    let stories = resumptions().into_iter().map(|(name, story)| ("resume", name, story));
    let talks = talks().into_iter().map(|(name, story)| ("link", name, story));
    let named = stories.chain(talks).map(|(target, name, story)| (target, name.to_owned(), story));
    frames().into_iter().chain(contents()).chain(named).collect()
}

/// A frame without its length.
fn frame(name: &str, put: impl FnOnce(&mut BytesMut)) -> Named {
    let mut out = BytesMut::new();
    put(&mut out);
    let body = out.get(4..).unwrap_or_default();
    ("message", name.to_owned(), [out.get(..2).unwrap_or_default(), body].concat())
}

fn frames() -> Vec<Named> {
    let label = Label { class: Class::Normal, number: Some(7), again: true, ttl_ms: Some(1_500) };
    let handled = [(0, &[][..]), (3, &[(5, 9)][..]), (1 << 62, &[]), (1, &[(3, 3), (6, 7)])];
    let pattern = "agent.*.>";
    vec![
        frame("first-chunk", |out| put_first_chunk(&label, 4, false, &[1], out)),
        frame("next-chunk", |out| put_next_chunk(Class::Low, 1, true, &[2, 3, 4], out)),
        frame("ack", |out| put_ack(Class::High, Level::Handled, 5, &[(7, 7), (9, 12)], out)),
        frame("result", |out| put_outcome(Class::Critical, 9, 3, 7, out)),
        frame("credit", |out| put_credit(Class::Low, 1_024, 1 << 21, out)),
        frame("subscription-credit", |out| put_subscription_credit(7, 512, 1 << 21, out)),
        frame("cancel", |out| put_cancel(5, 1, out)),
        frame("void", |out| put_void(Class::High, 4, 9, out)),
        frame("resume", |out| put_resume(&[1; 16], &[2; 16], &[3; 16], 1 << 20, handled, out)),
        frame("subscribe", |out| put_subscribe(1, 512, 1 << 21, pattern, out)),
        frame("unsubscribe", |out| put_unsubscribe(1, out)),
        frame("subscribed", |out| put_subscribed(1, 4, out)),
        frame("name", |out| put_name(1, "agent.edge-7.logs", out)),
        frame("channel", |out| put_channel(9, 1, "agent.edge-7.extra", out)),
        frame("channel-result", |out| put_channel_done(9, 20, out)),
    ]
}

fn contents() -> Vec<Named> {
    let mut headers = Headers::new();
    let _ = headers.insert("trace", "4bf92f35");
    let headers = headers.to_bytes();
    let (id, rest) = (CommandId([7; 16]), Bytes::from_static(b"rest"));
    let failure = Failure::with_text(ErrorCode::Application(7), "why");
    let run = CommandBody { id, op: CommandOp::Run(rest.clone()) };
    let status =
        StatusBody { id, status: Status::Failed, effect: Effect::Failure(failure.clone()) };
    let kinds = [
        ("event", ContentKind::Event, rest.clone()),
        ("request", ContentKind::Request, rest.clone()),
        ("response", ContentKind::Response, StreamEnd { count: 1, payload: rest.clone() }.encode()),
        ("item", ContentKind::Item, Item { offset: 0, payload: rest }.encode()),
        ("progress", ContentKind::Progress, Progress::Permille(500).encode()),
        ("failure", ContentKind::Failure, failure.encode()),
        ("command", ContentKind::Command, run.encode()),
        ("status", ContentKind::Status, status.encode()),
    ];
    let label = Label { class: Class::High, number: Some(1), again: false, ttl_ms: None };
    let content = |(name, kind, payload): (_, _, Bytes)| {
        let is_channel =
            matches!(kind, ContentKind::Event | ContentKind::Request | ContentKind::Command);
        let is_call =
            !matches!(kind, ContentKind::Event | ContentKind::Command | ContentKind::Status);
        let has_headers = is_channel || matches!(kind, ContentKind::Response | ContentKind::Item);
        let mut bytes = BytesMut::new();
        Content {
            kind,
            channel: is_channel.then_some(ChannelRef::Name(b"agent.edge-7.logs")),
            correlation: is_call.then_some(5),
            headers: headers.as_deref().filter(|_| has_headers),
            stream: false,
            payload: &payload,
        }
        .encode(&mut bytes);
        frame(name, |out| put_message(&label, &bytes, out))
    };
    kinds.into_iter().map(content).collect()
}

fn resumptions() -> [(&'static str, Vec<u8>); 3] {
    [
        (
            "goes-on",
            vec![
                0, 0, 5, 0x40, 5, 26, 0, 0, 0, 0, 0, 0, 0, 2, 2, 20, 1, 26, 1, 0, 0, 0, 0, 0, 0, 2,
                8,
            ],
        ),
        (
            "peer-lost",
            vec![
                1, 0, 5, 13, 10, 0, 0, 0, 0, 5, 6, 0, 13, 2, 20, 1, 9, 10, 0, 0, 0, 0, 3, 4, 1, 13,
                2,
            ],
        ),
        (
            "outbox-lost",
            vec![
                0, 6, 1, 0, 6, 2, 1, 8, 10, 0, 0, 0, 0, 5, 6, 0, 6, 1, 0, 8, 10, 0, 0, 0, 0, 4, 6,
                0, 8,
            ],
        ),
    ]
}

/// Operations from 0x80 on are the backend's.
fn talks() -> [(&'static str, Vec<u8>); 11] {
    const B: u8 = 0x80;
    let void = [&[0, 2, 24, 0x0c, 2, 16][..], &[0; 7], &[1], &[0; 7], &[9, 2]].concat();
    let resume = [&[0, 24, 0x10, 0, 88][..], &[9; 52], &[0; 36], &[2]].concat();
    let event = [
        &[0, 2, 24, 3, 6, 30][..],
        &[0; 7],
        &[1, 0, 1, 19],
        b"agent.agent.threats",
        &[1, 2, B | 6],
    ];
    [
        ("talk", vec![0, 2, 4, 2, 10, 2, B | 6, B | 8, 2, B | 4, 6, 200, 2, 6, 8, 2]),
        ("pieces", vec![0, 2, 4, 0x22, 0x90, 0, 2, 6, B | 6, B | 8, 20, 0, 2, B | 6, B | 8]),
        ("asked", vec![0, 2, 12, 0, 100, 2, B | 6, B | 16, 1, 2, 6]),
        (
            "stream",
            vec![
                4,
                2,
                12,
                4,
                100,
                4,
                2,
                B | 6,
                B | 15,
                1,
                B | 15,
                1,
                2,
                6,
                14,
                8,
                2,
                B | 16,
                1,
                2,
                6,
            ],
        ),
        (
            "commanded",
            vec![
                3,
                27,
                B | 27,
                2,
                33,
                2,
                60,
                27,
                2,
                B | 27,
                B | 6,
                B | 27,
                B | 36,
                0,
                B | 27,
                2,
                6,
            ],
        ),
        ("cut", vec![0, 2, 4, 0, 5, 4, 1, 5, 1, 2, 20, 0, 2, B | 6, 20, 0, 2, B | 8, 21, 2, 40, 2]),
        ("false-void", void),
        ("false-resume", resume),
        ("false-event", event.concat()),
        ("drained", vec![0, 2, 4, 0, 5, 38, 3, 2, B | 6, B | 8, 2]),
        ("managed", vec![0, 2, 31, 0, 0, 0, 1, 2, B | 6, B | 32, 2, 6, 29, 4, 2, 30, 2]),
    ]
}
