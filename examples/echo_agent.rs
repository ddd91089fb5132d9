//! The agent of the two-process echo: lines typed go out sealed and come back.
//!
//! `cargo run --example echo_agent -- --connect ws://127.0.0.1:7400/ --key agent.pem --backend SHA256:..`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use waxwire::runtime::seed;
use waxwire::session::{Config, Pinned};
use waxwire::{Agent, Fingerprint, Identity, LinkEvent, PeerId, Realm, Reconnect, Role};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Options {
    /// Where the backend listens.
    #[arg(long, default_value = "ws://127.0.0.1:7400/")]
    connect: String,
    /// File of this agent's key; made on first use.
    #[arg(long, default_value = "agent.pem")]
    key: PathBuf,
    /// Name under which the backend admits this agent: agent-0 for its first --agent, and so on.
    #[arg(long, default_value = "agent-0")]
    id: String,
    /// Fingerprint of the backend. Without it, only this agent's own is printed.
    #[arg(long)]
    backend: Option<Fingerprint>,
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
    let options = Options::parse();
    let key = Identity::load_or_create(&options.key, seed()?)?;
    println!("agent key {}", key.public_key().fingerprint());
    let Some(pin) = options.backend else {
        println!(
            "start the backend with --agent and this key, then this agent with --backend and its key"
        );
        return Ok(());
    };
    let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, pin);
    let config = Config::agent(Realm::new("echo")?, key).peer(backend);
    // Someone types, and wants to know: by default an agent dials for ever.
    let patience = Reconnect::new().with_attempts(3);
    let agent = Agent::builder(PeerId::new(options.id)?, config).with_reconnect(patience);
    let agent = agent.open().await?;
    let mut events = agent.events();
    agent.connect(&options.connect).await?;
    while let Ok(event) = events.recv().await {
        if let LinkEvent::Connected { session, .. } = event {
            println!("connected; session {session}. Type lines, end with Ctrl-D.");
            break;
        }
    }
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let echo = agent.request("echo", line).await?;
        println!("echo: {}", String::from_utf8_lossy(&echo).escape_debug());
    }
    Ok(agent.close().await?)
}
