//! What a gate counts.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::rig::{agent_config, at, backend_config, seed, start};
use crate::session::gate::Proven;
use crate::session::{
    CookieKey, Gate, GateLimits, Greeting, HandshakeError, Initiator, Source, Ticket, Verdict,
};
use crate::time::Instant;

/// Burst and rate of one prefix, each to the last.
#[test]
fn one_prefix_has_its_burst_and_its_rate() {
    let limits = GateLimits { burst: 4, per_second: 2, ..GateLimits::default() };
    let mut gate = gate().with_limits(limits);
    let mut admitted = |at: Instant| {
        let tickets: Vec<_> = std::iter::from_fn(|| gate.admit(source(1), at).ok()).collect();
        let count = tickets.len();
        assert_eq!(gate.half_open(), count);
        tickets.into_iter().for_each(|ticket| gate.release(ticket));
        assert_eq!(gate.half_open(), 0);
        count
    };
    assert_eq!([0, 0, 1, 1, 2, 100].map(|seconds| admitted(at(seconds))), [4, 0, 2, 0, 2, 4]);
    let half = at(100).after(Duration::from_millis(500));
    assert_eq!(admitted(half), 1, "two a second are one each half");

    for number in 2..8 {
        let burst = (0..).take_while(|_| {
            gate.admit(source(number), at(200)).map(|ticket| gate.release(ticket)).is_ok()
        });
        assert_eq!(burst.count(), 4, "neighbours have bursts of their own");
    }
}

#[test]
fn places_are_counted_by_prefix_and_in_all() {
    let limits = GateLimits { half_open_per_prefix: 2, half_open: 3, ..GateLimits::default() };
    let mut gate = gate().with_limits(limits);
    let busy =
        |admitted: Result<Ticket, HandshakeError>| admitted.err() == Some(HandshakeError::Busy);
    let held = [1, 1].map(|number| gate.admit(source(number), at(0)).unwrap());
    assert!(busy(gate.admit(source(1), at(0))), "both places of the prefix are taken");
    let last = gate.admit(source(2), at(0)).unwrap();
    assert!(busy(gate.admit(source(3), at(0))), "all three places are taken");
    assert_eq!(gate.half_open(), 3);
    gate.release(last);
    assert!(busy(gate.admit(source(1), at(0))));
    let last = gate.admit(source(3), at(0)).unwrap();
    held.into_iter().chain([last]).for_each(|ticket| gate.release(ticket));
    assert_eq!(gate.half_open(), 0);
}

/// Below half of all places a transport that proves its peer's address is asked for no cookie;
/// from there on everyone is.
#[test]
fn a_crowded_gate_asks_for_cookies() {
    let limits = GateLimits { half_open: 5, ..GateLimits::default() };
    let mut gate = gate().with_limits(limits);
    let greeting = greeting();
    let asks = |gate: &Gate, proven| {
        gate.challenge(&greeting, source(9), proven, start()).unwrap().is_some()
    };
    let mut tickets = Vec::new();
    for (taken, crowded) in [(0, false), (1, false), (2, true), (3, true)] {
        assert_eq!(gate.half_open(), taken);
        assert_eq!(asks(&gate, Proven::Yes), crowded, "{taken} places taken");
        assert!(asks(&gate, Proven::No));
        tickets.push(gate.admit(source(u32::try_from(taken).unwrap()), at(0)).unwrap());
    }
    let asked = gate.judge(&greeting, source(9), Proven::No, start()).unwrap();
    assert!(matches!(asked, Verdict::Retry(_)));
    assert_eq!(gate.half_open(), 4, "a RETRY takes no place");
}

fn gate() -> Gate {
    Gate::new(CookieKey::new(&seed(70)))
}

/// Prefix `number`, each another /24.
fn source(number: u32) -> Source {
    Source::of(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (number << 8))))
}

fn greeting() -> Greeting {
    let (_, hello) = Initiator::start(Arc::new(agent_config()), None, &seed(11), start()).unwrap();
    Greeting::receive(Arc::new(backend_config()), &hello, at(0)).unwrap()
}
