//! The state machine: a live pair of sessions, and a list of operations on what lies between them.
//!
//! Under `cfg(fuzzing)` a mock cipher takes what anyone writes, so frames of the fuzzer's own reach
//! an open session; with the real cipher the same input shows that none of them does.

use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::craft::{craft, no_session};
use super::end::{
    End, Letter, ON_THE_WAY, assert_honest, assert_kept, assert_unchanged, is_unauthenticated,
    mark_of,
};
use super::input::Input;
use super::parties::{self, Choice, Sides, Trust};
use crate::crypto::{ExportError, Suite};
use crate::header::{HEADER_BYTES, Header, RecordType, TAG_BYTES};
use crate::ids::Role;
use crate::limits::{FORGERIES, REKEY_RETRY_TIME, SEQ_END};
use crate::session::{CloseCode, Fate, OpenError, Order, SealError, Stage, observe, pair, wear};
use crate::time::Now;
use crate::wire::{Frame, Frames, KeyUpdate};

/// Operations of one input at most: an input is a story, not a load test.
const OPERATIONS: usize = 300;
/// ACCEPT does not fit one record with all else at most, a REKEY and a CREDENTIAL neither.
const RECORDS_TO_SAY_ALL: usize = 4;

/// A live pair under the operations that `data` lists.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(&mut input);
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.settle();
}

