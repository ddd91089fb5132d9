//! A backend with many agents that dial from another process: what a link costs it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;
use waxwire::runtime::ListenerOptions;
use waxwire::session::{Config, Credentials, GateLimits, Issuer, Roles, Roots, Terms};
use waxwire::{
    Agent, Backend, Context, Level, LinkState, PeerId, Reconnect, Seed, Subscription, UnixTime,
};

use crate::idle::resident_once_quiet;
use crate::ours::{identity, realm};
use crate::process::{Process, order, say};

const ROOT: u32 = 1;
const BACKEND: u32 = 2;
/// Number of the first agent's key.
const FIRST: u32 = 10;
const IN_FLIGHT: usize = 64;
/// Handshakes under way at once. More would only wait for each other.
const DIALLING: usize = 32;
const ASKING: Duration = Duration::from_secs(2);

/// A process with a backend, and one with its agents.
pub struct Grown {
    holder: Process,
    dialer: Option<Process>,
    address: String,
    empty: u64,
    links: u64,
}

impl Grown {
    /// `what` is `ours`, or the `bare` peer.
    pub fn start(what: &str) -> Self {
        let holder = Process::start(&["hold", what]);
        let address = holder.line();
        let empty = holder.ask("resident").parse().unwrap();
        Self { holder, dialer: None, address, empty, links: 0 }
    }

    /// Has so many agents dial.
    pub fn dial(&mut self, what: &str, links: u64) {
        let dialer = Process::start(&["dial", what, &self.address, &links.to_string()]);
        assert_eq!(dialer.line(), "dialled");
        (self.dialer, self.links) = (Some(dialer), links);
    }

    /// Resident bytes of one link.
    pub fn bytes_each(&self) -> f64 {
        let now: u64 = self.holder.ask("resident").parse().unwrap();
        now.saturating_sub(self.empty) as f64 / self.links as f64
    }

    /// Microseconds of one request of the backend to one of its agents, [`IN_FLIGHT`] at a time.
    pub fn request_us(&self) -> f64 {
        self.holder.ask("request").parse().unwrap()
    }

    /// Microseconds an agent of a broadcast that each of them confirms.
    pub fn broadcast_us(&self) -> f64 {
        self.holder.ask("broadcast").parse().unwrap()
    }
}

/// Is the process with the backend.
pub async fn hold() {
    let config = Config::backend(realm(), identity(BACKEND)).peer(roots());
    let config = config.with_credentials(&credential(BACKEND, "backend", Roles::BACKEND)).unwrap();
    let backend = Backend::builder(config).with_listening(unhindered()).open().await.unwrap();
    let address = backend.listen("ws://127.0.0.1:0").await.unwrap();
    say(&address.to_string());
    loop {
        match &*order().await {
            "resident" => say(&resident_once_quiet().await.to_string()),
            "request" => say(&format!("{:.2}", requests(&backend).await)),
            "broadcast" => say(&format!("{:.2}", broadcasts(&backend).await)),
            other => panic!("nobody does {other:?}"),
        }
    }
}

/// Everyone comes from one address, and all at once.
fn unhindered() -> ListenerOptions {
    let mut limits = GateLimits::default();
    limits.half_open = 16 * 1024;
    limits.half_open_per_prefix = 4 * 1024;
    limits.half_open_per_network = 4 * 1024;
    limits.per_second = 1_000_000;
    limits.burst = 1_000_000;
    ListenerOptions::default().with_gate(limits)
}

async fn requests(backend: &Backend) -> f64 {
    let links = backend.agents().into_iter();
    let links: Arc<[_]> = links.map(|agent| backend.agent(agent.id.as_str()).unwrap()).collect();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..IN_FLIGHT {
        let links = Arc::clone(&links);
        tasks.spawn(async move {
            let mut done = 0_u32;
            for turn in (task..).step_by(IN_FLIGHT) {
                if begun.elapsed() >= ASKING {
                    break;
                }
                links[turn % links.len()].request("echo", [7_u8; 64]).await.unwrap();
                done += 1;
            }
            done
        });
    }
    let done: u32 = tasks.join_all().await.into_iter().sum();
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(done)
}

async fn broadcasts(backend: &Backend) -> f64 {
    let begun = Instant::now();
    let mut reached = 0;
    while begun.elapsed() < ASKING {
        let outcomes = backend.broadcast("policies", [7_u8; 64]).confirm(Level::Delivered).await;
        let outcomes = outcomes.unwrap();
        assert!(outcomes.failed.is_empty(), "{:?}", outcomes.failed.first());
        reached += outcomes.reached.len();
    }
    begun.elapsed().as_secs_f64() * 1e6 / reached as f64
}

/// Is the process with the agents.
pub async fn dial(address: &str, count: u32) {
    let mut dialling = JoinSet::new();
    let mut agents = Vec::new();
    for number in 0..count {
        if dialling.len() >= DIALLING {
            agents.push(dialling.join_next().await.unwrap().unwrap());
        }
        dialling.spawn(agent(number, format!("ws://{address}/")));
    }
    agents.extend(dialling.join_all().await);
    assert!(agents.iter().all(|(agent, _)| agent.state() == LinkState::Connected));
    say("dialled");
    let (agents, subscriptions): (Vec<Agent>, Vec<Subscription>) = agents.into_iter().unzip();
    for mut policies in subscriptions {
        tokio::spawn(async move {
            while let Some(policy) = policies.next().await {
                policy.done();
            }
        });
    }
    order().await;
    drop(agents);
}

async fn agent(number: u32, url: String) -> (Agent, Subscription) {
    let name = format!("edge-{number}");
    let key = FIRST + number;
    let config = Config::agent(realm(), identity(key)).peer(roots());
    let config = config.with_credentials(&credential(key, &name, Roles::AGENT)).unwrap();
    let soon = Duration::from_millis(50);
    let reconnect = Reconnect::new().with_first(soon).with_backoff(soon, soon * 4);
    let builder = Agent::builder(PeerId::new(name).unwrap(), config).with_reconnect(reconnect);
    let agent = builder.open().await.unwrap();
    agent.on_request("echo", async |_: Context, payload: bytes::Bytes| payload).unwrap();
    let policies = agent.subscribe("policies").unconfirmed().unwrap();
    agent.connect(url).await.unwrap();
    (agent, policies)
}

fn roots() -> Roots {
    Roots::new(identity(ROOT).public_key().clone())
}

fn credential(key: u32, name: &str, roles: Roles) -> Credentials {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let terms = Terms {
        subject: PeerId::new(name).unwrap(),
        roles,
        not_before: UnixTime::from_secs(now - 60),
        not_after: UnixTime::from_secs(now + 3_600),
        labels: Vec::new(),
    };
    let mut serial = [0; 32];
    serial[..4].copy_from_slice(&key.to_le_bytes());
    let seed = Seed::dangerous_reproducible(serial);
    let issuer = Issuer::new(identity(ROOT), realm());
    Credentials::new(issuer.issue(identity(key).public_key(), &terms, &seed).unwrap())
}
