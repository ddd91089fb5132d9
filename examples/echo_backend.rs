//! The backend of the two-process echo: what an agent types comes back.
//!
//! `cargo run --example echo_backend -- --listen 127.0.0.1:7400 --key backend.pem --agent SHA256:..`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use waxwire::runtime::{Connection, Listener, ListenerOptions, seed};
use waxwire::session::{Config, Pinned};
use waxwire::transport::Transport;
use waxwire::transport::websocket::AcceptOptions;
use waxwire::{Fingerprint, Identity, PeerId, Realm, Role};

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
    let mut listener = Listener::websocket(&*options.listen, config, &allows).await?;
    let address = listener.local_address();
    println!("cargo run --example echo_agent -- --connect ws://{address}/ --backend {pin}");
    loop {
        let connection = listener.accept().await?;
        tokio::spawn(async move {
            let id = connection.peer().id.clone();
            println!("{id} connected");
            match echo(connection).await {
                Ok(()) => println!("{id} left"),
                Err(error) => println!("{id} is gone: {error}"),
            }
        });
    }
}

async fn echo<T: Transport>(mut connection: Connection<T>) -> Result<(), waxwire::Error> {
    while let Some(line) = connection.recv().await? {
        println!("{}: {}", connection.peer().id, String::from_utf8_lossy(&line).escape_debug());
        connection.send(&line).await?;
    }
    Ok(())
}

/// `RUST_LOG` if set, else a line for every handshake that is refused.
fn filter() -> tracing_subscriber::EnvFilter {
    let default = tracing_subscriber::EnvFilter::new("waxwire=debug");
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or(default)
}
