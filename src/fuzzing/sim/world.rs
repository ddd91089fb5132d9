//! The world: processes, links, connections, and what happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backend::{Attachment, Registry};
use super::cast::AGENTS;
use super::conn::Conn;
use super::dice::Dice;
use super::disk::{Disk, Rows};
use super::end::{End, MESSAGE_BYTES, Terms};
use super::ledger::Ledger;
use super::orders::Ordered;
use super::shelf::Shelf;
use super::trace::Trace;
use crate::call::{CommandId, OnCrash};
use crate::delivery::credit::Amount;
use crate::delivery::outbox::Capacity;
use crate::delivery::queue::Bounds;
use crate::delivery::word::Epoch;
use crate::priority::Class;
use crate::session::{ChainBook, InitiatorChain};
use crate::time::{Instant, Now, UnixTime};

/// Something that happens at its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// A parcel of that connection arrives at that side.
    Arrive(u64, usize),
    /// The timer of an end.
    Timer(usize),
    /// The application of an end does something.
    Tick(usize),
    /// The disk of a process took something.
    Disk(usize),
    /// An agent dials.
    Dial(usize),
    /// A task of the backend that held a connection ends.
    Release(u64, Attachment),
    /// The next thing that goes wrong.
    Fault,
    /// A process begins again.
    Restart(usize),
}

pub(super) struct Process {
    /// `None`: nothing outlives a crash.
    pub(super) rows: Option<BTreeMap<usize, Rows>>,
    pub(super) disk: Disk,
    pub(super) life: u64,
    pub(super) is_up: bool,
    /// It does nothing before.
    pub(super) sleeps_until: Instant,
    /// Whether its steady clock stands still meanwhile.
    pub(super) stands_still: bool,
    /// How far that clock is behind by then.
    pub(super) lag: Duration,
    /// Its wall clock.
    pub(super) wall: u64,
}

/// An agent as one that dials.
#[derive(Default)]
pub(super) struct Dialer {
    pub(super) chain: Option<InitiatorChain>,
    /// The connection that `chain` comes from.
    pub(super) chain_of: u64,
    pub(super) is_dialling: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Everything goes wrong.
    Hostile,
    /// Nothing does any more, and what waits comes to rest.
    Healed,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: Instant,
    happenings: BTreeMap<(Instant, u64), Happening>,
    scheduled: u64,
    pub(super) agents: usize,
    pub(super) processes: Shelf<Process>,
    pub(super) ends: Shelf<End>,
    pub(super) dialers: Shelf<Dialer>,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) conns_made: u64,
    /// Outbox and inbox of each side of each connection.
    pub(super) said: BTreeMap<(u64, usize), (Epoch, Epoch)>,
    pub(super) registry: Registry,
    pub(super) book: ChainBook,
    pub(super) ledger: Ledger,
    pub(super) orders: BTreeMap<CommandId, Ordered>,
    pub(super) phase: Phase,
    /// Whether sessions come from handshakes.
    pub(super) shakes_hands: bool,
    pub(super) ticks: u64,
    /// Applications begin nothing before.
    pub(super) quiet_until: Instant,
    /// An end that gets messages by urgency, and the class of the last one.
    pub(super) urgency: Option<(usize, Class)>,
    pub(super) terms: Terms,
    /// What an application is, most of the time, in milliseconds between two things it does.
    pub(super) pace: u64,
    pub(super) trace: Trace,
}

const START: u64 = 1_800_000_000;

macro_rules! note {
    ($world:expr, $($what:tt)*) => {
        $world.trace.note($world.now, format_args!($($what)*))
    };
}
pub(super) use note;