struct World {
    sides: &'static Sides,
    agent: End,
    backend: End,
    now: Now,
    marks: u64,
    seeds: u8,
    /// Whether an end opened what its peer never sealed. It then knows things that are not so.
    deceived: bool,
    /// Whether positions were left out up to the end of their range.
    worn: bool,
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let (kind, wear_by) = (input.u8(), input.u8());
        let trust = if kind & 1 == 0 { Trust::Pins } else { Trust::Roots };
        let suite = if kind & 2 == 0 { Suite::Classical } else { Suite::Hybrid };
        let choice = Choice { trust, suites: 0, continuity: 0, records: kind >> 2 & 3 };
        let sides = parties::sides(choice);
        let now = parties::start();
        let stage = Stage { suite, resumed: kind & 16 != 0, now };
        let (agent, backend) =
            pair((&sides.agent.0, &sides.agent.1), (&sides.backend.0, &sides.backend.1), stage);
        let (link, remote) = (agent.link(), backend.link());
        let mut world = Self {
            sides,
            agent: End::new(agent, Role::Agent, remote),
            backend: End::new(backend, Role::Backend, link),
            now,
            marks: 0,
            seeds: 100,
            deceived: false,
            worn: false,
        };
        if kind & 32 == 0 {
            world.transmit(Role::Backend);
            world.deliver(Role::Agent);
            assert!(world.agent.session.is_open(), "ACCEPT opens the session");
        }
        if kind & 64 != 0 {
            world.attach(Role::Agent, Order::Window);
            world.attach(Role::Backend, Order::Window);
        }
        // ACCEPT has position 0, so only what is accepted is worn.
        if wear_by != 0 && world.agent.session.is_open() {
            world.worn = true;
            for role in [Role::Agent, Role::Backend] {
                let session = &mut world.end(role).session;
                wear(
                    session,
                    SEQ_END - u64::from(wear_by & 15) - 1,
                    FORGERIES - u64::from(wear_by >> 4) - 1,
                );
            }
        }
        world
    }

    fn end(&mut self, role: Role) -> &mut End {
        match role {
            Role::Agent => &mut self.agent,
            Role::Backend => &mut self.backend,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.u8();
        let role = if choice & 0x80 == 0 { Role::Agent } else { Role::Backend };
        match choice & 0x1f {
            0 | 1 => self.seal(role, input),
            2 => self.transmit(role),
            3..=5 => self.deliver(role),
            6 => drop(self.end(role).inbox.pop_front()),
            7 => self.replay(role, input),
            8 => {
                let inbox = &mut self.end(role).inbox;
                inbox.rotate_left(usize::from(inbox.len() > 1));
            }
            9 => self.tamper(role, input),
            10..=14 => {
                let identity = match role {
                    Role::Agent => self.sides.backend.0.identity(),
                    Role::Backend => self.sides.agent.0.identity(),
                };
                let end = match role {
                    Role::Agent => &self.agent,
                    Role::Backend => &self.backend,
                };
                let record = craft(end, identity, input);
                self.open(role, &Letter { record, genuine: false });
            }
            15 => self.pass(Duration::from_millis(input.u16().into())),
            16 => self.pass(Duration::from_secs(input.u8().into())),
            17 => {
                self.attach(role, if input.u8() & 1 == 0 { Order::Strict } else { Order::Window })
            }
            18 => self.provide_seed(role),
            19 => self.end(role).session.request_rekey(),
            20 => self.end(role).session.ping(input.u64()),
            21 => self.go_away(role, input),
            22 => self.close(role, input),
            23 => self.refresh(role, input),
            24 => self.abandon(role, input),
            25 => self.export(input),
            26 => {
                self.transmit(role);
                self.deliver(role.opposite());
            }
            27 => self.talk(input),
            28 => {
                let record = no_session(self.end(role), input);
                self.open(role, &Letter { record, genuine: false });
            }
            _ => self.drain(role),
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now.instant = self.now.instant.after(span);
        let now = self.now.instant;
        for role in [Role::Agent, Role::Backend] {
            let session = &mut self.end(role).session;
            session.handle_timeout(now);
            let next = session.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "a timer that was served is still due");
        }
    }

    fn attach(&mut self, role: Role, order: Order) {
        self.end(role).session.attach(order);
        assert_eq!(self.end(role).session.order(), order, "the transport in use is the new one");
    }

    fn provide_seed(&mut self, role: Role) {
        self.seeds = self.seeds.wrapping_add(1);
        let (now, seed) = (self.now.instant, parties::seed(self.seeds));
        self.end(role).session.provide_seed(now, &seed);
    }

    /// Does what a driver does with events.
    fn drain(&mut self, role: Role) {
        if self.end(role).drain() {
            self.provide_seed(role);
            // A share that cannot be answered ends the session.
            self.end(role).drain();
        }
    }

    fn go_away(&mut self, role: Role, input: &mut Input<'_>) {
        let (after, spread) = (input.u32(), input.u32());
        let millis = |count: u32| Duration::from_millis(count.into());
        self.end(role).session.go_away(millis(after), millis(spread));
    }

    fn close(&mut self, role: Role, input: &mut Input<'_>) {
        let code = CloseCode::from_u16(input.u16());
        self.end(role).session.close(code, Duration::from_secs(input.u8().into()));
        assert!(!self.end(role).is_alive(), "a closed session is over");
    }

    fn refresh(&mut self, role: Role, input: &mut Input<'_>) {
        let (labels, lives) = (input.u8() % 9, input.u8() % 4);
        let credentials = parties::presented(role, labels, lives);
        let refreshed = self.end(role).session.refresh(credentials);
        assert!(refreshed.is_ok() || labels > 0, "a small credential of this side's is presented");
    }

    /// Begins a record and drops it: what the session had to say must still be said.
    fn abandon(&mut self, role: Role, input: &mut Input<'_>) {
        let now = self.now.instant;
        let length = usize::from(input.u16());
        let payload = vec![0; length];
        let end = self.end(role);
        let before = observe(&end.session);
        let mut out = BytesMut::new();
        let begun = match end.session.record(now, &mut out) {
            Ok(mut record) => record.datagram(&payload).is_ok() || length > 0,
            Err(_) => false,
        };
        if begun {
            assert_kept(&before, &end.session);
        }
        assert!(out.is_empty(), "a dropped record leaves nothing");
    }

    fn export(&mut self, input: &mut Input<'_>) {
        let (mut ours, mut theirs) = ([0; 32], [0; 32]);
        let context = input.take(300);
        let agent = self.agent.session.export("fuzz", context, &mut ours);
        let backend = self.backend.session.export("fuzz", context, &mut theirs);
        // One end may be over before the other knows.
        for (exported, end) in [(agent, &self.agent), (backend, &self.backend)] {
            let is_alive = observe(&end.session).is_alive();
            assert_eq!(exported == Err(ExportError::Erased), !is_alive, "{exported:?}");
        }
        if agent.is_ok() && backend.is_ok() {
            assert_eq!(ours, theirs, "both ends export the same");
        }
    }

    /// Both ends exchange a few small records on a transport that loses nothing.
    fn talk(&mut self, input: &mut Input<'_>) {
        for _ in 0..input.u8() % 64 {
            for role in [Role::Agent, Role::Backend] {
                self.seal_datagram(role, 8);
                self.deliver(role.opposite());
            }
        }
    }

    fn seal(&mut self, role: Role, input: &mut Input<'_>) {
        self.seal_datagram(role, input.u16().into());
    }

    fn seal_datagram(&mut self, role: Role, length: usize) {
        let now = self.now.instant;
        let mark = self.marks;
        self.marks += 1;
        let end = self.end(role);
        let mut payload = vec![0x5a; length.max(8)];
        payload.iter_mut().zip(mark.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        let before = observe(&end.session);
        let mut record = BytesMut::new();
        match end.session.seal_datagram(now, &payload, &mut record) {
            Ok(()) => {
                assert!(before.is_alive(), "a session that is over seals nothing");
                self.sent(role, record);
            }
            Err(error) => {
                assert!(record.is_empty(), "what is not sealed is not written");
                match error {
                    SealError::Unaccepted => assert!(before.is_unaccepted(), "it was accepted"),
                    SealError::Closed => assert!(!before.is_alive(), "a session is alive"),
                    SealError::TooLarge(..) => assert_kept(&before, &end.session),
                    SealError::SequenceExhausted => {
                        assert!(self.worn, "positions are used up");
                        assert!(!self.end(role).is_alive(), "the last position ends a session");
                    }
                }
            }
        }
    }

    /// Sends what the session itself has to say.
    fn transmit(&mut self, role: Role) {
        let now = self.now.instant;
        for said in 0.. {
            let end = self.end(role);
            let mut record = BytesMut::new();
            let has = end.session.has_transmit();
            let transmits = end.session.poll_transmit(now, &mut record);
            assert_eq!(transmits, has, "a session said that it had something to say");
            if !transmits {
                assert!(record.is_empty(), "what is not sealed is not written");
                break;
            }
            assert!(said < RECORDS_TO_SAY_ALL, "a session never stops talking to itself");
            self.sent(role, record);
        }
        let end = self.end(role);
        let is_silent = end.session.is_closed() || end.session.is_mute();
        assert!(!observe(&end.session).waiting || is_silent, "all was said");
        assert!(end.is_alive() || end.session.is_closed(), "who has said CLOSE is closed");
    }

    /// Checks a record that was sealed, and sends it.
    fn sent(&mut self, role: Role, record: BytesMut) {
        let limit = self.end(role).session.record_bytes();
        let end = self.end(role);
        let header = Header::of_record(&record);
        let Ok(header) = header else { unreachable!("no header of ours breaks a rule") };
        let position = (header.epoch, header.seq);
        assert!(header.kind == RecordType::Data, "a session seals DATA");
        assert!(usize::from(header.length) <= limit + TAG_BYTES, "a record is too long");
        assert!(!end.said_close, "a record was sealed behind CLOSE");
        let mut first_of_epoch = header.epoch != 0;
        if let Some((epoch, seq)) = end.sealed {
            assert!(header.seq > seq, "a position was sealed twice");
            assert!((0..=1).contains(&(header.epoch - epoch)), "an epoch was left out");
            first_of_epoch = header.epoch != epoch;
        }
        end.sealed = Some(position);
        if cfg!(fuzzing) {
            let text = record.get(HEADER_BYTES..record.len() - TAG_BYTES).unwrap_or_default();
            for (place, frame) in Frames::new(text).enumerate() {
                let Ok(frame) = frame else { unreachable!("no frame of ours is broken") };
                end.said_close |= matches!(frame, Frame::Close { .. });
                let announce = Frame::KeyUpdate(KeyUpdate::Announce(header.epoch));
                // ACCEPT goes before all, if a deceived end has not said it by then.
                let first = place == 0 && !matches!(frame, Frame::Accept { .. });
                let announced = frame == announce || !first || !first_of_epoch;
                assert!(announced, "an epoch begins with its announcement");
            }
        }
        let letter = Letter { record, genuine: true };
        self.end(role.opposite()).receive(letter);
    }

    fn deliver(&mut self, role: Role) {
        if let Some(letter) = self.end(role).inbox.pop_front() {
            self.open(role, &letter);
            self.end(role).remember(letter);
        }
    }

    fn replay(&mut self, role: Role, input: &mut Input<'_>) {
        let which = usize::from(input.u8()) % ON_THE_WAY;
        if let Some(letter) = self.end(role).past.get(which).cloned() {
            self.open(role, &letter);
        }
    }

    /// Changes the record that is next and delivers it.
    fn tamper(&mut self, role: Role, input: &mut Input<'_>) {
        let (kind, at, value) = (input.u8(), usize::from(input.u16()), input.u8());
        let Some(mut letter) = self.end(role).inbox.pop_front() else { return };
        let record = &mut letter.record;
        let at = if record.is_empty() { 0 } else { at % record.len() };
        match kind % 4 {
            0 | 1 => {
                if let Some(byte) = record.get_mut(at) {
                    *byte ^= value;
                    letter.genuine = letter.genuine && value == 0;
                }
            }
            2 => {
                letter.genuine = letter.genuine && at == record.len();
                record.truncate(at);
            }
            _ => {
                record.put_u8(value);
                letter.genuine = false;
            }
        }
        self.open(role, &letter);
        self.end(role).remember(letter);
    }

    /// Opens a record and compares what happens with what may.
    fn open(&mut self, role: Role, letter: &Letter) {
        self.drain(role);
        let (now, deceived) = (self.now.instant, self.deceived);
        let end = self.end(role);
        let mut record = letter.record.clone();
        let header = Header::of_record(&record).ok();
        let header = header.filter(|header| header.kind == RecordType::Data);
        let before = observe(&end.session);
        // Both ways to open are one; positions take turns.
        let owned = header.is_some_and(|header| header.seq % 2 == 1);
        let opened: Result<Vec<u64>, OpenError> = if owned {
            let opened = end.session.open_owned(now, record);
            opened.map(|datagrams| datagrams.filter_map(|payload| mark_of(&payload)).collect())
        } else {
            let opened = end.session.open(now, &mut record);
            opened.map(|opened| opened.datagrams().filter_map(mark_of).collect())
        };
        let result = opened.as_ref().map(|_| ()).map_err(|error| *error);
        let marks = opened.unwrap_or_default();
        let after = observe(&end.session);
        assert!(before.is_alive() || result == Err(OpenError::Closed), "opened behind the end");
        if is_unauthenticated(result) {
            assert_unchanged(&before, &after, result);
            assert!(end.session.poll_event().is_none(), "a refused record told something");
        }
        match (result, header) {
            (Ok(()), None) => {
                // NO_SESSION: with the right token it ends the session, else it is noise.
                assert!(end.session.is_closed() || before == after, "noise changed a session");
                self.deceived |= !after.is_alive();
                return;
            }
            (
                Ok(())
                | Err(
                    OpenError::Frame(_)
                    | OpenError::Credential(_)
                    | OpenError::BadSignatures
                    | OpenError::SignedTooOften,
                ),
                Some(header),
            ) => {
                assert_eq!(end.verdict(header.seq), None, "a position was opened again");
                end.opened.insert(header.seq);
                assert!(letter.genuine || cfg!(fuzzing), "a forgery was opened");
                if letter.genuine {
                    let fresh = marks.iter().all(|mark| end.marks.insert(*mark));
                    assert!(fresh, "a datagram came twice");
                } else {
                    self.deceived = true;
                }
            }
            (Err(error @ (OpenError::Replayed | OpenError::TooOld)), Some(header)) => {
                assert_eq!(end.verdict(header.seq), Some(error), "a position was misjudged");
            }
            _ => {}
        }
        if letter.genuine && !deceived {
            assert_honest(result, &before);
        }
        let order = self.end(role).session.order();
        if let Err(error) = result
            && let Fate::CloseSession(_) = error.fate(order)
        {
            assert!(!after.is_alive(), "{error} ends a session");
        }
    }

    /// Two ends that were told no lies find together again, whatever was lost.
    fn settle(&mut self) {
        self.pass(Duration::ZERO);
        for role in [Role::Agent, Role::Backend] {
            self.attach(role, Order::Window);
            self.end(role).inbox.clear();
        }
        for _ in 0..6 {
            for role in [Role::Agent, Role::Backend] {
                self.drain(role);
                self.transmit(role);
                while !self.end(role.opposite()).inbox.is_empty() {
                    self.deliver(role.opposite());
                }
            }
            self.pass(REKEY_RETRY_TIME);
        }
        if self.deceived || self.worn || observe(&self.agent.session).is_unaccepted() {
            return;
        }
        for role in [Role::Agent, Role::Backend] {
            if !self.agent.is_alive() || !self.backend.is_alive() {
                return;
            }
            let came = self.end(role.opposite()).marks.len();
            self.seal_datagram(role, 8);
            self.deliver(role.opposite());
            let end = self.end(role.opposite());
            assert_eq!(end.marks.len(), came + 1, "the two ends lost each other");
        }
    }
}
