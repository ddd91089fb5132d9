//! Agents and backends over real transports, as an application sees them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use waxwire::session::CloseCode;
use waxwire::{
    Agent, Backend, Body, ChannelName, Class, CommandStatus, Context, ErrorKind, Failure,
    FailureCode, Level, LinkEvent, LinkState, Presence, Progress, Reconnect, Recovery, Undelivered,
};

use crate::support::{agent_config, backend_config, peer_id};

const AGENT: &str = "agent";

#[tokio::test]
async fn what_an_agent_publishes_is_heard_once_it_is_processed() {
    let (agent, backend) = linked("ws").await;
    let mut anomalies = backend.subscribe("agent.*.anomalies").await.unwrap();
    let published = tokio::spawn(
        agent
            .publish("anomalies", "sshd")
            .priority(Class::Critical)
            .confirm(Level::Processed)
            .into_future(),
    );
    let message = anomalies.next().await.unwrap();
    assert_eq!(message.channel().as_str(), format!("agent.{AGENT}.anomalies"));
    assert_eq!((message.topic(), message.agent().as_str()), ("anomalies", AGENT));
    assert_eq!((message.class(), &message.payload()[..]), (Class::Critical, &b"sshd"[..]));
    assert!(!published.is_finished(), "nobody is done with it");
    message.done();
    assert_eq!(published.await.unwrap().unwrap().level, Level::Processed);
}

#[tokio::test]
async fn what_a_backend_publishes_goes_to_its_agent() {
    let (agent, backend) = linked("tcp").await;
    let mut policies = agent.subscribe("policies").await.unwrap();
    let receipt = backend.agent(AGENT).unwrap().publish("policies", "deny all");
    let receipt = receipt.confirm(Level::Delivered).await.unwrap();
    assert_eq!(receipt.level, Level::Delivered);
    assert_eq!(policies.next().await.unwrap().payload(), "deny all");
}

#[tokio::test]
async fn a_message_that_nobody_listens_to_is_reported() {
    let (agent, _backend) = linked("ws").await;
    let lost = agent.publish("anomalies", "?").confirm(Level::Delivered).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Undelivered(Undelivered::NoSubscriber));
    let mut events = agent.events();
    let queued = agent.publish("anomalies", "?").await.unwrap();
    assert_eq!(queued.level, Level::Queued);
    loop {
        if let LinkEvent::Undelivered { message, why } = events.recv().await.unwrap() {
            assert_eq!((message, why), (queued.message, Undelivered::NoSubscriber));
            return;
        }
    }
}

#[tokio::test]
async fn a_message_without_a_word_comes_again_to_the_next_subscription() {
    let (agent, backend) = linked("ws").await;
    let mut first = backend.subscribe("agent.*.anomalies").await.unwrap();
    let published = agent.publish("anomalies", "sshd").confirm(Level::Processed);
    let published = tokio::spawn(published.into_future());
    drop(first.next().await.unwrap());
    drop(first);
    let mut second = backend.subscribe("agent.>").await.unwrap();
    second.next().await.unwrap().done();
    assert!(published.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_refused_message_tells_its_publisher_why() {
    let (agent, backend) = linked("ws").await;
    let mut anomalies = backend.subscribe("agent.*.anomalies").await.unwrap();
    let published = agent.publish("anomalies", "sshd").confirm(Level::Processed);
    let published = tokio::spawn(published.into_future());
    anomalies.next().await.unwrap().refuse(7);
    let refused = published.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Undelivered(Undelivered::Rejected { detail: 7 }));
    assert!(refused.to_string().contains("on channel agent.agent.anomalies"), "{refused}");
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Sum {
    left: u32,
    right: u32,
}

async fn add(context: Context, Body(sum): Body<Sum>) -> Result<Body<u32>, Failure> {
    assert_eq!(context.topic(), "add");
    context.progress(500);
    match sum.left.checked_add(sum.right) {
        Some(sum) => Ok(Body(sum)),
        None => Err(Failure::with_text(FailureCode::Application(1), "too large")),
    }
}

#[tokio::test]
async fn requests_are_answered_in_both_directions() {
    let (agent, backend) = linked("ws").await;
    agent.on_request("add", add).unwrap();
    backend.on_request("agent.*.add", add).unwrap();
    let edge = backend.agent(AGENT).unwrap();
    let (progress, mut heard) = watch::channel(None);
    let sum = edge.request("add", Body(Sum { left: 2, right: 3 })).progress_to(progress);
    let sum: u32 = waxwire::body::from_slice(&sum.await.unwrap()).unwrap();
    assert_eq!(sum, 5);
    assert_eq!(*heard.borrow_and_update(), Some(Progress::Permille(500)));
    let sum = agent.request("add", Body(Sum { left: u32::MAX, right: 1 })).await.unwrap_err();
    assert_eq!(sum.kind(), ErrorKind::Call(FailureCode::Application(1)));
    let none = agent.request("subtract", "").await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Call(FailureCode::NoHandler));
    let bad = agent.request("add", "no map").await.unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Call(FailureCode::BadPayload));
}

