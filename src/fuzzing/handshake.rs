//! Whole handshakes, one after another between the same two, each with one message changed on the
//! way. A changed message never makes a session; and whatever was changed or lost before, two
//! honest ends that only prefer to continue their chain come together again.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::input::Input;
use super::layouts::{knock, knocks};
use super::parties::{self, Choice, Trust};
use crate::header::{HEADER_BYTES, Header, RecordType};
use crate::ids::{Generation, Role};
use crate::limits::EARLY_DATA_BYTES;
use crate::session::{
    Accepting, Answered, ChainBook, Config, Continuity, CookieKey, Established, Event, Gate,
    Greeting, HandshakeError, Initiator, InitiatorChain, Progress, Proven, SealError, Session,
    Source, Verdict,
};
use crate::time::Now;

const ROUNDS: u8 = 3;
const EDITS: u8 = 6;
const KNOCK_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// Rounds of handshakes as `data` chooses them, then one that nobody disturbs.
pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let (us, them) = (input.u8(), input.u8());
    let trust = if us & 1 == 0 { Trust::Pins } else { Trust::Roots };
    let choice =
        |byte: u8| Choice { trust, suites: byte >> 1, continuity: byte >> 3, records: byte >> 5 };
    let mut fleet = Fleet {
        agent: parties::config(Role::Agent, choice(us)),
        backend: parties::config(Role::Backend, choice(them)),
        continuity: (choice(us).continuity(), choice(them).continuity()),
        agrees: agrees(choice(us), choice(them)),
        chain: None,
        book: ChainBook::new(),
        gate: Gate::new(CookieKey::new(&parties::seed(90))),
        seeds: 100,
        now: parties::start(),
    };
    for _ in 0..ROUNDS {
        if input.is_empty() {
            break;
        }
        let plan = Plan::read(&mut input);
        let _ = fleet.round(&plan, &mut input);
    }
    let last = fleet.round(&Plan::HONEST, &mut Input::new(&[]));
    if fleet.must_agree() {
        assert!(last.is_ok(), "honest ends came to {last:?}");
    }
}

/// Whether the first suite of the agent is the best that both allow.
fn agrees(us: Choice, them: Choice) -> bool {
    let sent = us.suites().first();
    them.suites().iter().find(|suite| us.suites().contains(suite)) == sent
}

/// The message that is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    Nothing,
    Hello,
    Reply,
    Finish,
    Retry,
}

/// Where an undisturbed handshake breaks off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Whole,
    FinishLost,
    AcceptLost,
    Unconfirmed,
}

struct Plan {
    target: Target,
    end: End,
    retries: bool,
    early: bool,
    /// The body is another, and not a changed one.
    replaces: bool,
    /// The knock, the length and the tag fit what was changed.
    fits: bool,
}

impl Plan {
    const HONEST: Self = Self {
        target: Target::Nothing,
        end: End::Whole,
        retries: false,
        early: false,
        replaces: false,
        fits: false,
    };

    fn read(input: &mut Input<'_>) -> Self {
        let (what, how) = (input.u8(), input.u8());
        let target = match what % 8 {
            0 => Target::Nothing,
            1 | 2 => Target::Hello,
            3 | 4 => Target::Reply,
            5 | 6 => Target::Finish,
            _ => Target::Retry,
        };
        let end = match how & 3 {
            0 => End::Whole,
            1 => End::FinishLost,
            2 => End::AcceptLost,
            _ => End::Unconfirmed,
        };
        Self {
            target,
            end,
            retries: how & 4 != 0 || target == Target::Retry,
            early: how & 8 != 0,
            replaces: how & 16 != 0,
            fits: how & 32 == 0,
        }
    }
}

/// Two parties and what each remembers.
struct Fleet {
    agent: Arc<Config>,
    backend: Arc<Config>,
    continuity: (Continuity, Continuity),
    agrees: bool,
    chain: Option<InitiatorChain>,
    book: ChainBook,
    gate: Gate,
    seeds: u8,
    now: Now,
}

/// A message as it arrives.
struct Arrival {
    bytes: Vec<u8>,
    changed: bool,
}

impl Fleet {
    /// Whether nothing that happened may keep two honest ends apart.
    fn must_agree(&self) -> bool {
        let (us, them) = self.continuity;
        self.agrees && us != Continuity::Require && them != Continuity::Require
    }

    fn seed(&mut self) -> crate::crypto::Seed {
        self.seeds += 1;
        parties::seed(self.seeds)
    }

