//! Thieves who hold the session's keys, and what they can still do after a rekey.

use bytes::BytesMut;

use super::rig::{
    Ends, agent_config, at, backend_config, carry, datagram, ends, ends_of, events, forge, frame,
    open, seed, settled, talk,
};
use crate::crypto::{Secret, Suite, extract};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::BAD_SIGNATURES;
use crate::session::receiving::Receiving;
use crate::session::sealed::Session;
use crate::session::sending::Sending;
use crate::session::{CloseCode, Event, FrameError, OpenError, Order, RekeyError};
use crate::wire::FrameKind;

/// Whoever copied the process's memory: it reads along as the receiver does.
struct Thief(Receiving);

impl Thief {
    fn of(victim: &Session) -> Self {
        Self(Receiving::new(victim.sending.dangerous_secret()))
    }

    fn reads(&mut self, record: &BytesMut, seconds: u64) -> bool {
        let mut record = record.clone();
        let header = Header::of_record(&record).unwrap();
        let (front, sealed) = record.split_at_mut(HEADER_BYTES);
        self.0.open(at(seconds), &header, front, sealed, |_| true).is_ok()
    }
}

/// A rekey heals a session whose keys were stolen: the thief reads on through ordinary epochs, and
/// nothing after the rekey. Attack 65.
#[test]
fn a_rekey_shuts_out_a_thief_of_the_keys() {
    for suite in [Suite::Hybrid, Suite::Classical] {
        let mut ends = of_suite(suite);
        let mut thieves = [Thief::of(&ends.agent), Thief::of(&ends.backend)];
        let stolen_root = ends.agent.rekey.dangerous_root();
        pass(&mut ends, &mut thieves, 1, true);
        pass(&mut ends, &mut thieves, 70, true);
        pass(&mut ends, &mut thieves, 140, true);
        assert!(ends.agent.sending.epoch() >= 2, "ordinary steps do not shut a thief out");
        let epoch = ends.agent.sending.epoch();

        rekey(&mut ends, 141);

        assert_eq!(ends.agent.sending.epoch(), epoch + 1);
        // Not even with the root before and all that was said: the exchanged secret is missing.
        let (_, transcript) = ends.agent.rekey.dangerous_root();
        for material in [&[][..], &[0; 32], &[0; 64]] {
            let guess = extract(stolen_root.0.bytes(), material).derive("i ap", &transcript.0);
            assert_ne!(guess.bytes(), ends.agent.sending.dangerous_secret().bytes());
        }
        pass(&mut ends, &mut thieves, 142, false);
        pass(&mut ends, &mut thieves, 210, false);
        assert!(ends.agent.sending.epoch() > epoch + 1);
    }
}

/// An active thief: what it seals under stolen keys does not open after the rekey.
#[test]
fn a_thief_seals_nothing_that_opens_after_a_rekey() {
    let mut ends = ends();
    let mut thief = Sending::new(ends.agent.sending.dangerous_secret());
    thief.dangerous_jump(1_000);
    let link = ends.backend.link;
    let mut seal = |epochs: u32| {
        let mut record = BytesMut::zeroed(HEADER_BYTES);
        record.extend_from_slice(&frame(0x14, 0, b"forged"));
        while thief.epoch() < epochs {
            thief.rekey(thief.dangerous_secret().derive("upd", b""));
            thief.prepare(at(0));
        }
        let tag = thief.seal(link, at(0), &mut record);
        record.extend_from_slice(&tag);
        record
    };
    ends.backend.attach(Order::Window);
    let forged = seal(0);
    assert_eq!(open(&mut ends.backend, &forged), Ok(vec![b"forged".to_vec()]), "it holds the keys");
    rekey(&mut ends, 1);
    for epoch in [1, 2] {
        assert_eq!(ends.backend.receiving.epoch(), 1);
        let forged = seal(epoch);
        assert_eq!(open(&mut ends.backend, &forged), Err(OpenError::Forged), "epoch {epoch}");
    }
}

/// proto-spec [S-7]: a thief of the keys, who lacks the identity, cannot rekey for itself.
#[test]
fn a_rekey_that_the_peer_did_not_sign_changes_nothing() {
    let mut ends = ends();
    let mut stranger = foreign();
    stranger.agent.provide_seed(at(0), &seed(41));
    let mut record = super::rig::transmit(&mut stranger.agent, at(0)).unwrap();
    let plaintext = plaintext_of(&mut stranger.backend, &mut record);
    let before = ends.backend.receiving.epoch();

    let record = forge(&mut ends.agent, &plaintext);
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![]));

    assert_eq!(events(&mut ends.backend), [Event::RekeyFailed(RekeyError::BadSignature)]);
    ends.backend.provide_seed(at(0), &seed(42));
    assert!(super::rig::transmit(&mut ends.backend, at(0)).is_none(), "it is not answered");
    let record = datagram(&mut ends.agent, at(0), b"on");
    assert_eq!(open(&mut ends.backend, &record), Ok(vec![b"on".to_vec()]));
    assert_eq!(ends.backend.receiving.epoch(), before);
    rekey(&mut ends, 1);
    assert_eq!(ends.backend.receiving.epoch(), before + 1, "an honest one is still answered");
}

