//! What the session itself has to say, beside an application's datagrams.

use waxwire::session::Event;

use crate::support::{deliver, opened, pair, sealed, seed, start};

#[test]
fn a_key_exchange_that_finds_no_room_beside_a_datagram_follows_it() {
    let (mut pair, now) = (pair(), start().instant);
    pair.agent.request_rekey();
    while pair.agent.poll_event().is_some() {}
    pair.agent.provide_seed(now, &seed(21));
    let payload = vec![5; pair.agent.record_bytes() - 64];
    let record = sealed(&mut pair.agent, now, &payload);
    assert_eq!(opened(&mut pair.backend, now, &record), [payload]);
    deliver(&mut pair.agent, &mut pair.backend, now);
    let events: Vec<_> = std::iter::from_fn(|| pair.backend.poll_event()).collect();
    assert!(events.contains(&Event::WantsSeed));
}
