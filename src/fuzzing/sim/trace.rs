//! What happened, line by line, and one number that stands for all of it.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::time::{Instant, spread};

/// Lines kept unless all are.
const LINES: usize = 200;

#[derive(Debug)]
pub(super) struct Trace {
    lines: VecDeque<String>,
    keeps_all: bool,
    hash: u64,
}

impl Trace {
    pub(super) fn new(keeps_all: bool) -> Self {
        Self { lines: VecDeque::new(), keeps_all, hash: 0 }
    }

    pub(super) fn note(&mut self, now: Instant, what: std::fmt::Arguments<'_>) {
        let mut line = match self.lines.len() {
            LINES.. if !self.keeps_all => self.lines.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        line.clear();
        let micros = now.as_nanos() / 1_000;
        let _ = write!(line, "{:>6}.{:06} {what}", micros / 1_000_000, micros % 1_000_000);
        let (words, rest) = line.as_bytes().as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_be_bytes(*word));
        let rest = rest.iter().map(|byte| u64::from(*byte));
        self.hash = words.chain(rest).fold(self.hash, |hash, word| spread(hash ^ word));
        self.lines.push_back(line);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
