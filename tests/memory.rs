//! What is left of secrets in this process's memory after a session is closed, or dropped. A binary of its own
//! with one test, so that nothing else holds the same secrets.
//!
//! The test knows every secret, because it derives them from the seeds as proto-spec 03 does, and
//! keeps them masked. While a session lives, its keys must be found, or the search proves nothing.
//! Heaps are searched, and what else is writable, and the stack of the thread that had the session, dead
//! frames included, where a control must be found. Stacks of other threads are not: one that sealed or
//! opened for a session that another thread drops keeps the key until its stack is used again. Nor are
//! registers, swap and what the kernel holds.

#![cfg(all(target_os = "linux", not(feature = "aws-lc")))]
#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops where it fails, and its modules are its own"
)]

#[path = "it/support.rs"]
#[allow(dead_code, reason = "the other binary uses all of it")]
mod support;

use std::fs::{self, File};
use std::hint::black_box;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use waxwire::Suite;
use waxwire::header::HEADER_BYTES;
use waxwire::session::CloseCode;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::support::{AGENT, Pair, agent_config, backend_config, deliver, pair_of, sealed, start};

const MASK: u8 = 0xa5;
/// The control, masked.
const CONTROL: [u8; 32] = *b"left in a frame that none  wipes";

/// A secret to search for, masked, so that the search does not find itself.
struct Needle {
    name: &'static str,
    masked: Vec<u8>,
}

impl Needle {
    fn new<const N: usize>(name: &'static str, secret: [u8; N]) -> Self {
        Self { name, masked: secret.map(|byte| byte ^ MASK).to_vec() }
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|at| self.masked[at] ^ MASK)
    }
}

/// No secret of a session, whole or half, outlives its close, nor the session itself: not on a heap, and not on the stack of the thread
/// that made and dropped it.
#[test]
fn secrets_are_gone_after_a_session() {
    // The search is of the whole process: one session after another, in one test.
    thread::spawn(check_close).join().unwrap();
    let (to_test, from_session) = channel();
    let (to_session, from_test) = channel::<Box<Pair>>();
    let turn = Arc::new(Barrier::new(2));
    let session = thread::spawn({
        let turn = Arc::clone(&turn);
        move || {
            let here = 0_u8;
            to_test.send((classical_pair(), (&raw const here).addr())).unwrap();
            let mut pair = from_test.recv().unwrap();
            let mut record = sealed(&mut pair.agent, start().instant, b"leaves a key behind");
            pair.backend.open(start().instant, &mut record).unwrap();
            drop(pair);
            drop(support::identity(AGENT));
            turn.wait();
            turn.wait(); // searched
            leave_behind();
            turn.wait();
            turn.wait(); // searched
        }
    });
    let (pair, stack) = from_session.recv().unwrap();
    // What derives the needles leaves them on its own stack.
    let checked = thread::spawn(|| {
        let needles = needles(pair.agent.binding());
        (check(pair, &needles), needles)
    });
    let (pair, needles) = checked.join().unwrap();
    to_session.send(pair).unwrap();
    turn.wait();
    let left = found(&needles, &Place::NoStack);
    let left_on_stack = found(&needles, &Place::StackOf(stack));
    turn.wait();
    turn.wait();
    let control = [Needle { name: "control", masked: CONTROL.to_vec() }];
    let control = found(&control, &Place::StackOf(stack));
    turn.wait();
    session.join().unwrap();
    assert!(left.is_empty(), "still in memory: {left:?}");
    assert!(left_on_stack.is_empty(), "still on the stack: {left_on_stack:?}");
    assert_eq!(control.len(), 2, "dead frames are not searched: {control:?}");
}

/// A secret at the far end of a frame that is dead afterwards, below those of the next calls.
#[inline(never)]
fn leave_behind() {
    let mut frame = [0; 16 * 1024];
    frame.iter_mut().zip(CONTROL).for_each(|(byte, masked)| *byte = masked ^ black_box(MASK));
    black_box(&mut frame);
}

/// The needles are the right ones, and are found while the session lives.
fn check(mut pair: Box<Pair>, needles: &[Needle]) -> Box<Pair> {
    let mut record = sealed(&mut pair.agent, start().instant, b"proves the key");
    let key = needles.iter().find(|needle| needle.name == "agent's key").unwrap();
    let iv = needles.iter().find(|needle| needle.name == "agent's nonce base").unwrap();
    let (front, body) = record.split_at_mut(HEADER_BYTES);
    let (text, tag) = body.split_at_mut(body.len() - 16);
    let mut nonce: [u8; 12] = iv.bytes();
    nonce[11] ^= front[23];
    let cipher = ChaCha20Poly1305::new(&key.bytes().into());
    let tag: &[u8; 16] = (&*tag).try_into().unwrap();
    cipher
        .decrypt_inout_detached((&nonce).into(), front, text.into(), tag.into())
        .expect("the test derives the session's own key");
    assert_eq!(&text[4..], b"proves the key");
    drop(cipher);

    let alive = found(needles, &Place::NoStack);
    for name in [
        "agent's key",
        "agent's traffic secret",
        "agent's nonce base",
        "exporter",
        "chain",
        "reset token",
    ] {
        assert!(alive.iter().any(|found| found.starts_with(name)), "{name} not in {alive:?}");
    }
    pair
}

/// A close erases all but what outlives a session by design, though both ends are still there.
fn check_close() {
    let mut pair = classical_pair();
    let needles = needles(pair.agent.binding());
    pair.agent.close(CloseCode::Normal, Duration::ZERO);
    deliver(&mut pair.agent, &mut pair.backend, start().instant);
    assert!(pair.agent.is_closed() && pair.backend.is_closed());
    let mut left = found(&needles, &Place::NoStack);
    left.retain(|found| !found.starts_with("chain") && !found.starts_with("identity"));
    assert!(left.is_empty(), "still in memory after a close: {left:?}");
}

