//! The way between agents and their backend, as a test disturbs it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::relay::Relay;
use crate::agent::Agent;
use crate::backend::Backend;
use crate::error::Error;
use crate::session::Source;
use crate::transport::TransportError;
use crate::transport::memory::{Memory, pair};

/// The way between agents and one backend, in memory. Cheap to clone; clones are the same wire.
///
/// It does to records what a network does: it loses those on the way when it is cut, and else delivers all
/// of them in order.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<State>>);

/// To whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Toward {
    /// To the agents.
    Agent,
    /// To the backend.
    Backend,
}

/// What the wire does now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) holds_to_agent: bool,
    pub(super) holds_to_backend: bool,
    refuses: bool,
}

/// What becomes of one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Open,
    /// Both ends hear of its end.
    Cut,
    /// One end is gone, and the other does not hear of it.
    Gone(Toward),
}

struct State {
    backend: Backend,
    weather: Weather,
    connections: BTreeMap<u64, Connection>,
    dials: u64,
}

struct Connection {
    fate: Fate,
    waker: Option<Waker>,
}

impl Wire {
    /// A wire to this backend.
    #[must_use]
    pub fn to(backend: &Backend) -> Self {
        let (backend, weather) = (backend.clone(), Weather::default());
        let state = State { backend, weather, connections: BTreeMap::new(), dials: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Has an agent dial over this wire, now and whenever it loses its session; as [`Agent::connect`].
    ///
    /// # Errors
    ///
    /// As [`Agent::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Agent::connect`].
    pub async fn connect(&self, agent: &Agent) -> Result<(), Error> {
        let wire = self.clone();
        agent.connect_with(move || std::future::ready(wire.dial())).await
    }

    /// Leads to another backend from now on, for instance to the same one after its restart. What was
    /// connected is cut.
    pub fn lead_to(&self, backend: &Backend) {
        let before = std::mem::replace(&mut self.locked().backend, backend.clone());
        // Its last handle may lock the wire.
        drop(before);
        self.cut();
    }

    /// Cuts what is connected: both ends hear of it, and what is on the way is lost. Agents can dial again
    /// at once.
    pub fn cut(&self) {
        self.seal_fate(Fate::Cut);
    }

    /// Cuts what is connected, and refuses every dial until [`Wire::heal`].
    pub fn refuse(&self) {
        self.locked().weather.refuses = true;
        self.cut();
    }

    /// Leaves connections half open: this end of each is gone, as if its host had lost its power, and what
    /// is sent to it is lost; the other end hears nothing. Agents can dial anew.
    pub fn half_open(&self, gone: Toward) {
        self.seal_fate(Fate::Gone(gone));
    }

    /// Holds up what goes there, until [`Wire::heal`]: nobody hears of it, and nothing is lost. Of a
    /// partition this is the side that is silent.
    pub fn hold(&self, toward: Toward) {
        self.change(|weather| match toward {
            Toward::Agent => weather.holds_to_agent = true,
            Toward::Backend => weather.holds_to_backend = true,
        });
    }

    /// Delivers each record this much later, in both directions. Records on the way keep their time.
    pub fn delay(&self, span: Duration) {
        self.change(|weather| weather.delay = span);
    }

    /// Ends [`Wire::refuse`], [`Wire::hold`] and [`Wire::delay`].
    pub fn heal(&self) {
        self.change(|weather| *weather = Weather::default());
    }

    /// How often it was dialled, refused dials included.
    #[must_use]
    pub fn dials(&self) -> u64 {
        self.locked().dials
    }

    /// Opens a connection, whose other end the backend answers.
    fn dial(&self) -> Result<Memory, TransportError> {
        let refused = TransportError::Io(io::ErrorKind::ConnectionRefused);
        let mut state = self.locked();
        state.dials += 1;
        if state.weather.refuses {
            return Err(refused);
        }
        let (number, backend) = (state.dials, state.backend.clone());
        let place = backend.acceptor().reserve(Source::LOCAL).map_err(|_| refused)?;
        state.connections.insert(number, Connection { fate: Fate::Open, waker: None });
        drop(state);
        let ((agent, near), (far, door)) = (pair(), pair());
        tokio::spawn(Relay::new(self.clone(), number, near, far));
        tokio::spawn(async move {
            match place.accept(door).await {
                Ok(connection) => {
                    // Why it was not admitted is logged; nobody waits for it.
                    let _ = backend.admit(connection);
                }
                Err(error) => tracing::debug!(%error, "handshake over a wire failed"),
            }
        });
        Ok(agent)
    }

    /// What of a connection is to be done now; its relay is woken once that changes.
    pub(super) fn ask(&self, number: u64, waker: &Waker) -> (Fate, Weather) {
        let mut state = self.locked();
        let weather = state.weather;
        let Some(connection) = state.connections.get_mut(&number) else {
            return (Fate::Cut, weather);
        };
        connection.waker = Some(waker.clone());
        (connection.fate, weather)
    }

    pub(super) fn forget(&self, number: u64) {
        self.locked().connections.remove(&number);
    }

    fn seal_fate(&self, fate: Fate) {
        let mut state = self.locked();
        let open = state.connections.values_mut().filter(|connection| connection.fate != Fate::Cut);
        open.for_each(|connection| connection.fate = fate);
        wake(state);
    }

    fn change(&self, change: impl FnOnce(&mut Weather)) {
        let mut state = self.locked();
        change(&mut state.weather);
        wake(state);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has every relay look again.
fn wake(mut state: MutexGuard<'_, State>) {
    let wakers = state.connections.values_mut().filter_map(|connection| connection.waker.take());
    let wakers: Vec<Waker> = wakers.collect();
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.locked();
        let mut shown = f.debug_struct("Wire");
        let shown = shown.field("weather", &state.weather).field("dials", &state.dials);
        shown.field("connections", &state.connections.len()).finish_non_exhaustive()
    }
}
