//! An agent, and what it is made of.

use std::any::Any;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::watch;

use super::dialling::{Dialled, Dialling, Target};
use super::reconnect::Reconnect;
use crate::crypto::StoreKey;
use crate::delivery::word::Durability;
use crate::error::Error;
#[expect(unused_imports, reason = "the documentation names it")]
use crate::error::ErrorKind;
use crate::ids::{PeerId, Role};
use crate::link::Who;
use crate::runtime::live::{
    Channels, Driver, Link, LinkOptions, Parts, Serving, Shared, Sides, fresh_link, kept_link,
};
use crate::runtime::{Clock, Committer, Dialer, Endpoint, Keeper, random};
use crate::session::Config;
use crate::store::Store;
use crate::transport::Transport;

/// The side that dials: it holds one [`Link`] to its backend, and is one in all but name.
///
/// ```no_run
/// use waxwire::runtime::new_identity;
/// use waxwire::session::{Config, Pinned};
/// use waxwire::{Agent, Fingerprint, PeerId, Realm, Role, topics};
///
/// # async fn example(backend_key: Fingerprint) -> Result<(), Box<dyn std::error::Error>> {
/// let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, backend_key);
/// let config = Config::agent(Realm::new("prod")?, new_identity()?).peer(backend);
/// let agent = Agent::open(PeerId::new("edge-7")?, config).await?;
/// let mut policies = agent.subscribe(topics::POLICIES).unconfirmed()?; // before anything arrives
/// agent.connect("ws://127.0.0.1:7400/").await?;
/// agent.publish(topics::STATUS, "all quiet").await?;
/// while let Some(policy) = policies.next().await {
///     println!("{policy:?}");
///     policy.done();
/// }
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; clones are the same agent. Nothing is dialled before [`Agent::connect`], so subscriptions
/// and handlers can be in place when the first message comes.
#[derive(Clone)]
pub struct Agent {
    link: Link,
    dialer: Dialer,
    orders: Arc<watch::Sender<Option<Target>>>,
    dialled: watch::Receiver<Dialled>,
}

/// What an agent is made of.
pub struct AgentBuilder {
    id: PeerId,
    config: Config,
    options: LinkOptions,
    reconnect: Reconnect,
    state: Option<Arc<dyn Any + Send + Sync>>,
    store: Option<(Box<dyn Store>, Committer)>,
    key: Option<StoreKey>,
}