impl World {
    pub(super) fn new(seed: u64, keeps_all: bool) -> Self {
        let mut dice = Dice::new(seed);
        let agents = match dice.roll(10) {
            0 => 2 + dice.pick(AGENTS - 1),
            1..4 => 3 + dice.pick(3),
            _ => 2,
        };
        let processes = (0..=agents).map(|_| Process {
            rows: dice.once_in(2).then(BTreeMap::new),
            disk: Disk::default(),
            life: 0,
            is_up: true,
            sleeps_until: Instant::default(),
            stands_still: false,
            lag: Duration::ZERO,
            wall: START,
        });
        let processes = Shelf(processes.collect());
        let bytes = 2 * MESSAGE_BYTES as u64;
        let window = |messages| Amount { messages, bytes };
        let on_crash = dice.one_of([OnCrash::Report, OnCrash::Report, OnCrash::Rerun]);
        let terms = match dice.roll(3) {
            0 => Terms {
                class_window: Amount::CLASS_WINDOW,
                window: Amount::SUBSCRIPTION_WINDOW,
                outbox: Capacity::default(),
                queue: Bounds::default(),
                on_crash,
            },
            // Small, so that every bound is met.
            _ => Terms {
                class_window: window(5 + dice.roll(6)),
                window: window(4 + dice.roll(5)),
                outbox: Capacity { messages: 30, bytes: 600_000 },
                queue: Bounds { messages: 20, bytes: 2 * MESSAGE_BYTES },
                on_crash,
            },
        };
        let shakes_hands = dice.once_in(20);
        let pace = dice.one_of([5, 20, 60, 200]);
        let mut world = Self {
            dice,
            now: Instant::from_nanos(1_000_000_000),
            happenings: BTreeMap::new(),
            scheduled: 0,
            agents,
            processes,
            ends: Shelf(Vec::new()),
            dialers: Shelf((0..agents).map(|_| Dialer::default()).collect()),
            conns: BTreeMap::new(),
            conns_made: 0,
            said: BTreeMap::new(),
            registry: Registry::default(),
            book: ChainBook::new(),
            ledger: Ledger::default(),
            orders: BTreeMap::new(),
            phase: Phase::Hostile,
            shakes_hands,
            ticks: 0,
            quiet_until: Instant::default(),
            urgency: None,
            terms,
            pace,
            trace: Trace::new(keeps_all),
        };
        for end in 0..2 * agents {
            let made = world.born(end);
            world.ends.0.push(made);
        }
        world
    }

    /// An end as its process begins.
    pub(super) fn born(&mut self, end: usize) -> End {
        let seed = self.dice.next();
        let place = (end / 2, end % 2);
        let terms = self.terms;
        let now = self.clock(end);
        let process = self.process_of(end);
        let process = &mut self.processes[process];
        let life = process.life;
        let kept = process.rows.as_mut().map(|rows| &*rows.entry(end).or_default());
        End::new(now, place, terms, kept, life, seed)
    }

    /// The process in which an end lives: its agent's, or the backend's, which is the last.
    pub(super) fn process_of(&self, end: usize) -> usize {
        if end.is_multiple_of(2) { end / 2 } else { self.agents }
    }

    pub(super) fn ends_of(&self, process: usize) -> Vec<usize> {
        (0..self.ends.len()).filter(|end| self.process_of(*end) == process).collect()
    }

    /// Both clocks of a process.
    pub(super) fn local(&self, process: usize) -> Now {
        let process = &self.processes[process];
        let behind = u64::try_from(process.lag.as_nanos()).unwrap_or(0);
        let stood = process.stands_still && process.sleeps_until > self.now;
        let now = if stood { process.sleeps_until } else { self.now };
        let instant = Instant::from_nanos(now.as_nanos().saturating_sub(behind));
        Now {
            instant,
            unix: UnixTime::from_secs(process.wall + self.now.as_nanos() / 1_000_000_000),
        }
    }

    pub(super) fn clock(&self, end: usize) -> Now {
        self.local(self.process_of(end))
    }

    /// A moment of a process, on the clock of the world.
    pub(super) fn global(&self, process: usize, at: Instant) -> Instant {
        at.after(self.processes[process].lag)
    }

    pub(super) fn at(&mut self, at: Instant, happening: Happening) {
        self.scheduled += 1;
        self.happenings.insert((at.max(self.now), self.scheduled), happening);
    }

