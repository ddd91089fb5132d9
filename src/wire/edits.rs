//! What the tests of every layout do to encoded bytes.

use proptest::prelude::*;

use super::reader::Malformed;

/// Asserts that every beginning of `bytes` is refused as cut short, and `bytes` with one more byte
/// as too long.
pub(super) fn assert_fills<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, Malformed>) {
    for length in 0..bytes.len() {
        let cut = decode(&bytes[..length]).err();
        assert_eq!(cut, Some(Malformed::Truncated), "{length} of {} bytes", bytes.len());
    }
    assert_eq!(decode(bytes).err(), None);
    for last in [0, 1] {
        let long = decode(&[bytes, &[last]].concat()).err();
        assert_eq!(long, Some(Malformed::TrailingBytes));
    }
}

/// One of `valid` with up to three bytes changed, doubled or removed: often still valid.
pub(super) fn edited(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>());
    let edits = prop::collection::vec(edit, 0..4);
    (prop::sample::select(valid), edits).prop_map(|(mut bytes, edits)| {
        for (index, what, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let index = index.index(bytes.len());
            match what {
                0 => bytes.insert(index, byte),
                1 => _ = bytes.remove(index),
                _ => bytes[index] = byte,
            }
        }
        bytes
    })
}