#[tokio::test]
async fn a_request_that_is_dropped_stops_its_handler() {
    let (agent, backend) = linked("ws").await;
    let (begun, mut heard) = watch::channel("");
    agent
        .on_request("wait", move |_: Context, _: Bytes| {
            let begun = begun.clone();
            async move {
                begun.send_replace("begun");
                let _ended = Ended(begun);
                std::future::pending::<()>().await;
            }
        })
        .unwrap();
    let request = tokio::spawn(backend.agent(AGENT).unwrap().request("wait", "").into_future());
    heard.wait_for(|word| *word == "begun").await.unwrap();
    request.abort();
    heard.wait_for(|word| *word == "ended").await.unwrap();
}

struct Ended(watch::Sender<&'static str>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_replace("ended");
    }
}

#[tokio::test]
async fn a_stream_gives_its_items_in_order_and_then_its_end() {
    let (agent, backend) = linked("ws").await;
    agent
        .on_request("count", async |context: Context, _: Bytes| {
            for number in 0..500_u32 {
                let sent = context.item(number.to_be_bytes()).await;
                assert!(sent.is_ok());
            }
            "done"
        })
        .unwrap();
    let edge = backend.agent(AGENT).unwrap();
    let mut responses = edge.request("count", "").stream().unwrap();
    for number in 0..500_u32 {
        assert_eq!(responses.next().await.unwrap(), number.to_be_bytes()[..]);
    }
    assert_eq!(responses.next().await, None);
    assert_eq!(responses.end().await.unwrap(), "done");
}

#[tokio::test]
async fn a_command_waits_for_its_agent_and_runs_once() {
    let backend = Backend::open(backend_config()).await.unwrap();
    let mut command = backend.agent(AGENT).unwrap().command("tests", "smoke").await.unwrap();
    assert_eq!(command.status(), CommandStatus::Queued);
    let agent = agent().await;
    let (runs, counted) = watch::channel(0);
    agent
        .on_command("tests", move |context: Context, what: Bytes| {
            runs.send_modify(|runs| *runs += 1);
            async move {
                assert!(context.command().is_some() && !context.is_again());
                [&what[..], b" passed"].concat()
            }
        })
        .unwrap();
    connect(&agent, &backend, "ws").await;
    assert_eq!(command.result().await.unwrap(), "smoke passed");
    assert_eq!(command.changed().await.unwrap(), CommandStatus::Succeeded);
    assert_eq!(*counted.borrow(), 1);
    let again = backend.agent(AGENT).unwrap().find_command(command.id()).unwrap();
    assert_eq!(again.result().await.unwrap(), "smoke passed");
}

