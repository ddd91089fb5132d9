//! The targets by name, and real messages for the fuzzer to begin with: every kind that a target
//! reads, as the two parties would send it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::layouts::unpadded;
use super::parties::{self, Choice, Trust};
use crate::body::{Headers, to_bytes};
use crate::call::{
    CommandBody, CommandId, CommandOp, Demand, DemandMode, Effect, ErrorCode, Failure, Item,
    Opening, Progress as CallProgress, Status, StatusBody, StreamEnd,
};
use crate::crypto::{Answer, Offer, Suite, answer};
use crate::header::HEADER_BYTES;
use crate::ids::Role;
use crate::session::{
    ChainBook, CloseCode, Continuity, CookieKey, Enrolment, Established, Gate, Greeting, Initiator,
    InitiatorChain, Progress, Proven, Source, Verdict,
};
use crate::wire::{
    Claim, Frame, FrameKind, KeyUpdate, Reply, begin_frame, encode_claim, put_entry, put_lv16,
};

/// The body of a target.
pub(super) type Body = fn(&[u8]);

/// Every target and its body. `fuzz/fuzz_targets` and `fuzz/corpus` have the same names.
pub const TARGETS: [(&str, Body); 15] = [
    ("record_header", super::record_header),
    ("hello", super::hello),
    ("reply", super::reply),
    ("reply_block", super::reply_block),
    ("finish_block", super::finish_block),
    ("credential", super::credential),
    ("frames", super::frames),
    ("session", super::session),
    ("handshake", super::handshake),
    ("channel", super::channel),
    ("call", super::call),
    ("body", super::body),
    ("message", super::message),
    ("resume", super::resume),
    ("link", super::link),
];

/// An input to begin with.
#[derive(Clone, Debug)]
pub struct Input {
    /// The target it is for.
    pub target: &'static str,
    /// What it holds.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Inputs to begin with, the same on every call.
#[must_use]
pub fn seeds() -> Vec<Input> {
    let mut shelf = Shelf(Vec::new());
    for (suite, suites) in [("classical", 0), ("hybrid", 1), ("both", 2)] {
        put_messages(&mut shelf, suite, suites);
    }
    put_blocks(&mut shelf);
    put_credentials(&mut shelf);
    put_frames(&mut shelf);
    put_sessions(&mut shelf);
    put_handshakes(&mut shelf);
    put_channels(&mut shelf);
    put_calls(&mut shelf);
    put_bodies(&mut shelf);
    for (target, name, bytes) in super::link_seeds::all() {
        shelf.put(target, name, &bytes);
    }
    shelf.0
}

struct Shelf(Vec<Input>);

impl Shelf {
    fn put(&mut self, target: &'static str, name: impl Into<String>, bytes: &[u8]) {
        self.0.push(Input { target, name: name.into(), bytes: bytes.to_vec() });
    }

