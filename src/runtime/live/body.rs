//! What a payload may be made of, and read as.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::{BodyError, from_slice, to_bytes};

/// A value that travels as MessagePack, with the bounds of [`crate::body`].
///
/// ```
/// use waxwire::{Body, IntoPayload};
///
/// #[derive(serde::Serialize)]
/// struct Anomaly {
///     process: &'static str,
///     score: f32,
/// }
///
/// let payload = Body(Anomaly { process: "sshd", score: 0.9 }).into_payload()?;
/// assert!(payload.len() < 32);
/// # Ok::<(), waxwire::body::BodyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Body<T>(pub T);

/// What can be sent: bytes, which travel as they are, or a [`Body`].
pub trait IntoPayload {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if there is no MessagePack for it.
    fn into_payload(self) -> Result<Bytes, BodyError>;
}

impl<T: Serialize> IntoPayload for Body<T> {
    fn into_payload(self) -> Result<Bytes, BodyError> {
        to_bytes(&self.0)
    }
}

macro_rules! bytes {
    ($($kind:ty: $value:ident => $bytes:expr),* $(,)?) => {$(
        impl IntoPayload for $kind {
            fn into_payload(self) -> Result<Bytes, BodyError> {
                let $value = self;
                Ok($bytes)
            }
        }
    )*};
}

bytes! {
    Bytes: bytes => bytes,
    Vec<u8>: bytes => bytes.into(),
    String: text => text.into(),
    &[u8]: bytes => Bytes::copy_from_slice(bytes),
    &str: text => Bytes::copy_from_slice(text.as_bytes()),
    (): _nothing => Bytes::new(),
}

impl<const N: usize> IntoPayload for &[u8; N] {
    fn into_payload(self) -> Result<Bytes, BodyError> {
        Ok(Bytes::copy_from_slice(self))
    }
}

impl<const N: usize> IntoPayload for [u8; N] {
    fn into_payload(self) -> Result<Bytes, BodyError> {
        Ok(Bytes::copy_from_slice(&self))
    }
}

/// What a payload can be read as.
pub trait FromPayload: Sized {
    /// Reads the payload of a peer.
    ///
    /// # Errors
    ///
    /// [`BodyError`] if it is something else.
    fn from_payload(payload: Bytes) -> Result<Self, BodyError>;
}

impl FromPayload for Bytes {
    fn from_payload(payload: Bytes) -> Result<Self, BodyError> {
        Ok(payload)
    }
}

impl<T: DeserializeOwned> FromPayload for Body<T> {
    fn from_payload(payload: Bytes) -> Result<Self, BodyError> {
        from_slice(&payload).map(Self)
    }
}