#[tokio::test]
async fn a_lost_transport_loses_no_message_and_doubles_none() {
    let backend = Backend::open(backend_config()).await.unwrap();
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let address = backend.listen("tcp://127.0.0.1:0").await.unwrap();
    let (proxy, cut) = proxy(address).await;
    let agent = agent().await;
    agent.connect(format!("tcp://{proxy}")).await.unwrap();
    let mut events = agent.events();
    let writer = {
        let agent = agent.clone();
        tokio::spawn(async move {
            for number in 0..2_000_u32 {
                agent.publish("logs", number.to_be_bytes()).await.unwrap();
            }
        })
    };
    for number in 0..2_000_u32 {
        let message = logs.next().await.unwrap();
        assert_eq!(message.payload()[..], number.to_be_bytes());
        message.done();
        if number % 500 == 250 {
            cut.send_modify(|cuts| *cuts += 1);
        }
    }
    writer.await.unwrap();
    agent.close().await.unwrap();
    let mut resumed = 0;
    loop {
        match events.recv().await.unwrap() {
            LinkEvent::Connected { recovery: Recovery::Resumed { .. }, .. } => resumed += 1,
            LinkEvent::Closed => break,
            _ => {}
        }
    }
    assert!(resumed >= 2, "{resumed} sessions resumed");
}

#[tokio::test]
async fn the_newest_session_of_an_agent_takes_over() {
    let backend = Backend::open(backend_config()).await.unwrap();
    let mut presence = backend.presence();
    let first = agent().await;
    connect(&first, &backend, "ws").await;
    let mut events = first.events();
    let second = agent().await;
    connect(&second, &backend, "tcp").await;
    loop {
        if let LinkEvent::Replaced = events.recv().await.unwrap() {
            break;
        }
    }
    assert_eq!(first.until(LinkState::Detached).await, LinkState::Detached);
    assert_eq!(second.state(), LinkState::Connected);
    backend.agent(AGENT).unwrap().until(LinkState::Connected).await;
    let Presence::Online(older) = presence.recv().await.unwrap() else { panic!("not online") };
    let Presence::Online(newer) = presence.recv().await.unwrap() else { panic!("not online") };
    assert!(newer.epoch > older.epoch);
    assert_eq!(backend.agents(), [newer]);
}

#[tokio::test]
async fn a_broadcast_names_whom_it_reached() {
    let (agent, backend) = linked("ws").await;
    let mut policies = agent.subscribe("policies").await.unwrap();
    let told =
        tokio::spawn(backend.broadcast("policies", "new").confirm(Level::Processed).into_future());
    policies.next().await.unwrap().done();
    let outcomes = told.await.unwrap().unwrap();
    assert_eq!(outcomes.reached, [peer_id(AGENT)]);
    assert!(outcomes.failed.is_empty());
    let unheard = backend.broadcast("tests", "?").confirm(Level::Delivered).await.unwrap();
    assert_eq!(unheard.failed.len(), 1);
}

#[tokio::test]
async fn a_disabled_channel_lets_nothing_through() {
    let (agent, backend) = linked("ws").await;
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let name = ChannelName::agent(&peer_id(AGENT), "logs").unwrap();
    agent.publish("logs", "one").confirm(Level::Delivered).await.unwrap();
    logs.next().await.unwrap().done();
    backend.disable_channel(&name).unwrap();
    let refused = agent.publish("logs", "two").confirm(Level::Processed).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Undelivered(Undelivered::Refused { .. })));
    backend.enable_channel(&name).unwrap();
    agent.publish("logs", "three").confirm(Level::Delivered).await.unwrap();
    assert_eq!(logs.next().await.unwrap().payload(), "three");
    let stats = backend.channel_stats(&name).unwrap();
    assert_eq!((stats.messages, stats.bytes), (2, 8));
    assert_eq!(stats.subscribers, 1);
}

#[tokio::test]
async fn a_backend_that_closes_is_left_by_its_agents() {
    let (agent, backend) = linked("ws").await;
    let mut events = agent.events();
    backend.close().await.unwrap();
    loop {
        if let LinkEvent::Detached { code, .. } = events.recv().await.unwrap() {
            assert_eq!(code, Some(CloseCode::GoingAway));
            break;
        }
    }
    assert_eq!(backend.agent(AGENT).unwrap_err().code(), "closed");
}

#[tokio::test]
async fn a_revoked_agent_does_not_come_back() {
    let (agent, backend) = linked("ws").await;
    let mut events = agent.events();
    assert!(backend.kick(&peer_id(AGENT), CloseCode::Revoked, Duration::ZERO));
    loop {
        if let LinkEvent::GaveUp { code } = events.recv().await.unwrap() {
            assert_eq!(code, "closed");
            return;
        }
    }
}

