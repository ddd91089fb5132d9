//! Chains: what the next handshake proves of the last one, in every window that a crash can leave.

use std::time::Duration;

use waxwire::session::{
    Answered, ChainBook, CloseCode, Config, Continuity, Established, Event, HandshakeError,
    InitiatorChain, Knock, Pinned, SealError, Session,
};
use waxwire::{Generation, Role, Suite, UnixTime};

use crate::rival::{self, Answerer, CLASSICAL, Dialler, Hello, public, signing_key};
use crate::support::{
    AGENT, BACKEND, Handshake, agent_config, backend_config, deliver, fingerprint, identity,
    peer_id, realm, sealed, start,
};

const OTHER: u8 = 3;
const NONE: u8 = 0xff;

/// How far a handshake gets before everything stops.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Until {
    /// HELLO was answered.
    Replied,
    /// I stored `next`; FINISH is lost.
    NextStored,
    /// R stored; ACCEPT is lost.
    Advanced,
    /// ACCEPT arrived; I died before it promoted.
    Accepted,
    /// I promoted; nothing of it reached R.
    Promoted,
    /// R opened DATA; died before it stored that.
    Opened,
    /// All of it.
    Confirmed,
}

/// What both sides have on disk.
struct World {
    chain: Option<InitiatorChain>,
    book: ChainBook,
    agent: Continuity,
    backend: Continuity,
    unix: UnixTime,
    backend_unix: UnixTime,
    round: u8,
}

/// A handshake that came about.
#[derive(Debug)]
struct Outcome {
    /// resume_index of the REPLY.
    index: u8,
    generation: Generation,
}

impl World {
    fn new() -> Self {
        Self {
            chain: None,
            book: ChainBook::new(),
            agent: Continuity::Prefer,
            backend: Continuity::Prefer,
            unix: start().unix,
            backend_unix: start().unix,
            round: 100,
        }
    }

    /// After a first handshake that nothing disturbed.
    fn known() -> Self {
        let mut world = Self::new();
        assert_eq!(world.run(Until::Confirmed).unwrap().index, NONE);
        world
    }

    fn handshake(&mut self) -> Handshake {
        self.round += 2;
        let quick = |config: Config| config.with_suites(&[Suite::Classical]).unwrap();
        let mut handshake = Handshake::new(
            quick(agent_config()).with_continuity(self.agent),
            quick(backend_config()).with_continuity(self.backend),
        );
        (handshake.agent_seed, handshake.backend_seed) = (self.round, self.round + 1);
        handshake.chain = self.stored();
        handshake.now.unix = self.unix;
        handshake
    }

    /// The chain as a process reads it that starts again.
    fn stored(&self) -> Option<InitiatorChain> {
        let bytes = self.chain.as_ref().map(InitiatorChain::to_bytes);
        bytes.map(|bytes| InitiatorChain::from_bytes(&bytes).unwrap())
    }

    fn run(&mut self, until: Until) -> Result<Outcome, HandshakeError> {
        let mut handshake = self.handshake();
        let now = handshake.now;
        let (initiator, hello) = handshake.hello();
        handshake.now.unix = self.backend_unix;
        let (answered, reply) = handshake.answer(&hello, &self.book)?;
        let mut outcome = Outcome { index: reply[27], generation: Generation::default() };
        handshake.now.unix = self.unix;
        if until == Until::Replied {
            return Ok(outcome);
        }
        let established = *handshake.establish(initiator, &reply)?;
        let (mut agent, finish) = (established.session, established.finish);
        self.chain = Some(established.chain);
        if until == Until::NextStored {
            return Ok(outcome);
        }
        let accepting = handshake.finish(answered, &finish)?;
        let succession = accepting.succession();
        let generation = self.book.advance(succession, self.backend, self.backend_unix)?;
        outcome.generation = generation;
        if until == Until::Advanced {
            return Ok(outcome);
        }
        let (mut backend, _) = accepting.accept(generation, now);
        deliver(&mut backend, &mut agent, now.instant);
        let resumed = outcome.index != NONE;
        assert_eq!(agent.poll_event(), Some(Event::Accepted { generation, resumed }));
        assert!(agent.is_resumed() == resumed && backend.is_resumed() == resumed);
        if until == Until::Accepted {
            return Ok(outcome);
        }
        self.chain = self.chain.take().map(InitiatorChain::promoted);
        if until == Until::Promoted {
            return Ok(outcome);
        }
        let mut record = sealed(&mut agent, now.instant, b"late");
        backend.open(now.instant, &mut record).unwrap();
        if until == Until::Confirmed {
            self.confirm(&mut backend, generation);
        }
        Ok(outcome)
    }

