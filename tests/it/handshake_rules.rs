//! Rules of a handshake that hold whoever speaks: what may be offered, ignored, refused, and when.

use std::time::Duration;

use waxwire::session::{
    ChainBook, Continuity, Event, Fate, FrameError, Greeting, HandshakeError, Malformed, OpenError,
    Order, Progress, Session,
};
use waxwire::session::{CloseCode, Established};
use waxwire::{Generation, Suite};

use crate::rival::{self, Answerer, Block, CLASSICAL, Dialler, Hello, backend_knock, entry};
use crate::rival::{accept, public, signing_key};
use crate::support::{AGENT, BACKEND, Handshake, agent_config, backend_config, deliver, start};

const HYBRID_ONLY: &[Suite] = &[Suite::Hybrid];
const CLASSICAL_ONLY: &[Suite] = &[Suite::Classical];
const EITHER: &[Suite] = &[Suite::Hybrid, Suite::Classical];

fn with(agent: &[Suite], backend: &[Suite]) -> Handshake {
    let agent = agent_config().with_suites(agent).unwrap();
    Handshake::new(agent, backend_config().with_suites(backend).unwrap())
}

fn classical() -> Handshake {
    with(CLASSICAL_ONLY, CLASSICAL_ONLY)
}

fn outcome(handshake: Handshake) -> Result<Suite, HandshakeError> {
    handshake.run(&mut ChainBook::new()).map(|pair| pair.agent.suite())
}

/// What the honest responder says to an honest HELLO that `edit` changed under a right knock.
fn edited(handshake: &mut Handshake, edit: impl FnOnce(&mut Hello)) -> Result<(), HandshakeError> {
    let (_, hello) = handshake.hello();
    let mut hello = Hello::parse(&hello);
    hello.padding.clear();
    edit(&mut hello);
    let record = hello.record(&backend_knock());
    handshake.answer(&record, &ChainBook::new()).map(|_| ())
}

/// What each side says to a block that `edit` changed: the responder to FINISH, the initiator to
/// REPLY.
fn blocks(edit: fn(&mut Block)) -> [Result<(), HandshakeError>; 2] {
    let mut handshake = classical();
    let dialler = Dialler::new(AGENT, BACKEND, CLASSICAL);
    let (answered, reply) = handshake.answer(&dialler.hello(), &ChainBook::new()).unwrap();
    let mut block = dialler.block(&public(&signing_key(BACKEND)));
    edit(&mut block);
    let (finish, _) = dialler.read(&reply).unwrap().finish(&block);
    let at_responder = handshake.finish(answered, &finish).map(|_| ());

    let answerer = Answerer::new(BACKEND);
    let mut block = answerer.block();
    edit(&mut block);
    let (initiator, hello) = handshake.hello();
    let (reply, _) = answerer.reply(&hello, &block);
    [at_responder, handshake.establish(initiator, &reply).map(|_| ())]
}

/// proto-spec [H-1]: whatever the suite, so that a relay sees neither it nor a gain in replies.
#[test]
fn a_hello_has_at_least_1280_bytes() {
    for (suites, expected) in [(HYBRID_ONLY, 1200..1400), (CLASSICAL_ONLY, 1280..1281)] {
        let (_, hello) = with(suites, suites).hello();
        assert!(expected.contains(&(hello.len() - 24)), "{}", hello.len());
        assert!(hello.len() - 24 >= 1280);
    }
}

/// proto-spec [H-4]: each clear field of a REPLY, by a responder that signs what it says.
#[test]
fn a_reply_that_chooses_what_was_not_offered_is_refused() {
    type Breach = fn(&mut Answerer);
    let breaches: [(&str, Breach); 9] = [
        ("version 0", |answerer| answerer.version = 0),
        ("a GREASE version", |answerer| answerer.version = 0x1a),
        ("version 2", |answerer| answerer.version = 2),
        ("another suite", |answerer| answerer.suite = Some(1)),
        ("a GREASE suite", |answerer| answerer.suite = Some(0x1a1a)),
        ("a rid that was not offered", |answerer| answerer.resume_index = 0),
        ("an impossible rid", |answerer| answerer.resume_index = 2),
        ("no link", |answerer| answerer.link = [0; 8]),
        ("a short share", |answerer| answerer.share = Some(vec![1; 31])),
    ];
    for (name, breach) in breaches {
        let mut handshake = classical();
        let mut answerer = Answerer::new(BACKEND);
        breach(&mut answerer);
        let (initiator, hello) = handshake.hello();
        let (reply, _) = answerer.reply(&hello, &answerer.block());
        let error = handshake.establish(initiator, &reply).map(|_| ()).unwrap_err();
        assert!(matches!(error, HandshakeError::Malformed(_)), "{name}: {error:?}");
    }
}

