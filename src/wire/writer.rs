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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stands_behind_its_length() {
        let mut out = BytesMut::new();
        put_lv8(&mut out, &[7, 8]);
        put_lv16(&mut out, &[9]);
        assert_eq!(out[..], [2, 7, 8, 0, 1, 9]);
    }

    #[test]
    fn the_longest_field_fits_its_prefix() {
        let mut out = BytesMut::new();
        put_lv8(&mut out, &[1; 255]);
        assert_eq!((out.len(), out[0]), (256, 255));
        assert_eq!(length16(65_535), u16::MAX);
        assert_eq!(length16(0x0102), 0x0102);
    }

    #[test]
    #[should_panic(expected = "one-byte length")]
    fn a_field_longer_than_one_byte_says_is_never_written() {
        put_lv8(&mut BytesMut::new(), &[1; 256]);
    }

    #[test]
    #[should_panic(expected = "two-byte length")]
    fn a_field_longer_than_two_bytes_say_is_never_written() {
        put_lv16(&mut BytesMut::new(), &[1; 65_536]);
    }
}
