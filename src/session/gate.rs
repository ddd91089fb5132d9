//! Who may cost this side a key exchange. Stands between the knock and the first public-key
//! operation; knows sources and counts, no keys of peers.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cookie::CookieKey;
use super::error::HandshakeError;
use super::responder::Greeting;
use crate::limits::{
    GATE_PREFIXES, HALF_OPEN, HALF_OPEN_PER_BLOCK, HALF_OPEN_PER_NETWORK, HALF_OPEN_PER_PREFIX,
    HELLO_BURST, HELLOS_PER_SECOND,
};
use crate::time::{Instant, Now};

/// Where a HELLO came from: a /24 of IPv4, a /56 of IPv6, or one place for all that has no address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Source([u8; 8]);

impl Source {
    /// A source that has no address, such as a pipe in memory.
    pub const LOCAL: Self = Self([0; 8]);

    /// The prefix of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self([4, a, b, c, 0, 0, 0, 0])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, ..] = v6.octets();
                Self([6, a, b, c, d, e, f, g])
            }
        }
    }

    /// Everyone this source shares an allowance with, narrowest first.
    fn groups(self) -> impl Iterator<Item = Group> {
        let Self([family, a, b, c, d, e, f, _]) = self;
        let (network, block) = match family {
            4 => (Some([4, a, b, 0, 0, 0, 0, 0]), None),
            6 => (Some([6, a, b, c, d, e, f, 0]), Some([6, a, b, c, d, 0, 0, 0])),
            _ => (None, None),
        };
        let wider = [(Width::Network, network), (Width::Block, block)];
        let wider = wider.into_iter().filter_map(|(width, bytes)| Some(Group(width, bytes?)));
        std::iter::once(Group(Width::Prefix, self.0)).chain(wider)
    }
}

/// Sources that share an allowance: the width, and what their addresses begin with.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Group(Width, [u8; 8]);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Width {
    /// A /24 of IPv4, a /56 of IPv6, or all that has no address.
    Prefix,
    /// A /16 of IPv4, or a /48 of IPv6: what one site or customer has.
    Network,
    /// A /32 of IPv6: what one provider has.
    Block,
}

/// Leave to answer one HELLO. Give it back with [`Gate::release`] when the handshake is over.
#[derive(Debug)]
#[must_use = "a ticket that is not released holds its place for ever"]
pub struct Ticket(Source);

/// What to do with a HELLO.
#[derive(Debug)]
pub enum Verdict {
    /// Answer it.
    Answer(Ticket),
    /// Send this RETRY and forget the HELLO.
    Retry(bytes::Bytes),
}

/// Counts handshakes under way and their rate, by source.
///
/// Whoever has many prefixes is held by what holds for the network and the block around them, so no
/// one network takes more than a quarter of all places, and no one block more than half.
///
/// Above half of all places, or where the transport proves no address, a HELLO must bring a cookie
/// first. Memory: at most 16 384 prefixes, networks and blocks of about 100 bytes, 1.6 MB in all; those
/// of handshakes under way, three each at most, where [`GateLimits::half_open`] is above 5 461.
#[derive(Debug)]
pub struct Gate {
    cookies: CookieKey,
    limits: GateLimits,
    total: usize,
    groups: BTreeMap<Group, Use>,
    /// Groups of which nothing is under way, by when they were last heard of.
    silent: BTreeSet<(Instant, Group)>,
}

/// How much a [`Gate`] lets through.
///
/// Behind a load balancer or a relay all agents come from its address: raise what holds for one
/// prefix there to what holds for all. What holds for a network or a block is never less than that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GateLimits {
    /// Handshakes under way in all. Default 1 024.
    pub half_open: usize,
    /// Handshakes under way from one prefix, /24 or /56. Default 16.
    pub half_open_per_prefix: u16,
    /// Handshakes under way from one network, /16 or /48. Default 256.
    pub half_open_per_network: u16,
    /// Handshakes under way from one block, /32 of IPv6. Default 512.
    pub half_open_per_block: u16,
    /// Handshakes that one prefix may begin a second, on average. Default 32. A network or a block
    /// may begin as many times more as it may have under way.
    pub per_second: u32,
    /// Handshakes that one prefix may begin at once after silence. Default 64. For a network or a
    /// block as above.
    pub burst: u32,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            half_open: HALF_OPEN,
            half_open_per_prefix: HALF_OPEN_PER_PREFIX,
            half_open_per_network: HALF_OPEN_PER_NETWORK,
            half_open_per_block: HALF_OPEN_PER_BLOCK,
            per_second: HELLOS_PER_SECOND,
            burst: HELLO_BURST,
        }
    }
}

impl GateLimits {
    fn of(&self, width: Width) -> Allowance {
        let prefix = self.half_open_per_prefix;
        let network = self.half_open_per_network.max(prefix);
        let half_open = match width {
            Width::Prefix => prefix,
            Width::Network => network,
            Width::Block => self.half_open_per_block.max(network),
        };
        let times = u32::from(half_open / prefix.max(1)).max(1);
        let interval = Duration::from_secs(1) / self.per_second.saturating_mul(times).max(1);
        let burst = self.burst.saturating_mul(times);
        Allowance { half_open, interval, lead: interval * burst.saturating_sub(1) }
    }
}

/// What one group may take.
struct Allowance {
    half_open: u16,
    /// Between two handshakes, on average.
    interval: Duration,
    /// How far ahead of that average.
    lead: Duration,
}

impl Allowance {
    fn admits(&self, used: Use, now: Instant) -> bool {
        used.half_open < self.half_open && used.due <= now.after(self.lead)
    }
}

/// What one group has taken.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    half_open: u16,
    /// When the next HELLO would be on time (generic cell rate algorithm).
    due: Instant,
}

