//! A vocabulary in small: an endpoint security agent, on the channels that need not be created.
//!
//! The agent tells what it sees on `agent.<id>.{anomalies, threats, processes, dependencies, tests,
//! rollbacks, heartbeat, status, logs, policies}`; the backend sends policies, asks for investigations and commands
//! tests and rollbacks on `backend.<id>.*`.
//!
//! `cargo run --example security_agent`

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxwire::{
    Agent, Backend, Body, Class, Context, Level, LinkState, PeerId, Presence, Publish, topics,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

#[derive(Debug, Deserialize, Serialize)]
struct Anomaly {
    process: String,
    score: f32,
}

#[derive(Debug, Deserialize, Serialize)]
struct Policy {
    version: u32,
    deny: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Finding {
    process: String,
    parent: String,
    files: Vec<String>,
}

async fn investigate(_: Context, Body(anomaly): Body<Anomaly>) -> Body<Finding> {
    let files = vec!["/tmp/.x".to_owned()];
    Body(Finding { process: anomaly.process, parent: "cron".to_owned(), files })
}

async fn roll_back(_: Context, Body(finding): Body<Finding>) -> String {
    format!("removed {}", finding.files.join(", "))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("host-9")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let backend = Backend::open(backend_config).await?;
    let mut presence = backend.presence();
    let mut told = backend.subscribe("agent.*.*").await?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;

    let agent = Agent::open(id.clone(), agent_config).await?;
    let mut policies = agent.subscribe(topics::POLICIES).unconfirmed()?;
    agent.on_request(topics::INVESTIGATIONS, investigate)?;
    agent.on_command(topics::ROLLBACKS, roll_back)?;
    agent.connect(format!("tcp://{address}")).await?;
    let host = backend.agent(&id)?;
    host.until(LinkState::Connected).await;
    let Presence::Online(here) = presence.recv().await? else { return Err("it is gone".into()) };
    println!("backend: {} is here", here.id);

    // A policy for everyone who is here; each of them says that it applies it.
    let policy = Body(Policy { version: 4, deny: vec!["xmrig".to_owned()] });
    let sent = backend.broadcast(topics::POLICIES, policy).confirm(Level::Processed);
    let sent = tokio::spawn(sent.into_future());
    let message = policies.next().await.ok_or("the link is closed")?;
    println!("agent:   applies {:?}", message.read::<Policy>()?);
    message.done();
    let outcomes = sent.await??;
    println!("backend: {} of {} apply it", outcomes.reached.len(), backend.agents().len());
    claim(outcomes.failed.is_empty(), "the policy did not arrive")?;

    // What the agent says, each as urgent as it is.
    let anomaly = || Anomaly { process: "xmrig".to_owned(), score: 0.97 };
    let says: [Publish; 5] = [
        agent.publish(topics::LOGS, "boot took 4 s").priority(Class::Low),
        agent.publish(topics::DEPENDENCIES, "openssl 3.6.1"),
        agent.publish(topics::STATUS, "policy 4").ttl(Duration::from_secs(60)),
        agent.publish(topics::ANOMALIES, Body(anomaly())).priority(Class::High),
        agent.publish(topics::THREATS, "xmrig mines").priority(Class::Critical),
    ];
    // Nobody is told of a lost heartbeat: the next one says the same.
    let heartbeat = agent.publish(topics::HEARTBEAT, "").priority(Class::Low).best_effort();
    let mut count = 1;
    heartbeat.try_now()?;
    for message in says {
        message.try_now()?;
        count += 1;
    }
    let mut order = Vec::new();
    for _ in 0..count {
        let message = told.next().await.ok_or("the backend is closed")?;
        println!(
            "backend: {:?} {} ({} bytes)",
            message.class(),
            message.channel(),
            message.payload().len()
        );
        order.push(message.class());
        message.done();
    }
    claim(order.first() == Some(&Class::Critical), "the threat came late")?;

    let asked = host.request(topics::INVESTIGATIONS, Body(anomaly())).await?;
    let finding: Finding = waxwire::body::from_slice(&asked)?;
    println!("backend: {} was started by {}", finding.process, finding.parent);
    let command = host.command(topics::ROLLBACKS, Body(finding)).priority(Class::Critical).await?;
    let result = command.result().await?;
    println!("backend: {:?}: {}", command.status(), String::from_utf8_lossy(&result));
    claim(result == "removed /tmp/.x", "it was not rolled back")?;

    agent.close().await?;
    Ok(backend.close().await?)
}
