//! A session and a hostile path against a reference model: what may open is known beforehand.
//!
//! Each end's records wait in a queue that the path owns. The model remembers every payload that was
//! sealed and every one that opened. `PROPTEST_CASES=2000` runs more cases than the default of 256;
//! a failure prints the seed and the shortest schedule that shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use waxwire::Instant;
use waxwire::header::Header;
use waxwire::session::{Event, Fate, OpenError, Order, Session};

use crate::support::{Pair, agent_config, backend_config, seed};
use crate::talk::{at, confirmed_of};

/// What happens next, to records of the direction that begins at one end.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Seal datagrams: so many.
    Send(u8),
    /// What the session itself has to say.
    Transmit,
    /// Deliver the record at the front.
    Deliver,
    /// Deliver all that waits.
    DeliverAll,
    /// Deliver the record at a place, before those in front of it.
    Overtake(u16),
    Drop(u16),
    /// Deliver the record at the front and keep it.
    Duplicate,
    /// Deliver something that was delivered or dropped long ago.
    Replay(u16),
    /// Flip a bit of the record at the front and deliver that; the record stays.
    Corrupt(u32),
    Truncate(u16),
    /// Deliver it to the end that sealed it.
    Reflect,
    Wait(u8),
    Rekey,
    Attach(bool),
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        6 => (1..20_u8).prop_map(Step::Send),
        4 => Just(Step::Transmit),
        8 => Just(Step::Deliver),
        4 => Just(Step::DeliverAll),
        3 => any::<u16>().prop_map(Step::Overtake),
        3 => any::<u16>().prop_map(Step::Drop),
        2 => Just(Step::Duplicate),
        3 => any::<u16>().prop_map(Step::Replay),
        3 => any::<u32>().prop_map(Step::Corrupt),
        2 => any::<u16>().prop_map(Step::Truncate),
        1 => Just(Step::Reflect),
        3 => (0..100_u8).prop_map(Step::Wait),
        1 => Just(Step::Rekey),
        2 => any::<bool>().prop_map(Step::Attach),
    ];
    prop::collection::vec((any::<bool>(), step), 1..80)
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// proto-spec, [R-14], [R-15], [S-18]: whatever the path does, nothing forged opens,
    /// nothing opens twice, order holds as far as a transport promises it, no session ends, and
    /// once the path is honest again both ends speak.
    #[test]
    fn a_session_withstands_its_path(steps in steps()) {
        let mut world = World::new();
        for (from_agent, step) in steps {
            world.act(from_agent, step);
        }
        world.heal();
    }
}

/// Records of one direction.
#[derive(Default)]
struct Direction {
    waiting: Vec<BytesMut>,
    /// Delivered or dropped.
    past: Vec<BytesMut>,
    sent: BTreeSet<u64>,
    opened: BTreeSet<u64>,
    /// The positions that opened.
    positions: BTreeSet<u64>,
    /// The last position that opened over the transport in use.
    last: Option<u64>,
}

struct World {
    pair: Pair,
    /// Of the agent's records, and of the backend's.
    directions: [Direction; 2],
    now: Instant,
    next: u64,
    rekeys: u8,
    /// Seconds that went by in waits.
    waited: u32,
}

impl World {
    fn new() -> Self {
        let suite = [waxwire::Suite::Classical];
        let [agent, backend] = [agent_config(), backend_config()];
        let pair =
            confirmed_of(agent.with_suites(&suite).unwrap(), backend.with_suites(&suite).unwrap());
        Self { pair, directions: Default::default(), now: at(1), next: 0, rekeys: 0, waited: 0 }
    }

    fn ends(&mut self, from_agent: bool) -> (&mut Session, &mut Session, &mut Direction) {
        let Pair { agent, backend, .. } = &mut self.pair;
        let [of_agent, of_backend] = &mut self.directions;
        match from_agent {
            true => (agent, backend, of_agent),
            false => (backend, agent, of_backend),
        }
    }

    fn act(&mut self, from_agent: bool, step: Step) {
        let now = self.now;
        let (from, _, direction) = self.ends(from_agent);
        let count = direction.waiting.len();
        match step {
            Step::Send(records) => {
                for _ in 0..records {
                    self.send(from_agent);
                }
            }
            Step::Transmit => {
                let mut record = BytesMut::new();
                while from.poll_transmit(now, &mut record) {
                    direction.waiting.push(record.split());
                }
            }
            Step::Deliver if count > 0 => self.deliver(from_agent, 0),
            Step::DeliverAll => {
                // A refusal may lose the transport, and what waits with it.
                while !self.ends(from_agent).2.waiting.is_empty() {
                    self.deliver(from_agent, 0);
                }
            }
            Step::Overtake(place) if count > 0 => {
                self.deliver(from_agent, usize::from(place) % count);
            }
            Step::Drop(place) if count > 0 => {
                let dropped = direction.waiting.remove(usize::from(place) % count);
                direction.past.push(dropped);
            }
            Step::Duplicate if count > 0 => {
                let record = direction.waiting[0].clone();
                self.open(from_agent, record);
            }
            Step::Replay(place) if !direction.past.is_empty() => {
                let record = direction.past[usize::from(place) % direction.past.len()].clone();
                self.open(from_agent, record);
            }
            Step::Corrupt(bit) if count > 0 => {
                let mut record = direction.waiting[0].clone();
                let bit = bit as usize % (record.len() * 8);
                record[bit / 8] ^= 1 << (bit % 8);
                self.open_forged(from_agent, record);
            }
            Step::Truncate(length) if count > 0 => {
                let mut record = direction.waiting[0].clone();
                record.truncate(usize::from(length) % record.len());
                self.open_forged(from_agent, record);
            }
            Step::Reflect if count > 0 => {
                let mut record = direction.waiting[0].clone();
                record[4..12].copy_from_slice(&from.link().to_bytes());
                let opened = from.open(now, &mut record).map(|_| ());
                let dropped = matches!(
                    opened,
                    Err(OpenError::Forged
                        | OpenError::Replayed
                        | OpenError::TooOld
                        | OpenError::EpochUnknown)
                );
                assert!(dropped, "reflected: {opened:?}");
            }
            Step::Wait(seconds) => self.wait(seconds),
            Step::Rekey => {
                self.pair.agent.request_rekey();
                self.give_seeds();
            }
            Step::Attach(strict) => self.attach(if strict { Order::Strict } else { Order::Window }),
            _ => {}
        }
    }