#[tokio::test]
async fn an_agent_that_meets_a_stranger_gives_up() {
    let backend = Backend::open(crate::support::agent_config()).await;
    drop(backend);
    let agent = agent().await;
    assert_eq!(agent.connect("http://a/").await.unwrap_err().kind(), ErrorKind::Config);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tries = Agent::builder(peer_id(AGENT), agent_config())
        .with_reconnect(quick().with_attempts(2))
        .open()
        .await
        .unwrap();
    let gone = tries.connect(format!("tcp://{closed}")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Transport);
    assert_eq!(gone.to_string().matches("transport failed").count(), 1, "{gone}");
}

fn quick() -> Reconnect {
    let soon = Duration::from_millis(5);
    Reconnect::new().with_first(soon).with_backoff(soon, soon * 4)
}

async fn agent() -> Agent {
    let builder = Agent::builder(peer_id(AGENT), agent_config()).with_reconnect(quick());
    builder.open().await.unwrap()
}

async fn connect(agent: &Agent, backend: &Backend, scheme: &str) {
    let address = backend.listen(format!("{scheme}://127.0.0.1:0")).await.unwrap();
    agent.connect(format!("{scheme}://{address}/")).await.unwrap();
}

async fn linked(scheme: &str) -> (Agent, Backend) {
    let backend = Backend::open(backend_config()).await.unwrap();
    let agent = agent().await;
    connect(&agent, &backend, scheme).await;
    // The agent hears of it first.
    let here = backend.agent(AGENT).unwrap().until(LinkState::Connected).await;
    assert_eq!(here, LinkState::Connected);
    (agent, backend)
}

/// A wire to `address` that is cut at each change of the number.
async fn proxy(address: SocketAddr) -> (SocketAddr, watch::Sender<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    let (cut, cuts) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (mut agent, _) = listener.accept().await.unwrap();
            let mut backend = TcpStream::connect(address).await.unwrap();
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut agent, &mut backend) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    (local, cut)
}

/// A pipe that takes a few records and then no more, as a peer that stopped reading.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_does_not_hold_up_the_end() {
    let backend = Backend::open(backend_config()).await.unwrap();
    let agent = agent().await;
    let stopped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let acceptor = backend.acceptor().clone();
    let (admitting, flag) = (backend.clone(), std::sync::Arc::clone(&stopped));
    agent
        .connect_with(move || {
            let (ours, theirs) = waxwire::transport::memory::pair();
            let (acceptor, backend) = (acceptor.clone(), admitting.clone());
            tokio::spawn(async move {
                let source = waxwire::session::Source::of([127, 0, 0, 1].into());
                let place = acceptor.reserve(source).unwrap();
                backend.admit(place.accept(theirs).await.unwrap()).unwrap();
            });
            let stopped = std::sync::Arc::clone(&flag);
            async move { Ok(Stuck { pipe: ours, stopped }) }
        })
        .await
        .unwrap();
    stopped.store(true, std::sync::atomic::Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    agent.close().await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());
    assert_eq!(agent.state(), LinkState::Closed);
}

struct Stuck<T> {
    pipe: T,
    stopped: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl<T: waxwire::transport::Transport> waxwire::transport::Transport for Stuck<T> {
    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), waxwire::transport::TransportError>> {
        if self.stopped.load(std::sync::atomic::Ordering::SeqCst) {
            return std::task::Poll::Pending;
        }
        self.pipe.poll_ready(cx)
    }

    fn start_send(&mut self, record: Bytes) -> Result<(), waxwire::transport::TransportError> {
        self.pipe.start_send(record)
    }

    fn poll_flush(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), waxwire::transport::TransportError>> {
        self.pipe.poll_flush(cx)
    }

    fn poll_record(
        &mut self,
        cx: &mut std::task::Context<'_>,
        into: &mut bytes::BytesMut,
    ) -> std::task::Poll<Result<waxwire::transport::Arrival, waxwire::transport::TransportError>>
    {
        self.pipe.poll_record(cx, into)
    }

    fn poll_close(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), waxwire::transport::TransportError>> {
        std::task::Poll::Pending
    }
}