/// proto-spec [H-6]: bytes behind `fin`, lists that break their form, and a `max_record` outside
/// its table; all of it signed.
#[test]
fn a_block_that_breaks_its_layout_is_refused() {
    type Breach = fn(&mut Block);
    let breaches: [(&str, Breach); 9] = [
        ("a byte behind fin", |block| block.tail = vec![0]),
        ("half a parameter", |block| block.params = vec![0, 1, 0]),
        ("a parameter cut short", |block| block.params = vec![0, 1, 0, 2, 8]),
        ("a parameter twice", |block| block.params = entry(9, b"").repeat(2)),
        ("parameters that descend", |block| {
            block.params = [entry(9, b""), entry(8, b"")].concat();
        }),
        ("a max_record of one byte", |block| block.params = entry(1, &[8])),
        ("a max_record of three bytes", |block| block.params = entry(1, &[0, 8, 0])),
        ("a max_record of 2047", |block| block.params = entry(1, &2047_u16.to_be_bytes())),
        ("a max_record of 65520", |block| block.params = entry(1, &65520_u16.to_be_bytes())),
    ];
    for (name, breach) in breaches {
        for result in blocks(breach) {
            let error = result.unwrap_err();
            assert!(matches!(error, HandshakeError::Malformed(_)), "{name}: {error:?}");
        }
    }
    let bounds: [Breach; 2] = [
        |block| block.params = entry(1, &2048_u16.to_be_bytes()),
        |block| block.params = entry(1, &65519_u16.to_be_bytes()),
    ];
    for bound in bounds {
        assert_eq!(blocks(bound), [Ok(()), Ok(())]);
    }
}

/// proto-spec [H-7]: the classical suite is refused on either side that did not enable it, and
/// taken where both did.
#[test]
fn the_classical_suite_is_off_unless_enabled() {
    assert_eq!(outcome(Handshake::new(agent_config(), backend_config())), Ok(Suite::Hybrid));
    let refused = Err(HandshakeError::NoCommonSuite);
    assert_eq!(outcome(with(CLASSICAL_ONLY, HYBRID_ONLY)), refused);
    assert_eq!(outcome(with(HYBRID_ONLY, CLASSICAL_ONLY)), refused);
    assert_eq!(outcome(with(CLASSICAL_ONLY, CLASSICAL_ONLY)), Ok(Suite::Classical));
    assert_eq!(outcome(with(EITHER, EITHER)), Ok(Suite::Hybrid));
    let (_, hello) = Handshake::new(agent_config(), backend_config()).hello();
    assert!(!Hello::parse(&hello).suites.contains(&CLASSICAL));
}

/// proto-spec [H-7]: a HELLO whose versions hold nothing this side speaks.
#[test]
fn no_version_in_common_is_refused() {
    for versions in [vec![0x1a], vec![2, 3], vec![0]] {
        let refused = edited(&mut classical(), |hello| hello.versions = versions);
        assert_eq!(refused, Err(HandshakeError::NoCommonVersion));
    }
}

/// proto-spec [H-7], [H-33]: every side ranks the hybrid suite first, in whatever order it was told
/// of them.
#[test]
fn the_hybrid_suite_is_preferred_whatever_the_order() {
    let reversed = &[Suite::Classical, Suite::Hybrid, Suite::Classical];
    assert_eq!(outcome(with(reversed, reversed)), Ok(Suite::Hybrid));
    let (_, hello) = with(reversed, reversed).hello();
    let offered: Vec<u16> = Hello::parse(&hello).suites;
    assert_eq!(offered[1..], [1, 2]);
}

