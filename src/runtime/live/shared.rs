//! What the handles of one link share with its driver: the machine under a lock, and who waits for
//! what it says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::bell::Bell;
use super::channels::{Channels, Counting};
use super::news::{Level, LinkEvent, LinkState};
use super::request::Asking;
use super::serve::{Running, Serving};
use super::settings::LinkOptions;
use super::subscription::{Inbox, Unclaimed};
use crate::call::{CommandId, Correlation, Effect, Status};
use crate::channel::ChannelName;
use crate::delivery::word::Epoch;
use crate::error::{Error, ErrorKind, Undelivered};
use crate::ids::{PeerId, Role};
use crate::limits::LINK_NEWS;
use crate::link::{self, DeliveryId, MessageId};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::random;
use crate::runtime::keep::{Keeper, LinkKeep};
use crate::session::{CloseCode, Peer};
use crate::time::{Instant, Now};

/// Whose link it is, and with which agent.
#[derive(Clone, Debug)]
pub(crate) struct Sides {
    /// Which of the two this side is.
    pub(crate) role: Role,
    pub(crate) agent: PeerId,
}

/// Hears what happens to a link before the application does.
pub(crate) type Observer = Box<dyn Fn(&LinkEvent, &Seen<'_>) + Send + Sync>;

/// What a link knows of its session as something happens to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) peer: Option<&'a Peer>,
    pub(crate) address: Option<SocketAddr>,
    /// A newer session takes over.
    pub(crate) is_superseded: bool,
}

/// One link.
pub(crate) struct Shared {
    core: Mutex<Core>,
    pub(super) bell: Bell,
    returns: Mutex<Vec<Return>>,
    /// Wakes those for whose messages there was no room.
    pub(super) room: Notify,
    /// When the driver had its last turn.
    turn: AtomicU64,
    /// The topic that was spoken of last, with its channel.
    last_topic: Mutex<Option<(Box<str>, ChannelName)>>,
    /// Made when somebody listens for the first time: it holds room for all that may wait.
    news: OnceLock<broadcast::Sender<LinkEvent>>,
    state: watch::Sender<LinkState>,
    /// Whether the driver ended.
    pub(super) over: watch::Sender<bool>,
    pub(crate) clock: Clock,
    pub(crate) sides: Sides,
    pub(crate) serving: Arc<Serving>,
    pub(super) channels: Arc<Channels>,
    observer: Option<Observer>,
    pub(crate) is_durable: bool,
    pub(super) options: Arc<LinkOptions>,
}

/// What a link is made of, its machine aside.
pub(crate) struct Parts {
    pub(crate) sides: Sides,
    pub(crate) clock: Clock,
    pub(crate) serving: Arc<Serving>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) is_durable: bool,
    pub(crate) options: Arc<LinkOptions>,
    pub(crate) observer: Option<Observer>,
}

/// What is behind the lock.
pub(super) struct Core {
    pub(super) link: link::Link,
    /// Whom the last session was with.
    pub(super) peer: Option<Peer>,
    pub(super) confirms: BTreeMap<MessageId, Confirm>,
    pub(super) requests: BTreeMap<Correlation, Asking>,
    pub(super) listeners: BTreeMap<u32, Listener>,
    /// Numbered messages that nobody gave a word about.
    pub(super) unclaimed: Unclaimed,
    /// Counts what arrives on channels.
    pub(super) counting: Counting,
    pub(super) calls: BTreeMap<Correlation, Running>,
    pub(super) commands: BTreeMap<CommandId, Following>,
    /// Who waits for a change of a channel.
    pub(super) managing: BTreeMap<u32, oneshot::Sender<u16>>,
    /// Names changes of channels.
    pub(super) last_change: u32,
    pub(super) running: BTreeMap<CommandId, Running>,
    /// A publisher waits for room.
    pub(super) is_starved: bool,
    /// Something left, so that there may be room.
    pub(super) is_settling: bool,
    /// The other end of the transport in use.
    pub(super) address: Option<SocketAddr>,
    /// A newer session takes over from the one that ends.
    pub(super) is_superseded: bool,
    /// No handle is left.
    pub(super) is_abandoned: bool,
    /// When the peer that goes away wants to be dialled again.
    pub(super) go_away: Option<(Duration, Duration)>,
}

