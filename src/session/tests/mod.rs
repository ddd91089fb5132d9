//! What only a look inside proves: frames that no honest peer sends, counters near their ends, and
//! thieves who hold the keys.

mod control;
mod erasure;
mod facts;
mod frames;
mod gate;
mod hello;
mod limits;
mod nonces;
mod owned;
mod printed;
mod refresh;
mod rekey;
pub(crate) mod rig;
mod room;
mod strays;
mod theft;
mod wishes;
