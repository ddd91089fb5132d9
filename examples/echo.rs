//! An agent and a backend talk over a real WebSocket, and a wire between them records every byte.
//!
//! `cargo run --example echo`

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use waxwire::runtime::{Dialer, Listener, ListenerOptions, new_identity};
use waxwire::session::{Config, Pinned};
use waxwire::{PeerId, Realm, Role};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const LINES: [&str; 3] = ["isolate host 10.1.2.3", "rotate the database password", "that is all"];

#[tokio::main(flavor = "current_thread")]
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
    let realm = Realm::new("demo")?;
    let (agent_key, backend_key) = (new_identity()?, new_identity()?);
    let agent_pin = agent_key.public_key().fingerprint();
    let backend_pin = backend_key.public_key().fingerprint();

    // The backend admits this one agent.
    let agents = Pinned::one(PeerId::new("edge-1")?, Role::Agent, agent_pin);
    let config = Config::backend(realm.clone(), backend_key).peer(agents);
    let mut listener =
        Listener::websocket("127.0.0.1:0", config, &ListenerOptions::default()).await?;
    let recording = Arc::new(Mutex::new(Vec::new()));
    let wire = record_between(listener.local_address(), Arc::clone(&recording)).await?;

    tokio::spawn(async move {
        let mut connection = listener.accept().await?;
        let peer = connection.peer();
        println!("backend: {} is here, as {}", peer.id, peer.key.fingerprint());
        while let Some(line) = connection.recv().await? {
            connection.send(&line).await?;
        }
        Ok::<_, Failure>(())
    });

    // The agent speaks to this one backend.
    let backends = Pinned::one(PeerId::new("backend")?, Role::Backend, backend_pin);
    let dialer = Dialer::new(Config::agent(realm, agent_key).peer(backends));
    let mut connection = dialer.websocket(&format!("ws://{wire}/")).await?;
    let pin = connection.peer().key.fingerprint();
    println!("agent:   session {} with {pin}", connection.id());
    for line in LINES {
        let before = recording.lock().map_or(0, |bytes| bytes.len());
        connection.send(line.as_bytes()).await?;
        let echo = connection.recv().await?.ok_or("the backend closed early")?;
        println!("\nsaid:    {line:?}\nheard:   {:?}", String::from_utf8_lossy(&echo));
        show(&recording, before);
    }
    connection.close().await?;

    // WebSocket masks what the client sends; the echoes came back unmasked.
    let seen = recording.lock().map_err(|_| "the wire failed")?;
    let leaks = LINES.iter().filter(|line| contains(&seen, line.as_bytes())).count();
    println!(
        "\nThe wire carried {} bytes and holds {leaks} of the {} lines.",
        seen.len(),
        LINES.len()
    );
    if leaks == 0 { Ok(()) } else { Err("plaintext on the wire".into()) }
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
