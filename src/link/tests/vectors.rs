//! The layouts of pages 9 to 11 against `proto-spec/vectors`: every case is read, compared field by field, and
//! written again. `check.py` beside the files does the same from the pages alone.

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::body::{self, Headers};
use crate::call::{
    CommandBody, CommandOp, Demand, DemandMode, Effect, ErrorCode, Failure, Item, Opening,
    Progress, Retry, Status, StatusBody, StreamEnd,
};
use crate::channel::{ChannelName, Party, Pattern, Policy};
use crate::ids::PeerId;
use crate::priority::Class;
use crate::wire::content::{ChannelRef, Content, ContentKind};
use crate::wire::message::{Label, Level, LinkFrame, Numbers, Resume};
use crate::wire::{FRAME_HEADER_BYTES, FrameError};

const MESSAGES: &str = include_str!("../../../proto-spec/vectors/messages.json");
const CHANNELS: &str = include_str!("../../../proto-spec/vectors/channels.json");
const CALLS: &str = include_str!("../../../proto-spec/vectors/calls.json");

/// proto-spec [M-23]: each frame of page 9, in both directions.
#[test]
fn frames_are_those_of_the_vectors() {
    for case in cases(MESSAGES, "frames") {
        let bytes = hex(&case["frame"]);
        let frame = decode(&bytes).unwrap();
        let (name, fields) = spell(&frame);
        assert_eq!(json!([name, fields]), json!([case["type"], case["fields"]]), "{case}");
        let mut written = BytesMut::new();
        frame.encode(&mut written);
        assert_eq!(written, bytes, "{case}");
    }
}

/// proto-spec [M-1], [M-2], [M-3], [M-5]: frames that break the rule named beside them.
#[test]
fn broken_frames_of_the_vectors_are_refused() {
    for case in cases(MESSAGES, "bad_frames") {
        assert!(decode(&hex(&case["frame"])).is_err(), "{case}");
    }
}

/// proto-spec [M-23]: each kind of content, in both directions.
#[test]
fn contents_are_those_of_the_vectors() {
    for case in cases(MESSAGES, "contents") {
        let bytes = hex(&case["content"]);
        let content = Content::decode(&bytes).unwrap();
        assert_eq!(spell_content(&content), case["fields"], "{case}");
        let mut written = BytesMut::new();
        content.encode(&mut written);
        assert_eq!(written, bytes, "{case}");
    }
}

/// proto-spec [M-4], [Q-1]: contents that break the rule named beside them.
#[test]
fn broken_contents_of_the_vectors_are_refused() {
    for case in cases(MESSAGES, "bad_contents") {
        assert!(Content::decode(&hex(&case["content"])).is_err(), "{case}");
    }
}

/// proto-spec [M-21]: headers, and what is none.
#[test]
fn headers_are_those_of_the_vectors() {
    for case in cases(MESSAGES, "headers") {
        let headers = Headers::from_slice(&hex(&case["headers"])).unwrap();
        let read: Vec<_> = headers.iter().map(|(key, value)| json!([key, value])).collect();
        assert_eq!(json!(read), case["entries"], "{case}");
    }
    for case in cases(MESSAGES, "bad_headers") {
        let error = format!("{:?}", Headers::from_slice(&hex(&case["headers"])).unwrap_err());
        assert!(error.contains(text(&case["error"])), "{case}: {error}");
    }
}

/// proto-spec [M-22]: payloads in MessagePack, and what is refused of them.
#[test]
fn bodies_are_those_of_the_vectors() {
    for case in cases(MESSAGES, "bodies") {
        let bytes = hex(&case["body"]);
        assert!(body::from_slice::<IgnoredAny>(&bytes).is_ok(), "{case}");
        if is_json(&case["value"]) {
            assert_eq!(body::from_slice::<Value>(&bytes).as_ref(), Ok(&case["value"]), "{case}");
        }
    }
    for case in cases(MESSAGES, "bad_bodies") {
        let error = body::from_slice::<IgnoredAny>(&hex(&case["body"])).unwrap_err();
        assert_eq!(format!("{error:?}"), text(&case["error"]), "{case}");
    }
}

