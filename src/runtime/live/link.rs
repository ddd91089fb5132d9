//! The handle of a link: everything that an application does with it begins here.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, oneshot};

use super::body::IntoPayload;
use super::command::{Command, CommandBuilder};
use super::news::{LinkEvent, LinkState};
use super::publish::Publish;
use super::request::Request;
use super::serve::Handler;
use super::shared::Shared;
use super::subscription::Subscribe;
use crate::call::CommandId;
use crate::channel::{ChannelName, Pattern};
use crate::error::{ChannelRefusal, Error, ErrorKind};
use crate::ids::{PeerId, Role};
use crate::limits::DRAIN_TIME;
use crate::link::{self, ChannelChange};
use crate::priority::Class;
use crate::session::{CloseCode, Credentials, Peer};

/// One link between an agent and its backend, as one of the two holds it. Cheap to clone; clones are the
/// same link.
///
/// Topics are relative to the link: what an agent publishes about `anomalies` goes to
/// `agent.<id>.anomalies`, and what it subscribes to as `policies` comes from `backend.<id>.policies`. On
/// the backend it is the other way round.
///
/// When all handles are dropped the link closes without waiting; [`Link::close`] drains it first.
///
/// ```no_run
/// # async fn example(backend: waxwire::Backend) -> Result<(), waxwire::Error> {
/// let edge = backend.agent("edge-7")?; // the same verbs on either side
/// let mut anomalies = edge.subscribe("anomalies").await?; // agent.edge-7.anomalies
/// edge.publish("policies", "deny all").await?; // backend.edge-7.policies
/// println!("{:?}, {} pending", edge.state(), edge.pending());
/// if let Some(anomaly) = anomalies.next().await {
///     anomaly.done();
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    life: Arc<Life>,
}

/// A message that the peer did not take, as often as it was sent.
///
/// ```no_run
/// # fn example(link: waxwire::Link) {
/// for letter in link.dead_letters() {
///     eprintln!("message {} on {} was not taken", letter.message, letter.channel);
/// }
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// As its [`Receipt`](super::Receipt) named it.
    pub message: u64,
    /// Where it was published.
    pub channel: ChannelName,
    /// How urgent it was.
    pub class: Class,
    /// What it says.
    pub payload: Bytes,
}

/// Ends the link when its last handle is dropped.
pub(crate) struct Life(Weak<Shared>);

