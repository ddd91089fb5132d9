//! Names of the two sides of a fuzzed link, and what bytes of an input stand for.

use crate::channel::{ChannelName, Pattern};
use crate::delivery::word::Epoch;
use crate::ids::PeerId;
use crate::link::Reliability;
use crate::priority::Class;

pub(super) fn name(side: usize) -> PeerId {
    match PeerId::new(if side == 0 { "agent" } else { "backend" }) {
        Ok(name) => name,
        Err(error) => unreachable!("it is a name: {error}"),
    }
}

/// The channel on which a side speaks.
pub(super) fn channel(side: usize, topic: &str) -> ChannelName {
    let made = match side {
        0 => ChannelName::agent(&name(0), topic),
        _ => ChannelName::backend(&name(0), topic),
    };
    match made {
        Ok(channel) => channel,
        Err(error) => unreachable!("it is a channel: {error}"),
    }
}

/// Everything that a side may hear.
pub(super) fn all(side: usize) -> Pattern {
    match Pattern::new(if side == 0 { "backend.agent.>" } else { "agent.>" }) {
        Ok(pattern) => pattern,
        Err(error) => unreachable!("it is a pattern: {error}"),
    }
}

pub(super) fn epoch(number: u8) -> Epoch {
    match Epoch::from_bytes([number; 16]) {
        Some(epoch) => epoch,
        None => unreachable!("it is not zero"),
    }
}

pub(super) fn class(how: u8) -> Class {
    match how & 3 {
        0 => Class::Critical,
        1 => Class::High,
        2 => Class::Normal,
        _ => Class::Low,
    }
}

pub(super) fn reliability(is_numbered: bool) -> Reliability {
    if is_numbered { Reliability::AtLeastOnce } else { Reliability::BestEffort }
}