/// proto-spec [N-1], [N-3]: names and patterns, and texts that are none.
#[test]
fn names_and_patterns_are_those_of_the_vectors() {
    for good in cases(CHANNELS, "names") {
        let read = ChannelName::decode(text(&good).as_bytes()).unwrap();
        assert_eq!(read.as_str(), text(&good));
    }
    for good in cases(CHANNELS, "patterns") {
        assert_eq!(Pattern::decode(text(&good).as_bytes()).unwrap().as_str(), text(&good));
    }
    for bad in cases(CHANNELS, "bad_names") {
        assert!(ChannelName::decode(&hex(&bad)).is_err(), "{bad}");
    }
    for bad in cases(CHANNELS, "bad_patterns") {
        assert!(Pattern::decode(&hex(&bad)).is_err(), "{bad}");
    }
}

/// proto-spec [N-4], [N-20]: which pattern matches which name, and which lies inside which.
#[test]
fn what_a_pattern_stands_for_is_that_of_the_vectors() {
    for case in cases(CHANNELS, "matches") {
        let name = ChannelName::new(text(&case[1])).unwrap();
        assert_eq!(json!(pattern(&case[0]).matches(&name)), case[2], "{case}");
    }
    for case in cases(CHANNELS, "inside") {
        assert_eq!(json!(pattern(&case[1]).covers(&pattern(&case[0]))), case[2], "{case}");
    }
}

/// proto-spec [N-5], [N-6], [N-7], [N-8], [N-9]: the border.
#[test]
fn the_border_is_that_of_the_vectors() {
    let (policy, backend) = (Policy::allowing(), PeerId::new("backend").unwrap());
    for case in cases(CHANNELS, "border") {
        let agent = PeerId::new(text(&case["agent"])).unwrap();
        let party = match text(&case["party"]) {
            "agent" => Party::agent(&agent, &[]),
            _ => Party::backend(&backend, &agent, &[]),
        };
        let pattern = pattern(&case["pattern"]);
        let name = || pattern.as_name().unwrap();
        let judged = match text(&case["act"]) {
            "publish" => policy.may_publish(&party, &name()),
            "manage" => policy.may_manage(&party, &name()),
            _ => policy.may_subscribe(&party, &pattern),
        };
        assert_eq!(json!(judged.is_ok()), case["allowed"], "{case}");
    }
}

/// proto-spec: payloads of calls, in both directions.
#[test]
fn payloads_of_calls_are_those_of_the_vectors() {
    for case in cases(CALLS, "payloads") {
        let bytes = Bytes::from(hex(&case["payload"]));
        let (fields, written) = read_payload(text(&case["layout"]), &bytes).unwrap();
        assert_eq!(fields, case["fields"], "{case}");
        assert_eq!(written, bytes, "{case}");
    }
}

/// proto-spec, [Q-3]: payloads that break the rule named beside them.
#[test]
fn broken_payloads_of_the_vectors_are_refused() {
    for case in cases(CALLS, "bad_payloads") {
        let bytes = Bytes::from(hex(&case["payload"]));
        assert_eq!(read_payload(text(&case["layout"]), &bytes), None, "{case}");
    }
}

/// proto-spec, [Q-20]: what a failure says about asking again, and which status may follow
/// which.
#[test]
fn failures_and_statuses_are_judged_as_the_vectors_say() {
    for case in cases(CALLS, "failures") {
        let code = u16::try_from(case[0].as_u64().unwrap()).unwrap();
        let again = match ErrorCode::from_wire(code, 0).unwrap().retry() {
            Retry::Later => "later",
            Retry::IfRepeatable => "only what may be done twice",
            Retry::No => "no",
        };
        assert_eq!(json!(again), case[1], "{case}");
    }
    let follow = Status::ALL.map(|from| {
        let next: Vec<_> = Status::ALL.into_iter().filter(|next| from.may_become(*next)).collect();
        json!([status_name(from), next.into_iter().map(status_name).collect::<Vec<_>>()])
    });
    assert_eq!(follow.to_vec(), cases(CALLS, "statuses"));
}

