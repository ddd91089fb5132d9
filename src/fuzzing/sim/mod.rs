//! A simulation of up to ten agents and their backend: links, sessions, applications and disks in one
//! thread, under a time of its own, and all of it drawn from one seed.
//!
//! The network loses, delays, throttles, changes, repeats and reorders records, and dies in one
//! direction; connections are taken over; processes crash, sleep and change their clocks; disks are
//! slow and full. A [ledger](ledger) knows what may become of each message. First everything must stay
//! true, then everything is repaired and must come to rest.

mod backend;
mod carry;
mod cast;
mod conn;
mod dice;
mod disk;
mod end;
mod faults;
mod heal;
mod hear;
mod ledger;
mod shelf;
mod trace;
mod work;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How one seed went.
#[derive(Debug)]
pub struct Played {
    /// Stands for all that happened.
    pub hash: u64,
    /// The end of the trace, or all of it.
    pub trace: Vec<String>,
    /// What was not true, if something was not.
    pub failure: Option<String>,
}

/// Plays one seed. Keeps the whole trace if asked to, and its last 200 lines if not.
pub fn play(seed: u64, keeps_all: bool) -> Played {
    let mut world = world::World::new(seed, keeps_all);
    let failure = catch_unwind(AssertUnwindSafe(|| world.play())).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without a text".to_owned())
    });
    let trace = world.trace;
    Played { hash: trace.hash(), trace: trace.into_lines(), failure }
}
