//! There is no other way to a session than a handshake, and none to accept before FINISH.

use waxwire::Now;
use waxwire::session::{Answered, Greeting, Session};

fn accept(answered: Answered, greeting: Greeting, now: Now) {
    let _ = answered.accept(Default::default(), now);
    let _ = greeting.accept(Default::default(), now);
}

fn main() {
    let _ = Session::default();
    let _ = accept;
}
