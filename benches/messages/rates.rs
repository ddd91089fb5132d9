//! Rounds of two contenders in turn, each for about half a second, and the median rate of both.

use std::time::{Duration, Instant};

use crate::measure::median;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
/// Operations of the first round, which warms up and tells how many fit.
const FIRST: u64 = 2_000;

/// Lets both do as many operations as they are told, over and over; returns operations a second, ours
/// first. With ALONE in the environment the peer stands still, for a profiler.
pub async fn race(mut ours: impl AsyncFnMut(u64), mut peer: impl AsyncFnMut(u64)) -> (f64, f64) {
    let is_alone = std::env::var_os("ALONE").is_some();
    let mut peer = async |count| {
        if !is_alone {
            peer(count).await;
        }
    };
    let counts = (fitting(&mut ours).await, fitting(&mut peer).await);
    let (mut ours_rates, mut peer_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours_rates.push(rate(&mut ours, counts.0).await);
        peer_rates.push(rate(&mut peer, counts.1).await);
    }
    (median(ours_rates), median(peer_rates))
}

/// Prints both rates, and ours divided by the peer's: higher is better.
pub fn print(name: &str, (ours, peer): (f64, f64)) {
    println!("  {name}: ours {ours:.0} a second, peer {peer:.0}");
    println!("ratio {name} {:.3}", ours / peer);
}

async fn rate(contender: &mut impl AsyncFnMut(u64), count: u64) -> f64 {
    let begun = Instant::now();
    contender(count).await;
    count as f64 / begun.elapsed().as_secs_f64()
}

async fn fitting(contender: &mut impl AsyncFnMut(u64)) -> u64 {
    let mut count = FIRST;
    // The second try is warm.
    for _ in 0..2 {
        count = (rate(contender, count).await * ROUND.as_secs_f64()) as u64;
        count = count.clamp(64, 1 << 32);
    }
    count
}