    /// A handshake whose `next` is stored and whose FINISH is under way.
    fn set_out(&mut self) -> (Handshake, Answered, Box<Established>) {
        let mut handshake = self.handshake();
        let (initiator, hello) = handshake.hello();
        let (answered, reply) = handshake.answer(&hello, &self.book).unwrap();
        let established = handshake.establish(initiator, &reply).unwrap();
        self.chain = Some(established.chain.duplicate());
        (handshake, answered, established)
    }

    /// Its FINISH arrives, and nothing comes back. Returns the session that I gave up.
    fn arrive(
        &mut self,
        (handshake, answered, established): (Handshake, Answered, Box<Established>),
    ) -> Result<(Generation, Session), HandshakeError> {
        let accepting = handshake.finish(answered, &established.finish)?;
        let generation = self.book.advance(accepting.succession(), self.backend, self.unix)?;
        Ok((generation, established.session))
    }

    fn confirm(&mut self, backend: &mut Session, generation: Generation) {
        assert_eq!(backend.poll_event(), Some(Event::Confirmed));
        self.book.confirm(identity(AGENT).public_key(), generation);
    }

    /// The newest secret on I's disk.
    fn secret(&self) -> rival::Key {
        let bytes = self.chain.as_ref().unwrap().to_bytes();
        bytes[41..73].try_into().unwrap()
    }

    /// How many rids the next HELLO offers.
    fn offered(&mut self) -> usize {
        let (_, hello) = self.handshake().hello();
        Hello::parse(&hello).resume.len()
    }
}

/// proto-spec [C-1], [C-2], [C-3], [C-5], [C-7], [C-9]: PROTOCOL 8.31, rows 1 to 4 and 6 to 8 of 05, section
/// 5.4. Wherever the last handshake was cut, the next one resumes, with the chain the table says.
#[test]
fn a_handshake_cut_anywhere_is_resumed() {
    let rows = [
        (Until::Replied, 1, 0),
        (Until::NextStored, 2, 1),
        (Until::Advanced, 2, 0),
        (Until::Accepted, 2, 0),
        (Until::Promoted, 1, 0),
        (Until::Opened, 1, 0),
        (Until::Confirmed, 1, 0),
    ];
    for policy in [Continuity::Prefer, Continuity::Require] {
        for (cut, offered, index) in rows {
            let mut world = World::known();
            (world.agent, world.backend) = (policy, policy);
            world.run(cut).unwrap();
            assert_eq!(world.offered(), offered, "{cut:?}");
            let outcome = world.run(Until::Confirmed).unwrap();
            assert_eq!(outcome.index, index, "{cut:?}");
            // And it goes on from there.
            assert_eq!(world.run(Until::Confirmed).unwrap().index, 0, "{cut:?}");
        }
    }
}

/// proto-spec [C-1], [C-9]: any two cuts in a row.
#[test]
fn a_handshake_cut_twice_is_resumed() {
    use Until::{Accepted, Advanced, Confirmed, NextStored, Opened, Promoted, Replied};
    let cuts = [Replied, NextStored, Advanced, Accepted, Promoted, Opened, Confirmed];
    for first in cuts {
        for second in cuts {
            let mut world = World::known();
            world.run(first).unwrap();
            assert_ne!(world.run(second).unwrap().index, NONE, "{first:?}, {second:?}");
            assert_ne!(world.run(Confirmed).unwrap().index, NONE, "{first:?}, {second:?}");
        }
    }
}

/// proto-spec [C-9]: row 4. I lost what it stored last, and R never heard it confirm.
#[test]
fn the_previous_chain_serves_while_the_current_one_is_unconfirmed() {
    let mut world = World::known();
    let before = world.stored();
    world.run(Until::Advanced).unwrap();
    world.chain = before;
    assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
}

