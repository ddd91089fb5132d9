//! Typed bodies: serde on one side, checked bytes on the other.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::BodyError;
use super::walk::check;

/// Writes a body. Fields of a struct are named, so that a reader may know more of them or fewer.
///
/// ```
/// use std::collections::BTreeMap;
/// use waxwire::body;
///
/// let load = BTreeMap::from([("cpu", 80), ("memory", 35)]);
/// let bytes = body::to_bytes(&load)?;
/// let read: BTreeMap<String, u8> = body::from_slice(&bytes)?;
/// assert_eq!(read["cpu"], 80);
/// assert_eq!(body::to_bytes(&u64::MAX), Err(body::BodyError::IntegerTooLarge));
/// # Ok::<(), body::BodyError>(())
/// ```
///
/// # Errors
///
/// [`BodyError::TooDeep`] and [`BodyError::IntegerTooLarge`] if a peer would refuse it, and
/// [`BodyError::Unserializable`]. A value of your own that is nested thousands deep overflows the
/// stack while it is written.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, BodyError> {
    let mut out = Vec::new();
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map();
    value.serialize(&mut serializer).map_err(|_| BodyError::Unserializable)?;
    match check(&out) {
        Ok(()) => Ok(Bytes::from(out)),
        Err(BodyError::Truncated | BodyError::TrailingBytes) => Err(BodyError::Unserializable),
        Err(error) => Err(error),
    }
}

/// Reads a body.
///
/// # Errors
///
/// [`BodyError`]; nothing of the body was given to `T` unless it is [`BodyError::Type`].
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    check(bytes)?;
    rmp_serde::from_slice(bytes).map_err(|_| BodyError::Type)
}
