//! Two links over a pipe that loses, repeats, changes and cuts, with sides that crash. `SEED` runs
//! one seed, `SEEDS` says how many.

use std::collections::BTreeSet;

use super::pair::Parties;
use super::world::{Memory, World};

/// proto-spec [M-15], [M-16], [M-17], [M-19], [M-20], [Q-19], [Q-20], [Q-27]
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_handled_twice() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let parties = Parties::new();
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(60),
    };
    let is_whole = seeds.clone().count() >= 60;
    let mut ends = BTreeSet::new();
    for seed in seeds {
        let memories = [Memory::Durable, Memory::Volatile];
        let of = |bit: u64| memories[usize::try_from(seed >> bit & 1).unwrap()];
        let mut world = World::new(&parties, seed, [of(0), of(1)]);
        let caught = std::panic::AssertUnwindSafe(|| world.run());
        if let Err(panic) = std::panic::catch_unwind(caught) {
            eprintln!("SEED={seed}\n{}", world.trace());
            std::panic::resume_unwind(panic);
        }
        ends.extend(world.ends());
    }
    // Else the run would prove nothing about commands.
    assert!(!is_whole || ends.len() == 5, "commands end as {ends:?}");
}
