//! Length-prefixed fields, written. What is too long for its prefix is our own mistake and stops
//! the program rather than go out cut.

use bytes::{BufMut, BytesMut};

/// Writes a field with a one-byte length in front.
pub(crate) fn put_lv8(out: &mut BytesMut, field: &[u8]) {
    let length = u8::try_from(field.len());
    assert!(length.is_ok(), "a field is longer than its one-byte length");
    out.put_u8(length.unwrap_or(u8::MAX));
    out.put_slice(field);
}

/// Writes a field with a two-byte length in front.
pub(crate) fn put_lv16(out: &mut BytesMut, field: &[u8]) {
    out.put_u16(length16(field.len()));
    out.put_slice(field);
}

/// A length that fits two bytes.
pub(super) fn length16(count: usize) -> u16 {
    let length = u16::try_from(count);
    assert!(length.is_ok(), "a field is longer than its two-byte length");
    length.unwrap_or(u16::MAX)
}
