//! What a message says, in MessagePack: typed bodies through serde, and headers.
//!
//! A body is read after its sender was proven, and is hostile all the same: its structure is checked
//! before serde sees it, without recursion or allocation. It is one value; arrays and maps stand in
//! one another at most [16 deep](crate::limits::BODY_DEPTH), and no integer is beyond
//! [2^53](crate::limits::BODY_INTEGER_MAX), so that a client in JavaScript reads what was written.
//!
//! Knows no frame, channel or call.

mod codec;
mod error;
mod headers;
#[cfg(test)]
mod tests;
mod token;
mod walk;

pub use self::codec::{from_slice, to_bytes};
pub use self::error::BodyError;
pub use self::headers::{HeaderError, Headers};
