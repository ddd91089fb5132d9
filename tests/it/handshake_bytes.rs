//! Handshake messages that were changed, cut or extended on the way: none is taken.

use waxwire::Suite;
use waxwire::header::HeaderError;
use waxwire::session::{ChainBook, Config, Greeting, HandshakeError, Malformed};

use crate::rival::{Hello, backend_knock, hmac};
use crate::support::{Handshake, agent_config, backend_config};

const HEADER: usize = 24;

fn classical() -> Handshake {
    let only = |config: Config| config.with_suites(&[Suite::Classical]).unwrap();
    Handshake::new(only(agent_config()), only(backend_config()))
}

fn hybrid() -> Handshake {
    Handshake::new(agent_config(), backend_config())
}

/// Every byte of a record with every bit of it flipped.
fn flips(record: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..record.len() * 8).map(|bit| {
        let mut flipped = record.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

fn receive(handshake: &Handshake, hello: &[u8]) -> Result<Greeting, HandshakeError> {
    Greeting::receive(handshake.backend.clone(), hello, handshake.now.instant)
}

/// The error of a REPLY, given to an initiator that said its HELLO.
fn reply_error(handshake: &mut Handshake, reply: &[u8]) -> HandshakeError {
    let (initiator, _) = handshake.hello();
    handshake.establish(initiator, reply).map(|_| ()).unwrap_err()
}

/// The error of a FINISH, given to a responder that answered `hello`.
fn finish_error(handshake: &Handshake, hello: &[u8], finish: &[u8]) -> HandshakeError {
    let (answered, _) = handshake.answer(hello, &ChainBook::new()).unwrap();
    handshake.finish(answered, finish).map(|_| ()).unwrap_err()
}

/// REPLY of an honest responder, and FINISH of an honest initiator.
fn reply_and_finish(handshake: &mut Handshake) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (initiator, hello) = handshake.hello();
    let (_, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let established = handshake.establish(initiator, &reply).unwrap();
    (hello.to_vec(), reply.to_vec(), established.finish.to_vec())
}

fn is_of_header(error: HandshakeError) -> bool {
    use HandshakeError::{Header, UnexpectedRecord, UnknownLink};
    matches!(error, Header(_) | UnexpectedRecord | UnknownLink)
}

/// proto-spec [H-5], [H-25]: HS-1. The knock covers all of a HELLO, so a relay that was not told
/// whom it is for gets no answer to a changed one.
#[test]
fn a_hello_with_any_bit_flipped_is_met_with_silence() {
    for handshake in [&mut hybrid(), &mut classical()] {
        let (_, hello) = handshake.hello();
        for (at, flipped) in flips(&hello) {
            let error = receive(handshake, &flipped).unwrap_err();
            let expected =
                if at < HEADER { is_of_header(error) } else { error == HandshakeError::BadKnock };
            assert!(expected, "byte {at}: {error:?}");
            let link = Greeting::link_of(&flipped);
            let answer = error.rejection(link);
            assert!(answer.is_none(), "byte {at} was answered");
        }
    }
}

/// proto-spec [H-5]: HS-1, HS-6. A relay that knows the knock can renew it; then either the
/// responder refuses, or the initiator finds that its REPLY answers another HELLO.
#[test]
fn a_hello_changed_under_a_right_knock_ends_no_handshake() {
    let mut handshake = classical();
    let (_, hello) = handshake.hello();
    let hello = hello.to_vec();
    let covered = hello.len() - 16;
    for (at, mut flipped) in flips(&hello) {
        // Padding is one long run of zeros: each of its bytes is refused alike.
        if !(HEADER..160).contains(&at) && at % 97 != 0 || at < HEADER || at >= covered {
            continue;
        }
        let knock = hmac(&backend_knock(), &flipped[..covered]);
        flipped[covered..].copy_from_slice(&knock[..16]);
        if let Ok((_, reply)) = handshake.answer(&flipped, &ChainBook::new()) {
            let error = reply_error(&mut handshake, &reply);
            // A REPLY that went to another link id is for nobody here.
            let ends = matches!(error, HandshakeError::Decrypt | HandshakeError::UnknownLink);
            assert!(ends, "byte {at}: {error:?}");
        }
    }
}

/// proto-spec [H-4], [H-5]: HS-1, PROTOCOL 8.1.
#[test]
fn a_reply_with_any_bit_flipped_is_refused() {
    let mut handshake = classical();
    let (_, reply, _) = reply_and_finish(&mut handshake);
    for (at, flipped) in flips(&reply) {
        let error = reply_error(&mut handshake, &flipped);
        let expected = match at {
            0..HEADER => is_of_header(error),
            // version, suite, resume index, and the length of the share
            24..28 | 68..70 => matches!(error, HandshakeError::Malformed(_)),
            _ => error == HandshakeError::Decrypt,
        };
        assert!(expected, "byte {at}: {error:?}");
    }
}

/// proto-spec [H-5]: HS-1, with the share of the hybrid suite, whose ciphertext is not checked by
/// itself.
#[test]
fn a_hybrid_reply_with_any_byte_changed_is_refused() {
    let mut handshake = hybrid();
    let (_, reply, _) = reply_and_finish(&mut handshake);
    for at in 70..reply.len() {
        let mut changed = reply.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(reply_error(&mut handshake, &changed), HandshakeError::Decrypt, "byte {at}");
    }
}

/// proto-spec [H-5]: HS-1, PROTOCOL 8.1.
#[test]
fn a_finish_with_any_bit_flipped_is_refused() {
    let mut handshake = classical();
    let (hello, _, finish) = reply_and_finish(&mut handshake);
    for (at, flipped) in flips(&finish) {
        let error = finish_error(&handshake, &hello, &flipped);
        let expected =
            if at < HEADER { is_of_header(error) } else { error == HandshakeError::Decrypt };
        assert!(expected, "byte {at}: {error:?}");
    }
}

/// A record whose header says how long it is now.
fn resized(record: &[u8], bytes: usize) -> Vec<u8> {
    let mut record = record.to_vec();
    record.resize(bytes, 0);
    let body = u16::try_from(bytes - HEADER).unwrap();
    record[2..4].copy_from_slice(&body.to_be_bytes());
    record
}

/// proto-spec [H-5], [H-6]: HS-1. A message cut anywhere is refused, whether or not the header is
/// made to agree.
#[test]
fn a_message_cut_anywhere_is_refused() {
    let mut handshake = classical();
    let (hello, reply, finish) = reply_and_finish(&mut handshake);
    for length in 0..hello.len() {
        let error = receive(&handshake, &hello[..length]).map(|_| ()).unwrap_err();
        assert_eq!(error, HandshakeError::Header(HeaderError::Truncated));
    }
    for length in 0..reply.len() {
        let error = reply_error(&mut handshake, &reply[..length]);
        assert_eq!(error, HandshakeError::Header(HeaderError::Truncated));
        if length >= HEADER + 16 {
            let error = reply_error(&mut handshake, &resized(&reply, length));
            let refused = matches!(error, HandshakeError::Malformed(_) | HandshakeError::Decrypt);
            assert!(refused, "{length}: {error:?}");
        }
    }
    for length in 0..finish.len() {
        let error = finish_error(&handshake, &hello, &finish[..length]);
        assert_eq!(error, HandshakeError::Header(HeaderError::Truncated));
        if length >= HEADER + 16 {
            let error = finish_error(&handshake, &hello, &resized(&finish, length));
            assert_eq!(error, HandshakeError::Decrypt);
        }
    }
}

/// proto-spec [H-5], [H-6]: HS-1.
#[test]
fn a_message_with_bytes_behind_it_is_refused() {
    let mut handshake = classical();
    let (hello, reply, finish) = reply_and_finish(&mut handshake);
    let trailing = HandshakeError::Header(HeaderError::TrailingBytes);
    for more in 1..=64 {
        let longer = |record: &[u8]| [record, &vec![0; more]].concat();
        let error = receive(&handshake, &longer(&hello)).map(|_| ()).unwrap_err();
        assert_eq!(error, trailing);
        let error = receive(&handshake, &resized(&hello, hello.len() + more)).unwrap_err();
        assert_eq!(error, HandshakeError::BadKnock);
        assert_eq!(reply_error(&mut handshake, &longer(&reply)), trailing);
        let resized_reply = resized(&reply, reply.len() + more);
        assert_eq!(reply_error(&mut handshake, &resized_reply), HandshakeError::Decrypt);
        assert_eq!(finish_error(&handshake, &hello, &longer(&finish)), trailing);
        let resized_finish = resized(&finish, finish.len() + more);
        assert_eq!(finish_error(&handshake, &hello, &resized_finish), HandshakeError::Decrypt);
    }
}

/// proto-spec [H-2]: each rule of the table, broken by someone who knocks rightly.
#[test]
fn a_hello_that_breaks_its_table_is_refused() {
    let mut handshake = hybrid();
    let (_, hello) = handshake.hello();
    let honest = Hello::parse(&hello);
    let padded = |hello: &mut Hello, byte: u8| hello.padding = [vec![0; 8], vec![byte]].concat();
    type Breach = fn(&mut Hello);
    let breaches: [(&str, Breach); 14] = [
        ("no version", |hello| hello.versions.clear()),
        ("nine versions", |hello| hello.versions = vec![1; 9]),
        ("no suite", |hello| hello.suites.clear()),
        ("nine suites", |hello| hello.suites = vec![1; 9]),
        ("no link", |hello| hello.link = [0; 8]),
        ("a share of a suite not offered", |hello| hello.suites = vec![2]),
        ("a long share", |hello| hello.share.push(0)),
        ("a short share", |hello| hello.share.truncate(1215)),
        ("three rids", |hello| hello.resume = vec![([1; 16], [1; 32]); 3]),
        ("a long cookie", |hello| hello.cookie = vec![1; 65]),
        ("a cut extension", |hello| hello.extensions = vec![0, 9, 0, 1]),
        ("half an extension type", |hello| hello.extensions = vec![0]),
        ("an extension twice", |hello| hello.extensions = [0, 9, 0, 0].repeat(2)),
        ("extensions that descend", |hello| hello.extensions = vec![0, 9, 0, 0, 0, 8, 0, 0]),
    ];
    let refused = |hello: &Hello| {
        let record = hello.record(&backend_knock());
        handshake.answer(&record, &ChainBook::new()).map(|_| ()).unwrap_err()
    };
    for (name, breach) in breaches {
        let mut hello = honest.clone();
        breach(&mut hello);
        let error = refused(&hello);
        assert!(matches!(error, HandshakeError::Malformed(_)), "{name}: {error:?}");
    }
    let mut hello = honest.clone();
    padded(&mut hello, 1);
    assert_eq!(refused(&hello), HandshakeError::Malformed(Malformed::NonzeroPadding));
    padded(&mut hello, 0);
    let record = hello.record(&backend_knock());
    assert!(handshake.answer(&record, &ChainBook::new()).is_ok(), "more padding is legal");
}