/// proto-spec [V-1]: PROTOCOL 8.24, anywhere in the lists.
#[test]
fn unknown_versions_and_suites_are_skipped() {
    for versions in [vec![1, 0x2a], vec![0xfa, 1], vec![7, 9, 1, 0x3a, 200]] {
        assert_eq!(edited(&mut classical(), |hello| hello.versions = versions), Ok(()));
    }
    for suites in [vec![2, 0x1a2a], vec![0xfafa, 2], vec![0x0003, 0x1111, 2, 0x5a5a]] {
        assert_eq!(edited(&mut classical(), |hello| hello.suites = suites), Ok(()));
    }
}

/// proto-spec [V-1]: what an initiator of ours sends is not all known to its responder.
#[test]
fn an_initiator_greases_versions_and_suites() {
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..32 {
        let mut handshake = classical();
        handshake.agent_seed = number;
        let (_, hello) = handshake.hello();
        let hello = Hello::parse(&hello);
        let reserved = |byte: u8| byte & 0x0f == 0x0a && byte >> 4 != 0;
        let greased: Vec<u8> = hello.versions.iter().copied().filter(|v| reserved(*v)).collect();
        assert_eq!(greased.len(), 1, "{:?}", hello.versions);
        let greased = |suite: &u16| suite & 0x0f0f == 0x0a0a;
        assert_eq!(hello.suites.iter().filter(|suite| greased(suite)).count(), 1);
        assert!(!greased(&hello.share_suite));
        seen.insert(hello.versions);
    }
    assert!(seen.len() > 1, "always the same");
}

/// proto-spec [V-2], [V-3]: PROTOCOL 8.24, in a HELLO.
#[test]
fn unknown_extensions_are_ignored_unless_critical() {
    for kind in [0x0002, 0x0a0a, 0x1a1a, 0x7fff] {
        let ignored = edited(&mut classical(), |hello| hello.extensions = entry(kind, b"value"));
        assert_eq!(ignored, Ok(()), "{kind:#x}");
    }
    for kind in [0x8000, 0x8001, 0x8002, 0x9a9a, 0xffff] {
        let refused = edited(&mut classical(), |hello| hello.extensions = entry(kind, b""));
        assert_eq!(refused, Err(HandshakeError::UnsupportedExtension(kind)));
    }
}

/// proto-spec [V-2], [V-3]: in the params of REPLY and FINISH.
#[test]
fn unknown_params_are_ignored_unless_critical() {
    let ignored = blocks(|block| {
        block.params = [entry(1, &[0x40, 0]), entry(0x1a1a, b"x"), entry(0x7fff, b"")].concat();
    });
    assert_eq!(ignored, [Ok(()), Ok(())]);
    let refused = blocks(|block| block.params = entry(0x8001, b""));
    assert_eq!(refused, [Err(HandshakeError::UnsupportedExtension(0x8001)); 2]);
}

/// PROTOCOL 8.19, HS-6: a relay that knows the knock strips the better suite. Without it the
/// responder does not see through, but its REPLY answers a HELLO that was never said.
#[test]
fn a_stripped_suite_ends_the_handshake() {
    let mut handshake = with(EITHER, EITHER);
    let (initiator, hello) = handshake.hello();
    let mut stripped = Hello::parse(&hello);
    stripped.suites.retain(|suite| *suite == 1);
    let stripped = stripped.record(&backend_knock());
    assert_ne!(stripped[..], hello[..]);
    let (_, reply) = handshake.answer(&stripped, &ChainBook::new()).unwrap();
    let error = handshake.establish(initiator, &reply).map(|_| ()).unwrap_err();
    assert_eq!(error, HandshakeError::Decrypt);
}

/// A share that is worse than what both can do is refused even without `fallback`.
#[test]
fn a_worse_share_than_both_can_do_is_refused() {
    let mut handshake = with(EITHER, EITHER);
    let refused = edited(&mut handshake, |hello| {
        hello.share_suite = 2;
        hello.share = vec![9; 32];
    });
    assert_eq!(refused, Err(HandshakeError::Downgrade));
}

