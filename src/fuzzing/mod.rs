//! Bodies of the fuzz targets, what `tests/ct` follows secrets through, and what `tests/autobahn.rs`
//! talks to, behind the private feature `__fuzz`: no stability is promised.
//!
//! Each target takes a fuzzer's bytes, builds its state anew, and asserts what must hold for any bytes.
//! `fuzz/fuzz_targets` calls them under libFuzzer, where `cfg(fuzzing)` puts a mock cipher in place
//! of the real one; `tests/corpus.rs` replays what was found with the real one.

mod bodies;
mod calls;
mod channel;
mod craft;
mod curves;
mod end;
mod frames;
mod handshake;
mod input;
mod layouts;
mod link;
mod link_names;
mod link_seeds;
mod live;
#[cfg(feature = "websocket")]
mod messages;
mod parties;
mod resumption;
mod seeds;
mod sim;

pub use crate::crypto::bare;
pub use crate::session::claiming;

pub use self::bodies::body;
pub use self::calls::call;
pub use self::channel::channel;
pub use self::curves::{channel_hearers, channel_look_ups, queue_turns};
pub use self::frames::message;
pub use self::handshake::handshake;
pub use self::layouts::{
    credential, finish_block, frames, hello, record_header, reply, reply_block,
};
pub use self::link::link;
pub use self::live::session;
#[cfg(feature = "websocket")]
pub use self::messages::accept_messages;
pub use self::resumption::resume;
pub use self::seeds::{TARGETS, seeds};
pub use self::sim::{Played, play};
