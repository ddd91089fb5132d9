//! How cost grows. `cargo test --release --features __fuzz --test curves -- --ignored --nocapture`
//! prints nanoseconds.

#![allow(clippy::print_stdout, reason = "it prints what it measures")]

use std::time::Instant;

use waxwire::fuzzing::channel_look_ups;

#[test]
#[ignore = "measures; a debug build says nothing"]
fn a_look_up_among_more_channels() {
    for channels in [10, 100, 1_000, 10_000, 100_000] {
        let mut look_up = channel_look_ups(channels);
        let mut best = f64::MAX;
        for _ in 0..20 {
            let start = Instant::now();
            let found: usize = (0..10_000).map(|_| look_up()).sum();
            assert_eq!(found, 10_000, "each channel has one subscriber");
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / 10_000.0);
        }
        println!("curve channel_look_up {channels} {best:.0}");
    }
}