impl Agent {
    /// An agent in memory, with the defaults. `id` is the name under which the backend admits it.
    ///
    /// # Errors
    ///
    /// As [`AgentBuilder::open`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn open(id: PeerId, config: Config) -> Result<Self, Error> {
        Self::builder(id, config).open().await
    }

    /// An agent that differs from the defaults.
    #[must_use]
    pub fn builder(id: PeerId, config: Config) -> AgentBuilder {
        let (options, reconnect) = (LinkOptions::new(), Reconnect::new());
        AgentBuilder { id, config, options, reconnect, state: None, store: None, key: None }
    }

    /// Dials `ws://host[:port]/path` or `tcp://host:port`, and from now on again whenever the session is
    /// lost. Ready once the first session is up. A second call dials elsewhere from the next time on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if that is no endpoint. What cannot succeed by waiting, as a backend that is
    /// not the one pinned: [`ErrorKind::Handshake`], [`ErrorKind::Closed`]. Other failures are
    /// tried again, and told by [`crate::LinkEvent::Retrying`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the link goes on dialling.
    pub async fn connect(&self, endpoint: impl AsRef<str>) -> Result<(), Error> {
        let endpoint = Endpoint::new(endpoint.as_ref())?;
        let dialer = self.dialer.clone();
        self.dial(Arc::new(move || {
            let (dialer, endpoint) = (dialer.clone(), endpoint.clone());
            Box::pin(async move {
                match endpoint {
                    #[cfg(feature = "websocket")]
                    Endpoint::WebSocket(url) => Ok(dialer.websocket(&url).await?.into_fresh()),
                    Endpoint::Tcp(address) => Ok(dialer.tcp(address).await?.into_fresh()),
                }
            })
        }))
        .await
    }

    /// As [`Agent::connect`], over a transport of your own: `open` is called for each session.
    ///
    /// # Errors
    ///
    /// As [`Agent::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Agent::connect`].
    pub async fn connect_with<T, F>(
        &self,
        open: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<(), Error>
    where
        T: Transport + 'static,
        F: Future<Output = Result<T, crate::transport::TransportError>> + Send + 'static,
    {
        let dialer = self.dialer.clone();
        self.dial(Arc::new(move || {
            let (dialer, opening) = (dialer.clone(), open());
            Box::pin(async move { Ok(dialer.connect(opening.await?).await?.into_fresh()) })
        }))
        .await
    }

    async fn dial(&self, target: Target) -> Result<(), Error> {
        let mut dialled = self.dialled.clone();
        // What an earlier target came to says nothing of this one.
        dialled.mark_unchanged();
        self.orders.send_replace(Some(target));
        self.link.shared().wake();
        let mut states = self.link.shared().state();
        loop {
            tokio::select! {
                biased;
                up = states.wait_for(|state| *state == crate::LinkState::Connected || *state == crate::LinkState::Closed) => {
                    return match up.map(|state| *state) {
                        Ok(crate::LinkState::Connected) => Ok(()),
                        _ => Err(Error::closed(crate::session::CloseCode::Normal)),
                    };
                }
                told = dialled.changed() => {
                    if told.is_err() {
                        return Err(Error::closed(crate::session::CloseCode::Normal));
                    }
                    if let Dialled::GaveUp(error) = &*dialled.borrow_and_update() {
                        return Err(error.again());
                    }
                }
            }
        }
    }

    /// Its link, as a value of its own.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Deref for Agent {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl AgentBuilder {
    /// What of the link differs from the defaults.
    #[must_use]
    pub fn with_options(mut self, options: LinkOptions) -> Self {
        self.options = options;
        self
    }

    /// When to dial again.
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Keeps messages, commands and the chain of handshakes there, sealed: they survive a crash of this
    /// process. One agent has a store at a time.
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

    /// Makes the agent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`]; [`ErrorKind::Store`] if the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn open(self) -> Result<Agent, Error> {
        let Self { id, config, options, reconnect, state, store, key } = self;
        let clock = Clock::new();
        let who = Who { role: Role::Agent, id: id.clone() };
        let mut dialer = None;
        let (machine, keep) = match store {
            None => (fresh_link(options.config(who, Durability::Memory))?, None),
            Some((store, committer)) => {
                let key = key.unwrap_or_else(|| config.identity().store_key());
                let (keeper, restored) = Keeper::open(store, committer, &key, clock).await?;
                let kept = restored.peers.into_iter().find(|kept| kept.peer == id);
                let machine = options.config(who, Durability::Durable);
                let kept = kept.map(|kept| kept.kept);
                let (machine, keep) = kept_link(machine, &id, kept, &keeper, clock)?;
                dialer = Some((restored.dialled, keeper));
                (machine, Some(keep))
            }
        };
        let is_durable = keep.is_some();
        let sides = Sides { role: Role::Agent, agent: id };
        let serving = Serving::with_state(state);
        let channels = Arc::new(Channels::new());
        let shared = Shared::new(
            machine,
            Parts {
                sides,
                clock,
                serving,
                channels,
                is_durable,
                options: Arc::new(options),
                observer: None,
            },
        );
        let link = Link::new(Arc::clone(&shared));
        let (orders, order) = watch::channel(None);
        let (told, dialled) = watch::channel(Dialled::Trying);
        let road = Dialling::new(reconnect, order, told, u64::from_be_bytes(random()?));
        tokio::spawn(Driver::new(shared, link.life(), road, keep).run());
        let plain = Dialer::new(config).with_clock(clock);
        let dialer = match dialer {
            Some((chains, keeper)) => plain.with_keeper(chains, keeper),
            None => plain,
        };
        Ok(Agent { link, dialer, orders: Arc::new(orders), dialled })
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Agent").field(&self.link).finish()
    }
}

impl std::fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentBuilder").field("id", &self.id).finish_non_exhaustive()
    }
}
