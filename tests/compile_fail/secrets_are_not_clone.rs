//! A copy of a session would seal under the same nonces; a copy of a secret is one more to wipe.

use waxwire::session::{Accepting, Answered, Initiator, InitiatorChain, Knock, Session};
use waxwire::{Identity, Seed};

fn copied<T: Clone>() {}

fn main() {
    copied::<Session>();
    copied::<Identity>();
    copied::<Seed>();
    copied::<InitiatorChain>();
    copied::<Initiator>();
    copied::<Answered>();
    copied::<Accepting>();
    copied::<Knock>();
}
