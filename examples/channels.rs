//! Channels: who may use them, who hears them, how they are opened, closed and counted.
//!
//! `cargo run --example channels`

use std::process::ExitCode;

use waxwire::{
    Act, Agent, Backend, ChannelName, ErrorKind, Level, LinkOptions, LinkState, Pattern, PeerId,
    Policy, Rule, Subscription, Undelivered, topics,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-7")?;
    let (agent_config, backend_config) = pair::configs(&id)?;

    // Agents may not speak about rollbacks. That they speak under their own id only needs no rule.
    let rollbacks = Rule::deny(Pattern::new("agent.*.rollbacks")?).on(Act::Publish);
    let options = LinkOptions::new().with_policy(Policy::allowing().with(rollbacks));
    let backend = Backend::builder(backend_config).with_options(options).open().await?;
    let mut everything = backend.subscribe("agent.*.>").await?;
    let mut anomalies = backend.subscribe("agent.*.anomalies").await?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;
    let agent = Agent::open(id.clone(), agent_config).await?;
    agent.connect(format!("tcp://{address}")).await?;
    let link = backend.agent(&id)?;
    link.until(LinkState::Connected).await;

    println!("patterns");
    let published = agent.publish(topics::ANOMALIES, "sshd listens on 0.0.0.0");
    published.confirm(Level::Delivered).await?;
    heard(&mut anomalies, "agent.*.anomalies").await?;
    heard(&mut everything, "agent.*.>").await?;
    agent.publish(topics::LOGS, "boot took 4 s").confirm(Level::Delivered).await?;
    let only = heard(&mut everything, "agent.*.>").await?;
    claim(only == "agent.edge-7.logs", "a pattern matched what it should not")?;

    println!("\npolicy of the backend");
    let refused = agent.publish(topics::ROLLBACKS, "kernel-6.1").confirm(Level::Delivered).await;
    let refused = refused.err().ok_or("the policy let a rollback through")?;
    println!("  agent.edge-7.rollbacks: {refused} ({})", refused.code());

    println!("\na channel of one's own");
    agent.create_channel("inventory.disks").await?;
    let disks = ChannelName::agent(&id, "inventory.disks")?;
    let stands =
        |backend: &Backend| backend.channels().into_iter().find(|(name, _)| *name == disks);
    println!("  {:?}", stands(&backend).ok_or("the channel was not created")?);
    let again = agent.create_channel("inventory.disks").await;
    println!("  created again: {}", again.err().ok_or("it was created twice")?);
    agent.publish("inventory.disks", "nvme0n1 480 GB").confirm(Level::Delivered).await?;
    heard(&mut everything, "agent.*.>").await?;

    println!("\ndisabled by the backend");
    backend.disable_channel(&disks)?;
    let closed = agent.publish("inventory.disks", "nvme1n1").confirm(Level::Processed).await;
    let closed = closed.err().ok_or("a disabled channel let a message through")?;
    println!("  published: {closed}");
    claim(
        matches!(closed.kind(), ErrorKind::Undelivered(Undelivered::Refused { .. })),
        "another error than the one that is documented",
    )?;
    let opened = agent.enable_channel("inventory.disks").await;
    println!("  enabled by the agent: {}", opened.err().ok_or("the agent opened it")?);
    backend.enable_channel(&disks)?;
    agent.publish("inventory.disks", "nvme1n1 960 GB").confirm(Level::Delivered).await?;
    heard(&mut everything, "agent.*.>").await?;

    println!("\nstatistics");
    let stats = backend.channel_stats(&disks).ok_or("the channel is not counted")?;
    println!("  {disks}: {} messages, {} bytes", stats.messages, stats.bytes);
    println!("  subscriptions that hear it: {}", stats.subscribers);
    claim((stats.messages, stats.bytes) == (2, 28), "the refused message was counted")?;

    agent.close().await?;
    Ok(backend.close().await?)
}

/// Takes the next message, says so, and returns its channel.
async fn heard(subscription: &mut Subscription, pattern: &str) -> Result<String, Failure> {
    let message = subscription.next().await.ok_or("the link is closed")?;
    let channel = message.channel().to_string();
    println!("  {pattern:<18} {channel}: {}", String::from_utf8_lossy(message.payload()));
    message.done();
    Ok(channel)
}
