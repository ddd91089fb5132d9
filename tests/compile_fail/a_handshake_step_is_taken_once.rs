//! An initiator that reads two answers would use its ephemeral key twice.

use waxwire::Now;
use waxwire::session::{Answered, Initiator};

fn initiate(initiator: Initiator, now: Now, one: &mut [u8], two: &mut [u8]) {
    let _ = initiator.handle(one, now);
    let _ = initiator.handle(two, now);
}

fn respond(answered: Answered, now: Now, one: &mut [u8], two: &mut [u8]) {
    let _ = answered.finish(one, now);
    let _ = answered.finish(two, now);
}

fn main() {
    let _ = (initiate, respond);
}
