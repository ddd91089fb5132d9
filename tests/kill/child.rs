//! What is killed: an agent or a backend with a store on disk, which tells its parent what it did.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;
use waxwire::session::{Config, Pinned};
use waxwire::store::RedbStore;
use waxwire::{
    Agent, Backend, CommandId, CommandStatus, Context, ErrorKind, Fingerprint, Identity, Level,
    Link, PeerId, Realm, Reconnect, Seed,
};

use crate::process::{ADDRESS, FIRST, FOLDER, MARK, ROLE};
use crate::{PUBLISHERS, STEP};

pub const AGENT: &str = "agent";
/// Messages of a backend between two commands.
const COMMAND_EVERY: u32 = 7;
/// Commands that a backend gives at most before it is killed.
const COMMANDS: u32 = 5;

/// Plays the part that the parent gave, if it gave one.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let first = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async move {
        match role.as_str() {
            "Agent" => agent(&folder, first).await,
            "LastAgent" => last_agent(&folder).await,
            "Backend" => backend(&folder, first).await,
            _ => last_backend(&folder, first).await,
        }
    });
}

async fn open_agent(folder: &Path) -> Agent {
    let builder = Agent::builder(PeerId::new(AGENT).unwrap(), agent_config());
    let store = RedbStore::open(folder.join("store")).unwrap();
    let agent = builder.with_reconnect(quick()).with_store(store).open().await.unwrap();
    agent
        .on_command("tests", |_: Context, payload: Bytes| async move {
            tell("ran", number(&payload));
            // Time to be killed in between.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            "ran"
        })
        .unwrap();
    tell("open", 0);
    agent
}

/// Publishes until it is killed.
async fn agent(folder: &Path, first: u32) {
    let agent = open_agent(folder).await;
    let next = Arc::new(AtomicU32::new(first));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (agent, next) = (agent.clone(), Arc::clone(&next));
        publishers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let message = agent.publish("logs", number.to_be_bytes());
                message.confirm(Level::Stored).await.unwrap();
                tell("confirmed", number);
            }
        });
    }
    agent.connect(format!("ws://{}/", std::env::var(ADDRESS).unwrap())).await.unwrap();
    tell("connected", 0);
    publishers.join_next().await.unwrap().unwrap();
}

/// Sends what is left.
async fn last_agent(folder: &Path) {
    let agent = open_agent(folder).await;
    agent.connect(format!("ws://{}/", std::env::var(ADDRESS).unwrap())).await.unwrap();
    // One that comes behind all others.
    agent.publish("logs", u32::MAX.to_be_bytes()).confirm(Level::Processed).await.unwrap();
    the_word().await;
    agent.close().await.unwrap();
    assert_eq!(agent.pending(), 0);
}

async fn open_backend(folder: &Path) -> Backend {
    let store = RedbStore::open(folder.join("store")).unwrap();
    Backend::builder(backend_config()).with_store(store).open().await.unwrap()
}

/// Handles until it is killed: an effect is in the log before the word is given.
async fn backend(folder: &Path, first: u32) {
    let backend = open_backend(folder).await;
    let serving = serve(&backend, folder, first..first + COMMANDS).await;
    serving.await;
}

/// Gives the commands of these numbers meanwhile.
async fn serve(
    backend: &Backend,
    folder: &Path,
    mut commands: Range<u32>,
) -> impl Future<Output = ()> + use<> {
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let path = folder.join("effects");
    let mut log = OpenOptions::new().read(true).append(true).create(true).open(path).unwrap();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let keys = text.lines().map(|line| line.split_once(' ').unwrap().0.to_owned());
    let mut handled: BTreeSet<String> = keys.collect();
    let address = backend.listen("ws://127.0.0.1:0").await.unwrap();
    tell("listening", u32::from(address.port()));
    let link = backend.agent(AGENT).unwrap();
    async move {
        while let Some(message) = logs.next().await {
            let number = number(message.payload());
            let mut key = String::new();
            message.key().unwrap().iter().for_each(|byte| write!(key, "{byte:02x}").unwrap());
            if handled.contains(&key) {
                tell("repeated", number);
            } else {
                log.write_all(format!("{key} {number}\n").as_bytes()).unwrap();
                tell("handled", number);
                handled.insert(key);
            }
            message.done();
            if number.is_multiple_of(COMMAND_EVERY)
                && let Some(command) = commands.next()
            {
                tokio::spawn(issue(link.clone(), command));
            }
        }
    }
}

async fn issue(link: Link, number: u32) {
    let command = link.command("tests", number.to_be_bytes()).with_id(command_id(number));
    match command.await {
        Ok(_) => tell("issued", number),
        // A backend remembers 1 024 of them.
        Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
    }
}

/// Handles what is left, and says what became of commands.
async fn last_backend(folder: &Path, first: u32) {
    let backend = open_backend(folder).await;
    tokio::spawn(serve(&backend, folder, 0..0).await);
    let link = backend.agent(AGENT).unwrap();
    for round in 0..first / STEP {
        for number in round * STEP..round * STEP + COMMANDS {
            let Some(mut command) = link.find_command(command_id(number)) else {
                tell("none", number);
                continue;
            };
            while !command.status().is_settled() {
                command.changed().await.unwrap();
            }
            match command.status() {
                CommandStatus::Succeeded => tell("succeeded", number),
                CommandStatus::Unknown => tell("unknown", number),
                status => panic!("command {number} is {status:?}"),
            }
        }
    }
    the_word().await;
}

/// Waits until the parent lets go.
async fn the_word() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    read.await.unwrap().unwrap();
}

fn tell(word: &str, number: u32) {
    // One write, so that a line is told or not.
    let line = format!("{MARK}{word} {number}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

pub fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().unwrap())
}

pub fn command_id(number: u32) -> CommandId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    CommandId(id)
}

pub fn quick() -> Reconnect {
    let soon = Duration::from_millis(5);
    Reconnect::new().with_first(soon).with_backoff(soon, soon * 4)
}

pub fn agent_config() -> Config {
    let backend = PeerId::new("backend").unwrap();
    let pins = Pinned::one(backend, waxwire::Role::Backend, fingerprint(2));
    Config::agent(realm(), identity(1)).peer(pins)
}

pub fn backend_config() -> Config {
    let agent = PeerId::new(AGENT).unwrap();
    let pins = Pinned::one(agent, waxwire::Role::Agent, fingerprint(1));
    Config::backend(realm(), identity(2)).peer(pins)
}

fn realm() -> Realm {
    Realm::new("test").unwrap()
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(Seed::dangerous_reproducible([number; 32]))
}

fn fingerprint(number: u8) -> Fingerprint {
    identity(number).public_key().fingerprint()
}
