//! What outlives hosts: disks, logs of effects, and what was promised to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::play::Dice;
use waxwire::testing::Disk;
use waxwire::{CommandId, PeerId};

/// In which time a host with a working disk stores that it is done with something.
const STORED_WITHIN: Duration = Duration::from_secs(2);

pub const BACKEND: &str = "backend";

/// The side that sends, the agent of the link, and the class.
pub type Lane = (bool, usize, u8);

#[derive(Clone, Default)]
pub struct World(Arc<Mutex<State>>);

#[derive(Default)]
pub struct State {
    pub dice: Dice,
    pub next: BTreeMap<Lane, u32>,
    /// Messages that were confirmed as stored, and as processed.
    pub stored: BTreeSet<(Lane, u32)>,
    pub processed: BTreeSet<(Lane, u32)>,
    /// What the receiver did, and in which life of its host.
    pub effects: BTreeMap<[u8; 25], (Lane, u32, u32)>,
    pub newest: BTreeMap<Lane, u32>,
    pub repeated: u64,
    /// Messages that became dead letters.
    pub dead: usize,
    /// When the word about a message was given.
    pub done: BTreeMap<[u8; 25], Duration>,
    /// When lives ended, and the hosts whose disks were full.
    pub ends: BTreeMap<(String, u32), Duration>,
    pub were_full: BTreeSet<String>,
    /// Lives of hosts so far.
    pub lives: BTreeMap<String, u32>,
    /// Commands that were issued, and those whose issue was confirmed.
    pub commands: BTreeMap<[u8; 16], Command>,
    pub connected: u64,
    pub is_over: bool,
    /// What a host still has to do.
    pub left: BTreeMap<String, usize>,
    pub failure: Option<String>,
    pub trace: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Command {
    pub agent: usize,
    pub is_safe: bool,
    pub runs: u32,
    pub end: Option<&'static str>,
}

impl World {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn fail(&self, what: String) {
        self.lock().fail(what);
    }
}

impl State {
    pub fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub fn note(&mut self, what: String) {
        let at = turmoil::sim_elapsed().unwrap_or_default().as_millis();
        self.trace.push(format!("{at} {what}"));
    }

    pub fn life(&self, host: &str) -> u32 {
        self.lives.get(host).copied().unwrap_or(0)
    }

    /// A span of up to so many milliseconds.
    pub fn span(&mut self, most: u64) -> Duration {
        Duration::from_millis(1 + self.dice.below(most))
    }

    /// Whether a message may become a dead letter: always, for a receiver that is heard and does not say
    /// in time that it has it, as on a slow link or with a full disk, makes one; its sender is told.
    pub fn may_die(&self) -> bool {
        true
    }

    /// The next number; `None` once nobody sends any more.
    pub fn number(&mut self, lane: Lane) -> Option<u32> {
        let next = self.next.entry(lane).or_insert(0);
        let this = *next;
        *next += 1;
        (!self.is_over).then_some(this)
    }

    /// A message came to the application, which does what it says unless it did before. The effect is on
    /// the disk when this returns.
    pub fn handle(&mut self, host: &str, lane: Lane, number: u32, key: [u8; 25]) {
        let life = self.life(host);
        self.note(format!("{host} {lane:?} {number}"));
        if let Some((_, _, before)) = self.effects.get(&key).copied() {
            if before == life {
                self.fail(format!("{lane:?} {number} came twice to one life of {host}"));
            }
            if self.processed.contains(&(lane, number)) {
                self.fail(format!("{lane:?} {number} comes again, though confirmed"));
            }
            let (end, done) = (self.ends.get(&(host.to_owned(), before)), self.done.get(&key));
            let had_time = end.zip(done).is_some_and(|(end, done)| *end > *done + STORED_WITHIN);
            if had_time && !self.were_full.contains(host) {
                self.fail(format!("{lane:?} {number} comes again, long after {host} was done"));
            }
            self.repeated += 1;
            return;
        }
        let newest = self.newest.insert(lane, number);
        if newest.is_some_and(|newest| newest >= number) {
            self.fail(format!("{lane:?} {number} came after {newest:?}"));
        }
        self.effects.insert(key, (lane, number, life));
    }

    /// Whatever was promised is there.
    pub fn judge(&mut self) {
        let done = self.effects.values().map(|(lane, number, _)| (*lane, *number));
        let done: BTreeSet<_> = done.collect();
        let lost: Vec<_> =
            self.stored.union(&self.processed).filter(|it| !done.contains(it)).collect();
        let lost = (lost.len() > self.dead).then(|| format!("promised and lost: {lost:?}"));
        let mut wrong = lost;
        if done.len() != self.effects.len() {
            wrong = Some("one message came under two keys".to_owned());
        }
        for (id, command) in &self.commands {
            let fits = match command.end {
                Some("succeeded") => command.runs == 1,
                Some("unknown") => command.runs <= 1,
                Some(_) => command.runs == 0,
                None => !command.is_safe && command.runs == 0,
            };
            if !fits {
                wrong = Some(format!("command {id:02x?}: {command:?}"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.fail(wrong));
    }
}

/// The hosts of a game, and their disks.
#[derive(Clone)]
pub struct Cast {
    pub agents: usize,
    pub disks: BTreeMap<String, Disk>,
}

pub fn agent_name(number: usize) -> String {
    format!("agent-{number}")
}

pub fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

pub fn command_id(agent: usize, number: u32) -> CommandId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id[4] = u8::try_from(agent).unwrap();
    CommandId(id)
}