/// On the heap, as a driver's task holds it.
fn classical_pair() -> Box<Pair> {
    let suites = [Suite::Classical];
    let agent = agent_config().with_suites(&suites).unwrap();
    Box::new(pair_of(agent, backend_config().with_suites(&suites).unwrap()))
}

/// Every secret of the session between the default parties, from the seeds of `Handshake::new`.
fn needles(binding: [u8; 32]) -> Vec<Needle> {
    let seed = |number: u8| extract(b"waxwire/1 seed", &[number; 32]);
    let ephemeral = |number| expand(&seed(number), "x25519 key", b"");
    let [agent, backend] = [ephemeral(11), ephemeral(12)].map(StaticSecret::from);
    let shared = agent.diffie_hellman(&PublicKey::from(&backend)).to_bytes();
    let early = extract(&[0; 32], &[0; 32]);
    let handshake = extract(&expand::<32>(&early, "derived", b""), &shared);
    let master = extract(&expand::<32>(&handshake, "derived", b""), &[0; 32]);
    let agents = expand(&master, "i ap", &binding);
    let backends = expand(&master, "r ap", &binding);
    vec![
        Needle::new::<32>("identity", expand(&seed(AGENT), "identity", b"")),
        Needle::new("ephemeral of the agent", agent.to_bytes()),
        Needle::new("ephemeral of the backend", backend.to_bytes()),
        Needle::new("shared secret", shared),
        Needle::new("handshake secret", handshake),
        Needle::new("master secret", master),
        Needle::new("agent's traffic secret", agents),
        Needle::new("backend's traffic secret", backends),
        Needle::new::<32>("agent's key", expand(&agents, "key", b"")),
        Needle::new::<32>("backend's key", expand(&backends, "key", b"")),
        Needle::new::<12>("agent's nonce base", expand(&agents, "iv", b"")),
        Needle::new::<12>("backend's nonce base", expand(&backends, "iv", b"")),
        Needle::new::<32>("exporter", expand(&master, "exp", &binding)),
        Needle::new::<32>("chain", expand(&master, "chain", &binding)),
        Needle::new::<32>("rekey secret", expand(&master, "derived", b"")),
        Needle::new::<16>("reset token", expand(&seed(12), "reset token", b"")),
    ]
}

/// HKDF-Extract.
fn extract(salt: &[u8], material: &[u8]) -> [u8; 32] {
    Hkdf::<Sha256>::extract(Some(salt), material).0.into()
}

/// `XL` of proto-spec 01.
fn expand<const N: usize>(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; N] {
    let label = format!("waxwire/1 {label}");
    let length = u16::try_from(N).unwrap().to_be_bytes();
    let sizes = [label.len(), context.len()].map(|size| [u8::try_from(size).unwrap()]);
    let info = [&length[..], &sizes[0], label.as_bytes(), &sizes[1], context].concat();
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

/// The needles of which a half is in memory, and where; of a nonce base, which is short, all.
fn found(needles: &[Needle], place: &Place) -> Vec<String> {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    for (range, name) in mappings(place) {
        let mut bytes = vec![0; range.end - range.start];
        if memory.read_exact_at(&mut bytes, range.start as u64).is_err() {
            continue;
        }
        for needle in needles {
            for half in needle.masked.chunks(16) {
                if let Some(at) = position(&bytes, half) {
                    found.push(format!("{} at {:#x} in {name}", needle.name, range.start + at));
                }
            }
        }
        // Copies of this process's memory are memory too.
        bytes.fill(0);
        black_box(&bytes);
    }
    found
}

fn position(bytes: &[u8], masked: &[u8]) -> Option<usize> {
    let first = masked[0] ^ MASK;
    let mut from = 0;
    while let Some(at) = memchr(first, &bytes[from..]) {
        let at = from + at;
        let candidate = bytes.get(at..at + masked.len())?;
        if candidate.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Eight bytes at a time: in a debug build a plain loop over all memory takes seconds.
fn memchr(byte: u8, bytes: &[u8]) -> Option<usize> {
    let wide = u64::from_ne_bytes([byte; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let differs = u64::from_ne_bytes(*word) ^ wide;
        let holds = differs.wrapping_sub(0x0101_0101_0101_0101) & !differs & 0x8080_8080_8080_8080;
        if holds != 0 {
            let at = number * 8;
            return bytes[at..].iter().position(|one| *one == byte).map(|more| at + more);
        }
    }
    let at = words.len() * 8;
    bytes[at..].iter().position(|one| *one == byte).map(|more| at + more)
}

/// Where is searched.
enum Place {
    /// Heaps, and what else is writable.
    NoStack,
    /// The stack that holds this address: dead frames, and the live ones.
    StackOf(usize),
}

/// Writable mappings. A thread's stack lies behind a guard page without rights.
fn mappings(place: &Place) -> Vec<(Range<usize>, String)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found = Vec::new();
    let mut guarded = None;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let name = words.nth(3).unwrap_or("anonymous").to_owned();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        let is_stack = name == "[stack]" || (guarded == Some(start) && end - start > 1 << 20);
        guarded = (rights.starts_with("---")).then_some(end);
        let wanted = match place {
            Place::NoStack => !is_stack,
            Place::StackOf(address) => is_stack && (start..end).contains(address),
        };
        if rights.starts_with("rw") && wanted {
            found.push((start..end, name));
        }
    }
    found
}
