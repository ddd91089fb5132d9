//! Who may cost this side a key exchange. Stands between the knock and the first public-key
//! operation; knows sources and counts, no keys of peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
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
/// Bounds: 1 024 half-open in all, 16 a prefix; 32 HELLOs a second and prefix on average, 64 at
/// once. Above half of the total, or where the transport proves no address, a HELLO must bring a
/// cookie first. Memory: at most 16 384 prefixes of about 100 bytes.
#[derive(Debug)]
pub struct Gate {
    cookies: CookieKey,
    total: usize,
    prefixes: BTreeMap<Source, Prefix>,
    by_time: BTreeSet<(Instant, Source)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Prefix {
    half_open: u16,
    /// When the next HELLO would be on time (generic cell rate algorithm).
    due: Instant,
}

const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / HELLOS_PER_SECOND as u64);

impl Gate {
    /// A gate whose cookies are made with `cookies`.
    #[must_use]
    pub fn new(cookies: CookieKey) -> Self {
        Self { cookies, total: 0, prefixes: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Handshakes under way.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.total
    }

    /// Judges a HELLO from `source`. `proven` says whether the transport proves that the sender is
    /// there (TCP does).
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
        let statement = greeting.cookie_statement();
        let brings = greeting.cookie();
        if !brings.is_empty() {
            if !self.cookies.accepts(brings, &source.0, &statement, now.unix) {
                return Err(HandshakeError::CookieInvalid);
            }
        } else if proven == Proven::No || self.total >= HALF_OPEN / 2 {
            let cookie = self.cookies.make(&source.0, &statement, now.unix);
            return Ok(Verdict::Retry(greeting.retry(&cookie)));
        }
        self.admit(source, now.instant).map(Verdict::Answer)
    }

    /// Takes one place for a handshake from `source`, before anything of it is read.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Busy`] over a bound.
    pub fn admit(&mut self, source: Source, now: Instant) -> Result<Ticket, HandshakeError> {
        if self.total >= HALF_OPEN {
            return Err(HandshakeError::Busy);
        }
        let mut prefix = self.prefixes.get(&source).copied().unwrap_or_default();
        if prefix.half_open >= HALF_OPEN_PER_PREFIX {
            return Err(HandshakeError::Busy);
        }
        let burst = INTERVAL * (HELLO_BURST - 1);
        if prefix.due > now.after(burst) {
            return Err(HandshakeError::Busy);
        }
        self.by_time.remove(&(prefix.due, source));
        prefix.due = prefix.due.max(now).after(INTERVAL);
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
