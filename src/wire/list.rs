//! Lists of `{u16 type, lv16 value}` in strictly ascending order: the extensions of a HELLO and the
//! parameters of a REPLY and a FINISH.

use bytes::{BufMut, BytesMut};

use super::reader::{Malformed, Reader};
use super::writer::put_lv16;

/// Set in the type of an entry that its reader must know.
pub(crate) const CRITICAL: u16 = 0x8000;

/// A list whose form was checked when it was read.
#[derive(Clone, Copy)]
pub(crate) struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// Checks the form of a whole list.
    pub(crate) fn decode(bytes: &'a [u8], name: &'static str) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut last = None;
        while !reader.rest().is_empty() {
            let kind = reader.u16()?;
            reader.lv16()?;
            if last.is_some_and(|last| last >= kind) {
                return Err(Malformed::Order(name));
            }
            last = Some(kind);
        }
        Ok(Self(bytes))
    }

    /// The bytes the list was read from.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The value of an entry, if it is there.
    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.entries().find(|entry| entry.0 == kind).map(|entry| entry.1)
    }

    /// The first critical entry whose type is not among `known`.
    pub(crate) fn unknown_critical(&self, known: &[u16]) -> Option<u16> {
        let unknown = |kind: &u16| kind & CRITICAL != 0 && !known.contains(kind);
        self.entries().map(|entry| entry.0).find(unknown)
    }

    fn entries(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Some((reader.u16().ok()?, reader.lv16().ok()?)))
    }
}

/// Writes one entry of a list; the caller keeps the order.
pub(crate) fn put_entry(out: &mut BytesMut, kind: u16, value: &[u8]) {
    out.put_u16(kind);
    put_lv16(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edits::edited;
    use super::*;

    #[test]
    fn entries_are_found_by_their_type() {
        let bytes = list(&[(1, b"one"), (0x0200, b""), (0x8001, b"three")]);
        let read = List::decode(&bytes, "list").expect("well formed");
        assert_eq!(read.bytes(), bytes);
        assert_eq!(read.get(1), Some(&b"one"[..]));
        assert_eq!(read.get(0x0200), Some(&b""[..]));
        assert_eq!(read.get(0x8001), Some(&b"three"[..]));
        assert_eq!(read.get(2), None);
        assert!(List::decode(&[], "list").is_ok_and(|empty| empty.get(0).is_none()));
    }

    /// proto-spec [H-6]: types strictly ascend.
    #[test]
    fn a_type_that_does_not_ascend_is_refused() {
        for (first, second) in [(1, 0), (1, 1), (0x8000, 0x7fff), (0xffff, 0xffff)] {
            let bytes = list(&[(first, b"a"), (second, b"b")]);
            let refused = List::decode(&bytes, "params").err();
            assert_eq!(refused, Some(Malformed::Order("params")), "{first} {second}");
        }
        let last = list(&[(1, b""), (5, b""), (3, b"")]);
        assert_eq!(List::decode(&last, "params").err(), Some(Malformed::Order("params")));
        assert!(List::decode(&list(&[(0, b""), (1, b""), (0xffff, b"")]), "params").is_ok());
    }

    /// proto-spec [H-6]: no entry is cut short.
    #[test]
    fn an_entry_cut_short_is_refused() {
        let bytes = list(&[(7, b"value"), (8, b"")]);
        for length in (1..bytes.len()).filter(|length| *length != 9) {
            let cut = List::decode(&bytes[..length], "list").err();
            assert_eq!(cut, Some(Malformed::Truncated), "{length}");
        }
    }

    #[test]
    fn only_the_top_bit_makes_an_unknown_type_critical() {
        let critical = |kind, known: &[u16]| {
            let bytes = list(&[(0x0001, b""), (kind, b"")]);
            List::decode(&bytes, "list").ok().and_then(|list| list.unknown_critical(known))
        };
        for kind in [0x8000, 0x8001, 0xffff] {
            assert_eq!(critical(kind, &[]), Some(kind));
            assert_eq!(critical(kind, &[1]), Some(kind));
            assert_eq!(critical(kind, &[kind]), None);
        }
        assert_eq!(critical(0x7fff, &[]), None);
        let both = list(&[(0x8002, b""), (0x8003, b"")]);
        let both = List::decode(&both, "list").expect("well formed");
        assert_eq!(both.unknown_critical(&[0x8002]), Some(0x8003));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_is_read_is_written_the_same(
            bytes in edited(vec![list(&[(1, b"ab"), (2, b""), (0x8001, b"c")]), list(&[(0, b"")])]),
        ) {
            if let Ok(read) = List::decode(&bytes, "list") {
                let entries: Vec<_> = read.entries().collect();
                prop_assert_eq!(list(&entries), bytes);
            }
        }
    }

    fn list(entries: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = BytesMut::new();
        entries.iter().for_each(|(kind, value)| put_entry(&mut out, *kind, value));
        out.to_vec()
    }
}
