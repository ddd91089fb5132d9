//! A backend, and what it is made of.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use super::accepting::Accepting;
use super::broadcast::Broadcast;
use super::fan::Fan;
use super::presence::{AgentInfo, Here, Presence};
use crate::channel::{ChannelName, ChannelState, ChannelStats, Pattern};
use crate::crypto::StoreKey;
use crate::delivery::word::Durability;
use crate::error::{Error, ErrorKind};
use crate::ids::{PeerId, Role};
use crate::limits::{AGENTS, DRAIN_TIME, GO_AWAY_SPREAD, GO_AWAY_TIME, REQUEST_TIME};
use crate::link::{ChannelChange, Kept, Who};
use crate::runtime::live::{
    Answered, Channels, Driver, Fresh, Handler, IntoPayload, Link, LinkEvent, LinkOptions, Parts,
    Serving, Shared, Sides, Subscription, fresh_link, kept_link,
};
use crate::runtime::live::{Observer, Seen};
use crate::runtime::{
    Acceptor, Clock, Committer, Connection, Endpoint, Keeper, Listener, ListenerOptions,
};
use crate::session::{CloseCode, Config};
use crate::store::Store;
use crate::transport::Transport;

/// The side that listens: a [`Link`] for each agent, whether it is here or not, and what is done with all
/// of them.
///
/// ```no_run
/// use waxwire::runtime::new_identity;
/// use waxwire::session::{Config, Pinned};
/// use waxwire::{Backend, Fingerprint, PeerId, Realm, Role};
///
/// # async fn example(agent_key: Fingerprint) -> Result<(), Box<dyn std::error::Error>> {
/// let agents = Pinned::one(PeerId::new("edge-7")?, Role::Agent, agent_key);
/// let config = Config::backend(Realm::new("prod")?, new_identity()?).peer(agents);
/// let backend = Backend::open(config).await?;
/// let mut anomalies = backend.subscribe("agent.*.anomalies").await?; // before anyone can publish
/// backend.listen("ws://127.0.0.1:7400").await?;
/// while let Some(anomaly) = anomalies.next().await {
///     println!("{} reports {:?}", anomaly.agent(), anomaly.payload());
///     anomaly.done();
/// }
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; clones are the same backend. Nothing is accepted before [`Backend::listen`], so
/// subscriptions and handlers can be in place when the first message comes.
#[derive(Clone)]
pub struct Backend(Arc<Inner>);

/// What a backend is made of.
pub struct BackendBuilder {
    config: Config,
    id: Option<PeerId>,
    options: LinkOptions,
    listening: ListenerOptions,
    agents: usize,
    state: Option<Arc<dyn Any + Send + Sync>>,
    store: Option<(Box<dyn Store>, Committer)>,
    key: Option<StoreKey>,
}

struct Inner {
    id: PeerId,
    acceptor: Acceptor,
    options: Arc<LinkOptions>,
    most: usize,
    serving: Arc<Serving>,
    channels: Arc<Channels>,
    here: Arc<Here>,
    links: Mutex<Links>,
    keeper: Option<Keeper>,
}

#[derive(Default)]
struct Links {
    by_agent: BTreeMap<PeerId, Entry>,
    fans: Vec<Weak<Fan>>,
    listeners: Vec<AbortHandle>,
    is_closed: bool,
}

struct Entry {
    link: Link,
    /// Boxed: the channel has room for 32 from the start.
    sessions: mpsc::Sender<Box<Fresh>>,
}

/// Sessions that wait for the task of their link. A second one is a takeover; more are a peer that
/// dials in a loop.
const SESSIONS: usize = 2;

