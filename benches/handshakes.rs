//! Mutual handshakes, both sides in turn in one thread, from nothing to two ends that may send.

use std::hint::black_box;
use std::time::Duration;

use waxwire::Suite;

use crate::measure::{Contender, Report, race};
use crate::noise::Noise;
use crate::parties::Parties;

const SPAN: Duration = Duration::from_secs(12);
const JUNK_SPAN: Duration = Duration::from_secs(4);

/// Prints every comparison of handshakes.
pub fn run(report: &Report) {
    if report.wants("handshake") {
        handshakes(report);
    }
    if report.wants("junk_hello_vs_answer") {
        junk(report);
    }
}

fn handshakes(report: &Report) {
    println!("handshakes: Noise XX checks the static keys it learns against pinned ones;");
    println!("  credentials are a leaf under a root on both sides, as rustls's certificates are;");
    println!("  unless a line says credentials, ours pins keys and verifies two signatures fewer");
    let mut contenders = vec![
        ours("hybrid, pinned", Parties::pinned(Suite::Hybrid)),
        ours("hybrid, credentials", Parties::with_credentials(Suite::Hybrid)),
        ours("classical, pinned", Parties::pinned(Suite::Classical)),
        snow_xx(Noise::new()),
    ];
    #[cfg(feature = "aws-lc")]
    contenders.push(crate::tls::mutual());
    let times = race(SPAN, &mut contenders);
    for ((name, _), time) in contenders.iter().zip(&times) {
        println!("  {name}: {:.1} µs", time / 1_000.0);
    }
    let [hybrid, credentials, classical, snow] = times[..4] else {
        unreachable!("four contenders were given")
    };
    report.ratio("handshake_hybrid_vs_snow_xx", hybrid, snow);
    report.ratio("handshake_hybrid_credentials_vs_snow_xx", credentials, snow);
    report.ratio("handshake_classical_vs_snow_xx", classical, snow);
    #[cfg(feature = "aws-lc")]
    {
        report.ratio("handshake_hybrid_vs_rustls_mtls", hybrid, times[4]);
        report.ratio("handshake_hybrid_credentials_vs_rustls_mtls", credentials, times[4]);
    }
}

fn ours(name: &'static str, mut parties: Parties) -> Contender<'static> {
    let run = move |count| {
        for _ in 0..count {
            black_box(parties.handshake());
        }
    };
    (name, Box::new(run))
}

fn snow_xx(noise: Noise) -> Contender<'static> {
    let run = move |count| {
        for _ in 0..count {
            black_box(noise.handshake());
        }
    };
    ("snow XX", Box::new(run))
}

/// What refusing a HELLO with a wrong knock costs, against reading and answering a right one.
fn junk(report: &Report) {
    let mut parties = Parties::pinned(Suite::Hybrid);
    let (_, hello) = parties.hello();
    let mut junk = hello.to_vec();
    *junk.last_mut().unwrap() ^= 1;
    let refusing = Parties::pinned(Suite::Hybrid);
    assert!(refusing.receive(&junk).is_none());
    let refuse = move |count| {
        for _ in 0..count {
            black_box(refusing.receive(black_box(&junk)).is_none());
        }
    };
    let answer = move |count| {
        for _ in 0..count {
            let greeting = parties.receive(black_box(&hello)).unwrap();
            black_box(parties.answer(greeting));
        }
    };
    let mut contenders: [Contender<'_>; 2] =
        [("refuse", Box::new(refuse)), ("answer", Box::new(answer))];
    let times = race(JUNK_SPAN, &mut contenders);
    report.ratio("junk_hello_vs_answer", times[0], times[1]);
}
