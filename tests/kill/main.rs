//! `kill -9`: one side of a link is a process with a store on disk that is killed again and again, over a
//! real WebSocket; the other side counts what came of it. `ROUNDS` says how often, `SEED` when.
//!
//! A killed process leaves the page cache of the kernel behind, so this proves what is said when, and not
//! that it is on the disk: for that, `tests/net` has disks that forget.
//!
//! `COMMANDS=1` has the killed agent commanded too. About one run of 100 rounds in twenty stalls for a minute
//! on a machine that others use, with commands or without; why is not known, so these are a job of their own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops where it fails, and its modules are its own"
)]

mod child;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use waxwire::{Agent, Backend, CommandStatus, Context, Level, PeerId};

use crate::child::{AGENT, agent_config, backend_config, command_id, number, quick};
use crate::process::{Dice, Process, Role};

/// Rounds of each role.
const ROUNDS: u32 = 100;
/// Numbers of one round, of messages and of commands.
const STEP: u32 = 100_000;
/// Publishers at a time.
const PUBLISHERS: usize = 8;

/// Not a test: what is killed. Does nothing unless its parent says which part it plays.
#[test]
fn child() {
    child::play();
}

/// proto-spec [M-15], [M-16]: what a killed agent confirmed as stored is handled once, and a command that
/// it was given runs once or is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one run in twenty stalls on a busy machine; ./ci.sh kill plays it"]
async fn what_a_killed_agent_had_confirmed_is_handled_once() {
    let (rounds, mut dice, folder) = (rounds(), Dice::new("agent"), tempfile::tempdir().unwrap());
    let backend = Backend::open(backend_config()).await.unwrap();
    let handled = Arc::new(Mutex::new(BTreeMap::<[u8; 25], (u32, u32)>::new()));
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let effects = Arc::clone(&handled);
    tokio::spawn(async move {
        while let Some(message) = logs.next().await {
            let (key, number) = (*message.key().unwrap(), number(message.payload()));
            effects.lock().unwrap().entry(key).or_insert((number, 0)).1 += 1;
            message.done();
        }
    });
    let address = backend.listen("ws://127.0.0.1:0").await.unwrap();
    let (mut confirmed, mut ran, mut commands) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    let mut note = |word: &str, number: u32| match word {
        "confirmed" => assert!(confirmed.insert(number), "{number} is confirmed twice"),
        "ran" => *ran.entry(number).or_insert(0) += 1,
        _ => {}
    };
    let with_commands = std::env::var_os("COMMANDS").is_some();
    for round in 0..rounds {
        let mut agent = Process::start(Role::Agent, folder.path(), round * STEP, &address);
        if with_commands && dice.below(3) > 0 {
            let link = backend.agent(AGENT).unwrap();
            let command = link.command("tests", round.to_be_bytes());
            commands.push((round, command.await.unwrap()));
        }
        for _ in 0..dice.below(60) {
            let (word, number) = agent.line().await.expect("an agent ends when it is killed");
            note(&word, number);
        }
        agent.kill(&mut dice);
        while let Some((word, number)) = agent.line().await {
            note(&word, number);
        }
        agent.was_killed().await;
    }
    let mut last = Process::start(Role::LastAgent, folder.path(), rounds * STEP, &address);
    for (round, command) in &mut commands {
        let settled = async {
            while !command.status().is_settled() {
                command.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, settled).await.unwrap_or_else(|_| panic!("command {round} does not end"));
    }
    last.may_end();
    while let Some((word, number)) = last.line().await {
        note(&word, number);
    }
    last.ended_well().await;

    let handled = handled.lock().unwrap().clone();
    let mut by_number = BTreeMap::new();
    for (number, times) in handled.values() {
        assert_eq!(*times, 1, "{} came {times} times", number);
        assert_eq!(by_number.insert(*number, ()), None, "{number} came under two keys");
    }
    let lost: Vec<_> = confirmed.iter().filter(|number| !by_number.contains_key(number)).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
    let mut unknown = 0;
    for (round, command) in commands {
        let runs = ran.get(&round).copied().unwrap_or(0);
        match command.status() {
            CommandStatus::Succeeded => assert_eq!(runs, 1, "command {round}"),
            CommandStatus::Unknown => {
                assert!(runs <= 1, "command {round} ran {runs} times");
                unknown += 1;
            }
            status => panic!("command {round} is {status:?}"),
        }
    }
    let (confirmed, handled) = (confirmed.len(), handled.len());
    assert!(confirmed > 0, "nothing was tried");
    println!("kill: agent {rounds} times: {confirmed} confirmed, {handled} handled");
    println!("kill: agent: {} commands ran, {unknown} unknown", ran.len());
}

/// proto-spec [M-15], [M-16]: what a killed backend said it had handled never comes again, nothing is lost,
/// and a command that it gave runs once or is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "one run in twenty stalls on a busy machine; ./ci.sh kill plays it"]
async fn what_a_killed_backend_had_handled_does_not_come_again() {
    let (rounds, mut dice, folder) = (rounds(), Dice::new("backend"), tempfile::tempdir().unwrap());
    let agent = Agent::builder(PeerId::new(AGENT).unwrap(), agent_config()).with_reconnect(quick());
    let agent = agent.open().await.unwrap();
    let ran = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let effects = Arc::clone(&ran);
    agent
        .on_command("tests", move |context: Context, payload: Bytes| {
            assert_eq!(context.command(), Some(command_id(number(&payload))));
            *effects.lock().unwrap().entry(number(&payload)).or_insert(0) += 1;
            async { "ran" }
        })
        .unwrap();
    let (next, stops) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let confirmed = Arc::new(Mutex::new(BTreeSet::new()));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (agent, next, stops) = (agent.clone(), Arc::clone(&next), Arc::clone(&stops));
        let confirmed = Arc::clone(&confirmed);
        publishers.spawn(async move {
            while !stops.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let published = agent.publish("logs", number.to_be_bytes());
                published.confirm(Level::Processed).await.unwrap();
                confirmed.lock().unwrap().insert(number);
            }
        });
    }
    let mut issued = BTreeSet::new();
    let (mut settled, mut repeated) = (BTreeMap::new(), 0);
    for round in 0..=rounds {
        let is_last = round == rounds;
        // Whoever starts now knows of these that they were handled.
        let known = confirmed.lock().unwrap().clone();
        let role = if is_last { Role::LastBackend } else { Role::Backend };
        let none = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let mut backend = Process::start(role, folder.path(), round * STEP, &none);
        let mut lines = if is_last { u64::MAX } else { dice.below(60) };
        loop {
            if lines == 0 {
                backend.kill(&mut dice);
            }
            lines = lines.wrapping_sub(1);
            let Some((word, number)) = backend.line().await else { break };
            match word.as_str() {
                "listening" => {
                    let (agent, port) = (agent.clone(), number);
                    let dials =
                        async move { agent.connect(format!("ws://127.0.0.1:{port}/")).await };
                    tokio::spawn(dials);
                    if is_last {
                        stops.store(true, Ordering::Relaxed);
                        let (mut publishers, end) =
                            (std::mem::take(&mut publishers), backend.end());
                        tokio::spawn(async move {
                            while let Some(ended) = publishers.join_next().await {
                                ended.unwrap();
                            }
                            drop(end);
                        });
                    }
                }
                "handled" | "repeated" => {
                    assert!(!known.contains(&number), "{number} comes again, though handled");
                    repeated += u32::from(word == "repeated");
                }
                "issued" => assert!(issued.insert(number), "command {number} is issued twice"),
                "succeeded" | "unknown" | "none" => _ = settled.insert(number, word),
                _ => panic!("{word}"),
            }
        }
        if is_last {
            backend.ended_well().await;
        } else {
            backend.was_killed().await;
        }
    }

    let log = std::fs::read_to_string(folder.path().join("effects")).unwrap();
    let mut keys = BTreeMap::new();
    for line in log.lines() {
        let (key, number) = line.split_once(' ').unwrap();
        let number: u32 = number.parse().unwrap();
        assert_eq!(keys.insert(number, key.to_owned()), None, "{number} was handled twice");
    }
    let confirmed = confirmed.lock().unwrap();
    let lost: Vec<_> = confirmed.iter().filter(|number| !keys.contains_key(number)).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
    let (ran, mut unknown) = (ran.lock().unwrap(), 0);
    for (number, word) in &settled {
        let runs = ran.get(number).copied().unwrap_or(0);
        match word.as_str() {
            "succeeded" => assert_eq!(runs, 1, "command {number}"),
            "unknown" => unknown += 1,
            _ => assert_eq!(runs, 0, "command {number} ran, and was never issued"),
        }
        assert!(runs <= 1, "command {number} ran {runs} times");
        assert!(word != "none" || !issued.contains(number), "command {number} is lost");
    }
    assert!(issued.iter().all(|number| settled.contains_key(number)));
    assert!(!confirmed.is_empty() && !issued.is_empty(), "nothing was tried");
    println!(
        "kill: backend {rounds} times: {} confirmed, {} handled, {repeated} came again unsaid",
        confirmed.len(),
        keys.len()
    );
    println!(
        "kill: backend: {} commands issued, {} ran, {unknown} unknown",
        issued.len(),
        ran.len()
    );
}

fn rounds() -> u32 {
    let asked = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse::<u32>().ok());
    asked.map_or(ROUNDS, |rounds| rounds.div_ceil(2))
}

/// How long a line may take, on a machine that others use too.
const PATIENCE: Duration = Duration::from_secs(60);
