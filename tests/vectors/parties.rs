//! Parties of the vectors and their handshakes, run over the public API alone; each becomes one
//! case with all its inputs and values.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use waxwire::session::{
    ChainBook, Config, Continuity, CookieKey, Credentials, Gate, Greeting, Initiator,
    InitiatorChain, Issuer, Knock, Padding, Pinned, Progress, Proven, Roles, Roots, Session,
    Source, Terms, Verdict,
};
use waxwire::{Identity, Instant, Now, PeerId, Realm, Role, Seed, Suite, UnixTime};

use super::derive::{Derived, Retried, Transcript, ephemeral, hello_extensions, u16_at};
use super::primitives::{Bytes32, draw, public_of, sha256, xl};

const REALM: &str = "stage";
const UNIX: u64 = 1_800_000_000;
pub const IDENTITY_I: u8 = 0x01;
pub const IDENTITY_R: u8 = 0x02;
const ROOT: u8 = 0x03;
const ISSUER: u8 = 0x04;
const COOKIE: u8 = 0x05;
const KNOCK_SECRET: Bytes32 = [0x5a; 32];

/// How the parties of a case know each other.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Trust {
    Pinned,
    /// Leaves that a root issued.
    Root,
    /// Leaves of an issuer below the root.
    Issuer,
}

/// What the chains of a case went through before it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Past {
    Nothing,
    /// One whole handshake.
    Resumable,
    /// The FINISH of a second handshake did not arrive.
    FinishLost,
    /// The ACCEPT of a second handshake did not arrive.
    AcceptLost,
    /// The responder forgot the chain.
    Forgotten,
}

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub suite: Suite,
    pub trust: Trust,
    pub past: Past,
    pub retry: bool,
    pub swapped: bool,
    pub knock_secret: bool,
    pub record_bytes: Option<[usize; 2]>,
    pub padding: Padding,
    /// The seeds of I and R are these numbers, 32 times.
    pub seeds: [u8; 2],
}

impl Case {
    pub const fn new(name: &'static str, suite: Suite) -> Self {
        Self {
            name,
            suite,
            trust: Trust::Pinned,
            past: Past::Nothing,
            retry: false,
            swapped: false,
            knock_secret: false,
            record_bytes: None,
            padding: Padding::None,
            seeds: [0x11, 0x12],
        }
    }
}

/// Both ends of a case after ACCEPT.
pub struct Ran {
    pub i: Session,
    pub r: Session,
    pub derived: Derived,
    pub accept: Bytes,
    pub json: Value,
}

/// Runs a case; opening works at both ends.
pub fn run(case: &Case) -> Ran {
    let (mut book, chain, before) = past(case);
    let [seed_i, seed_r] = case.seeds;
    let chains = chain.as_ref().map_or_else(Vec::new, secrets);
    let [config_i, config_r] = [0, 1].map(|side| Arc::new(config(case, side)));
    let (mut initiator, mut hello) =
        Initiator::start(Arc::clone(&config_i), chain, &seed(seed_i), now()).unwrap();

    let mut retried = None;
    let source = Source::of([192, 0, 2, 1].into());
    if case.retry {
        let first = hello;
        let Verdict::Retry(retry) = judge(&config_r, &first, source) else { panic!("no RETRY") };
        let Progress::Again(again, second) = initiator.handle(&mut retry.to_vec(), now()).unwrap()
        else {
            panic!("no second HELLO")
        };
        (initiator, hello) = (*again, second);
        assert!(matches!(judge(&config_r, &hello, source), Verdict::Answer(_)));
        retried = Some((first, retry));
    }

    let greeting = Greeting::receive(Arc::clone(&config_r), &hello, now().instant).unwrap();
    let (answered, reply) = greeting.answer(&book, &seed(seed_r), now()).unwrap();
    let Progress::Done(established) = initiator.handle(&mut reply.to_vec(), now()).unwrap() else {
        panic!("no RETRY was sent")
    };
    let (mut i, finish) = (established.session, established.finish);
    let accepting = answered.finish(&mut finish.to_vec(), now()).unwrap();
    let step = accepting.succession();
    let generation = book.advance(step, Continuity::Prefer, now().unix).unwrap();
    assert_eq!(generation.get(), before + 1);
    let (mut r, _) = accepting.accept(generation, now());
    let mut accept = BytesMut::new();
    assert!(r.poll_transmit(now().instant, &mut accept));
    i.open(now().instant, &mut accept.to_vec()).unwrap();
    let accept = accept.freeze();

    let roles = if case.swapped { [2, 1] } else { [1, 2] };
    let transcript = Transcript {
        suite: case.suite.to_u16(),
        realm: REALM,
        roles,
        seed_i: [seed_i; 32],
        knock_secret: knock_secret(case),
        chains: &chains,
        retried: retried.as_ref().map(|(hello, retry)| Retried { hello, retry }),
        hello: &hello,
        reply: &reply,
        finish: &finish,
        accept: &accept,
    };
    let derived = transcript.derive();
    agree(&derived, &i, &r, &secrets(&established.chain)[0]);
    let inputs = inputs(case, &transcript, &derived, generation.get(), retried.is_some());
    let json = json!({ "name": case.name, "inputs": inputs, "values": derived.values });
    Ran { i, r, derived, accept, json }
}

