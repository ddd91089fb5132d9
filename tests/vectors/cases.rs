//! Which cases the vectors hold.

use std::time::Duration;

use serde_json::{Value, json};
use waxwire::Suite;
use waxwire::header::Header;
use waxwire::session::{CloseCode, OpenError, Order, Padding};

use super::flow::{Flow, I, R, header_error};
use super::parties::{Case, Past, Trust, credentials, hex_of, run};

pub fn handshakes(suite: Suite) -> Value {
    let base = |name| Case::new(name, suite);
    let cases = [
        base("pinned keys"),
        Case { trust: Trust::Root, ..base("credentials: leaf by root") },
        Case { trust: Trust::Issuer, ..base("credentials: leaf by issuer by root") },
        Case { past: Past::Resumable, ..base("resume: one chain, index 0") },
        Case { past: Past::AcceptLost, ..base("resume: two chains, index 0") },
        Case { past: Past::FinishLost, ..base("resume: two chains, index 1") },
        Case { past: Past::Forgotten, ..base("resume: one chain, none known") },
        Case {
            past: Past::Resumable,
            trust: Trust::Issuer,
            ..base("resume: index 0, with credentials")
        },
        Case { retry: true, ..base("RETRY") },
        Case { retry: true, past: Past::FinishLost, ..base("RETRY, two chains, index 1") },
        Case { swapped: true, trust: Trust::Root, ..base("the backend initiates") },
        Case {
            knock_secret: true,
            record_bytes: Some([2_048, 65_519]),
            ..base("knock secret of the realm, other max_record")
        },
    ];
    let cases: Vec<_> = cases.iter().map(|case| run(case).json).collect();
    json!({ "cases": cases })
}

pub fn records() -> Value {
    let cases = [
        every_frame(),
        epochs(),
        window(),
        refused(),
        padding("padding: block(64)", Padding::Block(64)),
        padding("padding: padme", Padding::Padme),
        padding("padding: fixed(300)", Padding::Fixed(300)),
    ];
    json!({ "headers": headers(), "bad_headers": bad_headers(), "cases": cases })
}

pub fn rekeys() -> Value {
    json!({ "cases": [rekey(Suite::Hybrid), rekey(Suite::Classical)] })
}

/// A session of the records file.
fn classical() -> Case {
    Case { seeds: [0x21, 0x22], ..Case::new("session", Suite::Classical) }
}

fn every_frame() -> Value {
    let case = Case { trust: Trust::Issuer, ..classical() };
    let mut flow = Flow::new(&case, Order::Strict);
    flow.send("DATAGRAM", I, b"status: idle");
    flow.send("DATAGRAM, empty", R, b"");
    flow.ran.i.ping(7);
    flow.talk("PING", I);
    flow.talk("PONG", R);
    flow.ran.i.refresh(&credentials(&case, I)).unwrap();
    flow.talk("CREDENTIAL of I", I);
    flow.ran.r.refresh(&credentials(&case, R)).unwrap();
    flow.talk("CREDENTIAL of R", R);
    flow.ran.r.request_rekey();
    flow.talk("REKEY request", R);
    flow.ran.r.go_away(Duration::from_secs(1), Duration::from_secs(30));
    flow.talk("GOAWAY", R);
    let plain = flow.forge(I, 0, 3, &[]);
    flow.give("empty plaintext", I, &plain).unwrap();
    let unknown = flow.forge(I, 0, 4, &[0x7f, 0xff, 0, 2, 1, 2, 0x14, 0, 0, 1, b'x']);
    flow.give("an unknown frame without the critical bit is skipped", I, &unknown).unwrap();
    let unasked = [0x12, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 9];
    let close = [&[0x11, 0, 0, 6, 0x40, 0, 0, 0, 0x13, 0x88][..], &unasked, &[0, 0]].concat();
    let closing = flow.forge(I, 0, 5, &close);
    flow.give("CLOSE with an unknown code, frames behind it are ignored", I, &closing).unwrap();
    flow.json("every frame of the session floor but REKEY and REKEY_RESP")
}

