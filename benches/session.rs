//! What the session costs, against what its peers cost, in one process and in turns.
//!
//! Prints one line per comparison, `ratio NAME VALUE`: our median divided by the peer's, so lower is
//! better. Every other line is for the reader and begins otherwise. An argument limits the run to
//! the comparisons whose name contains it.

mod echo;
mod handshakes;
mod machine;
mod measure;
mod noise;
mod parties;
mod records;
#[cfg(feature = "aws-lc")]
mod tls;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let report = measure::Report::new(wanted);
    machine::describe();
    println!("times are medians of turns; one thread does all the work");
    handshakes::run(&report);
    records::run(&report);
    echo::run(&report);
}
