//! Who may cost this side a key exchange. Stands between the knock and the first public-key
//! operation; knows sources and counts, no keys of peers.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cookie::CookieKey;
use super::error::HandshakeError;
use super::responder::Greeting;
use crate::limits::{
    GATE_PREFIXES, HALF_OPEN, HALF_OPEN_PER_PREFIX, HELLO_BURST, HELLOS_PER_SECOND,
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
/// Above half of all places, or where the transport proves no address, a HELLO must bring a cookie
/// first. Memory: at most 16 384 prefixes of about 100 bytes.
#[derive(Debug)]
pub struct Gate {
    cookies: CookieKey,
    limits: GateLimits,
    total: usize,
    prefixes: BTreeMap<Source, Prefix>,
    by_time: BTreeSet<(Instant, Source)>,
}

/// How much a [`Gate`] lets through.
///
/// Behind a load balancer or a relay all agents come from its address: raise what holds for one
/// prefix there to what holds for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GateLimits {
    /// Handshakes under way in all. Default 1 024.
    pub half_open: usize,
    /// Handshakes under way from one prefix. Default 16.
    pub half_open_per_prefix: u16,
    /// Handshakes that one prefix may begin a second, on average. Default 32.
    pub per_second: u32,
    /// Handshakes that one prefix may begin at once after silence. Default 64.
    pub burst: u32,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            half_open: HALF_OPEN,
            half_open_per_prefix: HALF_OPEN_PER_PREFIX,
            per_second: HELLOS_PER_SECOND,
            burst: HELLO_BURST,
        }
    }
}

impl GateLimits {
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Prefix {
    half_open: u16,
    /// When the next HELLO would be on time (generic cell rate algorithm).
    due: Instant,
}

impl Gate {
    /// A gate whose cookies are made with `cookies`.
    #[must_use]
    pub fn new(cookies: CookieKey) -> Self {
        let limits = GateLimits::default();
        Self { cookies, limits, total: 0, prefixes: BTreeMap::new(), by_time: BTreeSet::new() }
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
        let mut prefix = self.prefixes.get(&source).copied().unwrap_or_default();
        if prefix.half_open >= self.limits.half_open_per_prefix {
            return Err(HandshakeError::Busy);
        }
        let interval = self.limits.interval();
        if prefix.due > now.after(interval * self.limits.burst.saturating_sub(1)) {
            return Err(HandshakeError::Busy);
        }
        self.by_time.remove(&(prefix.due, source));
        prefix.due = prefix.due.max(now).after(interval);
        prefix.half_open += 1;
        self.total += 1;
        self.prefixes.insert(source, prefix);
        self.by_time.insert((prefix.due, source));
        self.forget_silent();
        Ok(Ticket(source))
    }

    /// Takes a place back.
    pub fn release(&mut self, ticket: Ticket) {
        if let Some(prefix) = self.prefixes.get_mut(&ticket.0) {
            prefix.half_open = prefix.half_open.saturating_sub(1);
        }
        self.total = self.total.saturating_sub(1);
    }

    /// Forgets the longest silent prefix beyond the bound, unless handshakes of it are under way.
    fn forget_silent(&mut self) {
        if self.prefixes.len() <= GATE_PREFIXES {
            return;
        }
        let idle = |entry: &&(Instant, Source)| {
            self.prefixes.get(&entry.1).is_none_or(|prefix| prefix.half_open == 0)
        };
        if let Some(entry) = self.by_time.iter().find(idle).copied() {
            self.by_time.remove(&entry);
            self.prefixes.remove(&entry.1);
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
