//! The queue of messages that wait, against the least that could hold them.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use waxwire::fuzzing::queue_turns;

use crate::measure::{Contender, Report, race};

const NAME: &str = "queue_push_pop_vs_mutex_deque";
const SPAN: Duration = Duration::from_secs(4);
const DEPTH: usize = 100;

/// Prints the comparison of queues.
pub fn run(report: &Report) {
    if !report.wants(NAME) {
        return;
    }
    println!("queue: one push and one pop with {DEPTH} waiting; ours bounds, shares and ages, a");
    println!("  locked array of deques does none of that");
    let (ours, peer) = times(SPAN, DEPTH);
    report.ratio(NAME, ours, peer);
}

/// Nanoseconds of a push and a pop with so many waiting, of ours and of the deques.
pub fn times(span: Duration, depth: usize) -> (f64, f64) {
    let mut contenders = [turns("ours", queue_turns(depth)), turns("deques", deque_turns(depth))];
    let times = race(span, &mut contenders);
    (times[0], times[1])
}

fn turns(name: &'static str, mut turn: impl FnMut() -> u64 + 'static) -> Contender<'static> {
    let run = move |count| {
        for _ in 0..count {
            assert!(black_box(turn()) > 0, "something waits");
        }
    };
    (name, Box::new(run))
}

/// As `queue_turns`, without bounds, shares or time.
fn deque_turns(depth: usize) -> impl FnMut() -> u64 {
    let classes: Mutex<[VecDeque<[u64; 4]>; 5]> = Mutex::default();
    let mut turn = 0_u64;
    let mut push = move |classes: &Mutex<[VecDeque<[u64; 4]>; 5]>| {
        turn += 1;
        let mut classes = classes.lock().unwrap();
        let class = (turn % 4) as usize + 1;
        classes[class].push_back([turn, 0, 0, 0]);
    };
    (0..depth).for_each(|_| push(&classes));
    move || {
        push(&classes);
        let mut classes = classes.lock().unwrap();
        classes.iter_mut().find_map(VecDeque::pop_front).map_or(0, |[turn, ..]| turn)
    }
}
