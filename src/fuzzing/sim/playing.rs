//! Plays a seed, and says how it went.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::world::World;

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
    let mut world = World::new(seed, keeps_all);
    let failure = catch_unwind(AssertUnwindSafe(|| world.play())).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without a text".to_owned())
    });
    let trace = world.trace;
    Played { hash: trace.hash(), trace: trace.into_lines(), failure }
}
