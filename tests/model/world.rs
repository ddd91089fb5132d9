//! Two sides, the frames between them, the faults, and what really happened: the state space that is
//! explored.
//!
//! A step without a fault lowers [`World::rank`], so every run without faults ends, and "delivered in
//! the end" is the same as "a state without a step has everything delivered". stateright's own
//! `eventually` misses counterexamples where paths join or cycle.

use stateright::{Model, Property};

use crate::side::{Bits, Doubt, Frame, MESSAGES, Mutation, Outcome, Resumption, Side, Store, bit};

/// Where the effect of a handler stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Effect {
    /// In the transaction that marks the number; without a durable store, in memory's stead at once.
    WithMark,
    /// Somewhere else, at once.
    Outside,
}

/// How many faults of each kind happen at most.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Faults {
    /// Crashes of each side.
    pub crashes: [u8; 2],
    pub cuts: u8,
    pub losses: u8,
    pub copies: u8,
}

/// One world to explore.
#[derive(Clone, Debug)]
pub struct Rules {
    pub stores: [Store; 2],
    pub doubt: Doubt,
    pub effect: Effect,
    pub mutation: Mutation,
    /// The side that submits each message; [`MESSAGES`] at most.
    pub origin: &'static [usize],
    pub faults: Faults,
}

/// What happened, as nobody inside sees it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Truth {
    /// How often each message took effect.
    effects: [u8; MESSAGES],
    submitted: Bits,
    /// Taken by a store that still lives.
    accepted: Bits,
    /// Put on the network by the sender's present process.
    launched: Bits,
    /// Handled, as the sender's application was told.
    confirmed: Bits,
    /// In doubt, as the sender's application was told.
    doubted: Bits,
    /// A side that lost its outbox, and whose peer knew that outbox and was not told yet.
    untold_reset: [bool; 2],
    /// A `PeerStateLost` named a message too many or too few.
    wrong_doubt: bool,
    /// A step without a fault did not lower the rank.
    went_round: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct World {
    sides: [Side; 2],
    up: bool,
    /// Frames on their way to each side, sorted: they overtake each other.
    net: [Vec<Frame>; 2],
    left: Faults,
    truth: Truth,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Submit(usize),
    Sync(usize),
    Connect,
    Send(usize),
    SendHandled(usize),
    Deliver { to: usize, index: usize },
    Handle { side: usize, index: usize },
    Crash(usize),
    Cut,
    Lose { to: usize, index: usize },
    Copy { to: usize, index: usize },
}

pub const LOST: &str = "what was acknowledged as handled took effect";
pub const TWICE: &str = "nothing takes effect twice unless its sender was told of the doubt";
pub const DOUBT: &str = "a lost inbox is reported with exactly the messages in doubt";
pub const GAP: &str = "a lost outbox is reported to the side that knew it";
pub const STUCK: &str = "when faults end, what a living store took is confirmed or surfaced";
pub const ROUND: &str = "no run without faults is endless";

impl Model for Rules {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            sides: self.stores.map(Side::new),
            up: false,
            net: [Vec::new(), Vec::new()],
            left: self.faults,
            truth: Truth {
                effects: [0; MESSAGES],
                submitted: 0,
                accepted: 0,
                launched: 0,
                confirmed: 0,
                doubted: 0,
                untold_reset: [false; 2],
                wrong_doubt: false,
                went_round: false,
            },
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.work(self, steps);
        world.faults(steps);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.take(self, step);
        let fault =
            matches!(step, Step::Crash(_) | Step::Cut | Step::Lose { .. } | Step::Copy { .. });
        next.truth.went_round |= !fault && next.rank(self) >= world.rank(self);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOST, |_, world: &World| world.nothing_confirmed_is_lost()),
            Property::always(TWICE, |_, world: &World| world.nothing_happens_twice()),
            Property::always(DOUBT, |_, world: &World| !world.truth.wrong_doubt),
            Property::always(GAP, |rules: &Self, world: &World| {
                !world.rests(rules) || world.truth.untold_reset == [false; 2]
            }),
            Property::always(STUCK, |rules: &Self, world: &World| {
                !world.rests(rules) || world.all_settled()
            }),
            Property::always(ROUND, |_, world: &World| !world.truth.went_round),
        ]
    }
}

