//! The secrets that are followed, and what through. Each case names what depends on its secret and
//! makes it public then; whatever the code decided by the secret before was reported.

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use waxwire::Seed;
use waxwire::fuzzing::bare;
use waxwire::header::{HEADER_BYTES, Header, RecordType};
use waxwire::session::{
    CookieKey, Event, Gate, Greeting, HandshakeError, Knock, Progress, Proven, Source, Verdict,
};
use zeroize::Zeroizing;

use crate::support::{Handshake, Pair, agent_config, backend_config, pair, start};
use crate::valgrind::{depends_on_a_secret, hide, hide_at, reveal, reveal_at};

/// A name, and what it runs.
pub type Case = (&'static str, fn());

pub const CASES: &[Case] = &[
    ("compare", compare),
    ("knock", knock),
    ("cookie", cookie),
    ("reset-token", reset_token),
    ("key-file-read", key_file_read),
    ("key-file-write", key_file_write),
    ("x25519-share", x25519_share),
    ("x25519-agree", x25519_agree),
    ("ed25519-sign", ed25519_sign),
    ("ml-kem-encapsulate", ml_kem_encapsulate),
    ("ml-kem-decapsulate", ml_kem_decapsulate),
    ("key-schedule", key_schedule),
    ("seal", seal),
    ("open", open),
    ("session-seal", session_seal),
];

/// What must be reported.
pub const CONTROLS: &[Case] =
    &[("control-early-exit", early_exit), ("control-memcmp", memcmp), ("control-table", table)];

const SECRET: [u8; 32] = [7; 32];

/// RFC 8410, 10.3.
const PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
/// The characters of which every bit is the secret's. Before them the sixteen bytes are ASN.1; the last
/// two say, by being no `=`, how long all of it is.
const PEM_SECRET: std::ops::Range<usize> = 28 + 22..28 + 62;

/// Tags, confirmations, binders: whatever `src/` compares through `crypto::same`.
fn compare() {
    for (right, other) in [(true, SECRET), (false, [6; 32])] {
        // Of a length that the compiler does not know, or it would make good code of any comparison.
        let (secret, other) = (secret(), other);
        let mut same = u8::from(bare::same(black_box(&secret[..]), black_box(&other[..])));
        shown(std::slice::from_mut(&mut same));
        assert_eq!(same == 1, right);
    }
}

/// A knock that only the responder's second key makes.
fn knock() {
    let mut agent = agent_config().with_knock(Knock::secret(&SECRET)).unwrap();
    let (_, hello) = Handshake::new(agent, backend_config()).hello();
    let knows = |knock: Zeroizing<[u8; 32]>| {
        let config = backend_config().with_knock(Knock::secret(&knock)).unwrap();
        Greeting::receive(Arc::new(config), &hello, start().instant)
    };
    assert!(knows(Zeroizing::new(secret())).is_ok());
    agent = agent_config().with_knock(Knock::secret(&[6; 32])).unwrap();
    let (_, hello) = Handshake::new(agent, backend_config()).hello();
    let config = backend_config().with_knock(Knock::secret(&secret())).unwrap();
    let refused = Greeting::receive(Arc::new(config), &hello, start().instant).err();
    assert_eq!(refused, Some(HandshakeError::BadKnock));
}

/// The key that cookies are made with, as one is handed out and as it comes back, whole or changed.
fn cookie() {
    let gate = || Gate::new(CookieKey::new(&Seed::fresh(Zeroizing::new(secret()))));
    let mut handshake = Handshake::new(agent_config(), backend_config());
    let (initiator, hello) = handshake.hello();
    let backend = &handshake.backend;
    let greeting =
        |hello: &[u8]| Greeting::receive(Arc::clone(backend), hello, start().instant).unwrap();
    let verdict = gate().judge(&greeting(&hello), Source::LOCAL, Proven::No, start()).unwrap();
    let Verdict::Retry(retry) = verdict else { panic!("no cookie was asked for") };
    let mut retry = retry.to_vec();
    shown(&mut retry);
    let Progress::Again(_, hello) = initiator.handle(&mut retry, start()).unwrap() else {
        panic!("no second HELLO")
    };
    let brought = greeting(&hello);
    let judged = gate().judge(&brought, Source::LOCAL, Proven::No, start());
    assert!(matches!(judged, Ok(Verdict::Answer(_))));
    let elsewhere = Source::of([192, 0, 2, 1].into());
    let judged = gate().judge(&brought, elsewhere, Proven::No, start());
    assert_eq!(judged.err(), Some(HandshakeError::CookieInvalid));
}

/// proto-spec [P-2]: the token that ends a session whose keys are lost. The one that comes is marked, not the one that
/// is kept: a comparison has no sides.
fn reset_token() {
    let Pair { mut agent, backend, .. } = pair();
    let header =
        Header { kind: RecordType::NoSession, length: 16, link: backend.link(), epoch: 0, seq: 0 };
    let mut record = BytesMut::from(&header.encode()[..]);
    record.extend_from_slice(&SECRET[..16]);
    hide(&mut record[HEADER_BYTES..]);
    agent.open(start().instant, &mut record).map(drop).unwrap();
    assert!(agent.poll_event().is_none_or(|event| event != Event::SessionLost));
}

fn key_file_read() {
    let pem = PEM.to_owned();
    hide_at(pem[PEM_SECRET].as_ptr(), PEM_SECRET.len());
    let mut secret = bare::secret_of_pem(&pem).unwrap();
    shown(&mut secret);
    assert_eq!(secret[..2], [0xd4, 0xee]);
}

fn key_file_write() {
    let mut pem = bare::pem_of_secret(&secret()).as_bytes().to_vec();
    shown(&mut pem);
    assert!(pem.starts_with(b"-----BEGIN PRIVATE KEY-----"));
}

fn x25519_share() {
    let mut share = bare::share_of(secret());
    shown(&mut share);
    assert_ne!(share, [0; 32]);
}

fn x25519_agree() {
    let share = bare::share_of([9; 32]);
    let mut agreed = bare::agreed(secret(), &share).unwrap();
    shown(&mut agreed);
    assert_eq!(Some(agreed), bare::agreed([9; 32], &bare::share_of(SECRET)));
}

fn ed25519_sign() {
    let mut signature = bare::signed(&secret(), [1; 32]);
    shown(&mut signature);
    assert_eq!(signature, bare::signed(&SECRET, [1; 32]));
}

fn ml_kem_encapsulate() {
    let key = bare::KemKey::of(&[5; 64]);
    let (mut ciphertext, mut shared) = bare::encapsulated(&key.public(), &secret()).unwrap();
    shown(&mut ciphertext);
    shown(&mut shared);
    assert_eq!(key.decapsulated(&ciphertext), Some(shared));
}

/// How a key is made is not followed: the seed of the public matrix, which is sampled with
/// rejections, comes out of the same hash as the secret.
fn ml_kem_decapsulate() {
    let key = bare::KemKey::of(&[5; 64]);
    let (mut ciphertext, shared) = bare::encapsulated(&key.public(), &SECRET).unwrap();
    let decapsulated = |ciphertext: &[u8]| {
        let [(place, bytes), (public, public_bytes)] = key.places();
        hide_at(place, bytes);
        reveal_at(public, public_bytes);
        let mut found = key.decapsulated(ciphertext).unwrap();
        reveal_at(place, bytes);
        shown(&mut found);
        found
    };
    assert_eq!(decapsulated(&ciphertext), shared);
    ciphertext[0] ^= 1;
    assert_ne!(decapsulated(&ciphertext), shared);
}

fn key_schedule() {
    let mut derived = bare::derived(&secret(), &secret());
    shown(&mut derived);
    assert_eq!(derived, bare::derived(&SECRET, &SECRET));
}

fn seal() {
    let (nonce, mut text) = (black_box([3; 12]), [5; 300]);
    hide(&mut text);
    let mut tag = bare::sealed(&secret(), &nonce, b"header", &mut text);
    shown(&mut tag);
    shown(&mut text);
    assert_eq!(tag, bare::sealed(&SECRET, &nonce, b"header", &mut [5; 300]));
}

/// A record that is genuine and one that is not.
fn open() {
    let nonce = [3; 12];
    let mut text = [5; 300];
    let mut tag = bare::sealed(&SECRET, &nonce, b"header", &mut text);
    let mut sealed = text;
    assert!(bare::opened(&secret(), &nonce, b"header", &mut sealed, &tag));
    shown(&mut sealed);
    assert_eq!(sealed, [5; 300]);
    tag[15] ^= 1;
    assert!(!bare::opened(&secret(), &nonce, b"header", &mut text, &tag));
    assert_eq!(text, [0; 300]);
}

/// What is sent, from the call to the record: its length may be seen, its bytes may not.
fn session_seal() {
    let Pair { mut agent, mut backend, .. } = pair();
    let mut payload = *b"what the agent has to say";
    hide(&mut payload);
    let mut record = BytesMut::new();
    agent.seal_datagram(start().instant, &payload, &mut record).unwrap();
    assert!(!depends_on_a_secret(&record[..HEADER_BYTES]));
    shown(&mut record);
    let opened = backend.open(start().instant, &mut record).unwrap();
    assert_eq!(opened.datagrams().next(), Some(&b"what the agent has to say"[..]));
}

/// Stops at the first difference.
fn early_exit() {
    let (secret, other) = (secret(), black_box([6; 32]));
    for (mine, theirs) in secret.iter().zip(&other) {
        if black_box(mine) != black_box(theirs) {
            break;
        }
    }
}

/// `==`, as the compiler likes it.
fn memcmp() {
    let (secret, other) = (secret(), black_box([6; 32]));
    if black_box(&secret[..]) == black_box(&other[..]) {
        black_box(other);
    }
}

/// Looks a secret byte up.
fn table() {
    let table: [u8; 256] = std::array::from_fn(|at| at as u8 ^ 0x5a);
    let mut found = black_box(&table)[usize::from(black_box(secret())[0])];
    reveal(std::slice::from_mut(&mut found));
    black_box(found);
}

/// A secret to follow.
fn secret() -> [u8; 32] {
    let mut secret = SECRET;
    hide(&mut secret);
    secret
}

/// Makes a result public that must have come from the secret.
fn shown(result: &mut [u8]) {
    assert!(depends_on_a_secret(result), "the secret is not in the result: nothing was followed");
    reveal(result);
}