    fn round(&mut self, plan: &Plan, input: &mut Input<'_>) -> Result<(), HandshakeError> {
        let offered = self.chain.as_ref().map(InitiatorChain::duplicate);
        let (seed, now) = (self.seed(), self.now);
        let started = Initiator::start(Arc::clone(&self.agent), offered, &seed, now);
        let Ok((mut initiator, mut hello)) = started else {
            unreachable!("the agent was told what to knock with")
        };
        if plan.retries {
            let retry = self.retry(&hello)?;
            let retry = arrive(plan, Target::Retry, &retry, input);
            (initiator, hello) = heard_retry(initiator, &retry, now)?;
            if retry.changed {
                let error = self.greet(&hello, Proven::No).err();
                assert_eq!(error, Some(HandshakeError::CookieInvalid), "a cookie of another's");
            }
        }
        let hello = arrive(plan, Target::Hello, &hello, input);
        let greeting = self.greet(&hello.bytes, Proven::Yes);
        let greeting = greeting.inspect_err(|error| check_rejection(*error, &hello))?;
        let seed = self.seed();
        let (answered, reply) = greeting.answer(&self.book, &seed, now)?;
        let reply = arrive(plan, Target::Reply, &reply, input);
        let established = heard_reply(initiator, &reply, now);
        let changed = hello.changed || reply.changed;
        assert!(established.is_err() || !changed, "a changed message made a session");
        let Established { session, finish, chain } = *established?;
        // What is stored before FINISH is sent is what a crash leaves.
        self.chain = Some(chain.duplicate());
        if plan.end == End::FinishLost {
            return Ok(());
        }
        let finish = arrive(plan, Target::Finish, &finish, input);
        let accepting = heard_finish(answered, &finish, now);
        assert!(accepting.is_err() || !finish.changed, "a changed FINISH was accepted");
        self.accept(plan, accepting?, session, chain, input)
    }

    fn retry(&mut self, hello: &[u8]) -> Result<Bytes, HandshakeError> {
        let greeting = Greeting::receive(Arc::clone(&self.backend), hello, self.now.instant)?;
        match self.gate.judge(&greeting, Source::LOCAL, Proven::No, self.now)? {
            Verdict::Retry(retry) => Ok(retry),
            Verdict::Answer(_) => unreachable!("a HELLO without a cookie was answered"),
        }
    }

    fn greet(&mut self, hello: &[u8], proven: Proven) -> Result<Greeting, HandshakeError> {
        let greeting = Greeting::receive(Arc::clone(&self.backend), hello, self.now.instant)?;
        match self.gate.judge(&greeting, Source::LOCAL, proven, self.now)? {
            Verdict::Answer(ticket) => self.gate.release(ticket),
            Verdict::Retry(_) => assert_eq!(proven, Proven::No, "a RETRY nobody needs"),
        }
        assert_eq!(self.gate.half_open(), 0, "a ticket was given back");
        Ok(greeting)
    }

    /// The responder's decision, and both sessions up to their first records.
    fn accept(
        &mut self,
        plan: &Plan,
        mut accepting: Accepting,
        mut agent: Session,
        chain: InitiatorChain,
        input: &mut Input<'_>,
    ) -> Result<(), HandshakeError> {
        let now = self.now;
        let mut early = BytesMut::new();
        if plan.early {
            let sealed = agent.seal_datagram(now.instant, b"early", &mut early);
            if self.continuity.0 == Continuity::Off {
                assert!(sealed.is_ok(), "an initiator without a chain may seal before ACCEPT");
                accepting.hold(&early)?;
            } else {
                assert_eq!(sealed, Err(SealError::Unaccepted), "a chain could be confirmed");
            }
            hold_more(&mut accepting, input);
        }
        let generation = match self.continuity.1 {
            Continuity::Off => Generation::default(),
            other => self.book.advance(accepting.succession(), other, now.unix)?,
        };
        assert!(self.book.len() <= 1, "one peer has one chain");
        let (mut backend, held) = accepting.accept(generation, now);
        assert_eq!(agent.id(), backend.id(), "both ends name the session alike");
        assert_eq!(agent.binding(), backend.binding(), "both ends saw the same handshake");
        assert_eq!(agent.is_resumed(), backend.is_resumed(), "both ends continue the same chain");
        for (place, mut record) in held.into_iter().enumerate() {
            let opened = backend.open(now.instant, &mut record).map(|_| ());
            assert!(
                place > 0 || early.is_empty() || opened.is_ok(),
                "early data is opened: {opened:?}"
            );
        }
        if plan.end == End::AcceptLost {
            return Ok(());
        }
        let mut record = BytesMut::new();
        assert!(backend.poll_transmit(now.instant, &mut record), "ACCEPT waits");
        let opened = agent.open(now.instant, &mut record).map(|_| ());
        assert_eq!(opened, Ok(()), "ACCEPT is opened");
        assert!(agent.is_open(), "ACCEPT opens a session");
        self.chain = Some(chain.promoted());
        if plan.end == End::Unconfirmed {
            return Ok(());
        }
        record.clear();
        let sealed = agent.seal_datagram(now.instant, b"first", &mut record);
        assert!(sealed.is_ok(), "a session seals");
        let opened = backend.open(now.instant, &mut record).map(|_| ());
        // What was held may have had its position, where the cipher is a mock.
        assert!(opened.is_ok() || plan.early, "the first record is opened: {opened:?}");
        while let Some(event) = backend.poll_event() {
            if event == Event::Confirmed {
                self.book.confirm(self.agent.identity().public_key(), generation);
            }
        }
        Ok(())
    }
}

