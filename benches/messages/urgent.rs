//! A critical message behind bulk, where the way is slow.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use waxwire::{Class, LinkOptions};

use crate::measure::{Report, median};
use crate::ours::Ends;

const NAME: &str = "critical_behind_bulk";
const BULK_BYTES: usize = 64 * 1024 * 1024;
/// Of the content of a message, not all is payload.
const BULK_PAYLOAD_BYTES: usize = BULK_BYTES - 1024;
/// 10 Mbit/s.
const BYTES_PER_SECOND: f64 = 1_250_000.0;
/// What the slow reader takes at once.
const READ_BYTES: usize = 4 * 1024;
/// Socket buffers of the slow reader, on either side of it.
const SOCKET_BYTES: u32 = 16 * 1024;
const SAMPLES: u32 = 25;
/// Time for bulk to fill what is on the way.
const FILLING: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(200);
const BARE_SAMPLES: usize = 3;

/// Prints how long a critical message takes.
pub async fn run(report: &Report) {
    if !report.wants(NAME) {
        return;
    }
    println!(
        "urgent: critical messages behind one of {BULK_BYTES} bytes and class low, over tcp://"
    );
    println!(
        "  and a reader at 10 Mbit/s; bare is a TcpStream with default buffers and TCP_NODELAY,"
    );
    println!("  which writes 16 KiB of bulk whenever it can, and a word when it has one");
    let (ours, most) = ours().await;
    let bare = bare().await;
    println!("  {NAME}: ours {ours:.1} ms (at most {most:.1}), bare {bare:.0} ms");
    println!("ratio {NAME} {:.4}", ours / bare);
}

/// Milliseconds until the subscriber has a critical message: the median, and the most.
async fn ours() -> (f64, f64) {
    let options = LinkOptions::new()
        .with_message_bytes(BULK_BYTES)
        .with_queue(1_000, 2 * BULK_BYTES)
        .with_outbox(1_000, 2 * BULK_BYTES);
    let ends = Ends::new(options).await;
    let backend = ends.listen("tcp").await;
    let pair = ends.link("tcp", slow_reader(backend).await).await;
    let mut alarms = pair.backend.subscribe("agent.*.alarms").await.unwrap();
    let _bulk = pair.backend.subscribe("agent.*.bulk").await.unwrap();
    let bulk = Bytes::from(vec![7; BULK_PAYLOAD_BYTES]);
    pair.agent.publish("bulk", bulk).priority(Class::Low).await.unwrap();
    tokio::time::sleep(FILLING).await;
    let mut times = Vec::new();
    for number in 0..SAMPLES {
        // Not in step with anything.
        tokio::time::sleep(PAUSE + Duration::from_millis(7 * u64::from(number % 7))).await;
        let begun = Instant::now();
        let alarm = pair.agent.publish("alarms", "sshd").priority(Class::Critical);
        alarm.best_effort().await.unwrap();
        alarms.next().await.unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    assert!(pair.agent.pending() > 0, "bulk is still on its way");
    let most = times.iter().copied().fold(0.0, f64::max);
    (median(times), most)
}

const BULK: u8 = 0;
const WORD: u8 = 1;

/// Milliseconds until a byte arrives that is written behind what the socket took of bulk.
async fn bare() -> f64 {
    let mut times = Vec::new();
    for _ in 0..BARE_SAMPLES {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reader = slow_reader(listener.local_addr().unwrap()).await;
        let mut writer = TcpStream::connect(reader).await.unwrap();
        writer.set_nodelay(true).unwrap();
        let (mut heard, _) = listener.accept().await.unwrap();
        let hear = tokio::spawn(async move {
            let mut bytes = vec![BULK; 64 * 1024];
            loop {
                let count = heard.read(&mut bytes).await.unwrap();
                if bytes[..count].contains(&WORD) {
                    return Instant::now();
                }
            }
        });
        let filled = tokio::time::Instant::now() + FILLING;
        let bulk = [BULK; 16 * 1024];
        while let Ok(written) = tokio::time::timeout_at(filled, writer.write_all(&bulk)).await {
            written.unwrap();
        }
        let begun = Instant::now();
        writer.write_all(&[WORD]).await.unwrap();
        times.push((hear.await.unwrap() - begun).as_secs_f64() * 1e3);
    }
    median(times)
}

/// Carries bytes to `target` as fast as the slow way lets it, and back at once.
async fn slow_reader(target: SocketAddr) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SOCKET_BYTES).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpSocket::new_v4().unwrap();
        far.set_send_buffer_size(SOCKET_BYTES).unwrap();
        let far = far.connect(target).await.unwrap();
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut far_in, &mut near_out).await });
        let mut bytes = vec![0; READ_BYTES];
        let mut free_at = tokio::time::Instant::now();
        loop {
            let Ok(count @ 1..) = near_in.read(&mut bytes).await else { return };
            // A way that was idle owes nothing for the time before.
            free_at = free_at.max(tokio::time::Instant::now());
            free_at += Duration::from_secs_f64(count as f64 / BYTES_PER_SECOND);
            tokio::time::sleep_until(free_at).await;
            if far_out.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    address
}
