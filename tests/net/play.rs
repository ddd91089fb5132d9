//! One game: what happens to hosts and network, from one seed, and who judges it.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use turmoil::{Builder, Sim};
use waxwire::runtime::{dangerous_entropy, dangerous_wall_clock};
use waxwire::testing::Disk;

use crate::hosts;
use crate::world::{BACKEND, Cast, World, agent_name};

const TICK: Duration = Duration::from_millis(10);
/// Ticks in which things go wrong, and those in which all must be well again.
const TROUBLE: u64 = 4_000;
const REPAIR: u64 = 30_000;
/// Ticks between two faults of one host, at most.
const CALM: u64 = 1_000;
const START: u64 = 1_800_000_000;

#[derive(Debug, Default)]
pub struct Played {
    pub hash: u64,
    pub failure: Option<String>,
    games: u64,
    handled: u64,
    promised: u64,
    repeated: u64,
    crashes: u64,
    sessions: u64,
    commands: u64,
    unknown: u64,
    ticks: u64,
}

impl Played {
    pub fn add(&mut self, other: &Self) {
        self.games += other.games;
        self.handled += other.handled;
        self.promised += other.promised;
        self.repeated += other.repeated;
        self.crashes += other.crashes;
        self.sessions += other.sessions;
        self.commands += other.commands;
        self.unknown += other.unknown;
        self.ticks += other.ticks;
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promised, handled, repeated, commands, unknown, crashes, sessions, .. } = self;
        let hours = self.ticks * 10 / 1_000 / 3_600;
        write!(f, "{promised} promised, {handled} handled, {repeated} came again unsaid, ")?;
        write!(
            f,
            "{commands} commands, {unknown} unknown, {crashes} crashes, {sessions} sessions, "
        )?;
        write!(f, "{hours} h simulated")
    }
}

/// What is wrong with one host or its wire now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    Crashed,
    Partitioned,
    OneWay,
    Held,
    Slow,
    FullDisk,
}

pub fn play(seed: u64) -> Played {
    let world = World::default();
    let mut played = Played { games: 1, ..Played::default() };
    world.lock().dice = Dice(!seed);
    dangerous_entropy(Some(seed));
    let ran = catch_unwind(AssertUnwindSafe(|| game(seed, &world, &mut played)));
    dangerous_entropy(None);
    dangerous_wall_clock(None);
    let mut state = match ran {
        Ok(()) => world.lock(),
        Err(_) => {
            played.failure = Some("a host panicked".to_owned());
            return played;
        }
    };
    if state.failure.is_none() {
        state.judge();
    }
    let mut hasher = DefaultHasher::new();
    state.trace.hash(&mut hasher);
    played.hash = hasher.finish();
    let count = |count: usize| u64::try_from(count).unwrap();
    played.handled = count(state.effects.len());
    played.promised = count(state.stored.len() + state.processed.len());
    played.repeated = state.repeated;
    played.sessions = state.connected;
    played.commands = count(state.commands.len());
    let unknown = state.commands.values().filter(|command| command.end == Some("unknown"));
    played.unknown = count(unknown.count());
    played.failure = state.failure.take();
    if std::env::var("SEED").is_ok() {
        state.trace.iter().for_each(|line| println!("{line}"));
    }
    played
}

