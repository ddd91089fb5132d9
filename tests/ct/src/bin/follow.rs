//! Follows secrets through the code of a release: `./ci.sh ct` (TESTING CT-1, the technique of ctgrind).
//!
//! A case marks its secret as undefined memory. Valgrind then reports each jump that depends on it
//! and each address that does, which is what a clock or a cache could tell. A case has no report,
//! and its result depends on the secret, or nothing was followed; a control must have reports. What
//! may be told stands in `tests/ct/public.supp`, with the reason.
//!
//! Arguments are names of cases; none means all.

#[path = "../cases.rs"]
mod cases;
#[path = "../../../it/support.rs"]
#[allow(dead_code)] // the other tests use all of it
mod support;
#[path = "../valgrind.rs"]
mod valgrind;

use std::process::ExitCode;

use crate::cases::{CASES, CONTROLS};

fn main() -> ExitCode {
    if !valgrind::is_there() {
        eprintln!("this follows secrets under valgrind only: ./ci.sh ct");
        return ExitCode::FAILURE;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let mut right = true;
    let mut ran = 0;
    let all = CASES.iter().map(|case| (case, false));
    for ((name, case), is_control) in all.chain(CONTROLS.iter().map(|case| (case, true))) {
        if !is_wanted(name) {
            continue;
        }
        ran += 1;
        let before = valgrind::reports();
        let ended = std::panic::catch_unwind(case).is_ok();
        let reports = valgrind::reports() - before;
        let kind = if is_control { "control" } else { "case" };
        let is_right = ended && (reports > 0) == is_control;
        let verdict = if is_right { "as it must" } else { "WRONG" };
        right &= is_right;
        println!("{kind:<8} {name:<28} {reports:>3} reports, {verdict}");
    }
    if right && ran > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