/// The message as the plan lets it arrive.
fn arrive(plan: &Plan, target: Target, sent: &[u8], input: &mut Input<'_>) -> Arrival {
    if plan.target != target {
        return Arrival { bytes: sent.to_vec(), changed: false };
    }
    let mut bytes = sent.to_vec();
    if plan.replaces {
        let length = usize::from(input.u16());
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(input.take(length));
    } else {
        for _ in 0..=input.u8() % EDITS {
            edit(&mut bytes, input);
        }
    }
    if plan.fits {
        fit(target, &mut bytes);
    }
    // A mock cipher takes two tags, and what they seal is the same.
    let mocked = cfg!(fuzzing) && plan.fits && matches!(target, Target::Reply | Target::Finish);
    let until = sent.len() - if mocked { TAG_BYTES } else { 0 };
    let changed = bytes.len() != sent.len() || bytes.get(..until) != sent.get(..until);
    Arrival { bytes, changed }
}

fn edit(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let (kind, at, value) = (input.u8(), usize::from(input.u16()), input.u8());
    let at = at % (bytes.len() + 1);
    match kind % 6 {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value),
        2 => bytes.insert(at, value),
        3 => drop(bytes.drain(at..bytes.len().min(at + usize::from(value)))),
        4 => bytes.truncate(at),
        _ => {
            let copied: Vec<u8> = bytes.iter().skip(at).take(value.into()).copied().collect();
            bytes.extend_from_slice(&copied);
        }
    }
}

/// Makes length, tag and knock those of what stands between them.
fn fit(target: Target, bytes: &mut [u8]) {
    let body = bytes.len().saturating_sub(HEADER_BYTES);
    let length = u16::try_from(body).unwrap_or(u16::MAX).to_be_bytes();
    bytes.iter_mut().skip(2).zip(length).for_each(|(slot, byte)| *slot = byte);
    let sealed = matches!(target, Target::Reply | Target::Finish);
    if sealed && let Some((_, tag)) = bytes.split_last_chunk_mut::<TAG_BYTES>() {
        *tag = [0; TAG_BYTES];
    }
    if target == Target::Hello
        && let Some((before, end)) = bytes.split_last_chunk_mut::<KNOCK_BYTES>()
    {
        *end = knock(before);
    }
}

fn heard_retry(
    initiator: Initiator,
    retry: &Arrival,
    now: Now,
) -> Result<(Initiator, Bytes), HandshakeError> {
    match initiator.handle(&mut retry.bytes.clone(), now)? {
        Progress::Again(initiator, hello) => Ok((*initiator, hello)),
        Progress::Done(_) => unreachable!("a RETRY made a session"),
    }
}

fn heard_reply(
    initiator: Initiator,
    reply: &Arrival,
    now: Now,
) -> Result<Box<Established>, HandshakeError> {
    match initiator.handle(&mut reply.bytes.clone(), now)? {
        Progress::Done(established) => Ok(established),
        Progress::Again(..) => {
            assert!(reply.changed, "an honest REPLY made a HELLO");
            Err(HandshakeError::MalformedRetry)
        }
    }
}

fn heard_finish(
    answered: Answered,
    finish: &Arrival,
    now: Now,
) -> Result<Accepting, HandshakeError> {
    let link = answered.remote();
    let accepting = answered.finish(&mut finish.bytes.clone(), now);
    accepting.inspect_err(|error| {
        if let Some(answer) = error.rejection(link) {
            assert!(Header::of_record(&answer).is_ok(), "a REJECT of ours is well-formed");
        }
    })
}

/// A refused HELLO is answered only if its knock was right.
fn check_rejection(error: HandshakeError, hello: &Arrival) {
    let Some(answer) = error.rejection(Greeting::link_of(&hello.bytes)) else { return };
    assert!(Header::of_record(&answer).is_ok(), "a REJECT of ours is well-formed");
    let whole = Header::of_record(&hello.bytes).is_ok();
    assert!(whole && knocks(&hello.bytes), "a stranger is told {error}");
}

/// More records that came too early, of the fuzzer's making.
fn hold_more(accepting: &mut Accepting, input: &mut Input<'_>) {
    let mut held = 0;
    for _ in 0..input.u8() % 8 {
        let (scale, length) = (usize::from(input.u8()), input.u8());
        let length = (scale << 8 | usize::from(length)).clamp(TAG_BYTES, 65_535);
        let link = accepting.link();
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let seq = input.u8().into();
        let header = Header { kind: RecordType::Data, length, link, epoch: 0, seq };
        let mut record = header.encode().to_vec();
        record.resize(header.record_bytes(), 0);
        match accepting.hold(&record) {
            Ok(()) => held += record.len(),
            Err(error) => assert_eq!(error, HandshakeError::EarlyDataLimit, "a record is held"),
        }
        assert!(held <= EARLY_DATA_BYTES, "early data has a bound");
    }
    assert_eq!(accepting.hold(b"short").err(), Some(truncated()), "what is no record is not held");
}

fn truncated() -> HandshakeError {
    HandshakeError::Header(crate::header::HeaderError::Truncated)
}