impl Backend {
    /// A backend in memory, with the defaults.
    ///
    /// # Errors
    ///
    /// As [`BackendBuilder::open`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn open(config: Config) -> Result<Self, Error> {
        Self::builder(config).open().await
    }

    /// A backend that differs from the defaults.
    #[must_use]
    pub fn builder(config: Config) -> BackendBuilder {
        BackendBuilder {
            config,
            id: None,
            options: LinkOptions::new(),
            listening: ListenerOptions::default(),
            agents: AGENTS,
            state: None,
            store: None,
            key: None,
        }
    }

    /// Listens on `ws://host:port` or `tcp://host:port`, and returns the address; with port 0 asked for,
    /// the one that was given. A backend may listen on several.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if that is no endpoint, [`ErrorKind::Transport`] if the address cannot be
    /// had, [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn listen(&self, endpoint: impl AsRef<str>) -> Result<SocketAddr, Error> {
        let endpoint = Endpoint::new(endpoint.as_ref())?;
        let acceptor = self.0.acceptor.clone();
        match &endpoint {
            #[cfg(feature = "websocket")]
            Endpoint::WebSocket(_) => {
                self.accept_from(Listener::websocket_by(endpoint.address(), acceptor).await?)
            }
            Endpoint::Tcp(_) => {
                self.accept_from(Listener::tcp_by(endpoint.address(), acceptor).await?)
            }
        }
    }

    fn accept_from<T: Transport + 'static>(
        &self,
        mut listener: Listener<T>,
    ) -> Result<SocketAddr, Error> {
        let address = listener.local_address();
        let backend = Arc::downgrade(&self.0);
        let task = tokio::spawn(async move {
            while let Ok(connection) = listener.accept().await {
                let Some(inner) = backend.upgrade() else { return };
                // Why it was not admitted is logged; nobody waits for it.
                let _ = Self(inner).admit(connection);
            }
        });
        let mut links = self.0.locked();
        if links.is_closed {
            task.abort();
            return Err(Error::closed(CloseCode::GoingAway));
        }
        links.listeners.push(task.abort_handle());
        Ok(address)
    }

    /// What answers handshakes over transports that the application brings, for [`Backend::admit`].
    #[must_use]
    pub fn acceptor(&self) -> &Acceptor {
        &self.0.acceptor
    }

    /// Gives a connection that [`Backend::acceptor`] made to the link of its agent. If the agent has a
    /// session, this one takes over, and the older is told that it was replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if there are too many agents, or the agent dials faster than it is served.
    pub fn admit<T: Transport + 'static>(&self, connection: Connection<T>) -> Result<(), Error> {
        let id = connection.peer().id.clone();
        let sessions = self.entry(&id, |entry| entry.sessions.clone())?;
        let taken = sessions.try_send(Box::new(connection.into_fresh()));
        taken.map_err(|_| {
            tracing::debug!(agent = %id, "sessions come faster than they are served");
            Error::new(ErrorKind::Full)
        })
    }

    /// The link of an agent, here or not. What is sent to one that is not here waits for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if that is no name of an agent, [`ErrorKind::Full`] if there are too many,
    /// [`ErrorKind::Closed`].
    pub fn agent(&self, id: impl AsRef<str>) -> Result<Link, Error> {
        let id = PeerId::new(id.as_ref()).map_err(|bad| Error::with(ErrorKind::Config, bad))?;
        self.entry(&id, |entry| entry.link.clone())
    }

    /// The link of an agent that was heard of before.
    pub(super) fn known(&self, id: &PeerId) -> Option<Link> {
        self.0.locked().by_agent.get(id).map(|entry| entry.link.clone())
    }

    /// The agents that are here.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentInfo> {
        self.0.here.all()
    }

    /// What is known of an agent that is here.
    #[must_use]
    pub fn find_agent(&self, id: &PeerId) -> Option<AgentInfo> {
        self.0.here.find(id)
    }

    /// Who comes and goes from now on. A receiver that is 1 024 behind misses the oldest.
    #[must_use]
    pub fn presence(&self) -> broadcast::Receiver<Presence> {
        self.0.here.news()
    }

    /// Listens to what agents publish, those to come too: `agent.*.anomalies`, `agent.edge-7.>`. Ready once
    /// those that are here confirmed it, so that nothing that they publish afterwards is missed; one that
    /// does not answer is waited for 10 s.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`] if that is no pattern; [`ErrorKind::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is subscribed to.
    pub async fn subscribe(&self, pattern: impl AsRef<str>) -> Result<Subscription, Error> {
        let (subscription, answers) = self.begin_subscription(pattern.as_ref())?;
        let confirmed = async {
            for mut answer in answers {
                // One whose link is gone confirms nothing.
                let _ = answer.wait_for(Option::is_some).await;
            }
        };
        if tokio::time::timeout(REQUEST_TIME, confirmed).await.is_err() {
            tracing::debug!("an agent does not confirm a subscription");
        }
        Ok(subscription)
    }

    fn begin_subscription(&self, pattern: &str) -> Result<(Subscription, Vec<Answered>), Error> {
        let fan = Fan::new(Pattern::new(pattern)?);
        let mut links = self.0.locked();
        if links.is_closed {
            return Err(Error::closed(CloseCode::GoingAway));
        }
        links.fans.retain(|fan| fan.strong_count() > 0);
        links.fans.push(Arc::downgrade(&fan));
        let mut answers = Vec::new();
        for entry in links.by_agent.values() {
            let is_here = entry.link.shared().is_attached();
            answers.extend(fan.join(&entry.link).filter(|_| is_here));
        }
        drop(links);
        Ok((Subscription::new(Arc::clone(fan.inbox()), fan), answers))
    }

    /// Publishes to every agent that is here, each on `backend.<id>.<topic>`.
    pub fn broadcast(&self, topic: impl AsRef<str>, payload: impl IntoPayload) -> Broadcast {
        let payload = payload.into_payload().map_err(Error::from);
        Broadcast::new(self.clone(), topic.as_ref(), payload)
    }

    /// Answers requests of all agents on channels of the pattern, as `agent.*.lookup`. The handler added
    /// last goes first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`].
    pub fn on_request<In: 'static>(
        &self,
        pattern: impl AsRef<str>,
        handler: impl Handler<In>,
    ) -> Result<(), Error> {
        self.0.serving.add_request(Pattern::new(pattern)?, handler);
        Ok(())
    }

    /// Runs commands of all agents on channels of the pattern: each at most once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`].
    pub fn on_command<In: 'static>(
        &self,
        pattern: impl AsRef<str>,
        handler: impl Handler<In>,
    ) -> Result<(), Error> {
        self.0.serving.add_command(Pattern::new(pattern)?, handler);
        Ok(())
    }

    /// Lists a channel, so that it can be counted and closed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`] with what is in the way as its source.
    pub fn create_channel(&self, name: &ChannelName) -> Result<(), Error> {
        self.change(ChannelChange::Create, name)
    }

    /// Opens a channel for messages.
    ///
    /// # Errors
    ///
    /// As [`Backend::create_channel`].
    pub fn enable_channel(&self, name: &ChannelName) -> Result<(), Error> {
        self.change(ChannelChange::Enable, name)
    }

    /// Closes a channel for messages of either side; what is counted is kept. Agents cannot open it.
    ///
    /// # Errors
    ///
    /// As [`Backend::create_channel`].
    pub fn disable_channel(&self, name: &ChannelName) -> Result<(), Error> {
        self.change(ChannelChange::Disable, name)
    }

    /// Forgets a channel and what was counted.
    ///
    /// # Errors
    ///
    /// As [`Backend::create_channel`].
    pub fn delete_channel(&self, name: &ChannelName) -> Result<(), Error> {
        self.change(ChannelChange::Delete, name)
    }

    fn change(&self, change: ChannelChange, name: &ChannelName) -> Result<(), Error> {
        let changed = self.0.channels.change(Role::Backend, change, name);
        changed.map_err(|error| Error::with(ErrorKind::Channel, error))
    }

    /// The channels that are listed.
    #[must_use]
    pub fn channels(&self) -> Vec<(ChannelName, ChannelState)> {
        self.0.channels.list()
    }

    /// What arrived on a channel since it was listed, and how many subscriptions of either side hear it.
    #[must_use]
    pub fn channel_stats(&self, name: &ChannelName) -> Option<ChannelStats> {
        let stats = self.0.channels.stats(name)?;
        let agent = name.tokens().nth(1).and_then(|id| PeerId::new(id).ok());
        let link = agent.and_then(|id| self.known(&id));
        let subscribers = link.map_or(0, |link| link.shared().subscribers(name));
        Some(ChannelStats { subscribers, ..stats })
    }

    /// Ends the session of an agent with a code: [`CloseCode::Revoked`] keeps it from coming back by
    /// itself, [`CloseCode::Busy`] does not. Returns whether it was here.
    pub fn kick(&self, id: &PeerId, code: CloseCode, retry_after: Duration) -> bool {
        let link = self.known(id).filter(|_| self.0.here.find(id).is_some());
        link.map(|link| link.shared().disconnect(code, retry_after)).is_some()
    }

    /// Forgets an agent for good: ends its session, and drops what waits for it and what is stored of it,
    /// for instance once it is retired. Returns whether it was known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if its rows could not be removed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, its rows may be left in the store.
    pub async fn forget(&self, id: &PeerId) -> Result<bool, Error> {
        let Some(link) = self.0.take(id) else { return Ok(false) };
        link.shared().drain(Duration::ZERO, CloseCode::Revoked).await;
        if let Some(keeper) = &self.0.keeper {
            let forgotten = keeper.forget(id).await;
            forgotten.map_err(|error| Error::with(ErrorKind::Store, error))?;
        }
        Ok(true)
    }

    /// Drains: accepts nothing more, tells agents when to come back, waits until they are done with what was
    /// sent to them, 10 s at most, and closes. With a store, what is left is sent by the next process.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if messages are lost: without a store, those that are left.
    /// [`ErrorKind::Store`] if the store did not take the last of them.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, links go on draining, and close.
    pub async fn close(&self) -> Result<(), Error> {
        let all = self.0.end();
        let mut draining = JoinSet::new();
        for link in all {
            let shared = Arc::clone(link.shared());
            shared.go_away(GO_AWAY_TIME, GO_AWAY_SPREAD);
            // One that is not here is not waited for.
            let here = self.0.here.find(link.agent_id()).is_some();
            let span = if here { DRAIN_TIME } else { Duration::ZERO };
            draining.spawn(async move { shared.drain(span, CloseCode::GoingAway).await });
        }
        let mut left = 0;
        while let Some(drained) = draining.join_next().await {
            left += drained.unwrap_or(0);
        }
        let gone = std::mem::take(&mut self.0.locked().by_agent);
        drop(gone);
        if let Some(keeper) = &self.0.keeper {
            let stored = keeper.close().await;
            stored.map_err(|error| Error::with(ErrorKind::Store, error))?;
        }
        if left == 0 || self.0.keeper.is_some() {
            return Ok(());
        }
        let what = format!("{left} messages had not arrived when the backend closed");
        Err(Error::with(ErrorKind::TimedOut, what))
    }

    /// Does something with the link of an agent, which is made if it is not there.
    fn entry<V>(&self, id: &PeerId, then: impl FnOnce(&Entry) -> V) -> Result<V, Error> {
        let mut links = self.0.locked();
        if links.is_closed {
            return Err(Error::closed(CloseCode::GoingAway));
        }
        if let Some(entry) = links.by_agent.get(id) {
            return Ok(then(entry));
        }
        if links.by_agent.len() >= self.0.most {
            self.forget_one(&mut links)?;
        }
        let entry = self.make(id, None)?;
        for fan in links.fans.iter().filter_map(Weak::upgrade) {
            fan.join(&entry.link);
        }
        let value = then(&entry);
        links.by_agent.insert(id.clone(), entry);
        Ok(value)
    }

    /// Forgets the link of an agent that is not here and for whom nothing waits. With a store none is:
    /// its marks are what keeps a message from being handled twice.
    fn forget_one(&self, links: &mut Links) -> Result<(), Error> {
        if self.0.keeper.is_some() {
            return Err(Error::new(ErrorKind::Full));
        }
        let is_idle = |(id, entry): &(&PeerId, &Entry)| {
            self.0.here.find(id).is_none() && entry.link.shared().load() == (0, 0)
        };
        let idle = links.by_agent.iter().find(is_idle).map(|(id, _)| id.clone());
        let id = idle.ok_or_else(|| Error::new(ErrorKind::Full))?;
        links.leave(&id);
        Ok(())
    }

    fn make(&self, id: &PeerId, kept: Option<Kept>) -> Result<Entry, Error> {
        let Inner { acceptor, options, serving, channels, here, keeper, .. } = &*self.0;
        let who = Who { role: Role::Backend, id: self.0.id.clone() };
        let (mut machine, keep) = match keeper {
            None => (fresh_link(options.config(who, Durability::Memory))?, None),
            Some(keeper) => {
                let config = options.config(who, Durability::Durable);
                let (machine, keep) = kept_link(config, id, kept, keeper, acceptor.clock())?;
                (machine, Some(keep))
            }
        };
        machine.meets(id.clone());
        let sides = Sides { role: Role::Backend, agent: id.clone() };
        let (here, agent) = (Arc::clone(here), id.clone());
        let observe: Observer = Box::new(move |event, seen| observe(&here, &agent, event, seen));
        let shared = Shared::new(
            machine,
            Parts {
                sides,
                clock: acceptor.clock(),
                serving: Arc::clone(serving),
                channels: Arc::clone(channels),
                is_durable: keep.is_some(),
                options: Arc::clone(options),
                observer: Some(observe),
            },
        );
        let link = Link::new(Arc::clone(&shared));
        let (sessions, accepting) = mpsc::channel(SESSIONS);
        tokio::spawn(Driver::new(shared, link.life(), Accepting(accepting), keep).run());
        Ok(Entry { link, sessions })
    }
}

