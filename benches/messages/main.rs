//! What messages cost over the whole public API, against what their peers cost, in turns.
//!
//! Prints one line per comparison, `ratio NAME VALUE`: ours divided by the peer's. Of rates higher is
//! better, of times and bytes lower is. Every other line is for the reader and begins otherwise. An
//! argument limits the run to the comparisons whose name contains it; `--curves` plots instead how cost
//! grows, into docs/curves.
//!
//! Both ends of a comparison are tasks of one multi-threaded runtime. A nats-server of Debian's is a
//! process of its own; without one installed its comparisons are left out, and say so.

mod curves;
mod disk;
mod durable;
mod grown;
mod idle;
#[path = "../machine.rs"]
mod machine;
#[path = "../measure.rs"]
mod measure;
mod nats;
mod ours;
mod process;
mod publish;
mod queue;
mod rates;
mod requests;
mod svg;
mod urgent;

use crate::measure::Report;

fn main() {
    #[cfg(feature = "aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().unwrap();

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == process::FLAG) {
        return process::run(&arguments[1..]);
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-')).cloned();
    let report = Report::new(wanted);
    machine::describe();
    if arguments.iter().any(|argument| argument == "--curves") {
        return curves::run(&report);
    }
    println!("both ends are tasks of one runtime with a thread a core; medians of rounds in turns");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        publish::run(&report).await;
        requests::run(&report).await;
        durable::run(&report).await;
        urgent::run(&report).await;
    });
    drop(runtime);
    idle::run(&report);
    queue::run(&report);
}
