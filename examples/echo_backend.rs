//! The backend of the two-process echo: what an agent types comes back.
//!
//! `cargo run --example echo_backend -- --listen 127.0.0.1:7400 --key backend.pem --agent SHA256:..`

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use tokio::signal::ctrl_c;
use waxwire::runtime::{ListenerOptions, seed};
use waxwire::session::{Config, Pinned};
use waxwire::transport::websocket::AcceptOptions;
use waxwire::{Backend, Context, Fingerprint, Identity, PeerId, Presence, Realm, Role};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Options {
    /// Address to listen on, for WebSockets.
    #[arg(long, default_value = "127.0.0.1:7400")]
    listen: String,
    /// File of this backend's key; made on first use.
    #[arg(long, default_value = "backend.pem")]
    key: PathBuf,
    /// Fingerprint of an agent to admit; once for each.
    #[arg(long)]
    agent: Vec<Fingerprint>,
    /// Origin whose pages may open a WebSocket here, such as http://localhost:8080; once for each.
    /// Without it no page of any browser may.
    #[arg(long)]
    origin: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    let options = Options::parse();
    let key = Identity::load_or_create(&options.key, seed()?)?;
    let pin = key.public_key().fingerprint();
    println!("backend key {pin}");

    let mut agents = Pinned::default();
    for (number, agent) in options.agent.iter().enumerate() {
        agents = agents.and(PeerId::new(format!("agent-{number}"))?, Role::Agent, *agent);
    }
    if options.agent.is_empty() {
        println!("no agent is admitted; start with --agent and the key that echo_agent prints");
    }
    let config = Config::backend(Realm::new("echo")?, key).peer(agents);
    let upgrade = options
        .origin
        .iter()
        .fold(AcceptOptions::new(), |upgrade, origin| upgrade.with_allowed_origin(origin));
    let allows = ListenerOptions::default().with_upgrade(upgrade);
    let backend = Backend::builder(config).with_listening(allows).open().await?;
    backend.on_request("agent.*.echo", echo)?;
    let mut presence = backend.presence();
    let address = backend.listen(format!("ws://{}", options.listen)).await?;
    println!("cargo run --example echo_agent -- --connect ws://{address}/ --backend {pin}");
    loop {
        tokio::select! {
            change = presence.recv() => match change? {
                Presence::Online(agent) => println!("{} connected", agent.id),
                Presence::Offline { id, .. } => println!("{id} left"),
                _ => {}
            },
            stop = ctrl_c() => {
                stop?;
                return Ok(backend.close().await?);
            }
        }
    }
}

async fn echo(context: Context, line: Bytes) -> Bytes {
    println!("{}: {}", context.agent(), String::from_utf8_lossy(&line).escape_debug());
    line
}

/// `RUST_LOG` if set, else a line for every handshake that is refused.
fn filter() -> tracing_subscriber::EnvFilter {
    let default = tracing_subscriber::EnvFilter::new("waxwire=debug");
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or(default)
}