/// proto-spec [H-31], [H-32], [H-33], [H-34]: PROTOCOL 8.20. A forged REJECT changes nothing of what
/// the next attempt offers; where the application asks for a fallback, the responder that could
/// have done better says so, and one that could not, takes it.
#[test]
fn a_forged_reject_does_not_lure_into_a_worse_suite() {
    let mut handshake = with(EITHER, EITHER);
    let (initiator, hello) = handshake.hello();
    let offered = Hello::parse(&hello);
    let body = [&[0x80, 0x04, 0, 0, 0, 9][..], &[0; 10]].concat();
    let reject = rival::record(rival::REJECT, offered.link, &body);
    let error = handshake.establish(initiator, &reject).map(|_| ()).unwrap_err();
    let (code, retry_after) = (CloseCode::Revoked, Duration::from_millis(9));
    assert_eq!(error, HandshakeError::Rejected { code, retry_after });
    let (_, again) = handshake.hello();
    assert_eq!(Hello::parse(&again), offered);

    let fallback = |backend| {
        let agent = agent_config().with_suites(EITHER).unwrap().as_fallback();
        Handshake::new(agent, backend_config().with_suites(backend).unwrap())
    };
    let (_, hello) = fallback(EITHER).hello();
    let hello = Hello::parse(&hello);
    assert!(hello.extensions.starts_with(&entry(1, b"")));
    assert_eq!((hello.share_suite, &hello.suites[1..]), (2, &[1, 2][..]));
    assert_eq!(outcome(fallback(EITHER)), Err(HandshakeError::Downgrade));
    assert_eq!(outcome(fallback(CLASSICAL_ONLY)), Ok(Suite::Classical));
    let refused = edited(&mut fallback(CLASSICAL_ONLY), |hello| hello.extensions = entry(1, b"x"));
    assert!(matches!(refused, Err(HandshakeError::Malformed(_))));
}

/// proto-spec [H-34]: a fallback that lists only the worse suite.
#[test]
fn a_fallback_that_hides_the_better_suite_is_refused() {
    let mut handshake = with(CLASSICAL_ONLY, EITHER);
    let refused = edited(&mut handshake, |hello| hello.extensions = entry(1, b""));
    assert_eq!(refused, Err(HandshakeError::Downgrade));
}

/// proto-spec [H-31]: whatever its code, REJECT ends the attempt and no more; a malformed one too.
#[test]
fn a_reject_is_no_more_than_a_time_out() {
    let mut handshake = classical();
    for code in [0x0002_u16, 0x8001, 0x8000, 0xffff, 0x1234] {
        let (initiator, hello) = handshake.hello();
        let body = [&code.to_be_bytes()[..], &[0; 14]].concat();
        let reject = rival::record(rival::REJECT, Hello::parse(&hello).link, &body);
        let error = handshake.establish(initiator, &reject).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Rejected { code: said, .. } if said.to_u16() == code)
        );
    }
    let (initiator, hello) = handshake.hello();
    let reject = rival::record(rival::REJECT, Hello::parse(&hello).link, &[1; 16]);
    let error = handshake.establish(initiator, &reject).map(|_| ()).unwrap_err();
    assert_eq!(error, HandshakeError::Malformed(Malformed::NonzeroPadding));
}

/// proto-spec: a code that this version does not know.
#[test]
fn an_unknown_close_code_is_judged_by_its_top_bit() {
    for code in 0..=u16::MAX {
        let read = CloseCode::from_u16(code);
        assert_eq!(read.to_u16(), code);
        assert_eq!(read.is_retryable(), code & 0x8000 == 0, "{code:#06x}");
    }
}

