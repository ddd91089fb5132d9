//! What an idle link costs the memory of a backend, against a bare WebSocket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};
use waxwire::limits::{READ_BUFFER_BYTES, WRITE_BUFFER_BYTES};

use crate::grown::Grown;
use crate::measure::Report;
use crate::process::{order, say};

const NAME: &str = "idle_link_vs_tungstenite";
const LINKS: u64 = 10_000;
/// Beside its links a process has few descriptors.
const DESCRIPTORS: u64 = LINKS + 500;
const DIALLING: usize = 64;

/// Prints the comparison of idle links.
pub fn run(report: &Report) {
    if !report.wants(NAME) {
        return;
    }
    if !has_descriptors() {
        println!("NOT RUN: {NAME} needs `ulimit -n {DESCRIPTORS}`");
        return;
    }
    println!(
        "idle: {LINKS} links over ws:// from another process; resident bytes of the backend's"
    );
    println!("  process above those before the first, per link; kernel buffers are not among them");
    let (ours, bare) = (bytes_each("ours"), bytes_each("bare"));
    println!("  {NAME}: ours {ours:.0} bytes, peer {bare:.0} bytes");
    println!("ratio {NAME} {:.3}", ours / bare);
}

fn bytes_each(what: &str) -> f64 {
    let mut grown = Grown::start(what);
    grown.dial(what, LINKS);
    grown.bytes_each()
}

/// Raises the limit on descriptors as far as this program may; its processes inherit it.
pub fn has_descriptors() -> bool {
    rlimit::increase_nofile_limit(DESCRIPTORS).is_ok_and(|limit| limit >= DESCRIPTORS)
}

/// Resident bytes of this process once they stay the same for a while.
pub async fn resident_once_quiet() -> u64 {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = resident();
        if now == before {
            return now;
        }
        before = now;
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
}

/// Is the process with the bare server's side: each socket has a task that waits for the next message,
/// after an echo of the first.
pub async fn hold_bare() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut socket = accept_async_with_config(stream, Some(config())).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    while order().await == "resident" {
        say(&resident_once_quiet().await.to_string());
    }
}

/// Is the process with the bare client's side.
pub async fn dial_bare(address: &str, count: u32) {
    let mut dialling = JoinSet::new();
    let mut sockets = Vec::new();
    for _ in 0..count {
        if dialling.len() >= DIALLING {
            sockets.push(dialling.join_next().await.unwrap().unwrap());
        }
        dialling.spawn(dial_one(address.to_owned()));
    }
    sockets.extend(dialling.join_all().await);
    say("dialled");
    order().await;
    drop(sockets);
}

async fn dial_one(address: String) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(&address).await.unwrap();
    let url = format!("ws://{address}/");
    let (mut socket, _) = client_async_with_config(url, stream, Some(config())).await.unwrap();
    socket.send(Message::Binary(Bytes::from_static(&[7; 64]))).await.unwrap();
    socket.next().await.unwrap().unwrap();
    socket
}
