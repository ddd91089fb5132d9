//! How large content is split. Holds no content: it says which range goes next, so that others go
//! between.

use std::ops::Range;

use crate::limits::{CHUNK_BYTES, CHUNK_BYTES_MIN, MESSAGE_BYTES_MAX};

/// What of one content was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunks {
    total: u32,
    sent: u32,
}

/// What is sent next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    /// It announces the total.
    pub first: bool,
    /// Nothing follows it.
    pub last: bool,
    /// Where its range begins, as the wire says it.
    pub offset: u32,
    /// What of the content goes.
    pub range: Range<usize>,
}

impl Chunks {
    /// Splits `total` bytes. `None` if that is nothing, or more than a message may have.
    pub(crate) fn new(total: usize) -> Option<Self> {
        let allowed = (1..=MESSAGE_BYTES_MAX).contains(&total);
        u32::try_from(total).ok().filter(|_| allowed).map(|total| Self { total, sent: 0 })
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// Bytes that were not sent yet.
    pub(crate) fn left(&self) -> usize {
        (self.total - self.sent) as usize
    }

    /// The next piece for a record with `room` bytes for it. `None` if none is left, or if the room
    /// is not worth a frame: below [`CHUNK_BYTES_MIN`] unless the rest fits.
    pub(crate) fn next(&mut self, room: usize) -> Option<Piece> {
        let left = self.left();
        let bytes = left.min(room).min(CHUNK_BYTES);
        if bytes == 0 || bytes < left.min(CHUNK_BYTES_MIN) {
            return None;
        }
        let offset = self.sent;
        self.sent = offset.saturating_add(u32::try_from(bytes).ok()?).min(self.total);
        let range = offset as usize..self.sent as usize;
        Some(Piece { first: offset == 0, last: self.left() == 0, offset, range })
    }

    /// Begins anew, for a session that knows nothing of the pieces before.
    pub(crate) fn restart(&mut self) {
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_are_of_one_record_at_most() {
        let mut chunks = Chunks::new(40_000).unwrap();
        assert_eq!(chunks.next(60_000).unwrap(), piece(true, false, 0..16_384));
        assert_eq!(chunks.next(60_000).unwrap(), piece(false, false, 16_384..32_768));
        assert_eq!(chunks.next(60_000).unwrap(), piece(false, true, 32_768..40_000));
        assert_eq!(chunks.next(60_000), None);
    }

    #[test]
    fn a_small_rest_goes_in_one_piece() {
        let mut chunks = Chunks::new(1).unwrap();
        assert_eq!(chunks.next(0), None);
        assert_eq!(chunks.next(1).unwrap(), piece(true, true, 0..1));
    }

    #[test]
    fn a_room_that_is_not_worth_a_frame_is_left() {
        let mut chunks = Chunks::new(2_000).unwrap();
        assert_eq!(chunks.next(511), None);
        assert_eq!(chunks.next(1_600).unwrap(), piece(true, false, 0..1_600));
        assert_eq!(chunks.next(399), None);
        assert_eq!(chunks.next(400).unwrap(), piece(false, true, 1_600..2_000));
    }

    #[test]
    fn nothing_and_too_much_are_not_split() {
        assert_eq!(Chunks::new(0), None);
        assert!(Chunks::new(64 << 20).is_some());
        assert_eq!(Chunks::new((64 << 20) + 1), None);
    }

    #[test]
    fn a_restart_begins_with_the_first_piece() {
        let mut chunks = Chunks::new(20_000).unwrap();
        chunks.next(16_384);
        assert_eq!((chunks.total(), chunks.left()), (20_000, 3_616));
        chunks.restart();
        assert_eq!(chunks.next(16_384).unwrap(), piece(true, false, 0..16_384));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn pieces_cover_the_content_once_and_in_order(
            total in 1_usize..200_000,
            rooms in prop::collection::vec(0_usize..70_000, 1..20),
        ) {
            let mut chunks = Chunks::new(total).unwrap();
            let mut next = 0;
            for room in rooms.into_iter().chain(std::iter::repeat(CHUNK_BYTES)) {
                let Some(piece) = chunks.next(room) else {
                    prop_assert!(room < 512);
                    continue;
                };
                prop_assert!(!piece.range.is_empty() && piece.range.len() <= room.min(CHUNK_BYTES));
                prop_assert_eq!((piece.range.start, piece.offset as usize), (next, next));
                prop_assert_eq!(piece.first, next == 0);
                next = piece.range.end;
                prop_assert_eq!(piece.last, next == total);
                if piece.last {
                    break;
                }
            }
            prop_assert_eq!(chunks.next(CHUNK_BYTES), None);
        }
    }

    fn piece(first: bool, last: bool, range: Range<usize>) -> Piece {
        Piece { first, last, offset: u32::try_from(range.start).unwrap(), range }
    }
}