impl World {
    fn work(&self, rules: &Rules, steps: &mut Vec<Step>) {
        for side in 0..2 {
            let this = &self.sides[side];
            if self.next_message(rules, side).is_some() {
                steps.push(Step::Submit(side));
            }
            if this.is_dirty() {
                steps.push(Step::Sync(side));
            }
            steps.extend((0..this.held.len()).map(|index| Step::Handle { side, index }));
            if !self.up {
                continue;
            }
            if this.sendable(rules.mutation).is_some() {
                steps.push(Step::Send(side));
            }
            if this.owes_ack(rules.mutation) {
                steps.push(Step::SendHandled(side));
            }
            // RESUME sorts first, and nothing of a session is read before it.
            let readable = if this.resumed { self.net[side].len() } else { 1 };
            for index in 0..readable.min(self.net[side].len()) {
                if index == 0 || self.net[side][index] != self.net[side][index - 1] {
                    steps.push(Step::Deliver { to: side, index });
                }
            }
        }
        if !self.up {
            steps.push(Step::Connect);
        }
    }

    fn faults(&self, steps: &mut Vec<Step>) {
        steps.extend((0..2).filter(|side| self.left.crashes[*side] > 0).map(Step::Crash));
        if self.up && self.left.cuts > 0 {
            steps.push(Step::Cut);
        }
        for to in 0..2 {
            for (index, frame) in self.net[to].iter().enumerate() {
                let first = index == 0 || self.net[to][index - 1] != *frame;
                // A session without its RESUME is given up: that is a cut.
                if !first || matches!(frame, Frame::Resume { .. }) {
                    continue;
                }
                if self.left.losses > 0 {
                    steps.push(Step::Lose { to, index });
                }
                if self.left.copies > 0 {
                    steps.push(Step::Copy { to, index });
                }
            }
        }
    }

    fn take(&mut self, rules: &Rules, step: Step) {
        match step {
            Step::Submit(side) => {
                if let Some(message) = self.next_message(rules, side) {
                    self.sides[side].submit(message);
                    self.truth.submitted |= bit(message);
                    if rules.stores[side] == Store::Memory {
                        self.truth.accepted |= bit(message);
                    }
                }
            }
            Step::Sync(side) => self.sync(side),
            Step::Connect => {
                self.up = true;
                for side in 0..2 {
                    let frame = self.sides[side].resume(rules.mutation);
                    self.put(1 - side, frame);
                }
            }
            Step::Send(side) => {
                let number = self.sides[side].sendable(rules.mutation);
                if let Some(frame) = number.and_then(|number| self.sides[side].send(number)) {
                    if let Frame::Message { message, .. } = frame {
                        self.truth.launched |= bit(message);
                    }
                    self.put(1 - side, frame);
                }
            }
            Step::SendHandled(side) => {
                let this = &mut self.sides[side];
                this.acked = this.ackable(rules.mutation);
                this.ack_due = false;
                let frame = Frame::Handled(this.acked);
                self.put(1 - side, frame);
            }
            Step::Deliver { to, index } => self.deliver(rules, to, index),
            Step::Handle { side, index } => {
                let held = self.sides[side].handle(index);
                if rules.stores[side] == Store::Durable && rules.effect == Effect::WithMark {
                    self.sides[side].pending.push(held);
                    self.sides[side].pending.sort_unstable();
                } else {
                    self.truth.effects[held.message as usize] += 1;
                }
            }
            Step::Crash(side) => self.crash(rules, side),
            Step::Cut => {
                self.left.cuts -= 1;
                self.cut(rules);
            }
            Step::Lose { to, index } => {
                self.left.losses -= 1;
                // The sender notices in time: what the frame was about is due again.
                match self.net[to].remove(index) {
                    Frame::Message { number, .. } => self.sides[1 - to].sent &= !bit(number),
                    Frame::Handled(numbers) => self.sides[to].sent &= !numbers,
                    Frame::Resume { .. } => {}
                }
            }
            Step::Copy { to, index } => {
                self.left.copies -= 1;
                let frame = self.net[to][index];
                self.put(to, frame);
            }
        }
    }

    fn put(&mut self, to: usize, frame: Frame) {
        if matches!(frame, Frame::Handled(_)) {
            // A set takes back nothing, so one that is overtaken by a later one changes nothing.
            self.net[to].retain(|other| !matches!(other, Frame::Handled(_)));
        }
        self.net[to].push(frame);
        self.net[to].sort_unstable();
    }

    fn next_message(&self, rules: &Rules, side: usize) -> Option<u8> {
        let mut messages = (0u8..).zip(rules.origin);
        let next =
            messages.find(|(m, origin)| **origin == side && self.truth.submitted & bit(*m) == 0);
        next.map(|(message, _)| message)
    }

