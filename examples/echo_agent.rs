//! The agent of the two-process echo: lines typed go out sealed and come back.
//!
//! `cargo run --example echo_agent -- --connect ws://127.0.0.1:7400/ --key agent.pem --backend SHA256:..`

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use waxwire::runtime::{Dialer, seed};
use waxwire::session::{Config, Pinned};
use waxwire::{Fingerprint, Identity, PeerId, Realm, Role};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Options {
    /// Where the backend listens.
    #[arg(long, default_value = "ws://127.0.0.1:7400/")]
    connect: String,
    /// File of this agent's key; made on first use.
    #[arg(long, default_value = "agent.pem")]
    key: PathBuf,
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
    let dialer = Dialer::new(Config::agent(Realm::new("echo")?, key).peer(backend));
    let connection = dialer.websocket(&options.connect).await?;
    println!("connected; session {}. Type lines, end with Ctrl-D.", connection.id());

    let (sender, mut receiver) = connection.spawn();
    let mut lines = BufReader::new(stdin()).lines();
    let (mut typing, mut unanswered) = (true, 0);
    while typing || unanswered > 0 {
        tokio::select! {
            line = lines.next_line(), if typing => match line? {
                Some(line) => {
                    sender.send(Bytes::from(line)).await?;
                    unanswered += 1;
                }
                None => typing = false,
            },
            echo = receiver.recv() => {
                let echo = echo?.ok_or("the backend closed the session")?;
                println!("echo: {}", String::from_utf8_lossy(&echo).escape_debug());
                unanswered -= 1;
            }
        }
    }
    // The driver says goodbye once its last sender is gone.
    drop(sender);
    while receiver.recv().await?.is_some() {}
    Ok(())
}