/// proto-spec [S-7]: a response that the responder did not sign is dropped, and the exchange goes
/// on until the honest one comes.
#[test]
fn a_response_that_the_peer_did_not_sign_changes_nothing() {
    let mut ends = ends();
    ends.agent.provide_seed(at(0), &seed(41));
    carry(&mut ends.agent, &mut ends.backend, at(0));
    ends.backend.provide_seed(at(0), &seed(42));
    let mut honest = super::rig::transmit(&mut ends.backend, at(0)).unwrap();
    let plaintext = plaintext_of(&mut ends.agent, &mut honest);
    for flipped in [4 + 3 + 4, plaintext.len() - 1] {
        let mut ends = ends_with_offer();
        let mut forged = plaintext.clone();
        forged[flipped] ^= 1;
        let record = forge(&mut ends.backend, &forged);
        assert_eq!(open(&mut ends.agent, &record), Ok(vec![]));
        let said = events(&mut ends.agent);
        assert_eq!(said, [Event::RekeyFailed(RekeyError::BadSignature)], "{flipped}");
        assert_eq!(ends.agent.sending.epoch(), 0);
        ends.backend.provide_seed(at(0), &seed(42));
        talk(&mut ends, at(0));
        assert_eq!(events(&mut ends.agent), [Event::Rekeyed], "the honest answer still counts");
    }
}

/// proto-spec [S-21]: the eighth REKEY or REKEY_RESP that the peer did not sign ends the session, the
/// seventh does not.
#[test]
fn too_many_unsigned_rekeys_end_the_session() {
    for from_agent in [true, false] {
        let mut ends = if from_agent { ends() } else { ends_with_offer() };
        let frame = match from_agent {
            true => unsigned(&ends.agent, FrameKind::Rekey, 1_216),
            false => unsigned(&ends.backend, FrameKind::RekeyResponse, 1_120),
        };
        let Ends { agent, backend } = &mut ends;
        let (from, to) = if from_agent { (agent, backend) } else { (backend, agent) };
        events(to);
        for _ in 1..BAD_SIGNATURES {
            let record = forge(from, &frame);
            assert_eq!(open(to, &record), Ok(vec![]));
            assert_eq!(events(to), [Event::RekeyFailed(RekeyError::BadSignature)]);
        }
        let record = forge(from, &frame);
        assert_eq!(open(to, &record), Err(OpenError::BadSignatures));
        super::rig::assert_ends(to, from, CloseCode::ProtocolViolation);
    }
}

/// proto-spec [F-8]: a record holds one frame of each type that is signed, so it costs one check of
/// a signature for each at most. Which are good is not asked.
#[test]
fn a_record_with_two_signed_frames_of_a_type_is_refused_unchecked() {
    for (from_agent, kind) in [(true, 0x0a), (false, 0x0b), (true, 0x0f), (false, 0x0f)] {
        let mut ends = if kind == 0x0b { ends_with_offer() } else { ends() };
        let frame = match kind {
            0x0a => unsigned(&ends.agent, FrameKind::Rekey, 1_216),
            0x0b => unsigned(&ends.backend, FrameKind::RekeyResponse, 1_120),
            _ => frame(kind, 0, &[&[0, 1, 2][..], &[0; 64]].concat()),
        };
        let Ends { agent, backend } = &mut ends;
        let (from, to) = if from_agent { (agent, backend) } else { (backend, agent) };
        events(to);
        let record = forge(from, &[&frame[..], b"\x01\0\0\x08pingping", &frame].concat());
        assert_eq!(open(to, &record), Err(FrameError::Repeated(kind).into()));
        assert_eq!(events(to), [Event::Ended(CloseCode::ProtocolViolation)]);
    }
}

/// A rekey frame that fits in everything but its signature.
fn unsigned(sender: &Session, kind: FrameKind, share: usize) -> Vec<u8> {
    let mut frame = sender.signed_frame(kind, 1, &vec![7; share], &[b"another exchange"]).to_vec();
    *frame.last_mut().unwrap() ^= 1;
    frame
}

