//! The frames of a plaintext, read apart from the crate, as the vectors list them.

use serde_json::{Value, json};

/// Frames in order; what a broken one would be is not looked at.
pub fn list(plaintext: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    let mut rest = plaintext;
    while let [kind, ..] = rest {
        if *kind == 0 {
            out.push(json!({ "type": "PADDING", "bytes": rest.len() }));
            break;
        }
        let end = 4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (frame, behind) = rest.split_at(end);
        out.push(one(frame));
        if *kind == 0x11 {
            break;
        }
        rest = behind;
    }
    out
}

fn one(frame: &[u8]) -> Value {
    let (kind, flags, body) = (frame[0], frame[1], &frame[4..]);
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
    match (kind, flags) {
        (0x01, _) => json!({ "type": "PING", "value": hex::encode(body) }),
        (0x02, _) => json!({ "type": "PONG", "value": hex::encode(body) }),
        (0x09, _) => json!({ "type": "KEY_UPDATE", "ack": flags == 1, "epoch": number(0) }),
        (0x0a, 1) => json!({ "type": "REKEY_REQUEST" }),
        (0x0a, _) => json!({ "type": "REKEY", "bytes": hex::encode(frame) }),
        (0x0b, _) => json!({ "type": "REKEY_RESP", "bytes": hex::encode(frame) }),
        (0x0f, _) => json!({ "type": "CREDENTIAL", "bytes": hex::encode(frame) }),
        (0x11, _) => json!({
            "type": "CLOSE",
            "code": u16::from_be_bytes([body[0], body[1]]),
            "retry_after_ms": number(2),
        }),
        (0x12, _) => json!({
            "type": "GOAWAY",
            "retry_after_ms": number(0),
            "spread_ms": number(4),
        }),
        (0x13, _) => json!({
            "type": "ACCEPT",
            "session_id": hex::encode(&body[..16]),
            "generation": u64::from_be_bytes(body[16..24].try_into().unwrap()),
            "resumed": body[24],
            "reset_token": hex::encode(&body[25..]),
        }),
        (0x14, _) => json!({ "type": "DATAGRAM", "bytes": hex::encode(body) }),
        _ => json!({ "type": "unknown", "bytes": hex::encode(frame) }),
    }
}
