//! How cost grows. `cargo test --release --features __fuzz --test curves -- --ignored --nocapture`
//! prints nanoseconds.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test prints what it measures and stops where it fails"
)]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Instant;

use waxwire::fuzzing::{channel_look_ups, queue_turns};

const DEPTHS: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

#[test]
#[ignore = "measures; a debug build says nothing"]
fn a_look_up_among_more_channels() {
    for channels in DEPTHS {
        let mut look_up = channel_look_ups(channels);
        let each = best(|| assert_eq!(look_up(), 1, "each channel has one subscriber"));
        println!("curve channel_look_up {channels} {each:.0}");
    }
}

#[test]
#[ignore = "measures; a debug build says nothing"]
fn a_turn_of_a_longer_queue() {
    for depth in DEPTHS {
        let mut turn = queue_turns(depth);
        let ours = best(|| assert!(black_box(turn()) > 0, "something waits"));
        let mut turn = deque_turns(depth);
        let peer = best(|| assert!(black_box(turn()) > 0, "something waits"));
        println!("curve queue_turn {depth} {ours:.0}, of a locked array of deques {peer:.0}");
    }
}

/// The least nanoseconds that one call took, over samples of ten thousand.
fn best(mut call: impl FnMut()) -> f64 {
    let sample = |_| {
        let start = Instant::now();
        (0..10_000).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / 10_000.0
    };
    (0..20).map(sample).fold(f64::MAX, f64::min)
}

/// As `queue_turns`, without bounds, shares or time.
fn deque_turns(depth: usize) -> impl FnMut() -> u64 {
    let classes: Mutex<[VecDeque<[u64; 4]>; 5]> = Mutex::default();
    let mut turn = 0_u64;
    let mut push = move |classes: &Mutex<[VecDeque<[u64; 4]>; 5]>| {
        turn += 1;
        let mut classes = classes.lock().unwrap();
        let class = usize::from(turn.to_le_bytes()[0] % 4) + 1;
        classes[class].push_back([turn, 0, 0, 0]);
    };
    (0..depth).for_each(|_| push(&classes));
    move || {
        push(&classes);
        let mut classes = classes.lock().unwrap();
        classes.iter_mut().find_map(VecDeque::pop_front).map_or(0, |[turn, ..]| turn)
    }
}
