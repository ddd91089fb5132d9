//! Agents and backends over a wire that the test disturbs, with time that is paused.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use waxwire::testing::{Disk, Parties, Toward, Wire};
use waxwire::{
    Agent, Backend, CommandStatus, Context, Level, Link, LinkEvent, LinkState, Recovery,
};

const SECOND: Duration = Duration::from_secs(1);
/// What a commit takes on the simulated disks.
const COMMIT: Duration = Duration::from_millis(4);

#[tokio::test(start_paused = true)]
async fn a_delay_is_what_each_way_takes() {
    let Linked { agent, link, wire, .. } = linked().await;
    agent.on_request("echo", echo).unwrap();
    wire.delay(3 * SECOND);
    let began = Instant::now();
    assert_eq!(link.request("echo", "far away").await.unwrap(), "far away");
    assert_eq!(began.elapsed().as_secs(), 6);
    wire.heal();
    let began = Instant::now();
    assert_eq!(link.request("echo", "near").await.unwrap(), "near");
    assert!(began.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn delayed_messages_keep_their_order_and_do_not_wait_for_one_another() {
    let Linked { agent, backend, wire, .. } = linked().await;
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    wire.delay(5 * SECOND);
    let began = Instant::now();
    for number in 0..100_u32 {
        agent.publish("logs", number.to_be_bytes()).await.unwrap();
    }
    for number in 0..100_u32 {
        let message = logs.next().await.unwrap();
        assert_eq!(message.payload()[..], number.to_be_bytes());
        message.done();
    }
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_heard_by_both_and_loses_nothing() {
    let Linked { agent, backend, link, wire } = linked().await;
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let (mut ours, mut theirs) = (agent.events(), link.events());
    wire.delay(SECOND);
    let sent = tokio::spawn(agent.publish("logs", "x").confirm(Level::Processed).into_future());
    tokio::task::yield_now().await;
    wire.cut();
    for events in [&mut ours, &mut theirs] {
        until(events, |event| matches!(event, LinkEvent::Detached { cause: "cut", .. })).await;
    }
    logs.next().await.unwrap().done();
    assert_eq!(sent.await.unwrap().unwrap().level, Level::Processed);
    let resumed = LinkEvent::Connected {
        session: agent_session(&backend),
        recovery: Recovery::Resumed { replayed: 1 },
        peer_outbox_reset: false,
    };
    let wanted = format!("{resumed:?}");
    until(&mut ours, |event| format!("{event:?}") == wanted).await;
    assert_eq!(wire.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wire_that_refuses_is_dialled_until_it_is_healed() {
    let Linked { agent, wire, .. } = linked().await;
    wire.refuse();
    assert_eq!(agent.until(LinkState::Detached).await, LinkState::Detached);
    while wire.dials() < 5 {
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(agent.state(), LinkState::Detached);
    wire.heal();
    assert_eq!(agent.until(LinkState::Connected).await, LinkState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_and_a_short_silence_outwaited() {
    for toward in [Toward::Agent, Toward::Backend] {
        let Linked { agent, wire, .. } = linked().await;
        let mut events = agent.events();
        wire.hold(toward);
        tokio::time::advance(3 * SECOND).await;
        wire.heal();
        tokio::time::advance(100 * SECOND).await;
        assert!(events.try_recv().is_err(), "a short silence is no loss");

        wire.hold(toward);
        until(&mut events, |event| matches!(event, LinkEvent::Detached { .. })).await;
        wire.heal();
        assert_eq!(agent.until(LinkState::Connected).await, LinkState::Connected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_vanished_is_found_out_by_its_silence() {
    for gone in [Toward::Agent, Toward::Backend] {
        let Linked { agent, backend, link, wire } = linked().await;
        let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
        let (mut ours, mut theirs) = (agent.events(), link.events());
        wire.half_open(gone);
        agent.publish("logs", "still here").await.unwrap();
        let (quick, slow) = match gone {
            Toward::Agent => (&mut ours, &mut theirs),
            Toward::Backend => (&mut theirs, &mut ours),
        };
        until(quick, |event| matches!(event, LinkEvent::Detached { cause: "cut", .. })).await;
        until(slow, |event| matches!(event, LinkEvent::Detached { .. })).await;
        logs.next().await.unwrap().done();
        assert!(wire.dials() >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_gives_the_next_process_what_the_last_one_stored() {
    let (parties, disk) = (Parties::new().unwrap(), Disk::new());
    let open = || parties.agent().with_store_on_runtime(disk.clone(), COMMIT).open();
    let agent = open().await.unwrap();
    let began = Instant::now();
    agent.publish("logs", "stored").confirm(Level::Stored).await.unwrap();
    assert!(began.elapsed() >= COMMIT && began.elapsed() < SECOND);
    agent.publish("logs", "not stored").await.unwrap();
    drop(agent);

    let (agent, backend) = (open().await.unwrap(), parties.backend().open().await.unwrap());
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    let wire = Wire::to(&backend);
    wire.connect(&agent).await.unwrap();
    let message = logs.next().await.unwrap();
    assert_eq!(message.payload(), "stored");
    message.done();
    agent.publish("logs", "next").await.unwrap();
    assert_eq!(logs.next().await.unwrap().payload(), "next");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_promises_nothing_until_there_is_room() {
    let (parties, disk) = (Parties::new().unwrap(), Disk::new());
    let agent = parties.agent().with_store_on_runtime(disk.clone(), COMMIT).open().await.unwrap();
    let mut events = agent.events();
    disk.fill();
    let stored = tokio::spawn(agent.publish("logs", "x").confirm(Level::Stored).into_future());
    until(&mut events, |event| matches!(event, LinkEvent::StoreFailing)).await;
    tokio::time::advance(300 * SECOND).await;
    assert!(!stored.is_finished());
    assert_eq!(disk.commits(), 0);
    disk.free();
    assert_eq!(stored.await.unwrap().unwrap().level, Level::Stored);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_starts_anew_goes_on_with_its_commands() {
    let (parties, disk) = (Parties::new().unwrap(), Disk::new());
    let open = || parties.backend().with_store_on_runtime(disk.clone(), COMMIT).open();
    let backend = open().await.unwrap();
    let (wire, agent) = (Wire::to(&backend), parties.agent().open().await.unwrap());
    let command = backend.agent(Parties::AGENT).unwrap().command("tests", "smoke").await.unwrap();
    let id = command.id();
    drop((command, backend));

    let backend = open().await.unwrap();
    wire.lead_to(&backend);
    let (runs, counted) = watch::channel(0);
    agent
        .on_command("tests", move |_: Context, what: Bytes| {
            runs.send_modify(|runs| *runs += 1);
            async { what }
        })
        .unwrap();
    wire.connect(&agent).await.unwrap();
    let command = backend.agent(Parties::AGENT).unwrap().find_command(id).unwrap();
    assert_eq!(command.result().await.unwrap(), "smoke");
    assert_eq!(command.status(), CommandStatus::Succeeded);
    assert_eq!(*counted.borrow(), 1);
}

struct Linked {
    agent: Agent,
    backend: Backend,
    link: Link,
    wire: Wire,
}

async fn linked() -> Linked {
    let parties = Parties::new().unwrap();
    let (agent, backend) = (parties.agent().open().await.unwrap(), parties.backend());
    let backend = backend.open().await.unwrap();
    let wire = Wire::to(&backend);
    wire.connect(&agent).await.unwrap();
    let link = backend.agent(Parties::AGENT).unwrap();
    link.until(LinkState::Connected).await;
    Linked { agent, backend, link, wire }
}

async fn echo(_: Context, what: Bytes) -> Bytes {
    what
}

fn agent_session(backend: &Backend) -> waxwire::SessionId {
    backend.agents()[0].session
}

async fn until(
    events: &mut tokio::sync::broadcast::Receiver<LinkEvent>,
    wanted: impl Fn(&LinkEvent) -> bool,
) {
    while !wanted(&events.recv().await.unwrap()) {}
}
