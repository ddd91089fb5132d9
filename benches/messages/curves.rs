//! How cost grows with what there is: measured, printed as `curve NAME SIZE VALUE`, and drawn.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use waxwire::fuzzing::{channel_hearers, channel_look_ups};

use crate::grown::Grown;
use crate::measure::{Contender, Report, race};
use crate::svg::{self, Line};
use crate::{idle, queue};

const SPAN: Duration = Duration::from_millis(800);
const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const SUBSCRIBERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const LINKS: [u64; 4] = [10, 100, 1_000, 10_000];

/// Measures and draws every curve.
pub fn run(report: &Report) {
    if report.wants("queue_depth") {
        let mut lines = [line("ours"), line("a locked array of deques")];
        for depth in SIZES {
            let (ours, peer) = queue::times(SPAN, depth);
            add(&mut lines[0], "queue_turn_ns", depth as f64, ours);
            add(&mut lines[1], "queue_turn_deques_ns", depth as f64, peer);
        }
        draw("queue_depth", "A push and a pop, ns", "messages that wait", &lines);
    }
    if report.wants("channels") {
        let mut lines = [line("look-up")];
        for channels in SIZES {
            let mut look_up = channel_look_ups(channels);
            let time = time(move || assert_eq!(look_up(), 1, "each has one subscriber"));
            add(&mut lines[0], "channel_look_up_ns", channels as f64, time);
        }
        draw("channels", "Who hears a message, ns", "channels", &lines);
    }
    if report.wants("subscribers") {
        let mut lines = [line("one subscriber's part")];
        for subscribers in SUBSCRIBERS {
            let mut hearers = channel_hearers(subscribers);
            let time = time(move || assert_eq!(black_box(hearers()), subscribers));
            add(&mut lines[0], "subscriber_ns", subscribers as f64, time / subscribers as f64);
        }
        draw(
            "subscribers",
            "Naming one hearer of a message, ns",
            "subscribers of a channel",
            &lines,
        );
    }
    if report.wants("links") {
        links();
    }
}

fn links() {
    if !idle::has_descriptors() {
        println!("NOT RUN: links need more descriptors (ulimit -n)");
        return;
    }
    let mut time = [line("one request, 64 in flight"), line("one agent's part of a broadcast")];
    let mut memory = [line("resident")];
    for links in LINKS {
        let mut grown = Grown::start("ours");
        grown.dial("ours", links);
        let size = links as f64;
        add(&mut memory[0], "link_bytes", size, grown.bytes_each());
        add(&mut time[0], "link_request_us", size, grown.request_us());
        add(&mut time[1], "link_broadcast_us", size, grown.broadcast_us());
    }
    draw("links", "With more links, µs", "links of a backend", &time);
    draw("link_memory", "Resident memory of one link, bytes", "links of a backend", &memory);
}

fn line(name: &str) -> Line {
    (name.to_owned(), Vec::new())
}

fn add(line: &mut Line, name: &str, size: f64, value: f64) {
    println!("curve {name} {size:.0} {value:.1}");
    line.1.push((size, value));
}

fn time(mut call: impl FnMut()) -> f64 {
    let run = move |count| (0..count).for_each(|_| call());
    let mut contenders: [Contender<'_>; 1] = [("", Box::new(run))];
    race(SPAN, &mut contenders)[0]
}

fn draw(name: &str, title: &str, across: &str, lines: &[Line]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/curves");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.svg")), svg::draw(title, across, lines)).unwrap();
}