/// Who waits for a message to reach a level.
pub(super) struct Confirm {
    pub(super) level: Level,
    pub(super) told: oneshot::Sender<Result<Level, Undelivered>>,
}

/// Who listens to a subscription of this link.
pub(super) struct Listener {
    pub(super) inbox: Arc<Inbox>,
    /// The peer's answer, once there is one.
    pub(super) answer: watch::Sender<Option<Result<(), u16>>>,
}

/// Who follows a command.
pub(super) struct Following {
    pub(super) state: watch::Sender<(Status, Effect)>,
    /// Told once the command survives a crash of this process.
    pub(super) stored: Option<oneshot::Sender<()>>,
}

/// What subscribers did with messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Return {
    /// It left the queue of this subscription.
    Taken(DeliveryId, u32),
    Handled(DeliveryId),
    Refused(DeliveryId, u32),
}

/// Messages taken after which the driver is woken for the sake of credit alone: a fraction of any window,
/// so that no sender waits for it.
const RETURNS: usize = 64;

impl Shared {
    pub(crate) fn new(link: link::Link, parts: Parts) -> Arc<Self> {
        let Parts { sides, clock, serving, channels, is_durable, options, observer } = parts;
        let core = Core {
            link,
            peer: None,
            confirms: BTreeMap::new(),
            requests: BTreeMap::new(),
            listeners: BTreeMap::new(),
            unclaimed: Unclaimed::default(),
            counting: Counting::default(),
            calls: BTreeMap::new(),
            commands: BTreeMap::new(),
            running: BTreeMap::new(),
            managing: BTreeMap::new(),
            last_change: 0,
            is_starved: false,
            is_settling: false,
            address: None,
            is_superseded: false,
            is_abandoned: false,
            go_away: None,
        };
        Arc::new(Self {
            core: Mutex::new(core),
            bell: Bell::default(),
            returns: Mutex::default(),
            room: Notify::new(),
            turn: AtomicU64::new(clock.instant().as_nanos()),
            last_topic: Mutex::default(),
            news: OnceLock::new(),
            state: watch::Sender::new(LinkState::Detached),
            over: watch::Sender::new(false),
            clock,
            sides,
            serving,
            channels,
            observer,
            is_durable,
            options,
        })
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Now, for a message: exactly if it has a time to live, else as of the driver's last turn.
    pub(super) fn now_for(&self, ttl: Option<Duration>) -> Now {
        match ttl {
            Some(_) => self.now(),
            None => Now { instant: self.turn(), unix: Default::default() },
        }
    }

    /// When the driver had its last turn.
    pub(super) fn turn(&self) -> Instant {
        Instant::from_nanos(self.turn.load(Ordering::Relaxed))
    }

    /// The driver begins a turn.
    pub(super) fn turns(&self) -> Now {
        let now = self.now();
        self.turn.store(now.instant.as_nanos(), Ordering::Relaxed);
        now
    }

    /// The channel of a topic of this side. Most are asked for again and again.
    pub(super) fn mine(&self, topic: &str) -> Result<ChannelName, Error> {
        let mut last = self.last_topic.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, name)) = &*last
            && **known == *topic
        {
            return Ok(name.clone());
        }
        let name = match self.sides.role {
            Role::Agent => ChannelName::agent(&self.sides.agent, topic)?,
            Role::Backend => ChannelName::backend(&self.sides.agent, topic)?,
        };
        *last = Some((topic.into(), name.clone()));
        Ok(name)
    }

    /// The machine. Whoever changes what the driver acts on rings the bell afterwards.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the machine, and has the driver act on it.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let done = change(&mut self.lock());
        self.bell.ring();
        done
    }

    /// Notes what a subscriber did.
    pub(super) fn give(&self, done: Return) {
        let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        returns.push(done);
        let count = returns.len();
        drop(returns);
        if count >= RETURNS || !matches!(done, Return::Taken(..)) {
            self.bell.ring();
        }
    }

    /// Notes what a subscriber did with several messages.
    pub(super) fn give_all(&self, done: &mut Vec<Return>) {
        let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        returns.append(done);
        let count = returns.len();
        drop(returns);
        if count >= RETURNS {
            self.bell.ring();
        }
    }

    pub(super) fn take_returns(&self, into: &mut Vec<Return>) {
        let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *returns, into);
    }

    pub(super) fn tell(&self, core: &Core, event: LinkEvent) {
        if let Some(observer) = &self.observer {
            let Core { peer, address, is_superseded, .. } = core;
            let (address, is_superseded) = (*address, *is_superseded);
            observer(&event, &Seen { peer: peer.as_ref(), address, is_superseded });
        }
        self.announce(event);
    }

    /// Tells the application alone.
    pub(crate) fn announce(&self, event: LinkEvent) {
        if let Some(news) = self.news.get() {
            // That nobody listens any more is no news.
            let _ = news.send(event);
        }
    }

    /// Has the driver look again.
    pub(crate) fn wake(&self) {
        self.bell.ring();
    }

    /// Whether the link takes nothing more, or nobody holds it.
    pub(crate) fn is_ending(&self) -> bool {
        let core = self.lock();
        core.is_abandoned || core.link.state() == link::State::Closed
    }

    /// Whether there is a session.
    pub(crate) fn is_attached(&self) -> bool {
        self.lock().link.is_attached()
    }

    /// Subscriptions of either side that hear a channel.
    pub(crate) fn subscribers(&self, channel: &ChannelName) -> usize {
        self.lock().link.subscribers(channel)
    }

    pub(super) fn enter(&self, state: LinkState) {
        self.state.send_replace(state);
    }

    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    pub(crate) fn news(&self) -> broadcast::Receiver<LinkEvent> {
        self.news.get_or_init(|| broadcast::Sender::new(LINK_NEWS)).subscribe()
    }

    /// Whom the last session was with.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.lock().peer.clone()
    }

    /// Messages of this side that are not settled, and of the peer that the application holds.
    pub(crate) fn load(&self) -> (usize, usize) {
        self.lock().link.load()
    }

    /// Has the link lose its session, with a word to the peer.
    pub(crate) fn disconnect(&self, code: CloseCode, retry_after: Duration) {
        self.with(|core| core.link.disconnect(code, retry_after));
    }

    /// Tells the peer when to come back once this side is gone.
    pub(crate) fn go_away(&self, retry_after: Duration, spread: Duration) {
        self.with(|core| core.link.go_away(retry_after, spread));
    }

    /// Drains the link by then, and waits until its driver ended. Returns messages that did not arrive.
    pub(crate) async fn drain(&self, by: Duration, code: CloseCode) -> usize {
        let now = self.now();
        self.with(|core| core.link.drain(now, now.instant.after(by), code));
        let mut over = self.over.subscribe();
        // The sender lives as long as `self`.
        let _ = over.wait_for(|over| *over).await;
        self.load().0
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("sides", &self.sides).finish_non_exhaustive()
    }
}

