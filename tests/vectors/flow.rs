//! Records of a session: sealed and opened by the crate, opened once more by the text's formulas,
//! and listed with the keys of their epochs.

use bytes::BytesMut;
use serde_json::{Value, json};
use waxwire::Instant;
use waxwire::header::Header;
use waxwire::session::{Fate, OpenError, Order, Session};

use super::derive::{DIRECTIONS, Values, ephemeral, take_lv16};
use super::frames;
use super::parties::{Case, Ran, at, hex_of, run, seed};
use super::primitives::{Bytes32, Ephemeral, extract, h, is_signed, open, seal, xl};

pub const I: usize = 0;
pub const R: usize = 1;
const SIDES: [&str; 2] = ["I", "R"];

/// A session, and what happened in it so far.
pub struct Flow {
    pub ran: Ran,
    suite: u16,
    order: Order,
    now_ms: u64,
    /// Secrets that a root gave: the epoch each begins with.
    roots: [Vec<(u32, Bytes32)>; 2],
    transcript: Bytes32,
    rekey: Bytes32,
    publics: [Bytes32; 2],
    pub steps: Vec<Value>,
    pub exchanges: Vec<Value>,
}

impl Flow {
    /// A session after its handshake; the first step is ACCEPT.
    pub fn new(case: &Case, order: Order) -> Self {
        let mut ran = run(case);
        ran.i.attach(order);
        ran.r.attach(order);
        let [i, r] = ran.derived.traffic;
        let publics = ["identity_i", "identity_r"].map(|side| {
            let public = ran.json["inputs"][side]["public"].as_str().unwrap();
            hex::decode(public).unwrap().try_into().unwrap()
        });
        let accept = ran.accept.to_vec();
        let mut flow = Self {
            suite: case.suite.to_u16(),
            order,
            now_ms: 0,
            roots: [vec![(0, i)], vec![(0, r)]],
            transcript: ran.derived.th3,
            rekey: ran.derived.rekey,
            publics,
            ran,
            steps: Vec::new(),
            exchanges: Vec::new(),
        };
        // The handshake opened ACCEPT already.
        let step = flow.step("accept", R, &accept, None);
        flow.steps.push(step);
        flow
    }

    pub fn json(self, name: &str) -> Value {
        let transport = if self.order == Order::Strict { "ordered" } else { "window" };
        json!({
            "name": name,
            "transport": transport,
            "handshake": self.ran.json,
            "exchanges": self.exchanges,
            "steps": self.steps,
        })
    }

    pub fn pass(&mut self, millis: u64) {
        self.now_ms += millis;
        let now = self.now();
        self.ran.i.handle_timeout(now);
        self.ran.r.handle_timeout(now);
    }

    pub fn now(&self) -> Instant {
        at(self.now_ms)
    }

    pub fn side(&mut self, side: usize) -> &mut Session {
        if side == I { &mut self.ran.i } else { &mut self.ran.r }
    }

    /// A record of one datagram.
    pub fn datagram(&mut self, from: usize, payload: &[u8]) -> Vec<u8> {
        let (now, mut out) = (self.now(), BytesMut::new());
        self.side(from).seal_datagram(now, payload, &mut out).unwrap();
        out.to_vec()
    }

    /// Carries a datagram.
    pub fn send(&mut self, name: &str, from: usize, payload: &[u8]) {
        let record = self.datagram(from, payload);
        self.give(name, from, &record).unwrap();
    }

    /// Carries all that a side's session has to say of itself.
    pub fn talk(&mut self, name: &str, from: usize) {
        let now = self.now();
        let mut out = BytesMut::new();
        while self.side(from).poll_transmit(now, &mut out) {
            self.give(name, from, &out.split()).unwrap();
        }
    }

    /// Hands a record to its receiver, and lists what came of it.
    pub fn give(&mut self, name: &str, from: usize, record: &[u8]) -> Result<(), OpenError> {
        let now = self.now();
        let opened = self.side(1 - from).open(now, &mut record.to_vec()).map(|_| ());
        let step = self.step(name, from, record, opened.err());
        self.steps.push(step);
        opened
    }

    fn step(&self, name: &str, from: usize, record: &[u8], error: Option<OpenError>) -> Value {
        let mut out = json!({
            "name": name,
            "from": SIDES[from],
            "at_ms": self.now_ms,
            "record": hex_of(record),
        });
        if let Some(error) = error {
            out["error"] = json!(name_of(error));
            out["ends"] = json!(matches!(error.fate(self.order), Fate::CloseSession(_)));
        }
        let Some((header, plaintext)) = self.open(from, record) else {
            assert!(error.is_some(), "{name} opened, but not by the text");
            return out;
        };
        let s = self.secret(from, header.epoch);
        out["epoch"] = json!(header.epoch);
        out["seq"] = json!(header.seq);
        out["s"] = hex_of(&s);
        out["key"] = hex_of(&xl::<32>(&s, "key", b""));
        out["iv"] = hex_of(&xl::<12>(&s, "iv", b""));
        out["nonce"] = hex_of(&nonce(&s, header.seq));
        out["plaintext"] = hex_of(&plaintext);
        if error.is_none() {
            out["frames"] = Value::Array(frames::list(&plaintext));
        }
        out
    }

