//! Both sides at once, over a path that loses, repeats and reorders, through detaches and crashes.
//! Delivery is the least that is promised: what has a number comes at least once while its sender
//! lives, the rest perhaps.

#![allow(clippy::cast_possible_truncation, reason = "draws are below what they choose from")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::priority::Class;
use crate::time::{Instant, Now, UnixTime};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// proto-spec, [Q-5], [Q-6], [Q-7], [Q-8], [Q-16], [Q-19], [Q-22]: one end for each request,
    /// from the handler that was asked; one effect at most for each command; nothing is left.
    #[test]
    fn every_question_ends_once_whatever_happens(seed in any::<u64>()) {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
        }
        world.heal();
        world.assert_over();
    }
}

/// The run above would prove nothing if these never happened.
#[test]
fn the_worlds_see_every_kind_of_end() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
        }
        world.heal();
        for (what, count) in world.seen {
            *seen.entry(what).or_default() += count;
        }
    }
    for what in [
        "answered",
        "Deadline",
        "Cancelled",
        "Detached",
        "InDoubt",
        "Internal",
        "item",
        "resent item",
        "Succeeded",
        "Unknown",
        "Expired",
        "Cancelled command",
    ] {
        assert!(seen.contains_key(what), "no {what} in {seen:?}");
    }
}

#[derive(Clone)]
struct Packet {
    number: u64,
    expires: Option<Instant>,
    output: Output,
}

/// What is under way in one direction.
#[derive(Default)]
struct Path {
    flying: Vec<Packet>,
    /// What has a number and was not taken yet.
    outbox: Vec<Packet>,
}

struct Asked {
    token: u64,
    next: u64,
    ends: u32,
}