    /// A record, for the target that reads headers and for the one that reads such bodies.
    fn put_record(&mut self, target: &'static str, name: &str, record: &[u8]) {
        let header = record.get(..HEADER_BYTES).unwrap_or_default();
        let body = record.get(HEADER_BYTES..).unwrap_or_default();
        self.put("record_header", format!("{target}-{name}"), header);
        match target {
            "hello" => {
                let before_knock = body.len().saturating_sub(16);
                let read = unpadded(body.get(..before_knock).unwrap_or_default());
                self.put(target, name, read);
            }
            "reply" => {
                let clear = Reply::decode(body).map_or(body.len(), |reply| reply.clear_bytes);
                self.put(target, name, body.get(..clear).unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// What two handshakes send, the second of which resumes the first after a RETRY.
fn put_messages(shelf: &mut Shelf, name: &str, suites: u8) {
    let choice = Choice { trust: Trust::Pins, suites, continuity: 0, records: 0 };
    let (agent, backend) =
        (parties::config(Role::Agent, choice), parties::config(Role::Backend, choice));
    let (now, mut book) = (parties::start(), ChainBook::new());
    let mut gate = Gate::new(CookieKey::new(&parties::seed(90)));
    let mut chain: Option<InitiatorChain> = None;
    for (round, proven) in [("first", Proven::Yes), ("resumed", Proven::No)] {
        let name = format!("{name}-{round}");
        let started = Initiator::start(Arc::clone(&agent), chain.take(), &parties::seed(91), now);
        let Ok((mut initiator, mut hello)) = started else { return };
        shelf.put_record("hello", &name, &hello);
        let greet = |hello: &[u8]| Greeting::receive(Arc::clone(&backend), hello, now.instant);
        let Ok(greeting) = greet(&hello) else { return };
        if let Ok(Verdict::Retry(retry)) = gate.judge(&greeting, Source::LOCAL, proven, now) {
            shelf.put_record("reply", &format!("{name}-retry"), &retry);
            let Ok(Progress::Again(again, second)) = initiator.handle(&mut retry.to_vec(), now)
            else {
                return;
            };
            (initiator, hello) = (*again, second);
            shelf.put_record("hello", &format!("{name}-cookie"), &hello);
        }
        let answered = greet(&hello).and_then(|hello| hello.answer(&book, &parties::seed(92), now));
        let Ok((answered, reply)) = answered else { return };
        shelf.put_record("reply", &name, &reply);
        let Ok(Progress::Done(done)) = initiator.handle(&mut reply.to_vec(), now) else { return };
        let Established { mut session, finish, chain: next } = *done;
        shelf.put_record("finish", &name, &finish);
        let Ok(accepting) = answered.finish(&mut finish.to_vec(), now) else { return };
        let step = book.advance(accepting.succession(), Continuity::Prefer, now.unix);
        let Ok(generation) = step else { return };
        let (mut backend, _) = accepting.accept(generation, now);
        chain = Some(next);
        let mut data = BytesMut::new();
        if backend.poll_transmit(now.instant, &mut data) {
            shelf.put_record("data", &name, &data);
            let _ = session.open(now.instant, &mut data);
        }
    }
}

/// Blocks with every kind of identity, and signatures over nothing.
fn put_blocks(shelf: &mut Shelf) {
    let root = parties::identity(parties::ROOT);
    let leaves = parties::credentials();
    let leaf = |place: usize| leaves.get(place).map(|leaf| leaf.as_bytes()).unwrap_or_default();
    let claims = [
        ("key", Claim::Key(root.public_key().to_bytes())),
        ("leaf", Claim::Credentials { leaf: leaf(0), issuer: None }),
        ("chain", Claim::Credentials { leaf: leaf(1), issuer: Some(leaf(2)) }),
    ];
    for (name, claim) in claims {
        let mut identity = BytesMut::new();
        encode_claim(&claim, &mut identity);
        for (target, audience) in [("reply_block", None), ("finish_block", Some([9; 32]))] {
            let mut params = BytesMut::new();
            put_entry(&mut params, 0x0001, &16_384_u16.to_be_bytes());
            put_entry(&mut params, 0x0a0a, &[]);
            let mut block = BytesMut::new();
            put_lv16(&mut block, &identity);
            audience.iter().for_each(|audience: &[u8; 32]| block.put_slice(audience));
            put_lv16(&mut block, &params);
            block.put_slice(&[5; 64]);
            block.put_slice(&[6; 32]);
            shelf.put(target, name, &block);
        }
    }
}

fn put_credentials(shelf: &mut Shelf) {
    for (place, credential) in parties::credentials().iter().enumerate() {
        shelf.put("credential", format!("leaf-{place}"), credential.as_bytes());
    }
    let subject = parties::credentials().first().map(|leaf| leaf.subject().clone());
    if let Some(subject) = subject {
        let request = Enrolment::request(&parties::identity(parties::ROOT), &subject, [8; 32]);
        shelf.put("credential", "enrolment", &request);
    }
}

/// A name, and the patterns that a router is to hold.
fn put_channels(shelf: &mut Shelf) {
    for (name, texts) in [
        ("agent", &["agent.a.logs", "agent.>", "agent.*.logs", "agent.a.logs", "*.*.*"][..]),
        ("backend", &["backend.a.policies", "backend.a.>", "backend.*.>", "backend.b.>"]),
        ("escape", &["agent.b.logs", "*.b.>", "agent.b.*", ">", "backend.*.policies"]),
        ("broken", &["a..b", ".a", "a.", "a*", ">.a", "a b", "secrets:get_static"]),
        ("deep", &["a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "*.a.*.a.*.a.*.a.*.a.*.a.*.a.*.a", "a.>"]),
    ] {
        shelf.put("channel", name, texts.join("\n").as_bytes());
    }
}

fn put_frames(shelf: &mut Shelf) {
    let code = CloseCode::GoingAway;
    let frames = [
        ("ping", Frame::Ping(1)),
        ("pong", Frame::Pong(1)),
        ("announce", Frame::KeyUpdate(KeyUpdate::Announce(1))),
        ("acknowledge", Frame::KeyUpdate(KeyUpdate::Acknowledge(1))),
        ("rekey-request", Frame::RekeyRequest),
        ("close", Frame::Close { code, retry_after_ms: 1_000 }),
        ("go-away", Frame::GoAway { retry_after_ms: 1_000, spread_ms: 500 }),
        (
            "accept",
            Frame::Accept { session: [1; 16], generation: 1, resumed: true, reset_token: [2; 16] },
        ),
        ("datagram", Frame::Datagram(b"datagram")),
    ];
    let mut all = BytesMut::new();
    for (name, frame) in frames {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        all.put_slice(&bytes);
        shelf.put("frames", name, &bytes);
    }
    for (name, suite) in [("classical", Suite::Classical), ("hybrid", Suite::Hybrid)] {
        let offer = Offer::new(suite, &parties::seed(93));
        let rekey = rekey(FrameKind::Rekey, offer.share());
        shelf.put("frames", format!("rekey-{name}"), &rekey);
        if let Ok(Answer { share, .. }) = answer(suite, offer.share(), &parties::seed(94)) {
            let response = self::rekey(FrameKind::RekeyResponse, &share);
            shelf.put("frames", format!("rekey-response-{name}"), &response);
        }
    }
    for credential in parties::credentials().iter().take(1) {
        let mut identity = BytesMut::new();
        let claim = Claim::Credentials { leaf: credential.as_bytes(), issuer: None };
        encode_claim(&claim, &mut identity);
        let mut bytes = BytesMut::new();
        begin_frame(&mut bytes, FrameKind::Credential, 0, 2 + identity.len() + 64);
        put_lv16(&mut bytes, &identity);
        bytes.put_slice(&[5; 64]);
        shelf.put("frames", "credential", &bytes);
    }
    shelf.put("frames", "unknown", &[0x20, 0, 0, 2, 1, 2]);
    all.put_bytes(0, 32);
    shelf.put("frames", "all-padded", &all);
}

fn rekey(kind: FrameKind, share: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    begin_frame(&mut frame, kind, 0, 4 + 2 + share.len() + 64);
    frame.put_u32(1);
    put_lv16(&mut frame, share);
    frame.put_slice(&[5; 64]);
    frame
}

/// Stories of `live`, in its numbers. Operations from 0x80 on are the backend's.
fn put_sessions(shelf: &mut Shelf) {
    const SEED: [u8; 2] = [18, 0x80 | 18];
    const TELL: [u8; 2] = [26, 0x80 | 26];
    let rekey = [&[19, 29][..], &TELL, &[0x80 | 29], &TELL, &TELL, &TELL].concat();
    let seeds = [&SEED[..], &TELL, &SEED, &TELL, &TELL].concat();
    let stories: [(&str, Vec<u8>); 15] = [
        ("talk", vec![27, 40]),
        ("rekey", rekey.clone()),
        ("rekey-by-seed", seeds),
        ("epochs", [27, 2, 16, 61, 27, 2].repeat(4)),
        ("rekey-and-epochs", [rekey, vec![16, 61, 27, 3, 16, 61, 27, 3]].concat()),
        ("close", vec![22, 0x80, 0, 5, 26]),
        ("go-away", vec![21, 0, 0, 1, 0, 0, 0, 1, 0, 26, 0x80 | 29]),
        ("ping", vec![20, 1, 2, 3, 4, 5, 6, 7, 8, 26, 0x80 | 26, 29]),
        ("refresh", vec![23, 0, 2, 26, 0x80 | 23, 1, 3, 0x80 | 26]),
        ("refresh-too-large", vec![23, 8, 2, 26, 0x80 | 23, 8, 2, 0x80 | 26]),
        ("idle", [16, 255].repeat(3)),
        ("lost", vec![0, 0, 20, 0, 0, 20, 0, 0, 20, 0x80 | 6, 0x80 | 3, 0x80 | 7, 0]),
        ("tampered", vec![0, 0, 20, 0x80 | 9, 0, 0, 30, 1, 0, 0, 20, 0x80 | 3]),
        ("abandoned", vec![19, 29, 24, 0, 9, 26]),
        ("no-session", vec![28, 0]),
    ];
    for (name, story) in stories {
        // Pins, classical, ordered; the same with a hybrid suite and roots; with small records; on a
        // transport that reorders, not accepted yet; near the last position.
        for (world, begin) in [
            ("pins", [0, 0]),
            ("roots", [3, 0]),
            ("small", [5, 0]),
            ("window", [104, 0]),
            ("worn", [64, 15]),
        ] {
            shelf.put("session", format!("{name}-{world}"), &[&begin[..], &story].concat());
        }
    }
    // Every crafted frame, each in a record of its own, for either side.
    for frame in 0..20 {
        let body = [0, 0, frame, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let story = [&[64, 0, 10][..], &body, &[0x80 | 10], &body, &[2, 0x82]].concat();
        shelf.put("session", format!("crafted-{frame}"), &story);
    }
}

/// Stories of `handshake`, in its numbers.
fn put_handshakes(shelf: &mut Shelf) {
    let parties: [(&str, [u8; 2]); 6] = [
        ("pins", [0, 0]),
        ("roots", [1, 0]),
        ("hybrid", [2, 4]),
        ("downgrade", [6, 4]),
        ("required", [8, 8]),
        ("off", [16, 16]),
    ];
    let rounds: [(&str, &[u8]); 10] = [
        ("whole", &[0, 0]),
        ("finish-lost", &[0, 1, 0, 1]),
        ("accept-lost", &[0, 2, 0, 0, 0, 2]),
        ("unconfirmed", &[0, 3, 0, 3]),
        ("cookie", &[0, 4, 0, 4]),
        ("early", &[0, 8, 2, 0, 40, 1, 0, 80, 2]),
        ("hello", &[1, 0, 0, 0, 0, 60, 1]),
        ("reply", &[3, 0, 0, 0, 0, 60, 1]),
        ("finish", &[5, 0, 0, 0, 0, 60, 1]),
        ("retry", &[7, 0, 0, 0, 0, 30, 1]),
    ];
    for (party, who) in parties {
        for (name, story) in rounds {
            shelf.put("handshake", format!("{name}-{party}"), &[&who, story].concat());
        }
    }
}

/// Payloads of `call` behind a zero, and stories of its machines behind a one: what comes, for which
/// call, and how long it is.
fn put_calls(shelf: &mut Shelf) {
    let id = CommandId([7; 16]);
    let payload = Bytes::from_static(b"payload");
    let failure = Failure::with_text(ErrorCode::Application(7), "why");
    let run = CommandBody { id, op: CommandOp::Run(payload.clone()) }.encode();
    let status = |status, effect| StatusBody { id, status, effect }.encode();
    let opening = Opening { allowed: 4, from: 1, payload: payload.clone() }.encode();
    let item = Item { offset: 0, payload: payload.clone() }.encode();
    let end = StreamEnd { count: 1, payload: payload.clone() }.encode();
    let go_on = Demand { allowed: 8, next: 1, mode: DemandMode::GoOn }.encode();
    let permille = CallProgress::Permille(500).encode();
    let failed = failure.encode();
    let layouts = [
        ("opening", opening.clone()),
        ("item", item.clone()),
        ("demand", go_on.clone()),
        ("permille", permille.clone()),
        ("progress", CallProgress::Payload(payload.clone()).encode()),
        ("failure", failed.clone()),
        ("run", run.clone()),
        ("cancel", CommandBody { id, op: CommandOp::Cancel }.encode()),
        ("running", status(Status::Running, Effect::None)),
        ("succeeded", status(Status::Succeeded, Effect::Result(payload))),
        ("failed", status(Status::Failed, Effect::Failure(failure))),
    ];
    for (name, bytes) in layouts {
        shelf.put("call", name, &[&[0][..], &bytes].concat());
    }
    let content = |op: u8, call: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        [&[op, call, length][..], bytes].concat()
    };
    let stories: [(&str, Vec<Vec<u8>>); 4] = [
        (
            "answered",
            vec![
                content(3, 0, &item),
                content(4, 1, &permille),
                content(2, 0, &end),
                content(2, 1, b"!"),
                content(5, 2, &failed),
            ],
        ),
        (
            "asked",
            vec![
                content(0x81, 3, &opening),
                content(11, 3, b"one"),
                content(11, 3, b"two"),
                content(8, 3, &go_on),
                content(12, 3, b"end"),
                content(1, 4, b"?"),
                content(9, 4, b""),
                content(12, 4, b"!"),
            ],
        ),
        ("commanded", vec![content(6, 0, &run), content(6, 0, &run)]),
        (
            "detached",
            vec![
                content(1, 3, b"?"),
                content(13, 0, b""),
                content(3, 0, &item),
                [content(10, 0, b""), content(14, 0, b"")].concat().repeat(21),
            ],
        ),
    ];
    for (name, story) in stories {
        shelf.put("call", format!("story-{name}"), &[&[1][..], &story.concat()].concat());
    }
}

/// What the types of `body` look like, headers, and what only just is refused.
fn put_bodies(shelf: &mut Shelf) {
    let bodies = [
        ("integer", to_bytes(&(1_i64 << 53))),
        ("text", to_bytes("text")),
        ("nested", to_bytes(&[[[Some(-300), None]]])),
        (
            "record",
            to_bytes(
                &[("key", (7, Ok::<_, Vec<bool>>("fine")))].into_iter().collect::<BTreeMap<_, _>>(),
            ),
        ),
        ("float", to_bytes(&[0.5, -1e300])),
    ];
    for (name, bytes) in bodies {
        shelf.put("body", name, &bytes.unwrap_or_default());
    }
    let mut headers = Headers::new();
    for (key, value) in [("trace", "4bf92f35"), ("kind", "text")] {
        let _ = headers.insert(key, value);
    }
    shelf.put("body", "headers", &headers.to_bytes().unwrap_or_default());
    shelf.put("body", "deep", &[&[0x91; 17][..], &[0xc0]].concat());
    shelf.put("body", "lie", b"\xdd\xff\xff\xff\xff");
    shelf.put("body", "extension", b"\x92\xc7\x02\x05ab\xd6\xff\x00\x00\x00\x01");
    shelf.put("body", "bytes", b"\x82\xa1k\xc4\x02ab\xa1l\xda\x00\x01m");
}