/// proto-spec [C-10]: PROTOCOL 8.32, row 9. Two copies of one disk reconnect; the second is found
/// out, the chain does not move, and the first goes on.
#[test]
fn a_cloned_chain_is_found_out() {
    let mut world = World::known();
    let copy = world.stored();
    world.run(Until::Confirmed).unwrap();
    let original = world.stored();
    for _ in 0..2 {
        world.chain = copy.as_ref().map(InitiatorChain::duplicate);
        // A HELLO proves nothing, so it is answered as any other.
        assert_eq!(world.run(Until::Replied).unwrap().index, 0);
        assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeForked);
    }
    world.chain = original;
    assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
}

/// proto-spec [C-10]: the clone said HELLO before the chain was confirmed and FINISH after: it is
/// judged by what holds when the chain would move.
#[test]
fn a_clone_does_not_win_by_starting_early() {
    let mut world = World::known();
    let copy = world.stored();
    let generation = world.run(Until::Advanced).unwrap().generation;
    let mut clone = world.handshake();
    clone.chain = copy;
    let (initiator, hello) = clone.hello();
    let (answered, reply) = clone.answer(&hello, &world.book).unwrap();
    world.book.confirm(identity(AGENT).public_key(), generation);
    let established = clone.establish(initiator, &reply).unwrap();
    let accepting = clone.finish(answered, &established.finish).unwrap();
    let moved = world.book.advance(accepting.succession(), Continuity::Prefer, world.unix);
    assert_eq!(moved, Err(HandshakeError::ResumeForked));
}

/// proto-spec [C-12]: rows 10 and 11, by policy. A copy too old to be told apart, and a responder
/// that lost its store.
#[test]
fn an_unknown_chain_is_judged_by_policy() {
    let old_copy = || {
        let mut world = World::known();
        let copy = world.stored();
        world.run(Until::Confirmed).unwrap();
        world.run(Until::Confirmed).unwrap();
        world.chain = copy;
        world
    };
    let mut world = old_copy();
    assert_eq!(world.run(Until::Confirmed).unwrap().index, NONE);
    let mut world = old_copy();
    world.agent = Continuity::Require;
    assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);
    let mut world = old_copy();
    world.backend = Continuity::Require;
    assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);

    let lost_store = || World { book: ChainBook::new(), ..World::known() };
    assert_eq!(lost_store().run(Until::Confirmed).unwrap().index, NONE);
    let mut world = lost_store();
    world.backend = Continuity::Require;
    assert_eq!(world.run(Until::Confirmed).unwrap().index, NONE);
    let mut world = lost_store();
    world.agent = Continuity::Require;
    assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);
}

/// Rows 12 and 13: a first contact that was cut, under the strictest policy that allows one.
#[test]
fn a_first_contact_that_was_cut_is_taken_up() {
    let mut world = World::new();
    world.backend = Continuity::Require;
    assert_eq!(world.run(Until::NextStored).unwrap().index, NONE);
    assert_eq!(world.run(Until::Confirmed).unwrap().index, NONE);
    let mut world = World::new();
    (world.agent, world.backend) = (Continuity::Require, Continuity::Require);
    assert_eq!(world.run(Until::Advanced).unwrap().index, NONE);
    assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
}

/// proto-spec [C-12]: who stole the signing key and no chain, meets a responder that requires one.
#[test]
fn a_stolen_key_without_its_chain_is_refused_where_it_is_required() {
    let mut world = World::known();
    world.backend = Continuity::Require;
    let mine = world.chain.take();
    assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);
    world.chain = mine;
    assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
}

/// 05, section 5.5: off offers nothing, takes nothing and stores nothing, at either side.
#[test]
fn continuity_off_leaves_no_trace() {
    let mut world = World::known();
    world.agent = Continuity::Off;
    assert_eq!(world.offered(), 0);
    let mut world = World::known();
    world.backend = Continuity::Off;
    let outcome = world.run(Until::Confirmed).unwrap();
    assert_eq!((outcome.index, outcome.generation.get()), (NONE, 0));
    let mut world = World::new();
    world.backend = Continuity::Off;
    world.run(Until::Confirmed).unwrap();
    assert!(world.book.is_empty());
}

