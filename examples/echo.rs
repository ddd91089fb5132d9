//! An agent and a backend talk over a real WebSocket, and a wire between them records every byte.
//!
//! `cargo run --example echo`

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use waxwire::{Agent, Backend, Context, PeerId, Presence};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

const LINES: [&str; 3] = ["isolate host 10.1.2.3", "rotate the database password", "that is all"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-1")?;
    let (agent_config, backend_config) = pair::configs(&id)?;

    // The backend admits this one agent, and answers what it asks about `echo`.
    let backend = Backend::open(backend_config).await?;
    backend.on_request("agent.*.echo", async |_: Context, line: Bytes| line)?;
    let mut presence = backend.presence();
    let address = backend.listen("ws://127.0.0.1:0").await?;
    let recording = Arc::new(Mutex::new(Vec::new()));
    let wire = record_between(address, Arc::clone(&recording)).await?;

    let agent = Agent::open(id, agent_config).await?;
    agent.connect(format!("ws://{wire}/")).await?;
    let Presence::Online(here) = presence.recv().await? else {
        return Err("the agent is gone".into());
    };
    let (seen, told) = (backend.agent(&here.id)?.peer(), agent.peer());
    let (Some(seen), Some(told)) = (seen, told) else { return Err("nobody was proven".into()) };
    println!("backend: {} is here, as {}", seen.id, seen.key.fingerprint());
    println!("agent:   session {} with {}", here.session, told.key.fingerprint());
    for line in LINES {
        let before = recording.lock().map_or(0, |bytes| bytes.len());
        let heard = agent.request("echo", line).await?;
        println!("\nsaid:    {line:?}\nheard:   {:?}", String::from_utf8_lossy(&heard));
        show(&recording, before);
        claim(heard == line, "the echo is another line")?;
    }
    agent.close().await?;

    // WebSocket masks what the client sends; the echoes came back unmasked.
    let seen = recording.lock().map_err(|_| "the wire failed")?;
    let leaks = LINES.iter().filter(|line| contains(&seen, line.as_bytes())).count();
    println!(
        "\nThe wire carried {} bytes and holds {leaks} of the {} lines.",
        seen.len(),
        LINES.len()
    );
    claim(leaks == 0, "plaintext on the wire")
}

/// A relay in front of `backend` that keeps a copy of every byte, both ways. Returns its address.
async fn record_between(
    backend: std::net::SocketAddr,
    recording: Arc<Mutex<Vec<u8>>>,
) -> Result<std::net::SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (agent, _) = listener.accept().await?;
        let backend = TcpStream::connect(backend).await?;
        let (from_agent, to_agent) = agent.into_split();
        let (from_backend, to_backend) = backend.into_split();
        tokio::try_join!(
            copy(from_agent, to_backend, &recording),
            copy(from_backend, to_agent, &recording),
        )
    });
    Ok(address)
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    recording: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        if let Ok(mut recording) = recording.lock() {
            recording.extend_from_slice(bytes);
        }
        to.write_all(bytes).await?;
    }
}

/// Prints the first bytes that crossed the wire since `from`.
fn show(recording: &Mutex<Vec<u8>>, from: usize) {
    let Ok(bytes) = recording.lock() else { return };
    let new = bytes.get(from..).unwrap_or_default();
    let hex: String = new.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    println!("wire:    {hex}.. ({} bytes)", new.len());
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