impl Drop for Life {
    fn drop(&mut self) {
        let Some(shared) = self.0.upgrade() else { return };
        let (left, _) = shared.load();
        if left > 0 && !*shared.over.borrow() {
            let agent = &shared.sides.agent;
            tracing::warn!(%agent, left, "link dropped before its messages arrived; close it");
        }
        shared.with(|core| core.is_abandoned = true);
    }
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let life = Arc::new(Life(Arc::downgrade(&shared)));
        Self { shared, life }
    }

    pub(super) fn of(shared: &Arc<Shared>, life: &Weak<Life>) -> Option<Self> {
        Some(Self { shared: Arc::clone(shared), life: life.upgrade()? })
    }

    pub(crate) fn life(&self) -> Weak<Life> {
        Arc::downgrade(&self.life)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The agent of the link, on either side.
    #[must_use]
    pub fn agent_id(&self) -> &PeerId {
        &self.shared.sides.agent
    }

    /// Whom the last session was with, as it proved itself; `None` before the first.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.shared.peer()
    }

    /// Where the link stands.
    #[must_use]
    pub fn state(&self) -> LinkState {
        *self.shared.state().borrow()
    }

    /// Waits until the link is in this state, or closed. Returns the state it is in.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn until(&self, state: LinkState) -> LinkState {
        let mut states = self.shared.state();
        let reached = states.wait_for(|now| *now == state || *now == LinkState::Closed).await;
        reached.map_or(LinkState::Closed, |state| *state)
    }

    /// What happens to the link from now on. A receiver that is 64 events behind misses the oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<LinkEvent> {
        self.shared.news()
    }

    /// Messages of this side that the peer is not done with yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.load().0
    }

    /// Publishes a message to the peer on a topic of this side.
    pub fn publish(&self, topic: impl AsRef<str>, payload: impl IntoPayload) -> Publish {
        Publish::new(Arc::clone(&self.shared), self.shared.mine(topic.as_ref()), written(payload))
    }

    /// Listens to what the peer publishes about `topic`, in which `*` may stand for one token, and `>`, last,
    /// for one or more.
    pub fn subscribe(&self, topic: impl AsRef<str>) -> Subscribe {
        let pattern = match self.shared.sides.role {
            Role::Agent => Pattern::backend(self.agent_id(), topic),
            Role::Backend => Pattern::agent(self.agent_id(), topic),
        };
        Subscribe { link: self.clone(), pattern }
    }

    /// Asks the peer, whose handler for the topic answers.
    pub fn request(&self, topic: impl AsRef<str>, payload: impl IntoPayload) -> Request {
        Request::new(Arc::clone(&self.shared), self.shared.mine(topic.as_ref()), written(payload))
    }

    /// Commands the peer: durably, once, and with a status that can be followed. It waits for a peer that is
    /// offline.
    pub fn command(&self, topic: impl AsRef<str>, payload: impl IntoPayload) -> CommandBuilder {
        CommandBuilder::new(
            Arc::clone(&self.shared),
            self.shared.mine(topic.as_ref()),
            written(payload),
        )
    }

    /// A command that was issued before, even by an earlier process if the link has a store.
    #[must_use]
    pub fn find_command(&self, id: CommandId) -> Option<Command> {
        Command::find(&self.shared, id)
    }

    /// Answers the peer's requests on the topics of the pattern, relative as in [`Link::subscribe`]. The
    /// handler added last goes first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`].
    pub fn on_request<In: 'static>(
        &self,
        topic: impl AsRef<str>,
        handler: impl Handler<In>,
    ) -> Result<(), Error> {
        self.shared.serving.add_request(self.theirs(topic.as_ref())?, handler);
        Ok(())
    }

    /// Runs the peer's commands on the topics of the pattern, relative as in [`Link::subscribe`]: each at
    /// most once, and its result is kept for duplicates.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`].
    pub fn on_command<In: 'static>(
        &self,
        topic: impl AsRef<str>,
        handler: impl Handler<In>,
    ) -> Result<(), Error> {
        self.shared.serving.add_command(self.theirs(topic.as_ref())?, handler);
        Ok(())
    }

    /// Asks the peer to list a channel under the agent's id, so that it can be counted and closed. Only an
    /// agent asks; a backend has [`crate::Backend::create_channel`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`] if that is no topic, and with a [`crate::ChannelRefusal`] if the peer refuses;
    /// [`ErrorKind::Detached`] without a session, or if it ends before the answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it was done or was not.
    pub async fn create_channel(&self, topic: impl AsRef<str>) -> Result<(), Error> {
        self.manage(ChannelChange::Create, topic.as_ref()).await
    }

    /// Asks the peer to open a channel for messages. Errors and cancel safety as
    /// [`Link::create_channel`].
    pub async fn enable_channel(&self, topic: impl AsRef<str>) -> Result<(), Error> {
        self.manage(ChannelChange::Enable, topic.as_ref()).await
    }

    /// Asks the peer to close a channel for messages. Errors and cancel safety as
    /// [`Link::create_channel`].
    pub async fn disable_channel(&self, topic: impl AsRef<str>) -> Result<(), Error> {
        self.manage(ChannelChange::Disable, topic.as_ref()).await
    }

    /// Asks the peer to forget a channel. Errors and cancel safety as [`Link::create_channel`].
    pub async fn delete_channel(&self, topic: impl AsRef<str>) -> Result<(), Error> {
        self.manage(ChannelChange::Delete, topic.as_ref()).await
    }

    async fn manage(&self, change: ChannelChange, topic: &str) -> Result<(), Error> {
        let name = self.shared.mine(topic)?;
        let channel = name.to_string();
        let (told, answer) = oneshot::channel();
        self.shared.with(|core| {
            if core.link.is_attached() {
                core.last_change = core.last_change.wrapping_add(1);
                core.link.manage(core.last_change, change, name);
                core.managing.insert(core.last_change, told);
            }
        });
        match answer.await {
            Ok(0) => Ok(()),
            Ok(code) => {
                Err(Error::with(ErrorKind::Channel, ChannelRefusal { channel, code: Some(code) }))
            }
            Err(_) => Err(Error::new(ErrorKind::Detached)),
        }
    }

    /// Presents a new credential of this side's identity to the peer, whose session then lasts as long as
    /// it does. Nothing without a session: put it into the configuration for the next one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is of another identity, or fits no record.
    pub fn present(&self, credentials: &Credentials) -> Result<(), Error> {
        let presented = self.shared.with(|core| core.link.refresh(credentials));
        presented.map_err(|error| Error::with(ErrorKind::Config, error))
    }

    /// Takes what was sent as often as it may be and not taken by the peer: 100 messages or 1 MiB of them
    /// at most, the oldest dropped first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let dead = self.shared.lock().link.take_dead();
        let letter = |dead: link::Undelivered| DeadLetter {
            message: dead.id.0,
            channel: dead.channel,
            class: dead.class,
            payload: dead.payload,
        };
        dead.into_iter().map(letter).collect()
    }

    /// Drains the link and closes it: takes nothing more, waits until the peer is done with what was sent,
    /// 10 s at most, and says goodbye. With a store, what is left then is sent by the next process, and a
    /// link without a session closes at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if messages are lost: without a store, those that are left.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the link goes on draining, and closes.
    pub async fn close(&self) -> Result<(), Error> {
        let waits = !self.shared.is_durable || self.shared.is_attached();
        let span = if waits { DRAIN_TIME } else { Duration::ZERO };
        match self.shared.drain(span, CloseCode::Normal).await {
            0 => Ok(()),
            _ if self.shared.is_durable => Ok(()),
            left => Err(Error::with(
                ErrorKind::TimedOut,
                format!("{left} messages had not arrived when the link closed"),
            )),
        }
    }

    fn theirs(&self, topic: &str) -> Result<Pattern, Error> {
        Ok(match self.shared.sides.role {
            Role::Agent => Pattern::backend(self.agent_id(), topic)?,
            Role::Backend => Pattern::agent(self.agent_id(), topic)?,
        })
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Link");
        shown.field("agent", self.agent_id()).field("state", &self.state()).finish_non_exhaustive()
    }
}

fn written(payload: impl IntoPayload) -> Result<Bytes, Error> {
    Ok(payload.into_payload()?)
}