/// The first generation is 1, and each handshake counts one.
#[test]
fn generations_count_handshakes() {
    let mut world = World::new();
    for expected in 1..=4 {
        assert_eq!(world.run(Until::Confirmed).unwrap().generation.get(), expected);
    }
    world.chain = None;
    assert_eq!(world.run(Until::Confirmed).unwrap().generation.get(), 5);
    assert_eq!(world.book.len(), 1);
}

/// proto-spec [C-5]: PROTOCOL 8.3. A rid that R knows, by someone who does not know its chain; and
/// the list of two, of which only the second is known.
#[test]
fn a_wrong_binder_is_refused() {
    let mut world = World::known();
    let chain = world.secret();
    let handshake = world.handshake();
    let answer = |hello: &Hello| {
        let record = hello.record(&rival::backend_knock());
        handshake.answer(&record, &world.book).map(|(_, reply)| reply[27])
    };
    let mut honest = Dialler::new(AGENT, BACKEND, CLASSICAL).hello;
    honest.offer(&chain);
    assert_eq!(answer(&honest), Ok(0));
    for bit in 0..256 {
        let mut hello = honest.clone();
        hello.resume[0].1[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(answer(&hello), Err(HandshakeError::ResumeBinder));
    }
    // The binder covers what stands before it.
    let mut hello = honest.clone();
    hello.random[0] ^= 1;
    assert_eq!(answer(&hello), Err(HandshakeError::ResumeBinder));

    let mut second = Dialler::new(AGENT, BACKEND, CLASSICAL).hello;
    second.resume.push(([1; 16], [2; 32]));
    second.offer(&chain);
    assert_eq!(answer(&second), Ok(1));
    let mut unknown = Dialler::new(AGENT, BACKEND, CLASSICAL).hello;
    unknown.resume = vec![([1; 16], [2; 32]), ([3; 16], [4; 32])];
    assert_eq!(answer(&unknown), Ok(NONE));
}

/// proto-spec [C-3]: the newest first, each with the binder that the pages give it.
#[test]
fn two_chains_are_offered_newest_first() {
    let mut world = World::known();
    let current = world.secret();
    world.run(Until::NextStored).unwrap();
    let next = world.secret();
    let (_, hello) = world.handshake().hello();
    let said = Hello::parse(&hello);
    let expected =
        [next, current].map(|chain| (rival::xl(&chain, "rid", b""), said.binder(&chain)));
    assert_eq!(said.resume, expected);
}

/// PROTOCOL 8.3: a responder that holds the signing key, but not the chain it claims to resume; and
/// one that has both.
#[test]
fn a_responder_without_the_chain_cannot_resume_it() {
    for knows in [false, true] {
        let mut world = World::known();
        let mut answerer = Answerer::new(BACKEND);
        answerer.resume_index = 0;
        if knows {
            answerer.setting.chain = world.secret();
        }
        let mut handshake = world.handshake();
        let (initiator, hello) = handshake.hello();
        let (reply, _) = answerer.reply(&hello, &answerer.block());
        let established = handshake.establish(initiator, &reply).map(|_| ());
        let expected = if knows { Ok(()) } else { Err(HandshakeError::Decrypt) };
        assert_eq!(established, expected);
    }
}

/// proto-spec [C-11]: AUTH-5. A chain that was left with another key, at each side.
#[test]
fn a_chain_of_another_identity_is_refused() {
    let mut world = World::known();
    let chain = world.secret();
    let pins = Pinned::one(peer_id("agent"), Role::Agent, fingerprint(AGENT));
    let pins = pins.and(peer_id("other"), Role::Agent, fingerprint(OTHER));
    let backend = Config::backend(realm(), identity(BACKEND)).peer(pins);
    let backend = backend.with_suites(&[Suite::Classical]).unwrap();
    let mut handshake = world.handshake();
    handshake.backend = std::sync::Arc::new(backend);
    let mut thief = Dialler::new(OTHER, BACKEND, CLASSICAL);
    thief.hello.offer(&chain);
    thief.setting.chain = chain;
    let (answered, reply) = handshake.answer(&thief.hello(), &world.book).unwrap();
    let heard = thief.read(&reply).unwrap();
    assert_eq!(heard.resumed, 0);
    let (finish, _) = heard.finish(&thief.block(&public(&signing_key(BACKEND))));
    let verdict = handshake.finish(answered, &finish).map(|_| ());
    assert_eq!(verdict, Err(HandshakeError::ResumeForeign));

    let both = || {
        let pins = Pinned::one(peer_id("backend"), Role::Backend, fingerprint(BACKEND));
        let pins = pins.and(peer_id("other"), Role::Backend, fingerprint(OTHER));
        let knock = Knock::fingerprint(&fingerprint(BACKEND));
        let agent = Config::agent(realm(), identity(AGENT)).peer(pins).with_knock(knock).unwrap();
        agent.with_suites(&[Suite::Classical]).unwrap()
    };
    let mut handshake = world.handshake();
    handshake.agent = std::sync::Arc::new(both());
    let (initiator, hello) = handshake.hello();
    let mut other = Answerer::new(OTHER);
    (other.resume_index, other.setting.chain) = (0, chain);
    let (reply, _) = other.reply(&hello, &other.block());
    let verdict = handshake.establish(initiator, &reply).map(|_| ());
    assert_eq!(verdict, Err(HandshakeError::ResumeForeign));

    // Without it, the other responder is a first contact, whatever is required of the known one.
    let mut handshake = world.handshake();
    handshake.agent = std::sync::Arc::new(both().with_continuity(Continuity::Require));
    let (initiator, hello) = handshake.hello();
    other.resume_index = NONE;
    other.setting.chain = [0; 32];
    let (reply, _) = other.reply(&hello, &other.block());
    assert!(handshake.establish(initiator, &reply).is_ok());
}

/// proto-spec [C-6]: PROTOCOL 8.30. A HELLO answered a hundred times moves nothing.
#[test]
fn a_replayed_hello_uses_up_no_chain() {
    let mut world = World::known();
    let mut recorded = world.handshake();
    let (_, hello) = recorded.hello();
    for number in 0..100 {
        recorded.backend_seed = number;
        assert_eq!(recorded.answer(&hello, &world.book).unwrap().1[27], 0);
    }
    assert_eq!(world.book.len(), 1);
    let outcome = world.run(Until::Confirmed).unwrap();
    assert_eq!((outcome.index, outcome.generation.get()), (0, 2));
    // Its chain is the previous one now; it proves nothing before FINISH.
    assert_eq!(recorded.answer(&hello, &world.book).unwrap().1[27], 0);
    world.run(Until::Confirmed).unwrap();
    assert_eq!(recorded.answer(&hello, &world.book).unwrap().1[27], NONE);
}

/// proto-spec [C-4], [C-7]: PROTOCOL 8.33. Two handshakes from one chain, at two replicas or from
/// one impatient initiator: the store lets one of them through.
#[test]
fn of_two_handshakes_on_one_chain_one_is_superseded() {
    for first_contact in [false, true] {
        let mut world = if first_contact { World::new() } else { World::known() };
        let mut advance = Vec::new();
        for _ in 0..2 {
            let mut handshake = world.handshake();
            let (initiator, hello) = handshake.hello();
            let (answered, reply) = handshake.answer(&hello, &world.book).unwrap();
            let established = handshake.establish(initiator, &reply).unwrap();
            advance.push(handshake.finish(answered, &established.finish).unwrap());
        }
        let moved: Vec<_> = (advance.iter())
            .map(|accepting| {
                world.book.advance(accepting.succession(), Continuity::Prefer, world.unix)
            })
            .map(|moved| moved.map(Generation::get))
            .collect();
        let second = if first_contact { Ok(2) } else { Err(HandshakeError::Superseded) };
        assert_eq!(moved, [Ok(if first_contact { 1 } else { 2 }), second]);
    }
}

/// proto-spec [C-8]: ACCEPT alone does not confirm, nor does a record that does not open.
#[test]
fn only_an_opened_record_confirms() {
    let mut world = World::known();
    let mut handshake = world.handshake();
    let now = handshake.now;
    let (initiator, hello) = handshake.hello();
    let (answered, reply) = handshake.answer(&hello, &world.book).unwrap();
    let mut established = *handshake.establish(initiator, &reply).unwrap();
    let accepting = handshake.finish(answered, &established.finish).unwrap();
    let (mut backend, _) = accepting.accept(Generation::default(), now);
    deliver(&mut backend, &mut established.session, now.instant);
    assert_eq!(backend.poll_event(), None);
    let record = sealed(&mut established.session, now.instant, b"data");
    let mut forged = record.clone();
    forged[30] ^= 1;
    assert!(backend.open(now.instant, &mut forged).is_err());
    assert_eq!(backend.poll_event(), None);
    assert!(!backend.is_open());
    backend.open(now.instant, &mut record.clone()).unwrap();
    assert_eq!(backend.poll_event(), Some(Event::Confirmed));
    assert!(backend.is_open());
}

/// proto-spec [C-12], [C-13]: seven days to the second, at each side by its own clock. The peer of
/// an expired chain is still known.
#[test]
fn a_chain_is_offered_and_taken_for_seven_days() {
    let week = Duration::from_secs(7 * 24 * 3600);
    let (last, after) =
        (start().unix.after(week), start().unix.after(week + Duration::from_secs(1)));
    let mut world = World::known();
    (world.unix, world.backend_unix) = (last, last);
    assert_eq!(world.run(Until::Replied).unwrap().index, 0);
    world.backend_unix = after;
    assert_eq!(world.run(Until::Replied).unwrap().index, NONE);
    world.unix = after;
    assert_eq!(world.offered(), 0);
    let mut strict = World { agent: Continuity::Require, unix: after, ..World::known() };
    assert_eq!(strict.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);
    let mut strict = World { backend: Continuity::Require, backend_unix: after, ..World::known() };
    assert_eq!(strict.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeUnknown);
    assert_eq!(world.run(Until::Confirmed).unwrap().index, NONE);
    assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
}

/// Stored bytes come back as they were; nothing else is a chain.
#[test]
fn a_stored_chain_is_read_back_whole_or_not_at_all() {
    let mut world = World::known();
    for secrets in [1, 2] {
        let chain = world.stored().unwrap();
        let bytes = chain.to_bytes();
        assert_eq!(bytes.len(), 41 + 32 * secrets);
        let read = InitiatorChain::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(read.duplicate().to_bytes(), bytes);
        assert_eq!(read.promoted().to_bytes()[..], bytes[..73]);
        assert_eq!(format!("{chain:?}"), "InitiatorChain(..)");
        for length in (0..bytes.len()).filter(|length| *length != 73) {
            assert!(InitiatorChain::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let three = [&bytes[..41], &[1; 96]].concat();
        assert!(InitiatorChain::from_bytes(&three).is_err());
        assert!(InitiatorChain::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        let mut other_version = bytes.to_vec();
        other_version[0] = 2;
        assert!(InitiatorChain::from_bytes(&other_version).is_err());
        world.run(Until::NextStored).unwrap();
    }
}

/// proto-spec [C-14]: row 5, a lock-out that someone on the path could bring about. FINISH and all that
/// is behind it reach R after it answered the next HELLO; the FINISH of that one is refused.
#[test]
fn a_given_up_handshake_that_arrives_late_locks_nobody_out() {
    for policy in [Continuity::Prefer, Continuity::Require] {
        let mut world = World::known();
        (world.agent, world.backend) = (policy, policy);
        let slow = world.set_out();
        let next = world.set_out();
        let (generation, mut agent) = world.arrive(slow).unwrap();
        let mut said = bytes::BytesMut::new();
        let refused = agent.seal_datagram(start().instant, b"early", &mut said);
        assert_eq!(refused, Err(SealError::Unaccepted));
        agent.ping(1);
        agent.close(CloseCode::Normal, Duration::ZERO);
        assert!(!agent.poll_transmit(start().instant, &mut said) && said.is_empty());
        assert!(agent.is_closed());
        assert_eq!(world.arrive(next).unwrap_err(), HandshakeError::Superseded);
        let outcome = world.run(Until::Confirmed).unwrap();
        assert_eq!((outcome.index, outcome.generation.get()), (1, generation.get() + 1));
        assert_eq!(world.run(Until::Confirmed).unwrap().index, 0);
    }
}

/// proto-spec [C-10], [C-14]: whoever copied the disk while a handshake was given up is still found out.
#[test]
fn a_copy_from_between_two_handshakes_is_found_out() {
    let mut world = World::known();
    world.run(Until::NextStored).unwrap();
    let copy = world.stored();
    world.run(Until::Confirmed).unwrap();
    world.chain = copy;
    assert_eq!(world.run(Until::Confirmed).unwrap_err(), HandshakeError::ResumeForked);
}