    pub(super) fn after(&mut self, span: Duration, happening: Happening) {
        self.at(self.now.after(span), happening);
    }

    /// The next thing happens.
    pub(super) fn step(&mut self) {
        let Some(((at, _), happening)) = self.happenings.pop_first() else {
            unreachable!("applications always do something")
        };
        self.now = at;
        let process = match happening {
            Happening::Timer(end) | Happening::Tick(end) => Some(self.process_of(end)),
            Happening::Disk(process) => Some(process),
            Happening::Arrive(_, 0) => None,
            Happening::Release(..) | Happening::Arrive(..) => Some(self.agents),
            Happening::Dial(agent) => Some(agent),
            Happening::Fault | Happening::Restart(_) => None,
        };
        let process = match happening {
            Happening::Arrive(conn, 0) => self.conns.get(&conn).map(|conn| conn.agent),
            _ => process,
        };
        if let Some(process) = process {
            let sleeps_until = self.processes[process].sleeps_until;
            if sleeps_until > self.now {
                return self.at(sleeps_until, happening);
            }
            // What it would have done ended with it.
            if !self.processes[process].is_up && !matches!(happening, Happening::Arrive(..)) {
                return;
            }
        }
        match happening {
            Happening::Arrive(conn, side) => self.arrive(conn, side),
            Happening::Timer(end) => self.timer(end),
            Happening::Tick(end) => self.tick(end),
            Happening::Disk(process) => self.write(process),
            Happening::Dial(agent) => self.dial(agent),
            Happening::Release(conn, attachment) => self.release(conn, attachment),
            Happening::Fault => self.fault(),
            Happening::Restart(process) => self.restart(process),
        }
    }

    /// Safety first, then everything is repaired and must make progress.
    pub(super) fn play(&mut self) {
        let memories: Vec<bool> = self.processes.iter().map(|it| it.rows.is_some()).collect();
        note!(self, "{} agents, disks {memories:?}, hands {}", self.agents, self.shakes_hands);
        for end in 0..self.ends.len() {
            self.begin(end);
        }
        for agent in 0..self.agents {
            self.after(Duration::from_millis(1), Happening::Dial(agent));
        }
        self.after(Duration::from_millis(300), Happening::Fault);
        let ticks = 250 + 60 * self.ends.len() as u64;
        while self.ticks < ticks {
            self.step();
        }
        self.heal();
    }

    /// An end begins to live: it listens, and does something now and then.
    pub(super) fn begin(&mut self, end: usize) {
        let (agent, side) = (end / 2, end % 2);
        let topic = match self.dice.roll(3) {
            0 => Some("threats"),
            _ => None,
        };
        self.subscribe(end, super::end::heard(agent, side, topic));
        self.ends[end].is_slow = self.dice.once_in(5);
        let span = self.dice.millis(1, 50);
        self.after(span, Happening::Tick(end));
        self.pump(end);
    }

    fn timer(&mut self, end: usize) {
        let clock = self.clock(end);
        match self.ends[end].armed {
            Some(armed) if armed <= clock.instant => {}
            // Another one was set meanwhile, or the process slept.
            _ => return self.arm(end),
        }
        self.ends[end].armed = None;
        self.ends[end].handle_timeout(clock);
        self.pump(end);
    }

    /// Sets the timer of an end, unless it goes off early enough.
    pub(super) fn arm(&mut self, end: usize) {
        let now = self.clock(end).instant;
        let Some(due) = self.ends[end].poll_timeout() else { return };
        // What is due and cannot be done waits for the transport.
        let floor = if due <= now { Duration::from_millis(200) } else { Duration::ZERO };
        let due = due.max(now.after(floor));
        if self.ends[end].armed.is_some_and(|armed| armed > now && armed <= due) {
            return;
        }
        self.ends[end].armed = Some(due);
        let at = self.global(self.process_of(end), due);
        self.at(at, Happening::Timer(end));
    }
}