impl Gate {
    /// A gate whose cookies are made with `cookies`.
    #[must_use]
    pub fn new(cookies: CookieKey) -> Self {
        let limits = GateLimits::default();
        Self { cookies, limits, total: 0, groups: BTreeMap::new(), silent: BTreeSet::new() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: GateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Handshakes under way.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.total
    }

    /// Judges a HELLO from `source`, and takes a place for it if it is to be answered. `proven` says
    /// whether the transport proves that the sender is there (TCP does).
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Busy`] over a bound, [`HandshakeError::CookieInvalid`] if it brings a
    /// cookie that is not ours for it.
    pub fn judge(
        &mut self,
        greeting: &Greeting,
        source: Source,
        proven: Proven,
        now: Now,
    ) -> Result<Verdict, HandshakeError> {
        match self.challenge(greeting, source, proven, now)? {
            Some(retry) => Ok(Verdict::Retry(retry)),
            None => self.admit(source, now.instant).map(Verdict::Answer),
        }
    }

    /// Judges the cookie of a HELLO for which a place was taken already: the RETRY to send if it
    /// must bring one first.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::CookieInvalid`] as in [`Gate::judge`].
    pub fn challenge(
        &self,
        greeting: &Greeting,
        source: Source,
        proven: Proven,
        now: Now,
    ) -> Result<Option<bytes::Bytes>, HandshakeError> {
        let statement = greeting.cookie_statement();
        let brings = greeting.cookie();
        if !brings.is_empty() {
            let ours = self.cookies.accepts(brings, &source.0, &statement, now.unix);
            return if ours { Ok(None) } else { Err(HandshakeError::CookieInvalid) };
        }
        let crowded = self.total >= self.limits.half_open / 2;
        if proven == Proven::Yes && !crowded {
            return Ok(None);
        }
        let cookie = self.cookies.make(&source.0, &statement, now.unix);
        Ok(Some(greeting.retry(&cookie)))
    }

    /// Takes one place for a handshake from `source`, before anything of it is read.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Busy`] over a bound.
    pub fn admit(&mut self, source: Source, now: Instant) -> Result<Ticket, HandshakeError> {
        if self.total >= self.limits.half_open {
            return Err(HandshakeError::Busy);
        }
        let fits = source.groups().all(|group| {
            let used = self.groups.get(&group).copied().unwrap_or_default();
            self.limits.of(group.0).admits(used, now)
        });
        if !fits {
            return Err(HandshakeError::Busy);
        }
        for group in source.groups() {
            let used = self.groups.entry(group).or_default();
            self.silent.remove(&(used.due, group));
            used.due = used.due.max(now).after(self.limits.of(group.0).interval);
            used.half_open += 1;
        }
        self.total += 1;
        self.forget_silent();
        Ok(Ticket(source))
    }

    /// Takes a place back.
    pub fn release(&mut self, ticket: Ticket) {
        for group in ticket.0.groups() {
            let Some(used) = self.groups.get_mut(&group) else { continue };
            used.half_open = used.half_open.saturating_sub(1);
            if used.half_open == 0 {
                self.silent.insert((used.due, group));
            }
        }
        self.total = self.total.saturating_sub(1);
    }

    /// Forgets the longest silent groups beyond the bound, none of which anything is under way.
    fn forget_silent(&mut self) {
        while self.groups.len() > GATE_PREFIXES
            && let Some((_, group)) = self.silent.pop_first()
        {
            self.groups.remove(&group);
        }
    }
}

/// Whether the transport proves that a sender is where it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proven {
    /// It does: TCP, WebSocket, a pipe.
    Yes,
    /// It does not: datagrams, or a relay that speaks for others.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Seed;

    const START: Instant = Instant::from_nanos(1_000);

    /// Twice as many networks as are remembered, some with a handshake under way: what is
    /// remembered stays bounded, and nobody under way is forgotten.
    #[test]
    fn what_is_remembered_of_sources_is_bounded() {
        let seed = Seed::dangerous_reproducible([70; 32]);
        let mut gate = Gate::new(CookieKey::new(&seed));
        let held: Vec<_> = (0..100).map(|number| gate.admit(network(number), START)).collect();
        for number in 0..2 * u32::try_from(GATE_PREFIXES).unwrap() {
            let now = START.after(Duration::from_micros(number.into()));
            if let Ok(ticket) = gate.admit(network(1_000 + number), now) {
                gate.release(ticket);
            }
        }
        assert_eq!(gate.groups.len(), GATE_PREFIXES);
        let under_way = gate.groups.values().filter(|used| used.half_open > 0).count();
        assert_eq!(gate.silent.len() + under_way, gate.groups.len());
        for ticket in held {
            gate.release(ticket.expect("a place"));
        }
        assert_eq!(gate.half_open(), 0);
        assert!(gate.groups.values().all(|used| used.half_open == 0));
        assert_eq!(gate.silent.len(), gate.groups.len());
    }

    /// Whoever raises what holds for a prefix need not know of what is around it.
    #[test]
    fn a_wider_bound_is_never_the_narrower_one() {
        let limits = GateLimits { half_open_per_prefix: 1_000, ..GateLimits::default() };
        for width in [Width::Prefix, Width::Network, Width::Block] {
            assert_eq!(limits.of(width).half_open, 1_000);
        }
        let limits = GateLimits { half_open_per_prefix: 0, ..limits };
        assert!(!limits.of(Width::Prefix).admits(Use::default(), START));
    }

    /// An IPv6 network of its own block.
    fn network(number: u32) -> Source {
        let [a, b, c, d] = number.to_be_bytes();
        Source([6, 0x20 | a, b, c, d, 0, 0, 0])
    }
}
