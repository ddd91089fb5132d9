//! Why a body is refused.

use crate::limits::{BODY_DEPTH, BODY_INTEGER_MAX};

/// Why a body is not written or not read. Holds nothing of the body, nor of what serde says about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It ends inside a value, or a length reaches beyond its end.
    #[error("a body ends before its value does")]
    Truncated,
    /// More arrays and maps in one another than a body may have.
    #[error("a body has arrays and maps in one another more than {BODY_DEPTH} deep")]
    TooDeep,
    /// Bytes follow the value.
    #[error("bytes follow the value of a body")]
    TrailingBytes,
    /// An integer that a client in JavaScript would round.
    #[error("an integer of a body is beyond {BODY_INTEGER_MAX} in one direction")]
    IntegerTooLarge,
    /// The byte 0xc1, which MessagePack never uses.
    #[error("a body holds the byte 0xc1, which MessagePack never uses")]
    Reserved,
    /// It is MessagePack, and not of the Rust type that was asked for.
    #[error("a body does not fit the type it is read as")]
    Type,
    /// The value cannot be written: its `Serialize` refused, or gave a wrong length.
    #[error("a value cannot be written as a body")]
    Unserializable,
}
