//! One message to every agent that is here.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::builder::Backend;
use crate::error::{Error, ErrorKind};
use crate::ids::PeerId;
use crate::priority::Class;
use crate::runtime::live::{Level, Link, Publish, Receipt};

/// A message to every agent that is here when it is awaited.
///
/// Nobody is waited for who has no room: that agent's outcome is [`ErrorKind::Full`].
///
/// ```no_run
/// # async fn example(backend: waxwire::Backend) -> Result<(), waxwire::Error> {
/// use waxwire::{Class, Level, topics};
///
/// let outcomes = backend
///     .broadcast(topics::POLICIES, "deny all")
///     .priority(Class::Critical)
///     .to_label("ring", "canary")
///     .confirm(Level::Processed)
///     .await?;
/// println!("{} have it, {} do not", outcomes.reached.len(), outcomes.failed.len());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before it is awaited"]
pub struct Broadcast {
    backend: Backend,
    topic: String,
    payload: Result<Bytes, Error>,
    class: Class,
    ttl: Option<Duration>,
    confirm: Level,
    label: Option<(String, String)>,
}

/// What became of a broadcast, agent by agent.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Those for whom it reached the level asked for.
    pub reached: Vec<PeerId>,
    /// The others, and why.
    pub failed: Vec<(PeerId, Error)>,
}

impl Broadcast {
    pub(super) fn new(backend: Backend, topic: &str, payload: Result<Bytes, Error>) -> Self {
        let (class, confirm) = (Class::Normal, Level::Queued);
        let topic = topic.to_owned();
        Self { backend, topic, payload, class, ttl: None, confirm, label: None }
    }

    /// As [`Publish::priority`].
    pub fn priority(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// As [`Publish::ttl`].
    pub fn ttl(mut self, span: Duration) -> Self {
        self.ttl = Some(span);
        self
    }

    /// As [`Publish::confirm`], for each agent.
    pub fn confirm(mut self, level: Level) -> Self {
        self.confirm = level;
        self
    }

    /// Only to agents whose credential has this label with this value.
    pub fn to_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.label = Some((key.into(), value.into()));
        self
    }

    fn publish(&self, link: &Link, payload: Bytes) -> Publish {
        let publish = link.publish(&self.topic, payload).priority(self.class);
        let publish = publish.confirm(self.confirm);
        match self.ttl {
            Some(span) => publish.ttl(span),
            None => publish,
        }
    }

    async fn run(mut self) -> Result<Outcomes, Error> {
        let payload = std::mem::replace(&mut self.payload, Ok(Bytes::new()))?;
        let mut outcomes = Outcomes::default();
        let mut waiting: JoinSet<(PeerId, Result<Receipt, Error>)> = JoinSet::new();
        for agent in self.backend.agents() {
            if self.label.as_ref().is_some_and(|label| !agent.labels.contains(label)) {
                continue;
            }
            let Some(link) = self.backend.known(&agent.id) else { continue };
            let publish = self.publish(&link, payload.clone()).without_waiting();
            if self.confirm == Level::Queued {
                outcomes.add(agent.id, publish.try_now());
            } else {
                waiting.spawn(async move { (agent.id, publish.await) });
            }
        }
        while let Some(told) = waiting.join_next().await {
            if let Ok((id, outcome)) = told {
                outcomes.add(id, outcome);
            }
        }
        let refused = |(_, error): &(PeerId, Error)| {
            matches!(error.kind(), ErrorKind::Channel | ErrorKind::TooLarge | ErrorKind::Body)
        };
        match outcomes.failed.iter().position(refused) {
            // What is wrong with the message itself is wrong for everyone.
            Some(place) if outcomes.reached.is_empty() => Err(outcomes.failed.swap_remove(place).1),
            _ => Ok(outcomes),
        }
    }
}

impl Outcomes {
    fn add(&mut self, id: PeerId, outcome: Result<Receipt, Error>) {
        match outcome {
            Ok(_) => self.reached.push(id),
            Err(error) => self.failed.push((id, error)),
        }
    }
}

impl IntoFuture for Broadcast {
    type Output = Result<Outcomes, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Sends it. Ready once each outcome is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`], [`ErrorKind::TooLarge`], [`ErrorKind::Body`]: the message itself is
    /// wrong, and nobody got it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the message goes on to those who have it in their queue.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcast").field("topic", &self.topic).finish_non_exhaustive()
    }
}
