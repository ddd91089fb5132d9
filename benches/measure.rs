//! Timing in turns: contenders take short samples one after another, over and over, and medians are
//! compared. What slows the machine down for longer than a sample slows all of them alike.

use std::time::{Duration, Instant};

/// Time that one sample is to take: far above the clock's resolution and what it costs to get warm
/// after the neighbour's turn, below a time slice.
const SAMPLE: Duration = Duration::from_millis(1);

/// One contender: does its work this many times.
pub type Contender<'a> = (&'static str, Box<dyn FnMut(u32) + 'a>);

/// Lets the contenders take turns for `span`; returns the median nanoseconds of one turn's work for
/// each, in their order.
pub fn race(span: Duration, contenders: &mut [Contender<'_>]) -> Vec<f64> {
    let counts: Vec<u32> = contenders.iter_mut().map(|contender| calibrate(contender)).collect();
    let mut samples = vec![Vec::new(); contenders.len()];
    let start = Instant::now();
    let mut first = 0;
    while start.elapsed() < span {
        // Who goes first changes, so that nobody always runs on what the same neighbour left.
        for turn in 0..contenders.len() {
            let index = (first + turn) % contenders.len();
            let begun = Instant::now();
            (contenders[index].1)(counts[index]);
            samples[index].push(begun.elapsed().as_nanos() as f64 / f64::from(counts[index]));
        }
        first += 1;
    }
    samples.into_iter().map(median).collect()
}

/// How often a contender fits into a sample; warms it up on the way.
fn calibrate(contender: &mut Contender<'_>) -> u32 {
    let mut count = 1;
    loop {
        let begun = Instant::now();
        (contender.1)(count);
        let taken = begun.elapsed();
        if taken >= SAMPLE {
            let fitting = SAMPLE.as_secs_f64() / taken.as_secs_f64() * f64::from(count);
            return (fitting as u32).max(1);
        }
        count *= 2;
    }
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints what was measured, in the one form that scripts read.
pub struct Report {
    wanted: Option<String>,
}

impl Report {
    pub fn new(wanted: Option<String>) -> Self {
        Self { wanted }
    }

    /// Whether a comparison is part of this run.
    pub fn wants(&self, name: &str) -> bool {
        let overlaps = |wanted: &String| name.contains(wanted) || wanted.contains(name);
        self.wanted.as_ref().is_none_or(overlaps)
    }

    /// One comparison of times: ours and the peer's, in nanoseconds; lower is better.
    pub fn ratio(&self, name: &str, ours: f64, peer: f64) {
        println!("  {name}: ours {}, peer {}", Time(ours), Time(peer));
        println!("ratio {name} {:.3}", ours / peer);
    }
}

/// Nanoseconds, for people.
struct Time(f64);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            nanos if nanos < 10_000.0 => write!(f, "{nanos:.0} ns"),
            nanos => write!(f, "{:.1} µs", nanos / 1_000.0),
        }
    }
}