    fn send(&mut self, from_agent: bool) {
        let (now, number) = (self.now, self.next);
        self.next += 1;
        let (from, _, direction) = self.ends(from_agent);
        let mut record = BytesMut::new();
        from.seal_datagram(now, &number.to_be_bytes(), &mut record).unwrap();
        direction.sent.insert(number);
        direction.waiting.push(record);
    }

    /// Delivers the record at `place` of the queue.
    fn deliver(&mut self, from_agent: bool, place: usize) {
        let (_, _, direction) = self.ends(from_agent);
        let record = direction.waiting.remove(place);
        direction.past.push(record.clone());
        self.open(from_agent, record);
    }

    /// Hands in a record that an end sealed, and compares what becomes of it with the model.
    fn open(&mut self, from_agent: bool, mut record: BytesMut) {
        let now = self.now;
        let (_, to, direction) = self.ends(from_agent);
        let order = to.order();
        let seq = Header::of_record(&record).unwrap().seq;
        let cause = match to.open(now, &mut record) {
            Ok(opened) => {
                assert!(direction.positions.insert(seq), "position {seq} opened twice");
                let last = direction.last.replace(seq);
                let follows = last.is_none_or(|last| seq == last + 1);
                assert!(order == Order::Window || follows, "{seq} opened after {last:?}");
                for payload in opened.datagrams() {
                    let number = u64::from_be_bytes(payload.try_into().unwrap());
                    assert!(direction.sent.contains(&number), "{number} was never sent");
                    assert!(direction.opened.insert(number), "{number} opened twice");
                }
                return self.give_seeds();
            }
            Err(cause) => cause,
        };
        let top = direction.positions.last().copied().unwrap_or(0);
        match cause {
            OpenError::Replayed => assert!(direction.positions.contains(&seq) || seq <= 1),
            OpenError::TooOld => assert!(seq + 1_023 < top),
            OpenError::OrderViolation => {
                assert_eq!(order, Order::Strict);
                assert_ne!(Some(seq), direction.last.map(|last| last + 1));
            }
            OpenError::EpochUnknown => assert!(seq < top || order == Order::Window, "{seq} {top}"),
            other => panic!("an honest record at {seq} was refused: {other}"),
        }
        self.lose_transport(cause);
    }

    /// Hands in a record that no end sealed.
    fn open_forged(&mut self, from_agent: bool, mut record: BytesMut) {
        let now = self.now;
        let (_, to, _) = self.ends(from_agent);
        match to.open(now, &mut record) {
            Ok(_) => panic!("a forged record opened"),
            Err(cause) => self.lose_transport(cause),
        }
    }

    /// What a driver does with a refusal.
    fn lose_transport(&mut self, cause: OpenError) {
        match cause.fate(self.pair.agent.order()) {
            Fate::DropRecord => {}
            Fate::DropAttachment => self.attach(Order::Strict),
            Fate::CloseSession(code) => panic!("{code:?}: {cause}"),
        }
    }

    /// Another transport; what was on the way over the last one is lost, to be replayed.
    fn attach(&mut self, order: Order) {
        self.pair.agent.attach(order);
        self.pair.backend.attach(order);
        for direction in &mut self.directions {
            direction.past.append(&mut direction.waiting);
            direction.last = None;
        }
    }

    fn wait(&mut self, seconds: u8) {
        // An end that hears nothing for 540 s ends, as it must; that is not what is modelled here.
        if self.waited + u32::from(seconds) > 400 {
            return;
        }
        self.waited += u32::from(seconds);
        self.now = self.now.after(Duration::from_secs(seconds.into()));
        for end in [&mut self.pair.agent, &mut self.pair.backend] {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        self.give_seeds();
    }

    fn give_seeds(&mut self) {
        for end in [&mut self.pair.agent, &mut self.pair.backend] {
            while let Some(event) = end.poll_event() {
                match event {
                    Event::WantsSeed => {
                        self.rekeys = self.rekeys.wrapping_add(1);
                        end.provide_seed(self.now, &seed(self.rekeys));
                    }
                    Event::Ended(_) | Event::ClosedByPeer { .. } | Event::RekeyFailed(_) => {
                        panic!("{event:?}")
                    }
                    _ => {}
                }
            }
        }
    }

    /// An honest path from here on: within a few exchanges, all that is sent opens.
    fn heal(&mut self) {
        self.attach(Order::Strict);
        for _ in 0..6 {
            self.wait(4);
            for from_agent in [true, false] {
                self.act(from_agent, Step::Transmit);
                self.act(from_agent, Step::DeliverAll);
            }
        }
        for from_agent in [true, false] {
            let sent = self.next;
            self.send(from_agent);
            self.act(from_agent, Step::DeliverAll);
            let (_, to, direction) = self.ends(from_agent);
            assert!(direction.opened.contains(&sent), "it does not recover");
            assert!(to.is_open());
        }
    }
}