/// proto-spec [S-8]: a rekey frame of the wrong side or epoch, or with a share of another length,
/// ends the session.
#[test]
fn a_rekey_frame_that_may_not_come_ends_the_session() {
    let share = |kind: u8, epoch: u32, bytes: u16| {
        let body = [&epoch.to_be_bytes()[..], &bytes.to_be_bytes()].concat();
        frame(kind, 0, &[&body[..], &vec![0; usize::from(bytes) + 64]].concat())
    };
    for (from_agent, plaintext) in [
        (false, share(0x0a, 1, 1_216)),
        (true, share(0x0b, 1, 1_120)),
        (true, frame(0x0a, 1, b"")),
        (true, share(0x0a, 2, 1_216)),
        (true, share(0x0a, u32::MAX, 1_216)),
        (true, share(0x0a, 1, 1_215)),
        (true, share(0x0a, 1, 32)),
    ] {
        let mut ends = ends();
        let Ends { agent, backend } = &mut ends;
        let (from, to) = if from_agent { (agent, backend) } else { (backend, agent) };
        let record = forge(from, &plaintext);
        let refused = open(to, &record);
        assert!(matches!(refused, Err(OpenError::Frame(_))), "{refused:?}");
        super::rig::assert_ends(to, from, CloseCode::ProtocolViolation);
    }
    for (epoch, bytes) in [(2, 1_120), (1, 32)] {
        let mut ends = ends_with_offer();
        let record = forge(&mut ends.backend, &share(0x0b, epoch, bytes));
        let refused = open(&mut ends.agent, &record);
        assert!(matches!(refused, Err(OpenError::Frame(_))), "{refused:?}");
    }
    // What others overtook is a copy of an exchange that is over.
    let mut ends = ends_with_offer();
    let record = forge(&mut ends.backend, &share(0x0b, 0, 1_120));
    assert!(open(&mut ends.agent, &record).is_ok());
    let record = forge(&mut ends.agent, &share(0x0a, 0, 1_216));
    assert!(open(&mut ends.backend, &record).is_ok());
}

/// Both ends after the agent's REKEY came to the backend.
fn ends_with_offer() -> Ends {
    let mut ends = ends();
    ends.agent.provide_seed(at(0), &seed(41));
    carry(&mut ends.agent, &mut ends.backend, at(0));
    ends
}

/// Two ends whose agent has another identity.
fn foreign() -> Ends {
    use super::rig::{identity, realm};
    use crate::ids::{PeerId, Role};
    use crate::session::{Config, Pinned};
    let [agent, backend] = [3, 2].map(|number| identity(number).public_key().fingerprint());
    let peer = |name: &str| PeerId::new(name).unwrap();
    let pins = Pinned::one(peer("backend"), Role::Backend, backend);
    let agent_config = Config::agent(realm(), identity(3)).peer(pins);
    let pins = Pinned::one(peer("agent"), Role::Agent, agent);
    settled(ends_of(agent_config, Config::backend(realm(), identity(2)).peer(pins)))
}

fn of_suite(suite: Suite) -> Ends {
    let [agent, backend] = [agent_config(), backend_config()];
    let suites = [suite];
    settled(ends_of(agent.with_suites(&suites).unwrap(), backend.with_suites(&suites).unwrap()))
}

/// Runs a whole rekey at `seconds`.
fn rekey(ends: &mut Ends, seconds: u64) {
    ends.agent.provide_seed(at(seconds), &seed(51));
    talk(ends, at(seconds));
    assert!(events(&mut ends.backend).contains(&Event::WantsSeed));
    ends.backend.provide_seed(at(seconds), &seed(52));
    talk(ends, at(seconds));
    assert!(events(&mut ends.backend).contains(&Event::Rekeyed));
    assert!(events(&mut ends.agent).contains(&Event::Rekeyed));
}

/// One record each way at `seconds`, past the thieves; both ends open theirs.
fn pass(ends: &mut Ends, thieves: &mut [Thief; 2], seconds: u64, readable: bool) {
    let Ends { agent, backend } = ends;
    let [of_agent, of_backend] = thieves;
    for _ in 0..2 {
        let record = datagram(agent, at(seconds), b"secret");
        assert_eq!(of_agent.reads(&record, seconds), readable, "agent's, at {seconds} s");
        backend.open(at(seconds), &mut record.clone()).unwrap();
        let record = datagram(backend, at(seconds), b"secret");
        assert_eq!(of_backend.reads(&record, seconds), readable, "backend's, at {seconds} s");
        agent.open(at(seconds), &mut record.clone()).unwrap();
    }
}

/// The plaintext of a record, as its receiver opens it.
fn plaintext_of(to: &mut Session, record: &mut BytesMut) -> Vec<u8> {
    let header = Header::of_record(record).unwrap();
    let (front, sealed) = record.split_at_mut(HEADER_BYTES);
    to.receiving.open(at(0), &header, front, sealed, |_| true).unwrap();
    sealed[..sealed.len() - 16].to_vec()
}

/// Guards the tests above: a thief with the right key does read.
#[test]
fn a_thief_with_the_right_secret_reads() {
    let mut ends = ends();
    let secret: Secret = ends.agent.sending.dangerous_secret();
    let record = datagram(&mut ends.agent, at(0), b"secret");
    assert!(Thief(Receiving::new(secret)).reads(&record, 0));
    assert!(!Thief(Receiving::new(Secret::new([1; 32]))).reads(&record, 0));
}
