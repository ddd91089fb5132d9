//! Two sessions without a handshake, and two links over a pipe that does what it should.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::channel::{ChannelName, Pattern};
use crate::crypto::Suite;
use crate::delivery::credit::Amount;
use crate::delivery::outbox::Doubt;
use crate::delivery::word::Epoch;
use crate::ids::{PeerId, Role};
use crate::link::{
    Config, DetachCause, Event, Link, LinkError, MessageId, Publish, Reliability, State, Who,
};
use crate::priority::Class;
use crate::session::tests::rig::{agent_config, backend_config, start};
use crate::session::{
    CloseCode, Config as SessionConfig, Order, Peer, Session, Stage, pair, peer_of,
};
use crate::time::{Instant, Now, UnixTime};

/// What both ends of a session are configured with.
pub(crate) struct Parties {
    agent: Arc<SessionConfig>,
    backend: Arc<SessionConfig>,
    seen_by_agent: Peer,
    seen_by_backend: Peer,
}

impl Parties {
    pub(crate) fn new() -> Self {
        let (agent, backend) = (agent_config(), backend_config());
        let seen_by_agent = peer_of(&agent, &backend, start()).unwrap();
        let seen_by_backend = peer_of(&backend, &agent, start()).unwrap();
        Self { agent: agent.into(), backend: backend.into(), seen_by_agent, seen_by_backend }
    }

    /// A session of both, the agent's end first.
    pub(crate) fn session(&self, now: Now) -> [Session; 2] {
        let stage = Stage { suite: Suite::Classical, resumed: false, now };
        let agent = (&self.agent, &self.seen_by_agent);
        let (agent, backend) = pair(agent, (&self.backend, &self.seen_by_backend), stage);
        [agent, backend]
    }
}

/// Both clocks, which run alike.
pub(crate) fn moment(instant: Instant) -> Now {
    let secs = instant.as_nanos() / 1_000_000_000;
    Now { instant, unix: UnixTime::from_secs(start().unix.as_secs() + secs) }
}

pub(crate) fn who(side: usize) -> Who {
    let (role, id) = if side == 0 { (Role::Agent, "agent") } else { (Role::Backend, "backend") };
    Who { role, id: PeerId::new(id).unwrap() }
}

/// The channel on which a side speaks.
pub(crate) fn channel(side: usize, topic: &str) -> ChannelName {
    let speaker = if side == 0 { "agent" } else { "backend" };
    ChannelName::new(format!("{speaker}.agent.{topic}")).unwrap()
}

/// Everything that a side may hear.
pub(crate) fn all(side: usize) -> Pattern {
    Pattern::new(if side == 0 { "backend.agent.>" } else { "agent.>" }).unwrap()
}

pub(crate) fn epoch(number: u64) -> Epoch {
    let bytes = [number.to_be_bytes(), (!number).to_be_bytes()].concat();
    Epoch::from_bytes(bytes.try_into().unwrap()).unwrap()
}

pub(crate) fn numbered(channel: ChannelName, payload: impl Into<Bytes>) -> Publish {
    Publish {
        channel,
        payload: payload.into(),
        headers: None,
        class: Class::Normal,
        ttl: None,
        reliability: Reliability::AtLeastOnce,
        doubt: Doubt::SendAgain,
    }
}

/// The agent's link and the backend's, each subscribed to all it may hear.
pub(crate) struct Two {
    pub(crate) parties: Parties,
    pub(crate) links: [Link; 2],
    pub(crate) now: Now,
}