/// The answer of a link that takes nothing more.
pub(super) fn closed() -> Error {
    Error::closed(CloseCode::Normal)
}

/// A machine that remembers nothing.
pub(crate) fn fresh_link(config: link::Config) -> Result<link::Link, Error> {
    let seed = u64::from_be_bytes(random()?);
    Ok(link::Link::new(config, epoch()?, epoch()?, seed))
}

/// A machine that goes on from what a store kept of it, or one whose memory begins there.
pub(crate) fn kept_link(
    config: link::Config,
    name: &PeerId,
    kept: Option<link::Kept>,
    keeper: &Keeper,
    clock: Clock,
) -> Result<(link::Link, LinkKeep), Error> {
    let seed = u64::from_be_bytes(random()?);
    let (outbox, inbox) = match &kept {
        Some(kept) => (kept.outbox, kept.inbox),
        None => (epoch()?, epoch()?),
    };
    let keep = keeper.link(name, outbox, inbox);
    let link = match kept {
        Some(kept) => link::Link::restore(clock.now(), config, kept, seed)
            .map_err(|foreign| Error::with(ErrorKind::Store, foreign))?,
        None => link::Link::new(config, outbox, inbox, seed),
    };
    Ok((link, keep))
}

fn epoch() -> Result<Epoch, Error> {
    loop {
        // Zeros, which are no epoch, come once in 2^128 times.
        if let Some(epoch) = Epoch::from_bytes(random()?) {
            return Ok(epoch);
        }
    }
}
