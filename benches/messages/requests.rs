//! A question and its answer: how long one takes, and how many fit into a second.

use std::time::{Duration, Instant};

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use waxwire::{Context, Link, LinkOptions};

use crate::measure::{Report, median};
use crate::nats::{Nats, Security};
use crate::ours::{Ends, Pair};
use crate::process::Process;
use crate::rates;

const ONE: &str = "request_64B_p50_vs_nats_mtls";
const MANY: &str = "request_64B_64inflight_vs_nats_mtls";
const RELAYED: &str = "request_64B_p50_relayed_vs_nats_mtls";
const SUBJECT: &str = "backend.agent.echo";
const IN_FLIGHT: u64 = 64;
const SPAN: Duration = Duration::from_secs(9);
/// Round trips before the next one's turn.
const TURN: usize = 64;

/// Prints every comparison of requests.
pub async fn run(report: &Report) {
    if !report.wants(ONE) && !report.wants(MANY) && !report.wants(RELAYED) {
        return;
    }
    println!(
        "requests: 64 bytes each way; the backend asks its agent over ws://, NATS crosses its"
    );
    println!("  broker; ours crosses a splice relay where it says so, a process of its own");
    let Some(nats) = Nats::start(Security::MutualTls) else { return };
    let theirs = nats.connect().await;
    serve(nats.connect().await).await;
    if report.wants(ONE) || report.wants(RELAYED) {
        one_in_flight(&theirs).await;
    }
    if report.wants(MANY) {
        let pair = Pair::open().await;
        pair.agent.on_request("echo", echo).unwrap();
        let edge = pair.edge();
        let ours = async |count| many(count, edge.clone(), ask).await;
        let peer = async |count| many(count, theirs.clone(), ask_nats).await;
        rates::print(MANY, rates::race(ours, peer).await);
    }
}

async fn one_in_flight(theirs: &Client) {
    let direct = Pair::open().await;
    let ends = Ends::new(LinkOptions::new()).await;
    let backend = ends.listen("ws").await;
    let relay = Process::start(&["relay", &backend.to_string()]);
    let relayed = ends.link("ws", relay.line().parse().unwrap()).await;
    for pair in [&direct, &relayed] {
        pair.agent.on_request("echo", echo).unwrap();
    }
    let (direct_edge, relayed_edge) = (direct.edge(), relayed.edge());
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let begun = Instant::now();
    while begun.elapsed() < SPAN {
        for _ in 0..TURN {
            times[0].push(timed(ask(direct_edge.clone())).await);
        }
        for _ in 0..TURN {
            times[1].push(timed(ask_nats(theirs.clone())).await);
        }
        for _ in 0..TURN {
            times[2].push(timed(ask(relayed_edge.clone())).await);
        }
    }
    let [ours, peer, relayed] = times.map(median);
    let us = |nanos: f64| nanos / 1_000.0;
    println!("  {ONE}: ours {:.1} µs, peer {:.1} µs", us(ours), us(peer));
    println!("ratio {ONE} {:.3}", ours / peer);
    println!("  {RELAYED}: ours {:.1} µs, peer {:.1} µs", us(relayed), us(peer));
    println!("ratio {RELAYED} {:.3}", relayed / peer);
}

async fn timed(work: impl Future<Output = ()>) -> f64 {
    let begun = Instant::now();
    work.await;
    begun.elapsed().as_nanos() as f64
}

async fn echo(_: Context, payload: Bytes) -> Bytes {
    payload
}

async fn ask(edge: Link) {
    assert_eq!(edge.request("echo", [7_u8; 64]).await.unwrap().len(), 64);
}

async fn ask_nats(client: Client) {
    let payload = Bytes::copy_from_slice(&[7; 64]);
    assert_eq!(client.request(SUBJECT, payload).await.unwrap().payload.len(), 64);
}

async fn serve(client: Client) {
    let mut asked = client.subscribe(SUBJECT).await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(question) = asked.next().await {
            client.publish(question.reply.unwrap(), question.payload).await.unwrap();
        }
    });
}

async fn many<C, F>(count: u64, client: C, ask: fn(C) -> F)
where
    C: Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let client = client.clone();
        tasks.spawn(async move {
            for _ in 0..count / IN_FLIGHT {
                ask(client.clone()).await;
            }
        });
    }
    tasks.join_all().await;
}