/// Notes who is here. Runs under the lock of the link.
fn observe(here: &Here, agent: &PeerId, event: &LinkEvent, seen: &Seen<'_>) {
    match event {
        LinkEvent::Connected { session, .. } => {
            if let Some(peer) = seen.peer {
                here.online(peer, *session, seen.address);
            }
        }
        LinkEvent::Detached { .. } if !seen.is_superseded => here.offline(agent),
        _ => {}
    }
}

impl Inner {
    /// Takes the link of an agent out.
    fn take(&self, id: &PeerId) -> Option<Link> {
        self.locked().leave(id).map(|entry| entry.link)
    }

    /// Takes no more, and gives the links there are.
    fn end(&self) -> Vec<Link> {
        let mut links = self.locked();
        links.is_closed = true;
        links.listeners.drain(..).for_each(|task| task.abort());
        links.by_agent.values().map(|entry| entry.link.clone()).collect()
    }

    fn locked(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links {
    fn leave(&mut self, id: &PeerId) -> Option<Entry> {
        self.fans.iter().filter_map(Weak::upgrade).for_each(|fan| fan.leave(id));
        self.by_agent.remove(id)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let links = self.links.get_mut().unwrap_or_else(PoisonError::into_inner);
        links.listeners.iter().for_each(AbortHandle::abort);
    }
}

impl BackendBuilder {
    /// Its own name, which agents do not depend on. Default `backend`.
    #[must_use]
    pub fn with_id(mut self, id: PeerId) -> Self {
        self.id = Some(id);
        self
    }

    /// What of each link differs from the defaults.
    #[must_use]
    pub fn with_options(mut self, options: LinkOptions) -> Self {
        self.options = options;
        self
    }

    /// What listeners allow.
    #[must_use]
    pub fn with_listening(mut self, options: ListenerOptions) -> Self {
        self.listening = options;
        self
    }

    /// Agents whose links are kept, here or not, some kilobytes each. Beyond it one that is not here, and
    /// for whom nothing waits, is forgotten. Default 10 000.
    #[must_use]
    pub fn with_agents(mut self, most: usize) -> Self {
        self.agents = most;
        self
    }

    /// Keeps messages, commands and the chains of handshakes there, sealed: they survive a crash of this
    /// process. One backend has a store at a time.
    #[must_use]
    pub fn with_store(mut self, store: impl Store) -> Self {
        self.store = Some((Box::new(store), Committer::Thread));
        self
    }

    /// As [`Self::with_store`], for tests whose time is paused: a task of the runtime, which it keeps
    /// waiting, reads the store and makes each commit, `takes` after it began. With the thread that a store
    /// has else, time would jump to the next time-out while that thread works.
    #[cfg(feature = "test-utils")]
    #[must_use]
    pub fn with_store_on_runtime(mut self, store: impl Store, takes: std::time::Duration) -> Self {
        self.store = Some((Box::new(store), Committer::Task(takes)));
        self
    }

    /// Seals what is stored under this key. Default: one that is derived from the identity.
    #[must_use]
    pub fn with_store_key(mut self, key: StoreKey) -> Self {
        self.key = Some(key);
        self
    }

    /// What all handlers share, for [`crate::Context::state`].
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        self.state = Some(Arc::new(state));
        self
    }

    /// Makes the backend.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`]; [`ErrorKind::Store`] if the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn open(self) -> Result<Backend, Error> {
        let Self { config, id, options, listening, agents, state, store, key } = self;
        let id = match id {
            Some(id) => id,
            None => PeerId::new("backend").map_err(|bad| Error::with(ErrorKind::Config, bad))?,
        };
        let (mut keeper, mut peers) = (None, Vec::new());
        let acceptor = match store {
            None => Acceptor::new(config, &listening)?,
            Some((store, committer)) => {
                let clock = Clock::new();
                let key = key.unwrap_or_else(|| config.identity().store_key());
                let (opened, restored) = Keeper::open(store, committer, &key, clock).await?;
                peers = restored.peers;
                let book = restored.answered;
                let with = keeper.insert(opened).clone();
                Acceptor::with_keeper(config, &listening, book, with, clock)?
            }
        };
        let backend = Backend(Arc::new(Inner {
            id,
            acceptor,
            keeper,
            options: Arc::new(options),
            most: agents,
            serving: Serving::with_state(state),
            channels: Arc::new(Channels::new()),
            here: Arc::new(Here::new()),
            links: Mutex::default(),
        }));
        for kept in peers {
            let entry = backend.make(&kept.peer, Some(kept.kept))?;
            backend.0.locked().by_agent.insert(kept.peer, entry);
        }
        Ok(backend)
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let agents = self.0.locked().by_agent.len();
        f.debug_struct("Backend").field("agents", &agents).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BackendBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