/// What both ends hold is what the text derives.
fn agree(derived: &Derived, i: &Session, r: &Session, chain: &Bytes32) {
    assert_eq!(*chain, derived.chain);
    for session in [i, r] {
        assert_eq!(session.binding(), derived.th3);
        assert_eq!(session.id().to_bytes(), derived.session_id);
        for (label, ctx, bytes) in EXPORTS {
            let mut out = vec![0; bytes];
            session.export(label, ctx, &mut out).unwrap();
            assert_eq!(out, derived.export(label, ctx, bytes));
        }
    }
    assert!(i.is_open() && i.is_resumed() == (derived.resume_index != 0xff));
}

const EXPORTS: [(&str, &[u8], usize); 2] = [("app", b"ctx", 16), ("other", b"", 100)];

fn judge(config: &Arc<Config>, hello: &[u8], source: Source) -> Verdict {
    let greeting = Greeting::receive(Arc::clone(config), hello, now().instant).unwrap();
    let mut gate = Gate::new(CookieKey::new(&seed(COOKIE)));
    gate.judge(&greeting, source, Proven::No, now()).unwrap()
}

pub fn now() -> Now {
    Now { instant: Instant::from_nanos(0), unix: UnixTime::from_secs(UNIX) }
}

pub fn at(millis: u64) -> Instant {
    now().instant.after(Duration::from_millis(millis))
}

pub fn seed(number: u8) -> Seed {
    Seed::dangerous_reproducible([number; 32])
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(seed(number))
}

fn secret_of(number: u8) -> Bytes32 {
    draw(&[number; 32], "identity")
}

fn public(number: u8) -> Bytes32 {
    public_of(&secret_of(number))
}

fn role(case: &Case, side: usize) -> Role {
    if (side == 0) == case.swapped { Role::Backend } else { Role::Agent }
}

fn knock_secret(case: &Case) -> Bytes32 {
    match (case.knock_secret, case.trust) {
        (true, _) => KNOCK_SECRET,
        (_, Trust::Pinned) => sha256(&public(IDENTITY_R)),
        _ => sha256(&public(ROOT)),
    }
}

fn config(case: &Case, side: usize) -> Config {
    let numbers = [IDENTITY_I, IDENTITY_R];
    let realm = Realm::new(REALM).unwrap();
    let own = identity(numbers[side]);
    let wants = match role(case, side) {
        Role::Agent => Config::agent(realm, own),
        Role::Backend => Config::backend(realm, own),
    };
    let mut config = match case.trust {
        Trust::Pinned => {
            let key = identity(numbers[1 - side]).public_key().fingerprint();
            let id = PeerId::new("peer").unwrap();
            wants.peer(Pinned::one(id, role(case, 1 - side), key))
        }
        _ => {
            let roots = Roots::new(identity(ROOT).public_key().clone());
            wants.peer(roots).with_credentials(&credentials(case, side)).unwrap()
        }
    };
    config = config.with_suites(&[case.suite]).unwrap().with_padding(case.padding);
    if case.knock_secret {
        config = config.with_knock(Knock::secret(&KNOCK_SECRET)).unwrap();
    }
    if let Some(bytes) = case.record_bytes {
        config = config.with_record_bytes(bytes[side]).unwrap();
    }
    config
}

const SERIALS: [u8; 2] = [0x06, 0x07];
const ISSUER_SERIAL: u8 = 0x08;