struct World {
    random: u64,
    secs: u64,
    is_attached: bool,
    requests: Requests,
    answers: Answers,
    issuer: Issuer,
    executor: Executor,
    there: Path,
    back: Path,
    numbers: u64,
    asked: BTreeMap<Correlation, Asked>,
    /// Calls that a handler works on: the token, and the next offset of a stream.
    handlers: BTreeMap<Correlation, (Bytes, Option<u64>)>,
    /// Calls that this answering process opened.
    opened: BTreeSet<Correlation>,
    /// Commands that run, and all effects there were.
    running: Vec<CommandId>,
    effects: BTreeMap<CommandId, u32>,
    issued: Vec<CommandId>,
    unstored: Vec<Change<ExecutedRow>>,
    store: BTreeMap<CommandId, ExecutedRow>,
    issuer_store: BTreeMap<CommandId, IssuedRow>,
    highest_item: BTreeMap<Correlation, u64>,
    seen: BTreeMap<String, u32>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: seed,
            secs: 0,
            is_attached: true,
            requests: Requests::new(seed.to_be_bytes()),
            answers: Answers::new(),
            issuer: Issuer::new(),
            executor: Executor::new(OnCrash::Report),
            there: Path::default(),
            back: Path::default(),
            numbers: 0,
            asked: BTreeMap::new(),
            handlers: BTreeMap::new(),
            opened: BTreeSet::new(),
            running: Vec::new(),
            effects: BTreeMap::new(),
            issued: Vec::new(),
            unstored: Vec::new(),
            store: BTreeMap::new(),
            issuer_store: BTreeMap::new(),
            highest_item: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        world.requests.attached(world.now().instant);
        world.answers.attached();
        world
    }

    fn step(&mut self) {
        match self.draw(40) {
            0..5 => self.ask(),
            5 => self.issue(),
            6 => self.cancel(),
            7..9 => self.allow(),
            9..18 => self.work(),
            18 => self.flush(),
            19 => self.pass(1),
            20 if self.draw(6) == 0 => self.crash_answerer(),
            21 if self.draw(12) == 0 => self.crash_caller(),
            22 => self.detach(),
            23 => self.attach(),
            24..32 => self.deliver(true, true),
            _ => self.deliver(false, true),
        }
        self.drain();
    }

    /// Everything that can come comes, handlers finish, and time passes.
    fn heal(&mut self) {
        self.attach();
        for _ in 0..40 {
            self.drain();
            for _ in 0..20 {
                self.work();
                self.flush();
                self.drain();
            }
            while !self.there.flying.is_empty() || !self.back.flying.is_empty() {
                self.deliver(true, false);
                self.deliver(false, false);
                self.flush();
                self.drain();
            }
            self.pass(5);
        }
        self.pass(8 * 86_400);
        self.drain();
    }

    fn assert_over(&self) {
        for (correlation, asked) in &self.asked {
            assert_eq!(asked.ends, 1, "{correlation:?}");
        }
        assert_eq!((self.requests.pending(), self.requests.next_timeout()), (0, None));
        assert_eq!((self.answers.open_calls(), self.answers.next_timeout()), (0, None));
        assert_eq!(self.answers.kept_bytes(), 0);
        assert_eq!((self.executor.open_commands(), self.executor.results()), (0, 0));
        for id in &self.issued {
            let effects = self.effects.get(id).copied().unwrap_or(0);
            assert!(effects <= 1, "{id:?} ran {effects} times");
        }
        assert!(self.issuer_store.values().all(|row| row.status.is_settled()));
    }

    fn ask(&mut self) {
        let token = self.draw(u64::MAX);
        let time = Duration::from_secs(1 + self.draw(12));
        let answering = match self.draw(2) {
            0 => Answering::One,
            _ => Answering::Stream { allowed: self.draw(6) },
        };
        let on_detach = if self.draw(3) == 0 { OnDetach::Fail } else { OnDetach::Redrive };
        let on_peer_lost =
            if self.draw(2) == 0 { OnPeerLost::InDoubt } else { OnPeerLost::Redrive };
        let payload = Bytes::copy_from_slice(&token.to_be_bytes());
        let class = Class::ALL[1 + self.draw(4) as usize];
        let ask = Ask { payload, class, time, answering, on_detach, on_peer_lost };
        if let Ok(correlation) = self.requests.ask(self.now().instant, ask) {
            let is_new = self.asked.insert(correlation, Asked { token, next: 0, ends: 0 });
            assert!(is_new.is_none(), "a correlation twice");
        }
    }

    fn issue(&mut self) {
        let id = CommandId([self.draw(u64::MAX).to_be_bytes(); 2].concat().try_into().expect("16"));
        let time = Duration::from_secs(1 + self.draw(30));
        let payload = Bytes::from_static(b"go");
        let on_peer_lost = OnPeerLost::InDoubt;
        let command = Command { id, payload, class: Class::Normal, time, on_peer_lost };
        self.issuer.issue(self.now(), command).expect("room");
        self.issued.push(id);
    }

    fn cancel(&mut self) {
        if let Some(correlation) = self.any_asked() {
            self.requests.cancel(correlation);
        }
        let at = self.draw(8) as usize;
        if let Some(id) = self.issued.iter().rev().nth(at).copied() {
            self.issuer.cancel(self.now(), id);
        }
    }

    fn allow(&mut self) {
        let Some(correlation) = self.any_asked() else { return };
        let allowed = self.asked[&correlation].next + self.draw(10);
        self.requests.allow(self.now().instant, correlation, allowed);
    }

    fn any_asked(&mut self) -> Option<Correlation> {
        let open: Vec<_> = self.asked.iter().filter(|(_, asked)| asked.ends == 0).collect();
        let open: Vec<_> = open.into_iter().map(|(correlation, _)| *correlation).collect();
        (!open.is_empty()).then(|| open[self.draw(open.len() as u64) as usize])
    }

    /// One handler does something, and one command ends.
    fn work(&mut self) {
        let now = self.now();
        if !self.running.is_empty() {
            let at = self.draw(self.running.len() as u64) as usize;
            let id = self.running.swap_remove(at);
            let executed = match self.draw(3) {
                0 => Executed::Cancelled,
                _ => Executed::Succeeded(Bytes::copy_from_slice(&id.0)),
            };
            self.executor.finish(now, id, executed).expect("it runs");
        }
        if self.handlers.is_empty() {
            return;
        }
        let at = self.draw(self.handlers.len() as u64) as usize;
        let correlation = *self.handlers.keys().nth(at).expect("in range");
        let (token, stream) = self.handlers[&correlation].clone();
        let ended = match (self.draw(6), stream) {
            (0, _) => {
                let failure = Failure::new(ErrorCode::Internal);
                self.answers.fail(now.instant, correlation, &failure).map(|()| true)
            }
            (1, _) => {
                let progress = Progress::Payload(token);
                self.answers.progress(now.instant, correlation, &progress).map(|()| false)
            }
            (2..5, Some(offset)) => {
                let payload = Bytes::from([&token[..], &offset.to_be_bytes()].concat());
                self.answers.item(correlation, payload).map(|()| {
                    self.handlers.insert(correlation, (token, Some(offset + 1)));
                    false
                })
            }
            _ => self.answers.answer(now.instant, correlation, token).map(|()| true),
        };
        match ended {
            Ok(false) | Err(AnswerError::NoRoom) => {}
            Ok(true) => _ = self.handlers.remove(&correlation),
            Err(error) => panic!("{correlation:?}: {error}"),
        }
    }

    /// The executor's store takes what waits.
    fn flush(&mut self) {
        for change in std::mem::take(&mut self.unstored) {
            match change {
                Change::Put(row) => {
                    let (id, version) = (row.id, row.version);
                    self.store.insert(id, row);
                    self.executor.stored(self.now(), id, version);
                    self.issuer.delivered(self.now(), id);
                    let subject = |packet: &Packet| subject_of(&packet.output);
                    let done = Subject::Command(id);
                    self.there.outbox.retain(|packet| subject(packet) != Some(done));
                }
                Change::Remove(id) => _ = self.store.remove(&id),
            }
        }
    }

    fn pass(&mut self, secs: u64) {
        self.secs += secs;
        let now = self.now();
        self.requests.handle_timeout(now.instant);
        self.answers.handle_timeout(now.instant);
        self.issuer.handle_timeout(now);
        self.executor.handle_timeout(now);
    }

    fn detach(&mut self) {
        if !std::mem::replace(&mut self.is_attached, false) {
            return;
        }
        self.there.flying.clear();
        self.back.flying.clear();
        self.requests.detached();
        self.answers.detached(self.now().instant);
    }

    fn attach(&mut self) {
        if !self.is_attached {
            self.requests.attached(self.now().instant);
            self.attach_rest();
        }
    }

    fn attach_rest(&mut self) {
        self.is_attached = true;
        self.answers.attached();
        for path in [&mut self.there, &mut self.back] {
            path.flying.extend(path.outbox.iter().cloned());
        }
        for packet in self.there.outbox.clone() {
            self.sent(&packet.output);
        }
    }

    /// The answering process dies: its store and what is stored in its outbox stay.
    fn crash_answerer(&mut self) {
        self.drain();
        self.detach();
        self.answers = Answers::new();
        self.handlers.clear();
        self.opened.clear();
        self.running.clear();
        self.unstored.clear();
        self.back.outbox.retain(|packet| is_durable(&packet.output));
        self.executor = Executor::new(OnCrash::Report);
        self.executor.load(self.now(), self.store.values().cloned());
        self.drain();
        self.requests.attached_anew(self.now().instant);
        self.attach_rest();
    }

    /// The asking process dies. Answers to it may still come to the next one.
    fn crash_caller(&mut self) {
        self.drain();
        self.detach();
        let seed = self.draw(u64::MAX).to_be_bytes();
        self.requests = Requests::new(seed);
        self.asked.clear();
        self.there.outbox.retain(|packet| is_durable(&packet.output));
        self.issuer = Issuer::new();
        self.issuer.load(self.now(), self.issuer_store.values().cloned());
        self.answers.caller_lost(self.now().instant);
        self.attach();
    }

    /// Hands over one packet, any of those that are under way.
    fn deliver(&mut self, to_answerer: bool, is_lossy: bool) {
        let under_way = if to_answerer { &self.there.flying } else { &self.back.flying }.len();
        if under_way == 0 {
            return;
        }
        let at = self.draw(under_way as u64) as usize;
        let luck = if is_lossy { self.draw(10) } else { 9 };
        let path = if to_answerer { &mut self.there } else { &mut self.back };
        let packet = if luck == 0 { path.flying[at].clone() } else { path.flying.swap_remove(at) };
        if luck == 1 && packet.number == 0 {
            return;
        }
        let is_command = matches!(subject_of(&packet.output), Some(Subject::Command(_)));
        if !(to_answerer && is_command) {
            path.outbox.retain(|kept| kept.number != packet.number);
        }
        let now = self.now();
        let remaining = packet.expires.map(|at| at.since(now.instant));
        match packet.output {
            Output::Cancel(Cancel { correlation, reason }) => {
                self.answers.handle_cancel(now.instant, correlation, reason);
            }
            Output::Say(say) => match (say.kind, say.subject) {
                (Kind::Command, _) => {
                    self.executor.handle(now, &say.payload, say.class, remaining).expect("honest");
                }
                (Kind::Status, _) => self.issuer.handle(now, &say.payload).expect("honest"),
                (kind, Subject::Call(correlation)) => {
                    let Say { payload, class, reliability, .. } = say;
                    let heard = Heard { kind, correlation, payload, class, remaining, reliability };
                    match to_answerer {
                        true => self.answers.handle(now.instant, &heard).expect("honest"),
                        false => self.requests.handle(now.instant, &heard).expect("honest"),
                    }
                }
                (kind, _) => panic!("{kind:?}"),
            },
        }
    }

    fn drain(&mut self) {
        let now = self.now();
        while let Some(change) = self.issuer.poll_change() {
            match change {
                Change::Put(row) => _ = self.issuer_store.insert(row.id, row),
                Change::Remove(id) => _ = self.issuer_store.remove(&id),
            }
        }
        self.unstored.extend(std::iter::from_fn(|| self.executor.poll_change()));
        while let Some(output) = self.requests.poll_output().or_else(|| self.issuer.poll_output()) {
            self.send(output, true);
        }
        while let Some(output) = self.answers.poll_output(now.instant) {
            self.count_item(&output);
            self.send(output, false);
        }
        while let Some(output) = self.executor.poll_output() {
            let ended = subject_of(&output).filter(|_| is_durable(&output));
            self.send(output, false);
            if let (Some(Subject::Command(id)), 0) = (ended, self.draw(2)) {
                self.executor.told(id);
            }
        }
        while let Some(event) = self.requests.poll_event() {
            self.learn(event);
        }
        while let Some(event) = self.answers.poll_event() {
            match event {
                AnswerEvent::Opened { correlation, caller, payload, .. } => {
                    let offset = match caller {
                        Caller::WantsOne => None,
                        Caller::WantsStream { from } => Some(from),
                    };
                    self.handlers.insert(correlation, (payload, offset));
                    assert!(self.opened.insert(correlation), "{correlation:?} was opened twice");
                }
                AnswerEvent::Stop { correlation, stop: Stop::Withdrawn(_) } => {
                    // It may have ended since.
                    if self.handlers.remove(&correlation).is_some() {
                        let failure = Failure::new(ErrorCode::Cancelled);
                        let _ = self.answers.fail(now.instant, correlation, &failure);
                    }
                }
                AnswerEvent::Stop { correlation, .. } => _ = self.handlers.remove(&correlation),
                AnswerEvent::Room { .. } => {}
            }
        }
        while let Some(event) = self.executor.poll_event() {
            match event {
                ExecutorEvent::Run { id, .. } => {
                    *self.effects.entry(id).or_default() += 1;
                    self.running.push(id);
                }
                ExecutorEvent::Stop { .. } => {}
            }
        }
        while let Some(IssuerEvent::Changed { id, status, effect }) = self.issuer.poll_event() {
            let effects = self.effects.get(&id).copied().unwrap_or(0);
            match status {
                Status::Succeeded => {
                    assert_eq!(
                        (effects, effect),
                        (1, Effect::Result(Bytes::copy_from_slice(&id.0)))
                    );
                }
                Status::Expired => assert_eq!(effects, 0, "{id:?} expired and ran"),
                Status::Failed => assert_eq!(effects, 0, "{id:?} was refused and ran"),
                _ => {}
            }
            let is_cancelled = status == Status::Cancelled;
            self.see(if is_cancelled { "Cancelled command".into() } else { format!("{status:?}") });
        }
    }

    fn learn(&mut self, event: RequestEvent) {
        match event {
            RequestEvent::Item { correlation, offset, payload } => {
                let asked = self.asked.get_mut(&correlation).expect("it was asked");
                assert_eq!(
                    (offset, asked.ends),
                    (asked.next, 0),
                    "order, and nothing after the end"
                );
                let expected = [asked.token.to_be_bytes(), offset.to_be_bytes()].concat();
                assert_eq!(payload[..], expected);
                asked.next += 1;
                self.see("item".into());
            }
            RequestEvent::Progress { correlation, progress } => {
                let token = self.asked[&correlation].token.to_be_bytes();
                assert_eq!(progress, Progress::Payload(Bytes::copy_from_slice(&token)));
            }
            RequestEvent::Ended { correlation, outcome } => {
                let asked = self.asked.get_mut(&correlation).expect("it was asked");
                asked.ends += 1;
                match outcome {
                    Outcome::Answered(token) => {
                        assert_eq!(token[..], asked.token.to_be_bytes(), "the answer of another");
                        self.see("answered".into());
                    }
                    Outcome::Failed(failure) => self.see(format!("{:?}", failure.code)),
                }
            }
        }
    }

    fn send(&mut self, output: Output, to_answerer: bool) {
        let (ttl, is_numbered) = match &output {
            Output::Say(say) => (say.ttl, say.reliability != Reliability::BestEffort),
            Output::Cancel(_) => (None, false),
        };
        if self.is_attached && to_answerer {
            self.sent(&output);
        }
        self.numbers += u64::from(is_numbered);
        let number = if is_numbered { self.numbers } else { 0 };
        let expires = ttl.map(|ttl| self.now().instant.after(ttl));
        let packet = Packet { number, expires, output };
        let path = if to_answerer { &mut self.there } else { &mut self.back };
        if is_numbered {
            path.outbox.push(packet.clone());
        }
        if self.is_attached {
            path.flying.push(packet);
        }
    }

    fn sent(&mut self, output: &Output) {
        match output {
            Output::Say(Say { kind: Kind::Request(_), subject: Subject::Call(named), .. }) => {
                self.requests.sent(*named);
            }
            Output::Say(Say { subject: Subject::Command(id), .. }) => {
                self.issuer.sent(self.now(), *id);
            }
            _ => {}
        }
    }

    fn count_item(&mut self, output: &Output) {
        let Output::Say(say) = output else { return };
        let (Kind::Item, Subject::Call(correlation)) = (say.kind, say.subject) else { return };
        let item = Item::decode(&say.payload).expect("ours");
        let highest = self.highest_item.entry(correlation).or_default();
        let is_again = item.offset < *highest;
        *highest = (*highest).max(item.offset + 1);
        if is_again {
            self.see("resent item".into());
        }
    }

    fn see(&mut self, what: String) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn now(&self) -> Now {
        let instant = Instant::from_nanos(self.secs * 1_000_000_000);
        Now { instant, unix: UnixTime::from_secs(1_000_000 + self.secs) }
    }

    /// Below `bound` (splitmix64).
    fn draw(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn subject_of(output: &Output) -> Option<Subject> {
    match output {
        Output::Say(say) => Some(say.subject),
        Output::Cancel(_) => None,
    }
}

fn is_durable(output: &Output) -> bool {
    matches!(output, Output::Say(Say { reliability: Reliability::Durable, .. }))
}
