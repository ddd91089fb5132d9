//! What goes wrong beside records: connections, processes, clocks and disks.

use std::time::Duration;

use super::world::{Happening, Phase, World, note};
use crate::link::Event;
use crate::session::ChainBook;

const YEAR: u64 = 365 * 24 * 3_600;

impl World {
    pub(super) fn fault(&mut self) {
        if self.phase == Phase::Healed {
            return;
        }
        let (process, agent) = (self.dice.pick(self.agents + 1), self.dice.pick(self.agents));
        match self.dice.roll(20) {
            0..5 => self.cut(agent),
            5..7 => self.half_open(agent),
            7..10 => self.take_over(agent),
            10..14 => self.crash(process),
            14..16 => self.suspend(process),
            16 => self.jump(process),
            17 | 18 => self.fill(process),
            // It has been quiet for long, for all timers of links.
            _ => {
                let span = self.dice.millis(30_000, 100_000);
                note!(self, "nobody does anything for {span:?}");
                for end in 0..self.ends.len() {
                    self.ends[end].is_slow = false;
                }
                self.quiet_until = self.now.after(span);
            }
        }
        let span = match self.dice.roll(4) {
            0 => self.dice.millis(1, 200),
            1 => self.dice.millis(5_000, 20_000),
            _ => self.dice.millis(200, 3_000),
        };
        self.after(span, Happening::Fault);
    }

    /// Both sides hear that their connection ended, each at its time.
    fn cut(&mut self, agent: usize) {
        let Some(number) = self.ends[2 * agent].conn else { return };
        note!(self, "connection {number} is cut");
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&number) {
            for side in [0, 1] {
                conn.lane(side).parcels.clear();
                conn.lane(side).last = now;
                conn.lane(side).is_dead = false;
            }
        }
        self.ends[2 * agent].conn = None;
        self.hang_up(number, 0);
        let clock = self.local(agent);
        self.ends[2 * agent].detach(clock);
        self.redial(agent);
    }

    /// Nothing gets through in one direction, or in both.
    fn half_open(&mut self, agent: usize) {
        let Some(number) = self.ends[2 * agent].conn else { return };
        let which = self.dice.roll(3);
        note!(self, "connection {number} is dead in direction {which}");
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.lane(0).is_dead |= which != 1;
            conn.lane(1).is_dead |= which != 0;
        }
    }

    /// The agent makes a new connection while it has one.
    fn take_over(&mut self, agent: usize) {
        if !self.processes[agent].is_up || self.dialers[agent].is_dialling {
            return;
        }
        self.dialers[agent].is_dialling = true;
        self.after(Duration::ZERO, Happening::Dial(agent));
        if self.dice.once_in(3) {
            let span = self.dice.millis(0, 60);
            self.after(span, Happening::Dial(agent));
        }
    }

    fn crash(&mut self, process: usize) {
        let it = &self.processes[process];
        if !it.is_up || it.sleeps_until > self.now {
            return;
        }
        let kept = self.processes[process].rows.is_some();
        note!(self, "process {process} crashes, disk: {kept}");
        // The disk took some more, and nobody heard of it.
        let more = self.dice.pick(self.processes[process].disk.waiting.len() + 1);
        let has_room = self.processes[process].disk.full_until <= self.now;
        if self.dice.once_in(2) && has_room {
            for _ in 0..more {
                self.write_one(process);
            }
        }
        for end in self.ends_of(process) {
            // What the application did not hear any more was decided all the same.
            while let Some(event) = self.ends[end].poll_event() {
                if matches!(event, Event::Settled(..) | Event::Stored(_)) {
                    self.hear(end, event);
                }
            }
            self.ends[end].conn = None;
        }
        let side = usize::from(process == self.agents);
        let numbers: Vec<u64> = self.conns.keys().copied().collect();
        for number in numbers {
            let conn = self.conns.get(&number);
            let Some((agent, attachment)) = conn.map(|conn| (conn.agent, conn.attachment)) else {
                continue;
            };
            if side == 1 || agent == process {
                self.hang_up(number, side);
            }
            if side == 1
                && let Some(attachment) = attachment
            {
                self.registry.release(attachment);
            }
        }
        let it = &mut self.processes[process];
        it.is_up = false;
        it.life += 1;
        it.disk.waiting.clear();
        it.disk.is_busy = false;
        it.sleeps_until = self.now;
        if it.rows.is_none() {
            match process == self.agents {
                true => self.book = ChainBook::new(),
                false => self.dialers[process].chain = None,
            }
        }
        let span = self.dice.millis(10, 5_000);
        self.after(span, Happening::Restart(process));
    }

    pub(super) fn restart(&mut self, process: usize) {
        note!(self, "process {process} begins again");
        self.processes[process].is_up = true;
        for end in self.ends_of(process) {
            let mut born = self.born(end);
            if self.processes[process].rows.is_some() {
                // Those of which a row is left go on.
                let ids = std::mem::take(&mut self.ends[end].ids);
                let is_left = |own: &crate::link::MessageId| born.told.contains(own);
                let ids = ids.into_iter().filter(|(own, _)| is_left(own)).collect();
                born.ids = ids;
                for own in born.ids.keys() {
                    born.told.remove(own);
                }
            }
            self.ends[end] = born;
        }
        self.recall(process);
        for end in self.ends_of(process) {
            self.begin(end);
        }
        if process < self.agents {
            self.dialers[process].is_dialling = false;
            self.redial(process);
        }
    }

    /// A process does nothing for a while. Its steady clock may stand still meanwhile.
    fn suspend(&mut self, process: usize) {
        let it = &self.processes[process];
        if !it.is_up || it.sleeps_until > self.now {
            return;
        }
        let span = self.dice.millis(10_000, 600_000);
        note!(self, "process {process} sleeps for {span:?}");
        let until = self.now.after(span);
        let stands_still = self.dice.once_in(2);
        let it = &mut self.processes[process];
        it.sleeps_until = until;
        it.stands_still = stands_still;
        if stands_still {
            it.lag += span;
        }
        for end in self.ends_of(process) {
            self.ends[end].armed = None;
            self.at(until, Happening::Timer(end));
        }
    }

    /// Somebody sets the wall clock.
    fn jump(&mut self, process: usize) {
        let span = self.dice.one_of([60, 24 * 3_600, YEAR]);
        let forth = self.dice.once_in(2);
        note!(self, "the wall clock of process {process} jumps by {span} s, forth: {forth}");
        let wall = &mut self.processes[process].wall;
        *wall = if forth { wall.saturating_add(span) } else { wall.saturating_sub(span) };
    }

    fn fill(&mut self, process: usize) {
        let span = self.dice.millis(100, 10_000);
        note!(self, "the disk of process {process} is full for {span:?}");
        self.processes[process].disk.full_until = self.now.after(span);
    }
}
