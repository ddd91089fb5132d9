//! A critical message overtakes a bulk transfer that is already under way.
//!
//! The agent sends 4 MiB of low priority over a real TCP socket that carries 10 Mbit/s. While it is under
//! way, critical messages are published. Large messages travel in pieces of 16 KiB, and what is unacknowledged of
//! them is capped, so that little of the bulk stands in the buffers in front of what is urgent.
//!
//! `cargo run --example priorities`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use waxwire::{Agent, Backend, Class, Level, LinkOptions, PeerId};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

const BULK: usize = 4 << 20;
/// 10 Mbit/s.
const BYTES_PER_SECOND: u32 = 1_250_000;
/// Of the sockets in between: the network is slow, not deep.
const SOCKET_BYTES: u32 = 16 << 10;

#[tokio::main]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-7")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let options = LinkOptions::new().with_message_bytes(BULK + 1024).with_outbox(1_000, 2 * BULK);
    let backend = Backend::builder(backend_config).with_options(options.clone()).open().await?;
    let mut dumps = backend.subscribe("agent.*.dump").await?;
    let mut threats = backend.subscribe("agent.*.threats").await?;
    let wire = throttled(backend.listen("tcp://127.0.0.1:0").await?).await?;
    let options = options.with_queue(1_000, 2 * BULK);
    let agent = Agent::builder(id, agent_config).with_options(options).open().await?;
    agent.connect(format!("tcp://{wire}")).await?;

    let began = Instant::now();
    let dump = agent.publish("dump", vec![7; BULK]).priority(Class::Low);
    let dump = tokio::spawn(dump.confirm(Level::Processed).into_future());
    println!("{:>7.2} s  bulk: {} MiB of low priority set out", 0.0, BULK >> 20);

    let mut waits = Vec::new();
    for number in 1..=5 {
        sleep(Duration::from_millis(400)).await;
        let sent = Instant::now();
        let alarm = agent.publish("threats", format!("ransom note {number}"));
        let told =
            tokio::spawn(alarm.priority(Class::Critical).confirm(Level::Processed).into_future());
        let threat = threats.next().await.ok_or("the link is closed")?;
        let wait = sent.elapsed();
        println!(
            "{:>7.2} s  critical: {:?} is here, {} ms after it was published",
            began.elapsed().as_secs_f32(),
            threat.payload(),
            wait.as_millis()
        );
        threat.done();
        told.await??;
        claim(!dump.is_finished(), "the transfer was over before: nothing was overtaken")?;
        waits.push(wait);
    }
    let arrived = dumps.next().await.ok_or("the link is closed")?;
    let bulk = began.elapsed();
    println!("{:>7.2} s  bulk: all {} bytes are here", bulk.as_secs_f32(), arrived.payload().len());
    claim(arrived.payload().len() == BULK, "the bulk is not whole")?;
    arrived.done();
    dump.await??;
    agent.close().await?;
    backend.close().await?;

    waits.sort();
    let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
    println!(
        "\nThe transfer took {:.1} s; a critical message {} ms at the median.",
        bulk.as_secs_f32(),
        median.as_millis()
    );
    claim(median < bulk / 10, "critical messages waited behind the transfer")
}

/// A wire to `backend` whose direction from the agent carries [`BYTES_PER_SECOND`].
async fn throttled(backend: std::net::SocketAddr) -> Result<std::net::SocketAddr, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BYTES)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (agent, _) = listener.accept().await?;
        let backend = TcpStream::connect(backend).await?;
        // Words that acknowledge are small, and wait for nothing.
        agent.set_nodelay(true)?;
        backend.set_nodelay(true)?;
        let (mut from_agent, mut to_agent) = agent.into_split();
        let (mut from_backend, mut to_backend) = backend.into_split();
        tokio::try_join!(
            slow(&mut from_agent, &mut to_backend),
            tokio::io::copy(&mut from_backend, &mut to_agent),
        )
    });
    Ok(address)
}

async fn slow(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut buffer = [0; 8 << 10];
    let mut free = Instant::now();
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        let takes = Duration::from_secs(1) * u32::try_from(count).unwrap_or(0) / BYTES_PER_SECOND;
        // A little may be caught up, for a timer is late by a millisecond.
        free = free.max(Instant::now() - Duration::from_millis(10)) + takes;
        to.write_all(bytes).await?;
        tokio::time::sleep_until(free.into()).await;
    }
}