fn cases(file: &str, list: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(file).unwrap();
    let cases = document[list].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{list} is empty");
    cases
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

/// JSON has no bytes and no extensions, and the file spells a map as a list of pairs.
fn is_json(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().all(is_json),
        other => !other.is_object(),
    }
}

fn pattern(value: &Value) -> Pattern {
    Pattern::new(text(value)).unwrap()
}

/// A `u64`, which a number of JSON need not hold.
fn long(number: u64) -> String {
    format!("{number:016x}")
}

fn class_name(class: Class) -> String {
    format!("{class:?}").to_lowercase()
}

fn status_name(status: Status) -> String {
    format!("{status:?}").to_lowercase()
}

fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn decode(frame: &[u8]) -> Result<LinkFrame<'_>, FrameError> {
    let (header, body) = frame.split_at(FRAME_HEADER_BYTES);
    assert_eq!(usize::from(u16::from_be_bytes([header[2], header[3]])), body.len());
    LinkFrame::decode(header[0], header[1], body).unwrap()
}

fn spell_numbers(numbers: &Numbers<'_>) -> Value {
    let ranges: Vec<_> =
        numbers.ranges().map(|(first, last)| json!([long(first), long(last)])).collect();
    json!({ "through": long(numbers.through), "ranges": ranges })
}

/// A label, and the fields behind it.
fn spell_label(label: &Label, mut fields: Value) -> Value {
    fields["class"] = class_name(label.class).into();
    fields["number"] = label.number.map(long).into();
    fields["again"] = label.again.into();
    fields["ttl_ms"] = label.ttl_ms.into();
    fields
}

fn spell(frame: &LinkFrame<'_>) -> (&'static str, Value) {
    match frame {
        LinkFrame::Message { label, content } => {
            ("MSG", spell_label(label, json!({ "content": hex::encode(content) })))
        }
        LinkFrame::FirstChunk { label, total, last, data } => {
            let fields = json!({ "total": total, "last": last, "data": hex::encode(data) });
            ("CHUNK, first", spell_label(label, fields))
        }
        LinkFrame::NextChunk { class, offset, last, data } => (
            "CHUNK, next",
            json!({
                "class": class_name(*class), "offset": offset, "last": last,
                "data": hex::encode(data),
            }),
        ),
        LinkFrame::Ack { class, level, numbers } => (
            "ACK",
            json!({
                "class": class_name(*class), "handled": *level == Level::Handled,
                "numbers": spell_numbers(numbers),
            }),
        ),
        LinkFrame::Outcome { class, number, code, detail } => (
            "RESULT",
            json!({
                "class": class_name(*class), "number": long(*number), "code": code,
                "detail": detail,
            }),
        ),
        LinkFrame::Credit { class, messages, bytes } => (
            "CREDIT of a class",
            json!({
                "class": class_name(*class), "messages": long(*messages), "bytes": long(*bytes),
            }),
        ),
        LinkFrame::SubscriptionCredit { subscription, messages, bytes } => (
            "CREDIT of a subscription",
            json!({
                "subscription": subscription, "messages": long(*messages), "bytes": long(*bytes),
            }),
        ),
        LinkFrame::Cancel { correlation, reason } => {
            ("CANCEL", json!({ "correlation": long(*correlation), "reason": reason }))
        }
        LinkFrame::Void { class, first, last } => (
            "VOID",
            json!({ "class": class_name(*class), "first": long(*first), "last": long(*last) }),
        ),
        LinkFrame::Resume(Resume { outbox, inbox, known, message_bytes, handled }) => (
            "RESUME",
            json!({
                "outbox": hex::encode(outbox), "inbox": hex::encode(inbox),
                "known": hex::encode(known), "message_bytes": message_bytes, "handled": handled.each_ref().map(spell_numbers),
            }),
        ),
        LinkFrame::Subscribe { subscription, messages, bytes, pattern } => (
            "SUBSCRIBE",
            json!({
                "subscription": subscription, "messages": long(*messages), "bytes": long(*bytes),
                "pattern": utf8(pattern),
            }),
        ),
        LinkFrame::Unsubscribe { subscription } => {
            ("UNSUBSCRIBE", json!({ "subscription": subscription }))
        }
        LinkFrame::Subscribed { subscription, code } => {
            ("SUBSCRIBED", json!({ "subscription": subscription, "code": code }))
        }
        LinkFrame::Name { alias, name } => ("NAME", json!({ "alias": alias, "name": utf8(name) })),
        LinkFrame::Channel { request, op, name } => {
            ("CHANNEL", json!({ "request": request, "op": op, "name": utf8(name) }))
        }
        LinkFrame::ChannelDone { request, code } => {
            ("CHANNEL_RESULT", json!({ "request": request, "code": code }))
        }
    }
}