fn epochs() -> Value {
    let mut flow = Flow::new(&classical(), Order::Strict);
    flow.send("epoch 0", I, b"i0");
    flow.send("epoch 0", R, b"r0");
    for epoch in 1..=3 {
        flow.pass(61_000);
        flow.send(&format!("I enters epoch {epoch}"), I, b"i");
        flow.send(&format!("R acknowledges, enters epoch {epoch}"), R, b"r");
        flow.send("I acknowledges", I, b"i again");
    }
    flow.ran.r.close(CloseCode::GoingAway, Duration::from_secs(5));
    flow.talk("CLOSE", R);
    flow.json("key updates of both directions, four epochs")
}

fn window() -> Value {
    let mut flow = Flow::new(&classical(), Order::Window);
    let records: Vec<_> = (0..1_030_u32).map(|n| flow.datagram(I, &n.to_be_bytes())).collect();
    flow.give("position 3", I, &records[3]).unwrap();
    flow.give("position 0, late", I, &records[0]).unwrap();
    assert_eq!(flow.give("position 3 again", I, &records[3]), Err(OpenError::Replayed));
    flow.give("position 1028", I, &records[1_028]).unwrap();
    flow.give("position 5, the lowest of the window", I, &records[5]).unwrap();
    assert_eq!(flow.give("position 4", I, &records[4]), Err(OpenError::TooOld));
    let far = flow.forge(I, 2, 2_000, &[]);
    assert_eq!(flow.give("epoch 2 in epoch 0", I, &far), Err(OpenError::EpochUnknown));
    let mut forged = records[1_029].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(flow.give("tag changed", I, &forged), Err(OpenError::Forged));
    flow.send("R proves epoch 0", R, b"r");
    flow.pass(61_000);
    flow.send("I enters epoch 1", I, b"i");
    flow.give("epoch 0 after it, within 30 s", I, &records[1_029]).unwrap();
    flow.pass(29_999);
    flow.give("epoch 0 after it, at the last moment", I, &records[1_027]).unwrap();
    flow.pass(1);
    let late = flow.give("epoch 0 after 30 s", I, &records[1_026]);
    assert_eq!(late, Err(OpenError::EpochUnknown));
    flow.json("window transport: late, repeated, old and forged records")
}

