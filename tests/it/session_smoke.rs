//! Two parties shake hands and talk.

use crate::support::{opened, pair, sealed, start};

#[test]
fn what_one_side_seals_the_other_opens() {
    let mut pair = pair();
    let now = start().instant;
    let record = sealed(&mut pair.agent, now, b"hello");
    assert_eq!(opened(&mut pair.backend, now, &record), [b"hello".to_vec()]);
    let record = sealed(&mut pair.backend, now, b"welcome");
    assert_eq!(opened(&mut pair.agent, now, &record), [b"welcome".to_vec()]);
    assert!(pair.agent.is_open() && pair.backend.is_open());
    assert_eq!(pair.agent.id(), pair.backend.id());
    assert_eq!(pair.agent.binding(), pair.backend.binding());
}
