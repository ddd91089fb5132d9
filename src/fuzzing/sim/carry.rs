//! Connections: how they are made, what they carry, and how they end.

use std::time::Duration;

use bytes::BytesMut;

use super::backend::Attachment;
use super::cast::{Finish, cast};
use super::conn::{Conn, Lane, Letter, Parcel};
use super::disk::Write;
use super::end::Attached;
use super::world::{Happening, Phase, World, note};
use crate::header::{HEADER_BYTES, Header};
use crate::limits::RECORD_BYTES;
use crate::link::LinkError;
use crate::session::{HandshakeError, InitiatorChain};

impl World {
    /// An agent opens a connection, and leaves the one before if it has one.
    pub(super) fn dial(&mut self, agent: usize) {
        self.dialers[agent].is_dialling = false;
        let backend = &self.processes[self.agents];
        if !backend.is_up || backend.sleeps_until > self.now {
            // Nobody answers a HELLO.
            return self.redial(agent);
        }
        let end = 2 * agent;
        self.conns_made += 1;
        let number = self.conns_made;
        let is_healed = self.phase == Phase::Healed;
        let mut conn = Conn {
            agent,
            lanes: [Lane::default(), Lane::default()],
            open: [true, true],
            latency: self.dice.millis(1, 40),
            rate: 100_000_000,
            depth: 2 + self.dice.pick(6),
            attachment: None,
            is_hostile: self.dice.once_in(3) && !is_healed,
        };
        if !is_healed && self.dice.once_in(4) {
            conn.latency = self.dice.millis(100, 800);
            conn.rate = self.dice.one_of([20_000, 100_000, 1_000_000]);
        }
        let times = [self.local(agent), self.local(self.agents)];
        let dialled = if self.shakes_hands {
            let chain = self.dialers[agent].chain.as_ref().map(InitiatorChain::duplicate);
            cast().dial(agent, number, chain, &self.book, times)
        } else {
            cast().paired(agent, number, times)
        };
        if let Some(chain) = dialled.chain {
            self.dialers[agent].chain = Some(chain);
            self.dialers[agent].chain_of = number;
        }
        let again = self.ends[end].conn;
        note!(self, "agent {agent} dials, connection {number}, instead of {again:?}");
        if let Some(before) = self.ends[end].conn.take() {
            self.hang_up(before, 0);
        }
        // FINISH may be lost with its connection.
        if !is_healed && self.dice.once_in(12) {
            conn.lane(1).is_dead = true;
        }
        let at = conn.arrival(self.now, 1, 300);
        conn.lane(1).parcels.push_back(Parcel::Finish(dialled.finish));
        self.at(at, Happening::Arrive(number, 1));
        self.conns.insert(number, conn);
        self.attach(end, number, Attached { conn: number, generation: None }, dialled.session);
    }

    fn attach(
        &mut self,
        end: usize,
        conn: u64,
        attached: Attached,
        session: crate::session::Session,
    ) {
        let clock = self.clock(end);
        let it = &mut self.ends[end];
        it.conn = Some(conn);
        self.said.insert((conn, it.side), it.epochs);
        it.attaches.push_back(attached);
        let result = it.attach(clock, session);
        assert_eq!(result, Ok(()), "a session of the same peer is taken");
        self.pump(end);
    }

