//! How long a responder takes to refuse an agent that it knows and one that it does not (TESTING HS-10).
//!
//! `refusals [SECONDS]` takes samples of either kind in random order, for so long in all, and prints Welch's t
//! of their times, for all samples and without the slowest twentieth, which interrupts made. Below
//! 4.5 nothing was seen; above it a difference was. Only the last step is measured: no step before
//! it has seen the agent's key. It informs: a busy machine measures badly.

#[path = "../../../it/support.rs"]
#[allow(dead_code)] // the other tests use all of it
mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use waxwire::fuzzing::claiming;
use waxwire::session::{ChainBook, Config, HandshakeError, Pinned, Refusal};
use waxwire::{Role, Suite};

use crate::support::{AGENT, BACKEND, Handshake, fingerprint, identity};
use crate::support::{peer_id, realm};

/// A key that is pinned, for the other role.
const MISPLACED: u8 = 4;
const STRANGER: u8 = 9;
const DEFAULT_SECONDS: u64 = 24;
const SHOWN: f64 = 4.5;

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).map(|word| word.parse());
    let Ok(seconds) = seconds.unwrap_or(Ok(DEFAULT_SECONDS)) else {
        eprintln!("usage: refusals [SECONDS]");
        return ExitCode::FAILURE;
    };
    let time = Duration::from_secs(seconds) * 3 / 7;
    // Whoever holds neither key may not learn which of them is pinned.
    let known = agent(STRANGER, Some(AGENT));
    let unknown = agent(STRANGER, Some(5));
    let both = [HandshakeError::BadSignature; 2];
    compare("claims a key, pinned or not, without holding it", [known, unknown], both, time);
    // Whoever holds a key may learn that it is refused, and is told no more.
    let known = agent(MISPLACED, None);
    let unknown = agent(STRANGER, None);
    let causes = [Refusal::WrongRole, Refusal::UnknownKey].map(HandshakeError::from);
    compare("holds a key, pinned for another role or not", [known, unknown], causes, time);
    // The same twice: what the machine itself makes of it.
    let both = [HandshakeError::BadSignature; 2];
    let same = [agent(STRANGER, Some(5)), agent(STRANGER, Some(5))];
    compare("control: no difference", same, both, time / 3);
    ExitCode::SUCCESS
}

/// Takes samples of two agents, each refused for its cause.
fn compare(name: &str, agents: [Config; 2], causes: [HandshakeError; 2], time: Duration) {
    let mut handshakes = agents.map(|agent| Handshake::new(agent, backend()));
    let mut samples = [const { Vec::new() }; 2];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let end = Instant::now() + time;
    while Instant::now() < end {
        let kind = random.next() % 2;
        // Another transcript each time, since a signature is verified in a time that depends on it;
        // odd and even, since no two seeds of one handshake may be the same.
        handshakes[kind].agent_seed = random.next() as u8 | 1;
        handshakes[kind].backend_seed = random.next() as u8 & !1;
        let took = refusal(&mut handshakes[kind], causes[kind]);
        samples[kind].push(took.as_nanos() as f64);
    }
    let all = welch(&samples[0], &samples[1]);
    let limit = slowest_twentieth(&samples);
    let [quiet, other] = samples
        .each_ref()
        .map(|samples| samples.iter().copied().filter(|took| *took < limit).collect::<Vec<f64>>());
    let calm = welch(&quiet, &other);
    let seen = if calm.abs() < SHOWN { "no difference seen" } else { "A DIFFERENCE" };
    println!(
        "{name}: n = {} + {}, medians {:.2} and {:.2} us, t = {all:.1}, without the slowest {calm:.1}: {seen}",
        samples[0].len(),
        samples[1].len(),
        median(&quiet) / 1e3,
        median(&other) / 1e3,
    );
}

/// One handshake up to its refusal; the time that the responder took for FINISH.
fn refusal(handshake: &mut Handshake, cause: HandshakeError) -> Duration {
    let (initiator, hello) = handshake.hello();
    let (answered, reply) = handshake.answer(&hello, &ChainBook::new()).unwrap();
    let established = handshake.establish(initiator, &reply).unwrap();
    let mut finish = established.finish.to_vec();
    let link = answered.remote();
    let begun = Instant::now();
    let refused = answered.finish(black_box(&mut finish), handshake.now).err();
    let told = black_box(refused.and_then(|cause| cause.rejection(link)));
    let took = begun.elapsed();
    assert!(told.is_some());
    assert_eq!(refused, Some(cause));
    took
}

fn backend() -> Config {
    let agents = (20..120).fold(Pinned::default(), |pins, number| {
        pins.and(peer_id(&format!("agent-{number}")), Role::Agent, fingerprint(number))
    });
    let agents = agents.and(peer_id("agent"), Role::Agent, fingerprint(AGENT));
    let pins = agents.and(peer_id("other"), Role::Backend, fingerprint(MISPLACED));
    let config = Config::backend(realm(), identity(BACKEND)).peer(pins);
    config.with_suites(&[Suite::Classical]).unwrap()
}

/// An agent that holds the key of `number`, and claims that of another.
fn agent(number: u8, claimed: Option<u8>) -> Config {
    let pins = Pinned::one(peer_id("backend"), Role::Backend, fingerprint(BACKEND));
    let config = Config::agent(realm(), identity(number)).peer(pins);
    let config = config.with_suites(&[Suite::Classical]).unwrap();
    match claimed {
        Some(claimed) => claiming(config, identity(claimed).public_key()),
        None => config,
    }
}

/// Welch's t of two samples.
fn welch(one: &[f64], two: &[f64]) -> f64 {
    let [(mean_one, error_one), (mean_two, error_two)] = [one, two].map(|sample| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let squares: f64 = sample.iter().map(|took| (took - mean).powi(2)).sum();
        (mean, squares / (count - 1.0) / count)
    });
    (mean_one - mean_two) / (error_one + error_two).sqrt()
}

/// The time below which nineteen of twenty samples of both kinds lie.
fn slowest_twentieth(samples: &[Vec<f64>; 2]) -> f64 {
    let mut all = samples.concat();
    all.sort_by(f64::total_cmp);
    all[all.len() * 19 / 20]
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// xorshift: what comes next.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize
    }
}