    /// Opens a record by the text, if it was sealed by its keys for its receiver.
    fn open(&self, from: usize, record: &[u8]) -> Option<(Header, Vec<u8>)> {
        let header = Header::of_record(record).ok()?;
        let receiver = if from == I { &self.ran.r } else { &self.ran.i };
        if header.link != receiver.link() || header.epoch > 16 {
            return None;
        }
        let s = self.secret(from, header.epoch);
        let (aad, sealed) = record.split_at(24);
        let opened = open(&xl(&s, "key", b""), &nonce(&s, header.seq), aad, sealed);
        opened.map(|plaintext| (header, plaintext))
    }

    /// The secret of a direction in an epoch.
    fn secret(&self, from: usize, epoch: u32) -> Bytes32 {
        let root = self.roots[from].iter().rev().find(|(first, _)| *first <= epoch);
        let (first, mut s) = *root.unwrap();
        for _ in first..epoch {
            s = xl(&s, "upd", b"");
        }
        s
    }

    /// Seals any plaintext as its sender could.
    pub fn forge(&self, from: usize, epoch: u32, seq: u64, plaintext: &[u8]) -> Vec<u8> {
        let link = if from == I { self.ran.r.link() } else { self.ran.i.link() };
        let mut record = vec![0x15, 0];
        record.extend(u16::try_from(plaintext.len() + 16).unwrap().to_be_bytes());
        record.extend(link.to_bytes());
        record.extend(epoch.to_be_bytes());
        record.extend(seq.to_be_bytes());
        let s = self.secret(from, epoch);
        let sealed = seal(&xl(&s, "key", b""), &nonce(&s, seq), &record, plaintext);
        record.extend(sealed);
        record
    }

    /// A whole key exchange with records on both sides of it.
    pub fn exchange(&mut self, seeds: [u8; 2]) {
        let now = self.now();
        self.ran.i.request_rekey();
        self.ran.i.provide_seed(now, &seed(seeds[I]));
        self.talk("REKEY", I);
        let request = self.last_frame("REKEY");
        self.ran.r.provide_seed(now, &seed(seeds[R]));
        self.talk("REKEY_RESP", R);
        let response = self.last_frame("REKEY_RESP");
        self.derive_exchange(&request, &response, seeds);
        self.talk("first record of I under the new root", I);
        self.talk("first record of R under the new root", R);
        self.talk("acks", I);
        self.talk("acks", R);
    }

    fn last_frame(&self, kind: &str) -> Vec<u8> {
        let frames = self.steps.last().unwrap()["frames"].as_array().unwrap();
        let frame = frames.iter().find(|frame| frame["type"] == kind).unwrap();
        hex::decode(frame["bytes"].as_str().unwrap()).unwrap()
    }

    fn derive_exchange(&mut self, request: &[u8], response: &[u8], seeds: [u8; 2]) {
        let [seed_i, seed_r] = seeds.map(|number| [number; 32]);
        let mut out = Values::default();
        out.put("TH", self.transcript);
        out.put("rekey", self.rekey);
        let (signed, sig) = request.split_at(request.len() - 64);
        let digest = out.put("digest of REKEY", h(&[&self.transcript, signed]));
        assert!(is_signed(&self.publics[I], "waxwire/1 rekey initiator", &digest, sig));
        out.put("sig of REKEY", sig);
        out.put("REKEY", request);
        let (signed, sig) = response.split_at(response.len() - 64);
        let digest = out.put("digest of REKEY_RESP", h(&[&self.transcript, request, signed]));
        assert!(is_signed(&self.publics[R], "waxwire/1 rekey responder", &digest, sig));
        out.put("sig of REKEY_RESP", sig);
        out.put("REKEY_RESP", response);
        let (share, _) = take_lv16(&response[8..]);
        let ss = Ephemeral::of(&seed_i, self.suite == 1).shared(share);
        out.put("ss", &ss);
        self.transcript = out.put("TH'", h(&[&self.transcript, request, response]));
        let root = out.put("root", extract(&self.rekey, &ss));
        self.rekey = out.put("rekey'", xl(&root, "derived", b""));
        let epochs = [request, response].map(|f| u32::from_be_bytes(f[4..8].try_into().unwrap()));
        for (side, label) in [(I, "i ap"), (R, "r ap")] {
            let s =
                out.put(&format!("s of {}", DIRECTIONS[side]), xl(&root, label, &self.transcript));
            self.roots[side].push((epochs[side], s));
        }
        self.exchanges.push(json!({
            "seed_i": hex_of(&seed_i),
            "seed_r": hex_of(&seed_r),
            "ephemeral": ephemeral(&seed_i, &seed_r, self.suite),
            "epoch_i": epochs[I],
            "epoch_r": epochs[R],
            "values": out.done(),
        }));
    }
}

fn nonce(s: &Bytes32, seq: u64) -> [u8; 12] {
    let mut out: [u8; 12] = xl(s, "iv", b"");
    out[4..].iter_mut().zip(seq.to_be_bytes()).for_each(|(slot, byte)| *slot ^= byte);
    out
}

/// The name of an error in the text.
pub fn name_of(error: OpenError) -> String {
    match error {
        OpenError::Header(error) => header_error(error),
        OpenError::Frame(_) => "FrameError".to_owned(),
        OpenError::Credential(_) => "BadCredential".to_owned(),
        other => format!("{other:?}"),
    }
}

pub fn header_error(error: waxwire::header::HeaderError) -> String {
    let name = format!("{error:?}");
    name.split('(').next().unwrap().to_owned()
}