    /// FINISH arrived: the backend takes the agent's link over to this connection.
    fn accept(&mut self, number: u64, finish: Finish) {
        let clock = self.local(self.agents);
        let Some(agent) = self.conns.get(&number).map(|conn| conn.agent) else { return };
        let end = 2 * agent + 1;
        let (session, generation) = match cast().accept(finish, &mut self.book, clock) {
            Ok(accepted) => accepted,
            Err(error) => {
                note!(self, "connection {number} is refused: {error}");
                match error {
                    // FINISH was slow, or the backend slept; or that of a handshake which the agent
                    // gave up was first.
                    HandshakeError::TimedOut | HandshakeError::Superseded => {}
                    error => unreachable!("an honest handshake is refused: {error}"),
                }
                return self.hang_up(number, 1);
            }
        };
        let attachment = self.registry.attach(agent);
        note!(self, "backend takes connection {number} of agent {agent}");
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.attachment = Some(attachment);
        }
        // The task of the connection before is told to end, and does so when it comes to it.
        if let Some(before) = self.ends[end].conn.take() {
            let old = self.conns.get(&before).and_then(|conn| conn.attachment);
            self.hang_up(before, 1);
            if let Some(old) = old {
                let late = self.dice.millis(0, 2_000);
                self.after(late, Happening::Release(before, old));
            }
        }
        self.attach(end, number, Attached { conn: number, generation }, session);
    }

    /// A side lets go of a connection; the other one hears of it, if it can.
    pub(super) fn hang_up(&mut self, number: u64, side: usize) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&number) else { return };
        conn.shut(side);
        conn.lane(side).parcels.clear();
        if !conn.is_open(1 - side) {
            self.conns.remove(&number);
            return;
        }
        let at = conn.arrival(now, 1 - side, 0);
        let lane = conn.lane(1 - side);
        lane.parcels.push_back(Parcel::End);
        if !lane.is_dead {
            self.at(at, Happening::Arrive(number, 1 - side));
        }
    }

    /// A connection ends, as one side hears.
    pub(super) fn lose(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get(&number) else { return };
        let end = 2 * conn.agent + side;
        let attachment = conn.attachment;
        if side == 1 {
            match attachment {
                Some(attachment) => {
                    let late = self.dice.millis(0, 500);
                    self.after(late, Happening::Release(number, attachment));
                }
                None => self.hang_up(number, 1),
            }
        } else if self.ends[end].conn == Some(number) {
            self.hang_up(number, 0);
            self.ends[end].conn = None;
            let clock = self.clock(end);
            self.ends[end].detach(clock);
            note!(self, "agent {} lost connection {number}", end / 2);
            self.redial(end / 2);
        } else {
            self.hang_up(number, 0);
        }
    }

    /// A task of the backend cleans up behind its connection.
    pub(super) fn release(&mut self, number: u64, attachment: Attachment) {
        let end = 2 * attachment.agent + 1;
        self.hang_up(number, 1);
        if self.registry.release(attachment) {
            note!(self, "backend is done with connection {number}");
            let current = self.ends[end].conn;
            assert!(
                current.is_none_or(|current| current == number),
                "the end of connection {number} costs its successor {current:?} the link"
            );
            self.ends[end].conn = None;
            let clock = self.clock(end);
            self.ends[end].detach(clock);
        }
    }

    pub(super) fn redial(&mut self, agent: usize) {
        if self.dialers[agent].is_dialling || !self.processes[agent].is_up {
            return;
        }
        self.dialers[agent].is_dialling = true;
        let span = match self.phase {
            Phase::Hostile => self.dice.millis(5, 1_500),
            Phase::Healed => self.dice.millis(5, 50),
        };
        self.after(span, Happening::Dial(agent));
    }

    /// What a driver does after each call.
    pub(super) fn pump(&mut self, end: usize) {
        let process = self.process_of(end);
        while let Some(batch) = self.ends[end].poll_changes() {
            let effects = std::mem::take(&mut self.ends[end].effects);
            let write = Write { end, batch, effects };
            self.processes[process].disk.waiting.push_back(write);
            self.begin_write(process);
        }
        assert!(self.ends[end].effects.is_empty(), "an effect has its mark in the same batch");
        let (clock, side) = (self.clock(end), end % 2);
        if let Some(number) = self.ends[end].conn {
            while let Some(conn) = self.conns.get_mut(&number) {
                let depth = conn.depth;
                if conn.lane(1 - side).parcels.len() >= depth {
                    break;
                }
                let mut record = BytesMut::new();
                if !self.ends[end].poll_record(clock, &mut record) {
                    break;
                }
                self.send(number, 1 - side, record);
            }
        }
        let is_attached = self.ends[end].check_bounds();
        if !is_attached && let Some(number) = self.ends[end].conn.take() {
            note!(self, "end {end} gives up connection {number}");
            let attachment = self.conns.get(&number).and_then(|conn| conn.attachment);
            self.hang_up(number, side);
            match attachment {
                Some(attachment) if side == 1 => {
                    self.registry.release(attachment);
                }
                _ => {}
            }
            if side == 0 {
                self.redial(end / 2);
            }
        }
        self.arm(end);
    }

    /// A record leaves.
    fn send(&mut self, number: u64, to: usize, record: BytesMut) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&number) else { return };
        assert!(record.len() <= HEADER_BYTES + RECORD_BYTES + 16, "{} bytes", record.len());
        let Ok(header) = Header::decode(&record) else { unreachable!("a record has a header") };
        let at = conn.arrival(now, to, record.len());
        let is_hostile = conn.is_hostile && self.phase == Phase::Hostile;
        let lane = conn.lane(to);
        let sealed = lane.sealed.replace((header.epoch, header.seq));
        let is_fresh = sealed.is_none_or(|(epoch, seq)| epoch <= header.epoch && seq < header.seq);
        assert!(is_fresh, "position {} is used again after {sealed:?}", header.seq);
        let place = lane.sent;
        lane.sent += 1;
        let mut arrivals = 1;
        let mut letter = Letter { record, place, is_forged: false };
        match if is_hostile { self.dice.roll(200) } else { 200 } {
            0 => {
                note!(self, "record {place} of connection {number} to {to} is lost");
                return;
            }
            1 => {
                let at = self.dice.pick(letter.record.len());
                let bit = 1 << self.dice.roll(8);
                letter.record.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
                letter.is_forged = true;
                note!(self, "record {place} of connection {number} to {to} is changed at {at}");
            }
            2 => {
                let copy = Letter { record: letter.record.clone(), place, is_forged: false };
                lane.parcels.push_back(Parcel::Record(copy));
                arrivals = 2;
                note!(self, "record {place} of connection {number} to {to} comes twice");
            }
            3 => {
                if let Some(old) = lane.old.clone() {
                    let old = Letter { record: old, place: u64::MAX, is_forged: true };
                    lane.parcels.push_back(Parcel::Record(old));
                    arrivals = 2;
                    note!(self, "an old record of connection {number} to {to} comes again");
                }
            }
            4 if matches!(lane.parcels.back(), Some(Parcel::Record(_))) => {
                let before = lane.parcels.pop_back();
                lane.parcels.push_back(Parcel::Record(letter));
                lane.parcels.extend(before);
                note!(self, "record {place} of connection {number} to {to} overtakes");
                if !lane.is_dead {
                    self.at(at, Happening::Arrive(number, to));
                }
                return;
            }
            roll => {
                if roll < 40 {
                    lane.old = Some(letter.record.clone());
                }
            }
        }
        lane.parcels.push_back(Parcel::Record(letter));
        if !lane.is_dead {
            for _ in 0..arrivals {
                self.at(at, Happening::Arrive(number, to));
            }
        }
    }

    pub(super) fn arrive(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let agent = conn.agent;
        let is_open = conn.is_open(side);
        if conn.lane(side).is_dead {
            return;
        }
        let Some(parcel) = conn.lane(side).parcels.pop_front() else { return };
        let process = if side == 0 { agent } else { self.agents };
        if !is_open || !self.processes[process].is_up {
            // Nobody listens: the sender is told so.
            return self.hang_up(number, side);
        }
        match parcel {
            Parcel::Finish(finish) => self.accept(number, finish),
            Parcel::End => self.lose(number, side),
            Parcel::Record(letter) => self.read(number, side, letter),
        }
        // There is room again.
        let sender = 2 * agent + 1 - side;
        if self.ends[sender].conn == Some(number) {
            let sleeps = self.processes[self.process_of(sender)].sleeps_until > self.now;
            if !sleeps {
                self.pump(sender);
            }
        }
    }

    fn read(&mut self, number: u64, side: usize, letter: Letter) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = 2 * conn.agent + side;
        if self.ends[end].conn != Some(number) {
            return;
        }
        let lane = conn.lane(side);
        let is_next = lane.next == Some(letter.place);
        let is_first = lane.next.is_none() && !letter.is_forged;
        let is_honest = (is_next || is_first) && !letter.is_forged;
        if is_honest {
            lane.has_gap |= is_first && letter.place > 0;
            lane.next = Some(letter.place + 1);
        }
        let has_gap = lane.has_gap;
        let clock = self.clock(end);
        let result = self.ends[end].handle_record(clock, letter.record);
        match result {
            Ok(()) => assert!(
                is_honest,
                "end {end} takes record {} of connection {number}, which is not the next",
                letter.place
            ),
            Err(LinkError::Open(error)) => {
                note!(self, "end {end} refuses a record: {error}");
                let excused = !is_honest || has_gap;
                assert!(excused, "end {end} refuses an honest record: {error}");
            }
            Err(LinkError::NoResume) => {
                assert!(has_gap, "end {end} misses a RESUME that was sent");
            }
            Err(LinkError::Detached) => {}
            Err(error) => unreachable!("an honest peer is refused: {error}"),
        }
        self.pump(end);
    }

    /// The disk of a process begins to work, if there is work.
    pub(super) fn begin_write(&mut self, process: usize) {
        let disk = &mut self.processes[process].disk;
        if disk.is_busy || disk.waiting.is_empty() {
            return;
        }
        disk.is_busy = true;
        let full_until = disk.full_until;
        let span = match self.phase {
            Phase::Hostile => self.dice.millis(1, 60),
            Phase::Healed => Duration::from_millis(2),
        };
        let at = self.now.after(span).max(full_until);
        self.at(at, Happening::Disk(process));
    }

    /// The disk took what waited, or a part of it.
    pub(super) fn write(&mut self, process: usize) {
        self.processes[process].disk.is_busy = false;
        if self.processes[process].disk.full_until <= self.now {
            let count = self.processes[process].disk.waiting.len();
            let count = if self.phase == Phase::Healed { count } else { 1 + self.dice.pick(count) };
            for _ in 0..count {
                let Some((end, number)) = self.write_one(process) else { break };
                let clock = self.local(process);
                self.ends[end].stored(clock, number);
                self.pump(end);
            }
        }
        self.begin_write(process);
    }

    /// One batch is on disk; nobody knows yet.
    pub(super) fn write_one(&mut self, process: usize) -> Option<(usize, u64)> {
        let it = &mut self.processes[process];
        let Write { end, batch, effects } = it.disk.waiting.pop_front()?;
        match &mut it.rows {
            Some(rows) => rows.entry(end).or_default().apply(&batch),
            None => unreachable!("a link in memory stores nothing"),
        }
        for id in effects {
            self.ledger.effect(id, 0);
        }
        Some((end, batch.number))
    }
}