fn game(seed: u64, world: &World, played: &mut Played) {
    let mut dice = Dice(seed);
    let agents = 1 + dice.below(3);
    let agents = usize::try_from(agents).unwrap();
    let mut names: Vec<_> = (0..agents).map(agent_name).collect();
    names.push(BACKEND.to_owned());
    let disks = names.iter().map(|name| (name.clone(), Disk::new())).collect();
    let cast = Cast { agents, disks };
    let mut sim = Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(50))
        .simulation_duration(TICK * u32::try_from(TROUBLE + REPAIR + 10).unwrap())
        .enable_random_order()
        .build();
    let (its, with) = (world.clone(), cast.clone());
    sim.host(BACKEND, move || hosts::boxed(hosts::backend(its.clone(), with.clone())));
    for number in 0..agents {
        let (its, with) = (world.clone(), cast.clone());
        sim.host(agent_name(number), move || {
            hosts::boxed(hosts::agent(its.clone(), with.clone(), number))
        });
    }
    let mut faults: Vec<_> = names.iter().map(|_| (Fault::None, dice.below(CALM))).collect();
    for tick in 0..TROUBLE {
        if step(&mut sim, world, tick) {
            return;
        }
        for (name, (fault, until)) in names.iter().zip(&mut faults) {
            if tick < *until {
                continue;
            }
            mend(&mut sim, world, &cast, name, *fault);
            *fault = if *fault == Fault::None { drawn(&mut dice, name) } else { Fault::None };
            world.lock().note(format!("{name}: {fault:?}"));
            played.crashes += u64::from(*fault == Fault::Crashed);
            begin(&mut sim, world, &cast, name, *fault);
            *until = tick + 1 + dice.below(if *fault == Fault::None { CALM } else { CALM / 3 });
        }
    }
    for (name, (fault, _)) in names.iter().zip(&faults) {
        mend(&mut sim, world, &cast, name, *fault);
    }
    world.lock().is_over = true;
    for tick in TROUBLE..TROUBLE + REPAIR {
        if step(&mut sim, world, tick) {
            return;
        }
        if tick.is_multiple_of(50) && tick > TROUBLE + 100 && is_done(world) {
            played.ticks = tick;
            return;
        }
    }
    let state = world.lock();
    let open: Vec<_> =
        state.commands.values().filter(|it| it.is_safe && it.end.is_none()).collect();
    let what = format!("no progress: left {:?}, open {open:?}", state.left);
    drop(state);
    world.fail(what);
}

/// Returns whether the game failed.
fn step(sim: &mut Sim<'_>, world: &World, tick: u64) -> bool {
    dangerous_wall_clock(Some(START + tick / 100));
    if let Err(error) = sim.step() {
        world.fail(format!("a host ended: {error}"));
    }
    world.lock().failure.is_some()
}

fn is_done(world: &World) -> bool {
    let state = world.lock();
    let done = state.left.values().all(|left| *left == 0);
    done && state.commands.values().all(|command| !command.is_safe || command.end.is_some())
}

fn drawn(dice: &mut Dice, name: &str) -> Fault {
    match dice.below(if name == BACKEND { 3 } else { 9 }) {
        0 | 1 => Fault::Crashed,
        2 => Fault::FullDisk,
        3 | 4 => Fault::Partitioned,
        5 => Fault::OneWay,
        6 | 7 => Fault::Held,
        _ => Fault::Slow,
    }
}

fn begin(sim: &mut Sim<'_>, world: &World, cast: &Cast, name: &str, fault: Fault) {
    match fault {
        Fault::None => {}
        Fault::Crashed => {
            sim.crash(name);
            let mut state = world.lock();
            let life = state.life(name);
            state.ends.insert((name.to_owned(), life), sim.elapsed());
            state.lives.insert(name.to_owned(), life + 1);
        }
        Fault::Partitioned => sim.partition(name, BACKEND),
        Fault::OneWay => sim.partition_oneway(BACKEND, name),
        Fault::Held => sim.hold(name, BACKEND),
        Fault::Slow => {
            sim.set_link_max_message_latency(name, BACKEND, Duration::from_secs(2));
        }
        Fault::FullDisk => {
            cast.disks[name].fill();
            world.lock().were_full.insert(name.to_owned());
        }
    }
}

fn mend(sim: &mut Sim<'_>, _: &World, cast: &Cast, name: &str, fault: Fault) {
    match fault {
        Fault::None => {}
        Fault::Crashed => sim.bounce(name),
        Fault::Partitioned => sim.repair(name, BACKEND),
        Fault::OneWay => sim.repair_oneway(BACKEND, name),
        Fault::Held => sim.release(name, BACKEND),
        Fault::Slow => {
            sim.set_link_max_message_latency(name, BACKEND, Duration::from_millis(50));
        }
        Fault::FullDisk => cast.disks[name].free(),
    }
}

#[derive(Debug, Default)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
