//! Fixed layouts of everything that crosses the wire, as proto-spec 03 to 07 draw them.
//!
//! Reading borrows from the received bytes, allocates nothing and checks every rule that needs no
//! key; writing appends to a buffer. No file here knows a key, a clock or a state.

#[cfg(any(feature = "__fuzz", test))]
mod again;
mod block;
mod close;
pub(crate) mod content;
mod credential;
#[cfg(test)]
mod edits;
mod frame;
mod hello;
mod list;
#[cfg_attr(
    not(any(feature = "__fuzz", test)),
    expect(dead_code, reason = "aliases are read and not written yet")
)]
pub(crate) mod message;
mod reader;
mod reply;
mod small;
mod writer;

pub use self::close::CloseCode;
pub use self::frame::FrameError;
pub use self::reader::Malformed;

pub(crate) use self::block::{Block, Claim, encode_claim};
pub(crate) use self::credential::{CredentialKind, CredentialLayout, EnrolmentLayout};
pub(crate) use self::frame::{
    FRAME_HEADER_BYTES, Frame, FrameKind, Frames, KeyUpdate, RekeyFrame, begin_frame,
    wipe_reset_token,
};
pub(crate) use self::hello::{Hello, HelloFields, HelloMarks, RESUME_ENTRY_BYTES};
pub(crate) use self::list::{List, put_entry};
pub(crate) use self::message::LinkFrame;
pub(crate) use self::reader::Reader;
pub(crate) use self::reply::{Reply, encode_reply};
pub(crate) use self::small::{NoSession, Reject, Retry};
pub(crate) use self::writer::{put_lv8, put_lv16};