fn terms(case: &Case, side: usize) -> Terms {
    let (subject, labels) = match side {
        0 => ("agent-7", vec![("site", "a1"), ("zone", "")]),
        _ => ("backend", Vec::new()),
    };
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let only = [Roles::AGENT, Roles::BACKEND][usize::from(role(case, side) == Role::Backend)];
    Terms {
        subject: PeerId::new(subject).unwrap(),
        roles: only,
        not_before: UnixTime::from_secs(UNIX - 60),
        not_after: UnixTime::from_secs(UNIX + 86_340),
        labels: labels.into_iter().map(own).collect(),
    }
}

fn issuer_terms() -> Terms {
    Terms {
        subject: PeerId::new("issuer-1").unwrap(),
        roles: Roles::BOTH,
        not_before: UnixTime::from_secs(UNIX - 86_400),
        not_after: UnixTime::from_secs(UNIX + 864_000),
        labels: Vec::new(),
    }
}

pub fn credentials(case: &Case, side: usize) -> Credentials {
    issued(case, side).0
}

/// The credentials of a side, and what they say.
fn issued(case: &Case, side: usize) -> (Credentials, Vec<Value>) {
    let realm = || Realm::new(REALM).unwrap();
    let key = identity([IDENTITY_I, IDENTITY_R][side]).public_key().clone();
    let terms = terms(case, side);
    let by = if case.trust == Trust::Root { ROOT } else { ISSUER };
    let issuer = Issuer::new(identity(by), realm());
    let leaf = issuer.issue(&key, &terms, &seed(SERIALS[side])).unwrap();
    let mut json = vec![credential_json(1, &terms, SERIALS[side], &key.to_bytes(), by)];
    json[0]["bytes"] = hex_of(leaf.as_bytes());
    if case.trust == Trust::Root {
        return (Credentials::new(leaf), json);
    }
    let terms = issuer_terms();
    let below = Issuer::new(identity(ROOT), realm());
    let issuer = below.delegate(issuer.public_key(), &terms, &seed(ISSUER_SERIAL)).unwrap();
    let mut one = credential_json(2, &terms, ISSUER_SERIAL, &public(ISSUER), ROOT);
    one["bytes"] = hex_of(issuer.as_bytes());
    json.push(one);
    (Credentials::with_issuer(leaf, issuer), json)
}

fn credential_json(kind: u8, terms: &Terms, serial: u8, public: &Bytes32, by: u8) -> Value {
    let roles =
        u8::from(terms.roles.allow(Role::Agent)) | u8::from(terms.roles.allow(Role::Backend)) << 1;
    json!({
        "kind": kind,
        "serial": hex_of(&draw::<16>(&[serial; 32], "serial")),
        "not_before": terms.not_before.as_secs(),
        "not_after": terms.not_after.as_secs(),
        "roles": roles,
        "public": hex_of(public),
        "realm": REALM,
        "subject": terms.subject.as_str(),
        "labels": terms.labels,
        "issuer_secret": hex_of(&secret_of(by)),
    })
}

/// The responder's book, the initiator's chains, and the generation the book is at.
fn past(case: &Case) -> (ChainBook, Option<InitiatorChain>, u64) {
    let mut book = ChainBook::new();
    if case.past == Past::Nothing {
        return (book, None, 0);
    }
    let (first, generation) = earlier(case, None, &mut book, [0x31, 0x32]);
    let first = first.promoted();
    match case.past {
        Past::FinishLost => {
            let (second, _) = earlier(case, Some(first), &mut ChainBook::new(), [0x33, 0x34]);
            (book, Some(second), generation)
        }
        Past::AcceptLost => {
            let (second, generation) = earlier(case, Some(first), &mut book, [0x33, 0x34]);
            (book, Some(second), generation)
        }
        Past::Forgotten => (ChainBook::new(), Some(first), 0),
        _ => (book, Some(first), generation),
    }
}

/// A handshake before the case: what I then holds, and the generation at R.
fn earlier(
    case: &Case,
    chain: Option<InitiatorChain>,
    book: &mut ChainBook,
    seeds: [u8; 2],
) -> (InitiatorChain, u64) {
    let [config_i, config_r] = [0, 1].map(|side| Arc::new(config(case, side)));
    let (initiator, hello) = Initiator::start(config_i, chain, &seed(seeds[0]), now()).unwrap();
    let greeting = Greeting::receive(config_r, &hello, now().instant).unwrap();
    let (answered, reply) = greeting.answer(book, &seed(seeds[1]), now()).unwrap();
    let Progress::Done(established) = initiator.handle(&mut reply.to_vec(), now()).unwrap() else {
        panic!("no RETRY was sent")
    };
    let accepting = answered.finish(&mut established.finish.to_vec(), now()).unwrap();
    let step = accepting.succession();
    let generation = book.advance(step, Continuity::Prefer, now().unix).unwrap();
    (established.chain, generation.get())
}