fn spell_content(content: &Content<'_>) -> Value {
    let kind = match content.kind {
        ContentKind::Event => "event",
        ContentKind::Request => "request",
        ContentKind::Response => "response",
        ContentKind::Item => "item",
        ContentKind::Progress => "progress",
        ContentKind::Failure => "failure",
        ContentKind::Command => "command",
        ContentKind::Status => "status",
        ContentKind::Demand => "demand",
    };
    let (name, alias) = match content.channel {
        Some(ChannelRef::Name(name)) => (Some(utf8(name)), None),
        Some(ChannelRef::Alias(alias)) => (None, Some(alias)),
        None => (None, None),
    };
    json!({
        "kind": kind, "name": name, "alias": alias, "correlation": content.correlation.map(long),
        "headers": content.headers.map(hex::encode), "stream": content.stream,
        "payload": hex::encode(content.payload),
    })
}

/// The fields, and the payload written again.
fn read_payload(layout: &str, bytes: &Bytes) -> Option<(Value, Bytes)> {
    Some(match layout {
        "opening" => {
            let read = Opening::decode(bytes).ok()?;
            let payload = hex::encode(&read.payload);
            let fields = json!({
                "allowed": long(read.allowed), "from": long(read.from), "payload": payload,
            });
            (fields, read.encode())
        }
        "response of a stream" => {
            let read = StreamEnd::decode(bytes).ok()?;
            let payload = hex::encode(&read.payload);
            (json!({ "count": long(read.count), "payload": payload }), read.encode())
        }
        "item" => {
            let read = Item::decode(bytes).ok()?;
            let payload = hex::encode(&read.payload);
            (json!({ "offset": long(read.offset), "payload": payload }), read.encode())
        }
        "progress" => {
            let read = Progress::decode(bytes).ok()?;
            let fields = match &read {
                Progress::Permille(permille) => json!({ "permille": permille }),
                Progress::Payload(payload) => json!({ "payload": hex::encode(payload) }),
            };
            (fields, read.encode())
        }
        "failure" => {
            let read = Failure::decode(bytes).ok()?;
            (spell_failure(&read), read.encode())
        }
        "demand" => {
            let read = Demand::decode(bytes).ok()?;
            let mode = u8::from(read.mode == DemandMode::GoOn);
            let fields = json!({
                "allowed": long(read.allowed), "next": long(read.next), "mode": mode,
            });
            (fields, read.encode())
        }
        "command" => {
            let read = CommandBody::decode(bytes).ok()?;
            let id = hex::encode(read.id.0);
            let fields = match &read.op {
                CommandOp::Run(payload) => {
                    json!({ "op": "run", "id": id, "payload": hex::encode(payload) })
                }
                CommandOp::Cancel => json!({ "op": "cancel", "id": id }),
            };
            (fields, read.encode())
        }
        "status" => {
            let read = StatusBody::decode(bytes).ok()?;
            let mut fields =
                json!({ "id": hex::encode(read.id.0), "status": status_name(read.status) });
            match &read.effect {
                Effect::None => {}
                Effect::Result(result) => fields["result"] = hex::encode(result).into(),
                Effect::Failure(failure) => fields["failure"] = spell_failure(failure),
            }
            (fields, read.encode())
        }
        other => panic!("no layout is called {other}"),
    })
}

fn spell_failure(failure: &Failure) -> Value {
    let (code, detail) = failure.code.to_wire();
    json!({ "code": code, "detail": detail, "text": failure.text })
}