impl Two {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut Config)) -> Self {
        let link = |side| {
            let mut config = Config::new(who(side));
            change(&mut config);
            let number = 10 + side as u64 * 2;
            let mut link = Link::new(config, epoch(number), epoch(number + 1), 7);
            link.subscribe(all(side), Amount::SUBSCRIPTION_WINDOW).unwrap();
            link
        };
        let now = moment(Instant::from_nanos(1_000_000_000));
        Self { parties: Parties::new(), links: [link(0), link(1)], now }
    }

    /// Both are connected, and what they said of it was heard.
    pub(crate) fn connected() -> Self {
        let mut two = Self::new();
        two.attach();
        two.settle();
        two.events(0);
        two.events(1);
        two
    }

    pub(crate) fn attach(&mut self) {
        let [agent, backend] = self.parties.session(self.now);
        self.links[0].attach(self.now, agent).unwrap();
        self.links[1].attach(self.now, backend).unwrap();
    }

    pub(crate) fn detach(&mut self) {
        let now = self.now;
        self.links.iter_mut().for_each(|link| link.detach(now));
    }

    /// The next record of a side.
    pub(crate) fn record(&mut self, side: usize) -> Option<BytesMut> {
        let mut record = BytesMut::new();
        self.links[side].poll_record(self.now, &mut record).then_some(record)
    }

    pub(crate) fn give(&mut self, side: usize, record: BytesMut) -> Result<(), LinkError> {
        self.links[side].handle_record(self.now, record)
    }

    /// Carries records until both are silent. Returns how many.
    pub(crate) fn settle(&mut self) -> usize {
        let mut records = 0;
        loop {
            let before = records;
            for side in 0..2 {
                while let Some(record) = self.record(side) {
                    self.give(1 - side, record).unwrap();
                    records += 1;
                    assert!(records < 10_000, "the links never fall silent");
                }
            }
            if records == before {
                return records;
            }
        }
    }

    /// Time passes, and each side does what is due.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now.instant.after(span);
        while self.now.instant < end {
            let due = self.links.iter().filter_map(Link::poll_timeout).min();
            let next = self.now.instant.after(Duration::from_nanos(1));
            self.now = moment(due.unwrap_or(end).min(end).max(next));
            let now = self.now;
            self.links.iter_mut().for_each(|link| link.handle_timeout(now));
            self.settle();
        }
    }

    pub(crate) fn events(&mut self, side: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.links[side].poll_event()).collect()
    }

    /// Payloads of the messages that arrived; each is handled.
    pub(crate) fn handle_all(&mut self, side: usize) -> Vec<Bytes> {
        let now = self.now;
        let mut payloads = Vec::new();
        for event in self.events(side) {
            if let Event::Message(delivery) = event {
                self.links[side].handled(now, delivery.id);
                payloads.push(delivery.payload);
            }
        }
        payloads
    }
}

impl Two {
    pub(crate) fn publish(&mut self, side: usize, payload: impl Into<Bytes>) -> MessageId {
        let publish = numbered(channel(side, "threats"), payload);
        self.links[side].publish(self.now, publish).unwrap()
    }

    /// A record of frames that `from` would not write, under its keys.
    pub(crate) fn forge(
        &mut self,
        from: usize,
        put: impl FnOnce(&mut BytesMut),
    ) -> Result<(), LinkError> {
        let mut record = BytesMut::new();
        let session = self.links[from].session.as_mut().unwrap();
        let mut writer = session.record(self.now.instant, &mut record).unwrap();
        let room = writer.room();
        writer.frames(room, put);
        writer.seal();
        self.give(1 - from, record)
    }

    /// The session of a side is over, its peer is told that code, and both links go on without.
    pub(crate) fn assert_closes(&mut self, side: usize, expected: CloseCode) {
        let close = self.record(side).expect("a CLOSE");
        self.links[1 - side].session.as_mut().unwrap().attach(Order::Strict);
        self.give(1 - side, close).unwrap();
        let told = self.events(1 - side).into_iter().find_map(|event| match event {
            Event::Detached(DetachCause::ClosedByPeer { code, .. }) => Some(code),
            _ => None,
        });
        assert_eq!(told, Some(expected));
        assert_eq!(self.links.each_ref().map(Link::state), [State::Detached; 2]);
    }
}
