//! Commands: durable, followed by their status, run once.
//!
//! The agent is offline when it is commanded; the command waits. Then every word of the agent about a second
//! one is lost and the wire is cut: it ran once all the same, and its result comes.
//!
//! `cargo run --example commands`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use waxwire::{
    Agent, Backend, Command, Context, ErrorKind, FailureCode, LinkEvent, LinkState, PeerId,
    Reconnect, Undelivered,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

/// What all handlers of the agent share.
struct Host {
    rollbacks: watch::Sender<u32>,
}

async fn roll_back(context: Context, what: Bytes) -> Result<String, waxwire::Failure> {
    let host = context.state::<Host>().ok_or(waxwire::Failure::new(FailureCode::Internal))?;
    let what = String::from_utf8_lossy(&what).into_owned();
    println!("agent:   rolls {what} back");
    host.rollbacks.send_modify(|runs| *runs += 1);
    Ok(format!("{what} is gone; run {}", *host.rollbacks.borrow()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-7")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let backend = Backend::open(backend_config).await?;
    let (address, wire) = wire(backend.listen("tcp://127.0.0.1:0").await?).await?;

    let edge = backend.agent(&id)?;
    println!("backend: edge-7 is {:?}, and commanded", edge.state());
    let command = edge.command("rollbacks", "kernel-6.1").await?;
    let followed = tokio::spawn(follow(command));
    sleep(Duration::from_millis(200)).await;

    let soon = Reconnect::new().with_first(Duration::from_millis(50));
    let builder = Agent::builder(id, agent_config).with_reconnect(soon);
    let (host, mut runs) = watch::channel(0);
    let agent = builder.with_state(Host { rollbacks: host }).open().await?;
    agent.on_command("rollbacks", roll_back)?;
    println!("agent:   dials");
    agent.connect(format!("tcp://{address}")).await?;
    let result = followed.await??;
    println!("backend: {:?}", String::from_utf8_lossy(&result));
    claim(result == "kernel-6.1 is gone; run 1", "it did not run once")?;

    println!("\nwire:    swallows what the agent says");
    wire.send_replace(Wire::Deaf);
    let mut events = edge.events();
    let command = edge.command("rollbacks", "openssl-3.6").await?;
    let command_id = command.id();
    let followed = tokio::spawn(follow(command));
    runs.wait_for(|runs| *runs == 2).await?;
    println!("wire:    cut");
    wire.send_replace(Wire::Open);
    let result = followed.await??;
    println!("backend: {:?}", String::from_utf8_lossy(&result));
    claim(result == "openssl-3.6 is gone; run 2", "it did not run once")?;
    claim(*runs.borrow() == 2, "something ran again")?;
    loop {
        if let LinkEvent::Connected { recovery, .. } = events.recv().await? {
            println!("backend: the link went on as {recovery:?}");
            break;
        }
    }

    println!("\nissued again under the id that it has");
    let again = edge.command("rollbacks", "openssl-3.6").with_id(command_id).await;
    let known = again.err().ok_or("the same id was issued twice")?;
    println!("backend: {known}");
    claim(known.kind() == ErrorKind::Config, "another error")?;
    let command = edge.find_command(command_id).ok_or("the command is forgotten")?;
    println!("backend: it is known: {:?}", command.status());
    claim(command.result().await? == result, "the result is another")?;

    agent.close().await?;
    edge.until(LinkState::Detached).await;
    println!("\nnobody is here who could begin it in time");
    let never = edge.command("rollbacks", "nginx").begin_within(Duration::from_millis(300)).await?;
    let never = never.result().await.err().ok_or("it ran")?;
    println!("backend: {never}");
    let expired = ErrorKind::Undelivered(Undelivered::Expired { sent: false });
    claim(never.kind() == expired, "another error")?;
    Ok(backend.close().await?)
}

/// Prints each status of a command, and returns its result.
async fn follow(mut command: Command) -> Result<Bytes, waxwire::Error> {
    let mut status = command.status();
    println!("backend: {status:?}");
    while !status.is_settled() {
        let next = command.changed().await?;
        // The first change may be the one that was read above.
        if next != status {
            println!("backend: {next:?}");
        }
        status = next;
    }
    command.result().await
}

/// What the wire does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wire {
    Open,
    /// Swallows what the agent says. Whoever opens it again cuts it: part of a sealed stream is of no use.
    Deaf,
}

/// A wire to `backend`.
async fn wire(backend: SocketAddr) -> Result<(SocketAddr, watch::Sender<Wire>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (orders, order) = watch::channel(Wire::Open);
    tokio::spawn(async move {
        while let Ok((agent, _)) = listener.accept().await {
            let Ok(backend) = TcpStream::connect(backend).await else { return };
            let (mut agent, mut to_agent) = agent.into_split();
            let (mut from_backend, mut backend) = backend.into_split();
            let (hears, mut cut) = (order.clone(), order.clone());
            tokio::spawn(async move {
                let upwards = async {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = agent.read(&mut buffer).await {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        if *hears.borrow() == Wire::Open && backend.write_all(bytes).await.is_err()
                        {
                            return;
                        }
                    }
                };
                let was_cut = async {
                    let _ = cut.wait_for(|wire| *wire == Wire::Deaf).await;
                    let _ = cut.wait_for(|wire| *wire != Wire::Deaf).await;
                };
                tokio::select! {
                    () = upwards => {}
                    _ = tokio::io::copy(&mut from_backend, &mut to_agent) => {}
                    () = was_cut => {}
                }
            });
        }
    });
    Ok((address, orders))
}
