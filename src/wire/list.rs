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
