//! What runs on the hosts: applications as users write them, over turmoil's sockets.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::interval;
use turmoil::net::{TcpListener, TcpStream};
use waxwire::limits::{HANDSHAKE_TIME, RECORD_BYTES};
use waxwire::session::{Config, Pinned, Source};
use waxwire::transport::TransportError;
use waxwire::transport::websocket::{AcceptOptions, accept, client};
use waxwire::{
    Agent, Backend, Class, CommandStatus, Context, ErrorKind, Fingerprint, Identity, Level, Link,
    LinkEvent, Message, Realm, Reconnect, Role, Seed, Undelivered,
};

use crate::world::{BACKEND, Cast, Command, World, agent_name, command_id, peer};

const PORT: u16 = 9_000;
/// What a commit takes at most, by the host, and what an application takes for one thing.
const COMMIT_MS: u64 = 60;
const WORK_MS: u64 = 200;
const CLASSES: [Class; 4] = [Class::Critical, Class::High, Class::Normal, Class::Low];
/// Between two messages of one class, and between two commands, at most.
const PAUSE_MS: u64 = 1_000;
const COMMAND_PAUSE_MS: u64 = 4_000;

pub async fn agent(world: World, cast: Cast, number: usize) -> turmoil::Result {
    let name = agent_name(number);
    let disk = cast.disks[&name].clone();
    let builder = Agent::builder(peer(&name), agent_config(number)).with_reconnect(quick());
    let commit = world.lock().span(COMMIT_MS);
    let agent = builder.with_store_on_runtime(disk, commit).open().await?;
    let ran = world.clone();
    agent.on_command("tests", move |context: Context, _: Bytes| {
        let mut state = ran.lock();
        let id = context.command().unwrap().0;
        state.note(format!("agent-{number} runs {:02x?}", &id[..5]));
        let command = state.commands.get_mut(&id).unwrap();
        command.runs += 1;
        let runs = command.runs;
        if runs > 1 {
            state.fail(format!("command {id:02x?} ran {runs} times"));
        }
        let takes = state.span(2 * WORK_MS);
        async move {
            pass(takes).await;
            "ran"
        }
    })?;
    tokio::spawn(watch(world.clone(), name.clone(), agent.link().clone()));
    let policies = agent.subscribe("policies").unconfirmed()?;
    tokio::spawn(hear(world.clone(), name.clone(), policies));
    for class in CLASSES {
        tokio::spawn(publish(
            world.clone(),
            agent.link().clone(),
            (true, number, 0),
            "logs",
            class,
        ));
    }
    let dialled = agent.connect_with(dial).await;
    world.lock().note(format!("{name} connected: {dialled:?}"));
    std::future::pending::<()>().await;
    Ok(())
}

async fn dial() -> Result<waxwire::transport::websocket::WebSocket<TcpStream>, TransportError> {
    // A dial into a partition gets no answer at all.
    let stream = tokio::time::timeout(HANDSHAKE_TIME, TcpStream::connect((BACKEND, PORT))).await;
    let late = io::Error::from(io::ErrorKind::TimedOut);
    let stream = stream.unwrap_or(Err(late))?;
    client(stream, "ws://backend:9000/", RECORD_BYTES, HANDSHAKE_TIME).await
}

pub async fn backend(world: World, cast: Cast) -> turmoil::Result {
    let builder = Backend::builder(backend_config(cast.agents));
    let (disk, commit) = (cast.disks[BACKEND].clone(), world.lock().span(COMMIT_MS));
    let backend = builder.with_store_on_runtime(disk, commit).open().await?;
    let logs = backend.subscribe("agent.*.logs").await?;
    tokio::spawn(hear(world.clone(), BACKEND.to_owned(), logs));
    for number in 0..cast.agents {
        let link = backend.agent(agent_name(number))?;
        for class in CLASSES {
            let lane = (false, number, 0);
            tokio::spawn(publish(world.clone(), link.clone(), lane, "policies", class));
        }
        let (name, link) = (format!("{BACKEND} {number}"), link);
        tokio::spawn(command(world.clone(), link.clone(), number));
        tokio::spawn(watch(world.clone(), name, link));
    }
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, from) = listener.accept().await?;
        let Ok(place) = backend.acceptor().reserve(Source::of(from.ip())) else { continue };
        let backend = backend.clone();
        tokio::spawn(async move {
            let options = AcceptOptions::default();
            let Ok(stream) = accept(stream, &options, HANDSHAKE_TIME).await else { return };
            if let Ok(connection) = place.accept(stream).await {
                let _ = backend.admit(connection);
            }
        });
    }
}

/// Publishes numbers, one after the other, some of them until they are processed.
async fn publish(
    world: World,
    link: Link,
    (is_agent, number, _): crate::world::Lane,
    topic: &'static str,
    class: Class,
) {
    let lane = (is_agent, number, class as u8);
    loop {
        let pause = world.lock().span(PAUSE_MS);
        pass(pause).await;
        let Some(this) = world.lock().number(lane) else { return };
        let level = if this % 5 == 4 { Level::Processed } else { Level::Stored };
        let mut payload = this.to_be_bytes().to_vec();
        // Now and then one that is sent in pieces.
        payload.resize(if this % 9 == 8 { 40_000 } else { 4 }, 0);
        let told = link.publish(topic, payload).priority(class).confirm(level).await;
        let mut state = world.lock();
        match told {
            Ok(receipt) if receipt.level >= Level::Processed => {
                state.processed.insert((lane, this));
            }
            Ok(_) => {
                state.stored.insert((lane, this));
            }
            Err(error) => {
                let is_dead = error.kind() == ErrorKind::Undelivered(Undelivered::Undeliverable);
                if !is_dead || !state.may_die() {
                    state.fail(format!("{lane:?} {this}: {error}"));
                }
            }
        }
    }
}

