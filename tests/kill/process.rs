//! A process that is killed, as its parent holds it.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::PATIENCE;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Agent,
    LastAgent,
    Backend,
    LastBackend,
}

pub const ROLE: &str = "WAXWIRE_KILL_ROLE";
pub const FOLDER: &str = "WAXWIRE_KILL_FOLDER";
pub const FIRST: &str = "WAXWIRE_KILL_FIRST";
pub const ADDRESS: &str = "WAXWIRE_KILL_ADDRESS";
/// What begins a line that is meant for the parent.
pub const MARK: &str = "told: ";

pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// This binary once more, in another part. Its numbers begin with `first`.
    pub fn start(role: Role, folder: &Path, first: u32, address: &SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--quiet", "--test-threads", "1"])
            .env(ROLE, format!("{role:?}"))
            .env(FOLDER, folder)
            .env(FIRST, first.to_string())
            .env(ADDRESS, address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next; `None` once it is gone and everything that it said was read.
    pub async fn line(&mut self) -> Option<(String, u32)> {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.expect("the process goes on").unwrap()?;
            if let Some((word, number)) = line.strip_prefix(MARK).and_then(|it| it.split_once(' '))
            {
                return Some((word.to_owned(), number.parse().unwrap()));
            }
        }
    }

    /// Kills it after a random spin, with a signal that cannot be caught.
    pub fn kill(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(300_000) {
            std::hint::spin_loop();
        }
        self.child.start_kill().unwrap();
    }

    /// Dropped, one that is not killed may end.
    pub fn end(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub fn may_end(&mut self) {
        drop(self.end());
    }

    pub async fn was_killed(mut self) {
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
    }

    pub async fn ended_well(mut self) {
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Chance that can be had again.
pub struct Dice(u64);

impl Dice {
    /// `SEED`, or the time. Printed.
    pub fn new(of: &str) -> Self {
        let asked = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed: u64 = asked.unwrap_or_else(now);
        println!("kill: {of}: SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
