//! Links with a store: what survives the end of a process.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use waxwire::store::{RedbStore, StoreError};
use waxwire::{
    Agent, Backend, CommandStatus, Context, ErrorKind, Level, LinkOptions, Reconnect, StoreKey,
};
use zeroize::Zeroizing;

use crate::support::{agent_config, backend_config, peer_id};

const AGENT: &str = "agent";

#[tokio::test]
async fn a_message_outlives_the_process_that_published_it() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path()).await;
    let receipt = agent.publish("logs", "remember me").confirm(Level::Stored).await.unwrap();
    assert_eq!(receipt.level, Level::Stored);
    agent.close().await.unwrap();
    drop(agent);

    let agent = self::agent(folder.path()).await;
    let backend = Backend::open(backend_config()).await.unwrap();
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    connect(&agent, &backend).await;
    let message = logs.next().await.unwrap();
    assert_eq!(message.payload(), "remember me");
    message.done();
    agent.close().await.unwrap();
}

#[tokio::test]
async fn a_message_that_was_handled_is_not_handled_again_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::builder(peer_id(AGENT), agent_config()).with_reconnect(quick());
    let agent = agent.open().await.unwrap();
    let backend = backend(folder.path()).await;
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    connect(&agent, &backend).await;
    for number in 0..20_u32 {
        agent.publish("logs", number.to_be_bytes()).await.unwrap();
    }
    let mut keys = Vec::new();
    for number in 0..10_u32 {
        let message = logs.next().await.unwrap();
        assert_eq!(message.payload()[..], number.to_be_bytes());
        keys.push(*message.key().unwrap());
        message.done();
    }
    drop(logs);
    let _ = backend.close().await;
    drop(backend);

    let backend = self::backend(folder.path()).await;
    let mut logs = backend.subscribe("agent.*.logs").await.unwrap();
    connect(&agent, &backend).await;
    for number in 10..20_u32 {
        let message = logs.next().await.unwrap();
        assert_eq!(message.payload()[..], number.to_be_bytes());
        assert!(!keys.contains(message.key().unwrap()));
        message.done();
    }
    agent.close().await.unwrap();
}

#[tokio::test]
async fn a_command_outlives_both_processes_and_runs_once() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backend = backend(ours.path()).await;
    let command = backend.agent(AGENT).unwrap().command("tests", "smoke").await.unwrap();
    let id = command.id();
    drop(command);
    let _ = backend.close().await;
    drop(backend);

    let backend = self::backend(ours.path()).await;
    let agent = agent(theirs.path()).await;
    let (runs, mut counted) = watch::channel(0);
    agent
        .on_command("tests", move |_: Context, _: Bytes| {
            runs.send_modify(|runs| *runs += 1);
            async { "passed" }
        })
        .unwrap();
    connect(&agent, &backend).await;
    let command = backend.agent(AGENT).unwrap().find_command(id).unwrap();
    assert_eq!(command.result().await.unwrap(), "passed");
    assert_eq!(*counted.borrow_and_update(), 1);
    drop(command);
    backend.close().await.unwrap();
    drop(backend);
    drop(agent);

    let backend = self::backend(ours.path()).await;
    let command = backend.agent(AGENT).unwrap().find_command(id).unwrap();
    assert_eq!(command.status(), CommandStatus::Succeeded);
    assert_eq!(command.result().await.unwrap(), "passed");
}

#[tokio::test]
async fn a_command_that_ran_when_its_process_died_is_unknown_or_runs_again_as_chosen() {
    for reruns in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::open(backend_config()).await.unwrap();
        let options = LinkOptions::new();
        let options = if reruns { options.rerunning_commands() } else { options };
        let agent = agent_with(folder.path(), options.clone()).await;
        let (begun, mut heard) = watch::channel(());
        agent
            .on_command("tests", move |_: Context, _: Bytes| {
                begun.send_replace(());
                std::future::pending::<()>()
            })
            .unwrap();
        connect(&agent, &backend).await;
        let mut command = backend.agent(AGENT).unwrap().command("tests", "x").await.unwrap();
        heard.changed().await.unwrap();
        while command.status() != CommandStatus::Running {
            command.changed().await.unwrap();
        }
        drop(agent);

        let agent = agent_with(folder.path(), options).await;
        agent
            .on_command("tests", |context: Context, _: Bytes| async move {
                assert!(context.is_again());
                "ran again"
            })
            .unwrap();
        connect(&agent, &backend).await;
        let result = command.result().await;
        if reruns {
            assert_eq!(result.unwrap(), "ran again");
        } else {
            assert_eq!(command.status(), CommandStatus::Unknown, "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_store_opens_under_its_own_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let first = agent(folder.path()).await;
    first.publish("logs", "x").confirm(Level::Stored).await.unwrap();
    drop(first);
    let store = store(folder.path()).await;
    let other = StoreKey::from_bytes(Zeroizing::new([7; 32]));
    let builder = Agent::builder(peer_id(AGENT), agent_config()).with_store(store);
    let refused = builder.with_store_key(other).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Store);
}

#[tokio::test]
async fn a_link_without_a_store_confirms_nothing_as_stored() {
    let agent = Agent::open(peer_id(AGENT), agent_config()).await.unwrap();
    let refused = agent.publish("logs", "x").confirm(Level::Stored).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
}

async fn agent(folder: &Path) -> Agent {
    agent_with(folder, LinkOptions::new()).await
}

async fn agent_with(folder: &Path, options: LinkOptions) -> Agent {
    let store = store(folder).await;
    let builder = Agent::builder(peer_id(AGENT), agent_config()).with_options(options);
    builder.with_reconnect(quick()).with_store(store).open().await.unwrap()
}

async fn backend(folder: &Path) -> Backend {
    let store = store(folder).await;
    Backend::builder(backend_config()).with_store(store).open().await.unwrap()
}

/// The store in the folder, once the one who has it open is gone.
async fn store(folder: &Path) -> RedbStore {
    loop {
        match RedbStore::open(folder.join("store")) {
            Err(StoreError::Locked) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

fn quick() -> Reconnect {
    let soon = Duration::from_millis(5);
    Reconnect::new().with_first(soon).with_backoff(soon, soon * 4)
}

async fn connect(agent: &Agent, backend: &Backend) {
    let address = backend.listen("ws://127.0.0.1:0").await.unwrap();
    agent.connect(format!("ws://{address}/")).await.unwrap();
}