    fn sync(&mut self, side: usize) {
        let this = &mut self.sides[side];
        this.disk = this.live;
        for held in this.pending.drain(..) {
            self.truth.effects[held.message as usize] += 1;
        }
        self.truth.accepted |= this.disk.messages();
    }

    fn deliver(&mut self, rules: &Rules, to: usize, index: usize) {
        let frame = self.net[to].remove(index);
        let side = &mut self.sides[to];
        match frame {
            Frame::Resume { outbox, inbox, known, handled } => {
                let (before, restored) = (side.live, side.restored);
                let Resumption { outcome, reset, freed } =
                    side.take_resume((outbox, inbox, known, handled), rules.doubt, rules.mutation);
                self.truth.confirmed |= freed;
                if reset {
                    self.truth.untold_reset[1 - to] = false;
                }
                if let Outcome::PeerStateLost { in_doubt } = outcome {
                    let least = before.messages() & self.truth.launched;
                    let most = least | before.messages_of(restored);
                    self.truth.wrong_doubt |= in_doubt & least != least || in_doubt & !most != 0;
                    self.truth.doubted |= in_doubt;
                }
            }
            Frame::Message { number, message, again } => {
                side.take_message(number, message, again, rules.mutation);
            }
            Frame::Handled(numbers) => self.truth.confirmed |= side.free(numbers),
        }
    }

    fn crash(&mut self, rules: &Rules, side: usize) {
        self.left.crashes[side] -= 1;
        let own = (0u8..).zip(rules.origin).filter(|(_, origin)| **origin == side);
        let own = own.fold(0, |set, (m, _)| set | bit(m));
        self.truth.launched &= !own;
        if rules.stores[side] == Store::Memory {
            self.truth.accepted &= !own;
            self.truth.untold_reset[side] =
                self.truth.untold_reset[side] || self.sides[1 - side].live.peer_outbox != 0;
        }
        self.sides[side].crash(rules.mutation);
        // Who knows no outbox from before is told nothing about it.
        self.truth.untold_reset[1 - side] &= self.sides[side].live.peer_outbox != 0;
        self.cut(rules);
    }

    fn cut(&mut self, rules: &Rules) {
        self.up = false;
        self.net = [Vec::new(), Vec::new()];
        self.sides.iter_mut().for_each(|side| side.cut(rules.mutation));
    }

    /// Whether nothing is left to do unless a fault happens.
    fn rests(&self, rules: &Rules) -> bool {
        if !self.up || !self.net.iter().all(Vec::is_empty) {
            return false;
        }
        let mut steps = Vec::new();
        self.work(rules, &mut steps);
        steps.is_empty()
    }

    fn nothing_confirmed_is_lost(&self) -> bool {
        all(|m| self.truth.confirmed & bit(m) == 0 || self.truth.effects[m as usize] > 0)
    }

    fn nothing_happens_twice(&self) -> bool {
        all(|m| self.truth.doubted & bit(m) != 0 || self.truth.effects[m as usize] < 2)
    }

    fn all_settled(&self) -> bool {
        let settled = self.truth.confirmed | self.truth.doubted;
        let idle = self.sides.iter().all(|side| side.live.messages() == 0);
        idle && self.truth.accepted & !settled == 0
    }

    /// Falls with every step that is no fault. The weights follow what a step may bring about:
    /// submit, send, deliver, handle, acknowledge, deliver that, sync.
    fn rank(&self, rules: &Rules) -> u32 {
        let mut rank = if self.up { 0 } else { 60 };
        rank += 10 * (rules.origin.len() as u32 - self.truth.submitted.count_ones());
        for side in &self.sides {
            rank += u32::from(side.is_dirty()) + 5 * side.held.len() as u32;
            let ackable = side.ackable(rules.mutation);
            rank += 3 * u32::from(side.ack_due || ackable != side.acked);
            rank += 3 * u32::from(ackable != side.live.handled);
            let waiting = side.live.numbers().filter(|n| side.sent & bit(*n) == 0);
            rank += 8 * waiting.count() as u32;
        }
        let weight = |frame: &Frame| match frame {
            Frame::Resume { .. } => 6,
            Frame::Message { .. } => 7,
            Frame::Handled(_) => 2,
        };
        rank + self.net.iter().flatten().map(weight).sum::<u32>()
    }
}

fn all(fact: impl Fn(u8) -> bool) -> bool {
    (0..MESSAGES as u8).all(fact)
}
