//! What only a look inside proves: frames that no honest peer sends, counters near their ends, and
//! thieves who hold the keys.

mod erasure;
mod frames;
mod limits;
mod nonces;
mod refresh;
mod rekey;
pub(crate) mod rig;
mod theft;