/// The secrets of stored chains, in the order in which they are offered.
fn secrets(chain: &InitiatorChain) -> Vec<Bytes32> {
    let stored = chain.to_bytes();
    stored[1 + 32 + 8..].as_chunks::<32>().0.to_vec()
}

fn inputs(
    case: &Case,
    sent: &Transcript<'_>,
    derived: &Derived,
    generation: u64,
    retried: bool,
) -> Value {
    let [seed_i, seed_r] = case.seeds.map(|number| [number; 32]);
    let versions = usize::from(sent.hello[24]);
    let suites = 24 + 1 + versions;
    let link = suites + 1 + 2 * usize::from(sent.hello[suites]);
    let offered: Vec<_> = sent.hello[suites + 1..link].chunks(2).map(hex_of).collect();
    let chains: Vec<_> = sent.chains.iter().map(|chain| hex_of(chain)).collect();
    let knock_from = match (case.knock_secret, case.trust) {
        (true, _) => "realm",
        (_, Trust::Pinned) => "key",
        _ => "root",
    };
    let exports: Vec<_> = EXPORTS
        .iter()
        .map(|(label, ctx, len)| {
            let value = hex_of(&derived.export(label, ctx, *len));
            json!({ "label": label, "ctx": hex_of(ctx), "len": len, "value": value })
        })
        .collect();
    json!({
        "seed_i": hex_of(&seed_i),
        "seed_r": hex_of(&seed_r),
        "realm": REALM,
        "role_i": sent.roles[0],
        "role_r": sent.roles[1],
        "now": UNIX,
        "suite": sent.suite,
        "versions": hex_of(&sent.hello[25..suites]),
        "suites": offered,
        "extensions": list_of(hello_extensions(sent.hello)),
        "link_i": hex_of(&sent.hello[link..link + 8]),
        "random_i": hex_of(&sent.hello[link + 8..link + 40]),
        "link_r": hex_of(&sent.finish[4..12]),
        "random_r": hex_of(&draw::<32>(&seed_r, "random")),
        "ephemeral": ephemeral(&seed_i, &seed_r, sent.suite),
        "identity_i": identity_json(case, 0),
        "identity_r": identity_json(case, 1),
        "knock_from": knock_from,
        "knock_secret": hex_of(&sent.knock_secret),
        "chains": chains,
        "resume_index": derived.resume_index,
        "params_i": list_of(&derived.params[0]),
        "params_r": list_of(&derived.params[1]),
        "retry": if retried { retry_json() } else { Value::Null },
        "generation": generation,
        "reset_token": hex_of(&draw::<16>(&seed_r, "reset token")),
        "exports": exports,
    })
}

fn identity_json(case: &Case, side: usize) -> Value {
    let number = [IDENTITY_I, IDENTITY_R][side];
    let mut out = json!({
        "seed": hex_of(&[number; 32]),
        "secret": hex_of(&secret_of(number)),
        "public": hex_of(&public(number)),
        "kind": 1,
    });
    if case.trust != Trust::Pinned {
        out["kind"] = json!(2);
        out["root"] = hex_of(&public(ROOT));
        out["credentials"] = Value::Array(issued(case, side).1);
    }
    out
}

fn retry_json() -> Value {
    let bucket = u32::try_from(UNIX / 60).unwrap().to_be_bytes();
    let key: Bytes32 = draw(&[COOKIE; 32], "cookie key");
    json!({
        "K_bucket": hex_of(&xl::<32>(&key, "cookie", &bucket)),
        "source": "04c0000200000000",
        "unix_seconds": UNIX,
    })
}

/// A list of 03-handshake, section 3.5.
fn list_of(mut bytes: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (kind, value) = (&bytes[..2], usize::from(u16_at(bytes, 2)));
        out.push(json!([hex::encode(kind), hex::encode(&bytes[4..4 + value])]));
        bytes = &bytes[4 + value..];
    }
    out
}

pub fn hex_of(bytes: &[u8]) -> Value {
    json!(hex::encode(bytes))
}