/// proto-spec [H-41]: neither side takes a message after its deadline, which no RETRY moves.
#[test]
fn nothing_is_taken_after_the_deadline() {
    let mut handshake = classical();
    let first = handshake.now;
    let (initiator, hello) = handshake.hello();
    assert_eq!(initiator.deadline(), first.instant.after(Duration::from_secs(5)));
    let (answered, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    assert_eq!(answered.deadline(), first.instant.after(Duration::from_secs(5)));
    let link = Hello::parse(&hello).link;
    let mut retry = rival::record(rival::RETRY, link, &[[0, 14].as_slice(), &[1; 14]].concat());
    let mut later = first;
    later.instant = first.instant.after(Duration::from_secs(4));
    let Ok(Progress::Again(initiator, _)) = initiator.handle(&mut retry, later) else { panic!() };
    assert_eq!(initiator.deadline(), first.instant.after(Duration::from_secs(5)));
    let (on_time, hello) = handshake.hello();
    let (_, on_time_reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    handshake.now.instant = first.instant.after(Duration::from_secs(5));
    let finish = handshake.establish(on_time, &on_time_reply).unwrap().finish;
    handshake.now.instant = handshake.now.instant.after(Duration::from_nanos(1));
    let late = handshake.establish(*initiator, &reply).map(|_| ()).unwrap_err();
    assert_eq!(late, HandshakeError::TimedOut);
    assert_eq!(handshake.finish(answered, &finish).map(|_| ()), Err(HandshakeError::TimedOut));
}

/// proto-spec [H-14]: PROTOCOL 8.83.
#[test]
fn an_export_is_whole_or_an_error() {
    let pair = crate::support::pair();
    let mut out = vec![0; 8160];
    assert!(pair.agent.export("label", b"context", &mut out).is_ok());
    let mut other = vec![0; 8160];
    pair.backend.export("label", b"context", &mut other).unwrap();
    assert_eq!(out, other);
    assert!(pair.agent.export("label", b"context", &mut vec![0; 8161]).is_err());
    assert!(pair.agent.export("label", b"context", &mut vec![0; 70_000]).is_err());
    assert!(pair.agent.export(&"l".repeat(245), b"", &mut out).is_ok());
    assert!(pair.agent.export(&"l".repeat(246), b"", &mut out).is_err());
    pair.backend.export("label", b"another", &mut other).unwrap();
    assert_ne!(out, other);
}

/// An initiator whose FINISH is out, and a responder that is about to accept it.
fn finished() -> (Handshake, Established, waxwire::session::Accepting) {
    finished_as(Continuity::Prefer)
}

fn finished_as(continuity: Continuity) -> (Handshake, Established, waxwire::session::Accepting) {
    let agent = agent_config().with_suites(CLASSICAL_ONLY).unwrap().with_continuity(continuity);
    let backend = backend_config().with_suites(CLASSICAL_ONLY).unwrap();
    let mut handshake = Handshake::new(agent, backend);
    let (initiator, hello) = handshake.hello();
    let (answered, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let established = *handshake.establish(initiator, &reply).unwrap();
    let accepting = handshake.finish(answered, &established.finish).unwrap();
    (handshake, established, accepting)
}

/// proto-spec [H-36], [H-37]: PROTOCOL 8.23. Early DATA is kept unopened up to 65536 bytes,
/// headers included, and opened behind ACCEPT.
#[test]
fn early_data_is_held_up_to_its_limit() {
    // Only one that keeps no chain says anything before ACCEPT.
    let (handshake, mut established, mut accepting) = finished_as(Continuity::Off);
    let now = handshake.now.instant;
    let record = |session: &mut Session, bytes: usize| {
        let mut record = bytes::BytesMut::new();
        session.seal_datagram(now, &vec![1; bytes - 24 - 16 - 4], &mut record).unwrap();
        assert_eq!(record.len(), bytes);
        record
    };
    for _ in 0..4 {
        assert_eq!(accepting.hold(&record(&mut established.session, 16_384)), Ok(()));
    }
    let over = record(&mut established.session, 44);
    assert_eq!(accepting.hold(&over), Err(HandshakeError::EarlyDataLimit));
    let (mut session, held) = accepting.accept(Generation::default(), handshake.now);
    assert_eq!(held.len(), 4);
    for mut record in held {
        let opened = session.open(now, &mut record).unwrap();
        assert_eq!(opened.datagrams().count(), 1);
    }
}

/// proto-spec [H-35]: what is no DATA for this link ends a handshake that waits for its decision.
#[test]
fn only_data_may_come_before_the_decision() {
    let (_, established, mut accepting) = finished();
    let link = established.finish[4..12].try_into().unwrap();
    let unexpected = Err(HandshakeError::UnexpectedRecord);
    assert_eq!(accepting.hold(&established.finish), unexpected);
    assert_eq!(accepting.hold(&rival::record(rival::NO_SESSION, link, &[0; 16])), unexpected);
    let stray = rival::record(rival::DATA, [1; 8], &[0; 16]);
    assert_eq!(accepting.hold(&stray), Err(HandshakeError::UnknownLink));
}

/// proto-spec [H-38], [H-40]: ACCEPT is the first frame of R's first record, and only it opens the
/// session of the initiator.
#[test]
fn the_responders_first_record_accepts() {
    let (handshake, established, accepting) = finished();
    let now = handshake.now.instant;
    let mut agent = established.session;
    assert!(!agent.is_open() && agent.poll_event().is_none());
    let (mut backend, _) = accepting.accept(Generation::default(), handshake.now);
    assert!(!backend.is_open());
    // Even what the application says first comes behind it.
    let mut record = bytes::BytesMut::new();
    backend.seal_datagram(now, b"first", &mut record).unwrap();
    let opened: Vec<Vec<u8>> =
        agent.open(now, &mut record).unwrap().datagrams().map(<[u8]>::to_vec).collect();
    assert_eq!(opened, [b"first"]);
    assert!(agent.is_open());
    let generation = Generation::default();
    assert_eq!(agent.poll_event(), Some(Event::Accepted { generation, resumed: false }));
}

/// An initiator's session with a responder that is a rival, and what the rival seals with.
fn with_rival() -> (Session, rival::Secrets, [u8; 8]) {
    let mut handshake = classical();
    let (initiator, hello) = handshake.hello();
    let answerer = Answerer::new(BACKEND);
    let (reply, replied) = answerer.reply(&hello, &answerer.block());
    let established = *handshake.establish(initiator, &reply).unwrap();
    let (_, secrets) = replied.read(&established.finish).unwrap();
    (established.session, secrets, replied.link)
}

/// proto-spec [H-39]: a responder that proves its keys but does not accept as it must.
#[test]
fn a_first_record_that_does_not_accept_ends_the_session() {
    let ping = [&[0x01, 0, 0, 8][..], &[0; 8]].concat();
    let (_, secrets, _) = with_rival();
    let id = secrets.session_id;
    let mut wrong = id;
    wrong[15] ^= 1;
    let first_records: [(&str, u64, Vec<u8>); 6] = [
        ("no frame", 0, Vec::new()),
        ("another frame first", 0, [ping.clone(), accept(id, 0)].concat()),
        ("not at position 0", 1, accept(id, 0)),
        ("another session", 0, accept(wrong, 0)),
        ("resumed, though nothing was", 0, accept(id, 1)),
        ("only padding", 0, vec![0; 64]),
    ];
    for (name, seq, frames) in first_records {
        let (mut session, secrets, link) = with_rival();
        let mut record = rival::data(&secrets.to_initiator, link, seq, &frames);
        let error = session.open(start().instant, &mut record).map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Frame(FrameError::Misplaced(0x13))), "{name}: {error}");
        assert_eq!(error.fate(Order::Strict), Fate::CloseSession(CloseCode::ProtocolViolation));
        assert!(!session.is_open(), "{name}");
        assert_eq!(session.poll_event(), Some(Event::Ended(CloseCode::ProtocolViolation)));
    }
    let (mut session, secrets, link) = with_rival();
    let mut record = rival::data(&secrets.to_initiator, link, 0, &accept(id, 0));
    assert!(session.open(start().instant, &mut record).is_ok() && session.is_open());
}

/// 03, section 3.10: where records overtake each other, one that came before ACCEPT is as if lost.
#[test]
fn a_record_that_overtook_accept_is_dropped_unopened() {
    let (mut session, secrets, link) = with_rival();
    session.attach(Order::Window);
    let now = start().instant;
    let ping = [&[0x01, 0, 0, 8][..], &[0; 8]].concat();
    let early = rival::data(&secrets.to_initiator, link, 1, &ping);
    let error = session.open(now, &mut early.clone()).map(|_| ()).unwrap_err();
    assert_eq!(error.fate(Order::Window), Fate::DropRecord);
    let frames = accept(secrets.session_id, 0);
    let mut first = rival::data(&secrets.to_initiator, link, 0, &frames);
    assert!(session.open(now, &mut first).is_ok() && session.is_open());
    assert!(session.open(now, &mut early.clone()).is_ok(), "it was not marked");
}

/// proto-spec [H-35], [P-2]: NO_SESSION has no place before ACCEPT, and none at a responder.
#[test]
fn no_session_is_only_for_an_accepted_initiator() {
    let (mut session, _, _) = with_rival();
    let mut record = rival::record(rival::NO_SESSION, [9; 8], &[0; 16]);
    let error = session.open(start().instant, &mut record).map(|_| ()).unwrap_err();
    assert_eq!(error, OpenError::UnexpectedRecord);

    let mut pair = crate::support::pair();
    let foreign = Hello::parse(&pair.hello).link;
    let own = pair.backend.link().to_bytes();
    for (link, expected) in [(foreign, OpenError::UnknownLink), (own, OpenError::UnexpectedRecord)]
    {
        let mut record = rival::record(rival::NO_SESSION, link, &[0; 16]);
        let error = pair.backend.open(start().instant, &mut record).map(|_| ()).unwrap_err();
        assert_eq!(error, expected);
    }
}

/// proto-spec [P-2], [P-3]: a wrong token changes nothing; the right one ends the session at once.
#[test]
fn only_the_token_of_accept_loses_a_session() {
    let (mut session, secrets, link) = with_rival();
    let now = start().instant;
    let frames = accept(secrets.session_id, 0);
    session.open(now, &mut rival::data(&secrets.to_initiator, link, 0, &frames)).unwrap();
    assert!(matches!(session.poll_event(), Some(Event::Accepted { .. })));
    for bit in 0..128 {
        let mut token = [3; 16];
        token[bit / 8] ^= 1 << (bit % 8);
        let mut record = rival::record(rival::NO_SESSION, [9; 8], &token);
        let _ = session.open(now, &mut record);
        assert!(session.is_open() && session.poll_event().is_none());
    }
    let mut other_link = rival::record(rival::NO_SESSION, [8; 8], &[3; 16]);
    assert!(session.open(now, &mut other_link).is_err() && session.is_open());
    let mut record = rival::record(rival::NO_SESSION, [9; 8], &[3; 16]);
    assert!(session.open(now, &mut record).is_ok());
    assert!(session.is_closed());
    assert_eq!(session.poll_event(), Some(Event::SessionLost));
}

/// proto-spec [H-35]: HS-8. A finished session takes no handshake record; it keeps its keys.
#[test]
fn a_handshake_record_in_a_session_is_unexpected() {
    let mut pair = crate::support::pair();
    let now = start().instant;
    for message in [&pair.hello, &pair.reply, &pair.finish] {
        for session in [&mut pair.agent, &mut pair.backend] {
            let error = session.open(now, &mut message.to_vec()).map(|_| ()).unwrap_err();
            let hello = message[4..12] == [0; 8];
            let expected = if hello || message[4..12] == session.link().to_bytes() {
                OpenError::UnexpectedRecord
            } else {
                OpenError::UnknownLink
            };
            assert_eq!(error, expected);
            assert_eq!(error.fate(Order::Strict), Fate::DropAttachment);
        }
    }
    pair.agent.ping(1);
    deliver(&mut pair.agent, &mut pair.backend, now);
    assert!(pair.agent.is_open() && pair.backend.is_open());
}

/// proto-spec [H-41]: a HELLO that a responder reads starts its deadline, not the clock of the peer.
#[test]
fn a_responder_counts_from_what_it_was_told() {
    let mut handshake = classical();
    let (_, hello) = handshake.hello();
    let later = handshake.now.instant.after(Duration::from_secs(100));
    let greeting = Greeting::receive(handshake.backend.clone(), &hello, later).unwrap();
    handshake.now.instant = later;
    let seed = crate::support::seed(12);
    let (answered, _) = greeting.answer(&ChainBook::new(), &seed, handshake.now).unwrap();
    assert_eq!(answered.deadline(), later.after(Duration::from_secs(5)));
}
