//! One publisher and one subscriber: how many messages arrive in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{Client, Subscriber, jetstream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::task::JoinSet;
use waxwire::{Agent, Level, Subscription};

use crate::measure::Report;
use crate::nats::{Nats, Security};
use crate::ours::Pair;
use crate::rates;

const PLAIN: &str = "publish_64B_vs_nats";
const TLS: &str = "publish_1k_vs_nats_mtls";
const ACKED: &str = "publish_64B_acked_vs_jetstream";
const TOPIC: &str = "logs";
const SUBJECT: &str = "agent.agent.logs";
/// Messages of NATS under way at most: far more than fill every buffer, and few enough that its client
/// drops none.
const UNDER_WAY: u64 = 32 * 1024;
/// Messages that wait for their acknowledgement.
const IN_FLIGHT: u64 = 256;

/// Prints every comparison of publishing.
pub async fn run(report: &Report) {
    if report.wants(PLAIN) {
        println!(
            "publish: ours sealed over ws://, best effort; NATS core, what was received counts"
        );
        one_way(PLAIN, 64, Security::Plain).await;
    }
    if report.wants(TLS) {
        one_way(TLS, 1024, Security::MutualTls).await;
    }
    if report.wants(ACKED) {
        println!("acked: {IN_FLIGHT} tasks; ours until the subscriber is done with each message;");
        println!("  JetStream until it is in a stream of one replica, in a file, not synced");
        acked().await;
    }
}

async fn one_way(name: &str, bytes: usize, security: Security) {
    let Some(nats) = Nats::start(security) else { return };
    let payload = Bytes::from(vec![7; bytes]);
    let pair = Pair::open().await;
    let mut heard = Some(pair.backend.subscribe("agent.*.logs").await.unwrap());
    let ours = async |count| {
        let subscription = heard.take().unwrap();
        heard = Some(carry(&pair.agent, subscription, &payload, count).await);
    };
    let (publisher, subscriber) = (nats.connect().await, nats.connect().await);
    let mut theirs = Some(subscriber.subscribe(SUBJECT).await.unwrap());
    subscriber.flush().await.unwrap();
    let peer = async |count| {
        let subscription = theirs.take().unwrap();
        theirs = Some(carry_nats(&publisher, subscription, &payload, count).await);
    };
    rates::print(name, rates::race(ours, peer).await);
}

async fn carry(
    agent: &Agent,
    mut heard: Subscription,
    payload: &Bytes,
    count: u64,
) -> Subscription {
    let (agent, payload) = (agent.clone(), payload.clone());
    let publisher = tokio::spawn(async move {
        for _ in 0..count {
            agent.publish(TOPIC, payload.clone()).best_effort().await.unwrap();
        }
    });
    let subscriber = tokio::spawn(async move {
        for _ in 0..count {
            heard.next().await.unwrap();
        }
        heard
    });
    publisher.await.unwrap();
    subscriber.await.unwrap()
}

async fn carry_nats(
    client: &Client,
    mut heard: Subscriber,
    payload: &Bytes,
    count: u64,
) -> Subscriber {
    let (client, payload) = (client.clone(), payload.clone());
    let received = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&received);
    let publisher = tokio::spawn(async move {
        for sent in 0..count {
            client.publish(SUBJECT, payload.clone()).await.unwrap();
            while sent - counted.load(Ordering::Relaxed).min(sent) > UNDER_WAY {
                tokio::task::yield_now().await;
            }
        }
    });
    let subscriber = tokio::spawn(async move {
        for _ in 0..count {
            heard.next().await.unwrap();
            received.fetch_add(1, Ordering::Relaxed);
        }
        heard
    });
    publisher.await.unwrap();
    subscriber.await.unwrap()
}

async fn acked() {
    let Some(nats) = Nats::start(Security::Plain) else { return };
    let payload = Bytes::from(vec![7; 64]);
    let pair = Pair::open().await;
    let mut heard = pair.backend.subscribe("agent.*.logs").await.unwrap();
    tokio::spawn(async move {
        while let Some(message) = heard.next().await {
            message.done();
        }
    });
    let ours = async |count| {
        let (agent, payload) = (pair.agent.clone(), payload.clone());
        in_flight(count, move || {
            let (agent, payload) = (agent.clone(), payload.clone());
            async move {
                let publish = agent.publish(TOPIC, payload).confirm(Level::Processed);
                assert_eq!(publish.await.unwrap().level, Level::Processed);
            }
        })
        .await;
    };
    let context = jetstream::new(nats.connect().await);
    let stream = jetstream::stream::Config {
        name: "logs".to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        storage: jetstream::stream::StorageType::File,
        ..Default::default()
    };
    context.create_stream(stream).await.unwrap();
    let peer = async |count| {
        let (context, payload) = (context.clone(), payload.clone());
        in_flight(count, move || {
            let (context, payload) = (context.clone(), payload.clone());
            async move {
                context.publish(SUBJECT, payload).await.unwrap().await.unwrap();
            }
        })
        .await;
    };
    rates::print(ACKED, rates::race(ours, peer).await);
}

/// Does something this often, from as many tasks as may be in flight.
async fn in_flight<F: Future<Output = ()> + Send>(
    count: u64,
    once: impl Fn() -> F + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    for task in 0..IN_FLIGHT {
        let once = once.clone();
        let mine = count / IN_FLIGHT + u64::from(task < count % IN_FLIGHT);
        tasks.spawn(async move {
            for _ in 0..mine {
                once().await;
            }
        });
    }
    tasks.join_all().await;
}