/// Handles what comes: the effect first, then the word.
async fn hear(world: World, host: String, mut messages: waxwire::Subscription) {
    while let Some(message) = messages.next().await {
        let (lane, number) = read(&message);
        let mut state = world.lock();
        state.handle(&host, lane, number, *message.key().unwrap());
        let (takes, world) = (state.span(WORK_MS), world.clone());
        drop(state);
        tokio::spawn(async move {
            // Between effect and word there is time to crash.
            pass(takes).await;
            let now = turmoil::sim_elapsed().unwrap();
            world.lock().done.entry(*message.key().unwrap()).or_insert(now);
            message.done();
        });
    }
}

async fn pass(span: Duration) {
    let mut ticks = interval(span);
    ticks.tick().await;
    ticks.tick().await;
}

fn read(message: &Message) -> (crate::world::Lane, u32) {
    let agent = message.agent().as_str().strip_prefix("agent-").unwrap().parse().unwrap();
    let is_agent = message.topic() == "logs";
    let number = u32::from_be_bytes(message.payload()[..4].try_into().unwrap());
    ((is_agent, agent, message.class() as u8), number)
}

/// Gives commands, and follows those that were given before.
async fn command(world: World, link: Link, agent: usize) {
    let before: Vec<_> = {
        let state = world.lock();
        let ours = state.commands.iter().filter(|(_, it)| it.agent == agent && it.end.is_none());
        ours.map(|(id, _)| *id).collect()
    };
    for id in before {
        let found = link.find_command(waxwire::CommandId(id));
        if let Some(command) = found {
            tokio::spawn(follow(world.clone(), command));
        } else if world.lock().commands[&id].is_safe {
            world.fail(format!("command {id:02x?} is lost"));
        }
    }
    loop {
        let pause = world.lock().span(COMMAND_PAUSE_MS);
        pass(pause).await;
        let id = {
            let mut state = world.lock();
            if state.is_over {
                return;
            }
            let number = u32::try_from(state.commands.len()).unwrap();
            let id = command_id(agent, number);
            state.commands.insert(id.0, Command { agent, ..Command::default() });
            id
        };
        match link.command("tests", "x").with_id(id).await {
            Ok(command) => {
                world.lock().commands.get_mut(&id.0).unwrap().is_safe = true;
                tokio::spawn(follow(world.clone(), command));
            }
            Err(error) => world.fail(format!("command: {error}")),
        }
    }
}

async fn follow(world: World, mut command: waxwire::Command) {
    while !command.status().is_settled() {
        if command.changed().await.is_err() {
            return;
        }
    }
    let end = match command.status() {
        CommandStatus::Succeeded => "succeeded",
        CommandStatus::Unknown => "unknown",
        CommandStatus::Expired => "expired",
        status => return world.fail(format!("a command is {status:?}")),
    };
    let mut state = world.lock();
    let id = command.id().0;
    state.note(format!("command {:02x?} {end}", &id[..5]));
    state.commands.get_mut(&id).unwrap().end = Some(end);
}

/// Says what is left to do, and what happens.
async fn watch(world: World, name: String, link: Link) {
    let (mut often, mut events) = (interval(Duration::from_millis(200)), link.events());
    loop {
        often.tick().await;
        let mut state = world.lock();
        while let Ok(event) = events.try_recv() {
            match event {
                LinkEvent::Connected { recovery, .. } => {
                    state.connected += 1;
                    state.note(format!("{name} connected: {recovery:?}"));
                }
                LinkEvent::GaveUp { code } => state.fail(format!("{name} gave up: {code}")),
                LinkEvent::Undelivered { why: Undelivered::Undeliverable, .. }
                    if state.may_die() =>
                {
                    state.dead += 1;
                }
                LinkEvent::Undelivered { why, .. } => state.fail(format!("{name}: {why:?}")),
                LinkEvent::Detached { cause, code } => {
                    state.note(format!("{name} detached: {cause} {code:?}"));
                }
                LinkEvent::Retrying { code, .. } => state.note(format!("{name} retries: {code}")),
                _ => {}
            }
        }
        state.left.insert(name.clone(), link.pending());
    }
}

fn quick() -> Reconnect {
    let span = Duration::from_secs;
    Reconnect::new().with_first(span(1)).with_backoff(span(1), span(8))
}

fn agent_config(number: usize) -> Config {
    let pins = Pinned::one(peer(BACKEND), Role::Backend, fingerprint(0));
    Config::agent(realm(), identity(number + 1)).peer(pins)
}

fn backend_config(agents: usize) -> Config {
    let first = Pinned::one(peer(&agent_name(0)), Role::Agent, fingerprint(1));
    let pins = (1..agents).fold(first, |pins, number| {
        pins.and(peer(&agent_name(number)), Role::Agent, fingerprint(number + 1))
    });
    Config::backend(realm(), identity(0)).peer(pins)
}

fn realm() -> Realm {
    Realm::new("test").unwrap()
}

fn identity(number: usize) -> Identity {
    Identity::from_seed(Seed::dangerous_reproducible([u8::try_from(number).unwrap() + 1; 32]))
}

fn fingerprint(number: usize) -> Fingerprint {
    identity(number).public_key().fingerprint()
}

/// A host's software, which may only end with the simulation.
pub fn boxed(
    run: impl Future<Output = turmoil::Result> + 'static,
) -> std::pin::Pin<Box<dyn Future<Output = turmoil::Result>>> {
    Box::pin(run)
}