/// Each on a session of its own, behind ACCEPT and one datagram of I.
fn refused() -> Value {
    let fresh = || {
        let mut flow = Flow::new(&classical(), Order::Strict);
        flow.send("datagram", I, b"first");
        flow
    };
    let mut whole = fresh();
    let good = whole.forge(I, 0, 1, &[0x14, 0, 0, 1, b'x']);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut record = good.clone();
        change(&mut record);
        record
    };
    let mut large = vec![0x14, 0];
    large.extend(16_381_u16.to_be_bytes());
    large.resize(16_385, 0xaa);
    let raw = [
        ("Truncated", "one byte short", changed(&|r| r.truncate(r.len() - 1))),
        ("TrailingBytes", "one byte behind", changed(&|r| r.push(0))),
        ("UnsupportedVersion", "version 2", changed(&|r| r[0] = 0x25)),
        ("UnknownType", "type 6", changed(&|r| r[0] = 0x16)),
        ("ReservedBits", "a flag", changed(&|r| r[1] = 1)),
        ("SequenceExhausted", "seq 2^62", changed(&|r| r[16] = 0x40)),
        ("UnknownLink", "another link", changed(&|r| r[4] ^= 1)),
        (
            "UnexpectedRecord",
            "FINISH in a session",
            changed(&|r| {
                r[0] = 0x13;
                r[16..24].fill(0);
            }),
        ),
        ("TooLarge", "longer than max_record", whole.forge(I, 0, 1, &large)),
        ("EpochUnknown", "epoch 2 in epoch 0", whole.forge(I, 2, 1, &[])),
        ("Replayed", "position 0 again", whole.forge(I, 0, 0, &[])),
        ("Forged", "ciphertext changed", changed(&|r| r[24] ^= 1)),
        ("Forged", "epoch changed", changed(&|r| r[15] = 1)),
        ("OrderViolation", "position 2 after 0", whole.forge(I, 0, 2, &[])),
    ];
    let frames: [(&str, &[u8]); 16] = [
        ("a broken frame behind CLOSE", &[0x11, 0, 0, 6, 0x80, 0, 0, 0, 0, 0, 0x80, 0, 0, 0]),
        ("padding that is not zero", &[0, 0, 1]),
        ("frame header cut short", &[0x01, 0, 0]),
        ("frame body cut short", &[0x01, 0, 0, 8, 1, 2]),
        ("PING of 7 bytes", &[0x01, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7]),
        ("PING with a flag", &[0x01, 1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("KEY_UPDATE with flag bit 1", &[0x09, 2, 0, 4, 0, 0, 0, 0]),
        ("announce of another epoch", &[0x09, 0, 0, 4, 0, 0, 0, 1]),
        ("ack of an epoch never sealed in", &[0x09, 1, 0, 4, 0, 0, 0, 1]),
        ("REKEY request by I", &[0x0a, 1, 0, 0]),
        ("REKEY without a share", &[0x0a, 0, 0, 4, 0, 0, 0, 1]),
        ("CREDENTIAL cut short", &[0x0f, 0, 0, 3, 0, 1, 2]),
        ("GOAWAY of 4 bytes", &[0x12, 0, 0, 4, 0, 0, 0, 1]),
        ("CLOSE of 2 bytes", &[0x11, 0, 0, 2, 0x80, 0]),
        ("unknown frame with the critical bit", &[0x80, 0, 0, 0]),
        ("a good frame before a broken one", &[0x14, 0, 0, 1, b'x', 0x80, 0, 0, 0]),
    ];
    let forged = frames.map(|(name, text)| ("FrameError", name, whole.forge(I, 0, 1, text)));
    for (error, name, record) in raw.into_iter().chain(forged) {
        let mut flow = fresh();
        let _ = flow.give(name, I, &record);
        let step = flow.steps.pop().unwrap();
        assert_eq!(step["error"], error, "{name}");
        whole.steps.push(step);
    }
    let accept = [&[0x13, 0, 0, 41][..], &[0; 41]].concat();
    let mut response = vec![0x0b, 0, 0, 102, 0, 0, 0, 1, 0, 32];
    response.resize(106, 9);
    let by_r = [
        ("ACCEPT behind position 0", R, accept.clone()),
        ("ACCEPT of I", I, accept),
        ("REKEY_RESP of I", I, response),
    ];
    for (name, from, text) in by_r {
        let mut flow = fresh();
        let record = flow.forge(from, 0, 1, &text);
        let _ = flow.give(name, from, &record);
        let step = flow.steps.pop().unwrap();
        assert_eq!(step["error"], "FrameError", "{name}");
        whole.steps.push(step);
    }
    whole.json("records that are refused")
}

fn padding(name: &'static str, padding: Padding) -> Value {
    let case = Case { padding, record_bytes: Some([2_048, 2_048]), ..classical() };
    let mut flow = Flow::new(&case, Order::Strict);
    for bytes in [0, 1, 5, 60, 61, 200, 296, 297, 1_000, 2_044] {
        flow.send(&format!("datagram of {bytes} bytes"), I, &vec![0x61; bytes]);
    }
    let mut out = flow.json(name);
    out["padding"] = match padding {
        Padding::Block(n) => json!({ "policy": "block", "n": n }),
        Padding::Fixed(n) => json!({ "policy": "fixed", "n": n }),
        _ => json!({ "policy": "padme" }),
    };
    out
}

fn rekey(suite: Suite) -> Value {
    let case = Case { seeds: [0x21, 0x22], ..Case::new("session", suite) };
    let mut flow = Flow::new(&case, Order::Strict);
    flow.send("before", I, b"i");
    flow.send("before", R, b"r");
    flow.exchange([0x41, 0x42]);
    flow.send("after", I, b"i");
    flow.send("after", R, b"r");
    flow.pass(61_000);
    flow.send("an ordinary step of I from the new root", I, b"i");
    flow.send("an ordinary step of R from the new root", R, b"r");
    flow.send("acknowledged", I, b"i");
    flow.exchange([0x43, 0x44]);
    flow.send("after the second exchange", I, b"i");
    flow.send("after the second exchange", R, b"r");
    flow.json(if suite == Suite::Hybrid { "hybrid" } else { "classical" })
}

/// Name, type as number and as text, length, link, epoch, position.
type Row = (&'static str, u8, &'static str, u16, [u8; 8], u32, u64);

fn headers() -> Vec<Value> {
    let link = [1, 2, 3, 4, 5, 6, 7, 8];
    let rows: [Row; 11] = [
        ("HELLO, shortest", 1, "HELLO", 1_280, [0; 8], 0, 0),
        ("HELLO, longest", 1, "HELLO", 4_096, [0; 8], 0, 0),
        ("REPLY", 2, "REPLY", 1_500, link, 0, 0),
        ("FINISH, longest", 3, "FINISH", 8_192, link, 0, 0),
        ("RETRY, longest", 4, "RETRY", 66, link, 0, 0),
        ("DATA, first and shortest", 5, "DATA", 16, link, 0, 0),
        ("DATA, longest", 5, "DATA", 65_535, link, 1, 256),
        ("DATA, highest epoch", 5, "DATA", 100, link, u32::MAX, 1),
        ("DATA, last position", 5, "DATA", 100, link, 7, (1 << 62) - 1),
        ("REJECT", 7, "REJECT", 16, link, 0, 0),
        ("NO_SESSION", 8, "NO_SESSION", 16, link, 0, 0),
    ];
    let listed = rows.map(|(name, kind, text, length, link, epoch, seq)| {
        let bytes = header(0x10 | kind, 0, length, link, epoch, seq);
        let read = Header::decode(&bytes).unwrap();
        assert_eq!(read.encode(), bytes, "{name}");
        assert_eq!((read.length, read.epoch, read.seq), (length, epoch, seq), "{name}");
        assert_eq!(read.link.to_bytes(), link, "{name}");
        json!({
            "name": name, "type": text, "length": length, "dst_link": hex_of(&link),
            "epoch": epoch, "seq": format!("{seq:016x}"), "header": hex_of(&bytes),
        })
    });
    listed.into()
}

fn bad_headers() -> Vec<Value> {
    let link = [1, 2, 3, 4, 5, 6, 7, 8];
    let good = header(0x15, 0, 16, link, 0, 0);
    let rows: [(&str, &str, &[u8]); 20] = [
        ("no byte", "Truncated", &[]),
        ("23 bytes", "Truncated", &good[..23]),
        ("version 0", "UnsupportedVersion", &header(0x05, 0, 16, link, 0, 0)),
        ("version 2, all else wrong too", "UnsupportedVersion", &[0x2f; 24]),
        ("type 0", "UnknownType", &header(0x10, 0, 16, link, 0, 0)),
        ("type 6", "UnknownType", &header(0x16, 1, 16, link, 0, 0)),
        ("type 9", "UnknownType", &header(0x19, 0, 16, link, 0, 0)),
        ("flag, length wrong too", "ReservedBits", &header(0x15, 0x80, 0, link, 0, 0)),
        ("DATA of 15", "TooShort", &header(0x15, 0, 15, link, 0, 0)),
        ("HELLO of 1279", "TooShort", &header(0x11, 0, 1_279, [0; 8], 0, 0)),
        ("REJECT of 15", "TooShort", &header(0x17, 0, 15, link, 0, 0)),
        ("HELLO of 4097", "TooLarge", &header(0x11, 0, 4_097, [0; 8], 0, 0)),
        ("REPLY of 8193", "TooLarge", &header(0x12, 0, 8_193, link, 0, 0)),
        ("RETRY of 67", "TooLarge", &header(0x14, 0, 67, link, 0, 0)),
        ("NO_SESSION of 17", "TooLarge", &header(0x18, 0, 17, link, 0, 0)),
        ("HELLO with an epoch", "NonzeroPosition", &header(0x11, 0, 1_280, [0; 8], 1, 0)),
        ("FINISH with a position", "NonzeroPosition", &header(0x13, 0, 100, link, 0, 1)),
        ("REPLY at 2^62", "NonzeroPosition", &header(0x12, 0, 100, link, 0, 1 << 62)),
        ("DATA at 2^62", "SequenceExhausted", &header(0x15, 0, 16, link, 0, 1 << 62)),
        ("DATA at 2^64 - 1", "SequenceExhausted", &header(0x15, 0, 16, link, 0, u64::MAX)),
    ];
    let listed = rows.map(|(name, error, bytes)| {
        let refused = Header::decode(bytes).map_err(header_error);
        assert_eq!(refused, Err(error.to_owned()), "{name}");
        json!({ "name": name, "header": hex_of(bytes), "error": error })
    });
    listed.into()
}

fn header(first: u8, flags: u8, length: u16, link: [u8; 8], epoch: u32, seq: u64) -> [u8; 24] {
    let mut out = vec![first, flags];
    out.extend(length.to_be_bytes());
    out.extend(link);
    out.extend(epoch.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.try_into().unwrap()
}
