//! A vocabulary in small: an edge box that sends messages to people on behalf of its backend.
//!
//! `send_message`, `schedule_message`, `cancel_message` and `update_config` are commands on
//! `backend.<id>.<name>`. Each is durable, runs once and has a result, so that it is never sent twice to
//! anybody; the box acknowledges with `command_ack` and tells its `status` on `agent.<id>.<name>`.
//!
//! `cargo run --example edge_relay`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use waxwire::{
    Agent, Backend, Body, CommandStatus, Context, ErrorKind, Failure as Failed, FailureCode, Level,
    PeerId,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

const NO_SUCH_MESSAGE: FailureCode = FailureCode::Application(404);

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Text {
    to: String,
    text: String,
}

#[derive(Deserialize, Serialize)]
struct Schedule {
    name: String,
    /// Seconds since 1970.
    at: u64,
    message: Text,
}

#[derive(Deserialize, Serialize)]
struct Cancel {
    name: String,
}

#[derive(Deserialize, Serialize)]
struct Settings {
    sender: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Acknowledged {
    command: String,
    topic: String,
    ok: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Status {
    sender: String,
    sent: u32,
    scheduled: u32,
}

/// What the box has to do.
#[derive(Default)]
struct Desk {
    sender: String,
    sent: Vec<Text>,
    scheduled: BTreeMap<String, Schedule>,
}

impl Desk {
    fn status(&self) -> Result<Status, std::num::TryFromIntError> {
        let (sent, scheduled) = (self.sent.len().try_into()?, self.scheduled.len().try_into()?);
        Ok(Status { sender: self.sender.clone(), sent, scheduled })
    }
}

type Shared = Arc<Mutex<Desk>>;

/// Changes the desk, and tells the backend what came of it.
async fn work<T>(
    context: &Context,
    work: impl FnOnce(&mut Desk) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let internal = || Failed::new(FailureCode::Internal);
    let desk: Arc<Shared> = context.state().ok_or_else(internal)?;
    let done = work(&mut *desk.lock().map_err(|_| internal())?);
    let command = context.command().map_or_else(String::new, |id| id.to_string());
    let topic = context.topic().to_owned();
    let word = Body(Acknowledged { command, topic, ok: done.is_ok() });
    // Queued, and numbered: it arrives, be it in the next session.
    let link = context.link().map_err(|_| internal())?;
    link.publish("command_ack", word).await.map_err(|_| internal())?;
    done
}

async fn send(context: Context, Body(message): Body<Text>) -> Result<String, Failed> {
    work(&context, |desk| {
        let receipt = format!("to {} as {}", message.to, desk.sender);
        desk.sent.push(message);
        Ok(receipt)
    })
    .await
}

async fn schedule(context: Context, Body(schedule): Body<Schedule>) -> Result<String, Failed> {
    work(&context, |desk| {
        let receipt = format!("{} at {}", schedule.name, schedule.at);
        desk.scheduled.insert(schedule.name.clone(), schedule);
        Ok(receipt)
    })
    .await
}

async fn cancel(context: Context, Body(cancel): Body<Cancel>) -> Result<String, Failed> {
    work(&context, |desk| match desk.scheduled.remove(&cancel.name) {
        Some(_) => Ok(format!("{} is off", cancel.name)),
        None => Err(Failed::with_text(NO_SUCH_MESSAGE, "no such message")),
    })
    .await
}

async fn configure(context: Context, Body(settings): Body<Settings>) -> Result<String, Failed> {
    work(&context, |desk| {
        desk.sender = settings.sender;
        Ok(format!("sender is {}", desk.sender))
    })
    .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("box-12")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let backend = Backend::open(backend_config).await?;
    let mut acknowledged = backend.subscribe("agent.*.command_ack").await?;
    let mut statuses = backend.subscribe("agent.*.status").await?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;

    // Commanded before it is here.
    let edge = backend.agent(&id)?;
    let settings = Settings { sender: "Clinic".to_owned() };
    let mut commands = vec![edge.command("update_config", Body(settings)).await?];

    let desk = Shared::default();
    let agent = Agent::builder(id, agent_config).with_state(Shared::clone(&desk)).open().await?;
    agent.on_command("send_message", send)?;
    agent.on_command("schedule_message", schedule)?;
    agent.on_command("cancel_message", cancel)?;
    agent.on_command("update_config", configure)?;
    agent.connect(format!("tcp://{address}")).await?;
    commands.first().ok_or("no command")?.result().await?;

    let text = Text { to: "+49 30 1".to_owned(), text: "Your results are in.".to_owned() };
    let late = Schedule { name: "reminder-7".to_owned(), at: 1_800_000_000, message: text.clone() };
    commands.push(edge.command("send_message", Body(text)).await?);
    commands.push(edge.command("schedule_message", Body(late)).await?);
    for name in ["reminder-7", "reminder-8"] {
        commands
            .push(edge.command("cancel_message", Body(Cancel { name: name.to_owned() })).await?);
    }
    for command in &commands {
        let result = command.result().await;
        let word = acknowledged.next().await.ok_or("the backend is closed")?;
        let told: Acknowledged = word.read()?;
        word.done();
        claim(told.command == command.id().to_string(), "another command was acknowledged")?;
        match result {
            Ok(result) => println!(
                "{:<17} {:?}: {}",
                told.topic,
                command.status(),
                String::from_utf8_lossy(&result)
            ),
            Err(error) => {
                println!("{:<17} {:?}: {error}", told.topic, command.status());
                claim(error.kind() == ErrorKind::Call(NO_SUCH_MESSAGE), "another failure")?;
            }
        }
    }
    let failed = commands.iter().filter(|command| command.status() == CommandStatus::Failed);
    claim(failed.count() == 1, "one command was to fail")?;

    let status = desk.lock().map_err(|_| "a handler failed")?.status()?;
    let told = tokio::spawn(
        agent.publish("status", Body(&status)).confirm(Level::Processed).into_future(),
    );
    let heard = statuses.next().await.ok_or("the backend is closed")?;
    let status: Status = heard.read()?;
    println!("\nstatus of {}: {status:?}", heard.agent());
    claim((status.sent, status.scheduled) == (1, 0), "something was sent twice, or not at all")?;
    heard.done();
    told.await??;
    agent.close().await?;
    Ok(backend.close().await?)
}
