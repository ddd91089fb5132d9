//! Which agents are here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::broadcast;

use crate::ids::{PeerId, SessionId};
use crate::limits::PRESENCE;
use crate::session::Peer;

/// An agent that is here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AgentInfo {
    /// Its name, as it was proven.
    pub id: PeerId,
    /// Since when its session is up.
    pub since: SystemTime,
    /// Counts the sessions of this backend: of two of one agent, the one with the higher number is newer.
    pub epoch: u64,
    /// What its credential says of it.
    pub labels: Vec<(String, String)>,
    /// The other end of its transport; a proxy, perhaps.
    pub address: Option<SocketAddr>,
    /// The session's name, the same at both ends.
    pub session: SessionId,
}

/// An agent came or went.
///
/// ```no_run
/// # async fn example(backend: waxwire::Backend) {
/// use waxwire::Presence;
///
/// let mut presence = backend.presence();
/// while let Ok(change) = presence.recv().await {
///     match change {
///         Presence::Online(agent) => println!("{} from {:?}", agent.id, agent.address),
///         Presence::Offline { id, .. } => println!("{id} left"),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Presence {
    /// Its session is up. One that took over from another comes without an [`Presence::Offline`] between.
    Online(AgentInfo),
    /// It has no session.
    Offline {
        /// Which agent.
        id: PeerId,
        /// The session that ended.
        epoch: u64,
    },
}

/// The agents that are here. Its lock is the last that anyone takes.
pub(super) struct Here {
    agents: Mutex<BTreeMap<PeerId, AgentInfo>>,
    epoch: AtomicU64,
    news: broadcast::Sender<Presence>,
}

impl Here {
    pub(super) fn new() -> Self {
        let (agents, epoch) = (Mutex::default(), AtomicU64::new(0));
        Self { agents, epoch, news: broadcast::Sender::new(PRESENCE) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, AgentInfo>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn online(&self, peer: &Peer, session: SessionId, address: Option<SocketAddr>) {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let info = AgentInfo {
            id: peer.id.clone(),
            since: SystemTime::now(),
            epoch,
            labels: peer.labels.clone(),
            address,
            session,
        };
        self.lock().insert(peer.id.clone(), info.clone());
        // That nobody listens is no news.
        let _ = self.news.send(Presence::Online(info));
    }

    pub(super) fn offline(&self, id: &PeerId) {
        let gone = self.lock().remove(id);
        if let Some(AgentInfo { epoch, .. }) = gone {
            let _ = self.news.send(Presence::Offline { id: id.clone(), epoch });
        }
    }

    pub(super) fn all(&self) -> Vec<AgentInfo> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn find(&self, id: &PeerId) -> Option<AgentInfo> {
        self.lock().get(id).cloned()
    }

    pub(super) fn news(&self) -> broadcast::Receiver<Presence> {
        self.news.subscribe()
    }
}
