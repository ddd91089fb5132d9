//! Content that arrives in pieces, at most one in each class. Memory grows with what arrived and
//! never with what was announced. Knows no frame.

use bytes::Bytes;

use super::per_class::PerClass;
use crate::limits::{CHUNK_BYTES, MESSAGE_BYTES, MESSAGE_BYTES_MAX, REASSEMBLY_BYTES};
use crate::priority::Class;

/// Why a piece is refused. The peer breaks the protocol: what had arrived of that content is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ChunkError {
    /// A piece of content that was not begun.
    #[error("a piece came before the first of its message")]
    NotBegun,
    /// Content begins while other content of the class is not finished.
    #[error("a message begins inside another of its class")]
    BegunTwice,
    /// The piece lies beyond what arrived.
    #[error("a piece is missing")]
    Gap,
    /// The piece lies in what arrived.
    #[error("a piece overlaps the one before")]
    Overlap,
    /// The piece has no bytes.
    #[error("a piece is empty")]
    Empty,
    /// The pieces have more bytes than were announced.
    #[error("a message is longer than announced")]
    Longer,
    /// The last piece came before all that was announced.
    #[error("a message is shorter than announced")]
    Shorter,
    /// All that was announced arrived, and the piece is not the last.
    #[error("a message does not end where announced")]
    Endless,
    /// More is announced than a message may have.
    #[error("a message is too large")]
    TooLarge,
    /// Unfinished content of all classes has no room for the piece.
    #[error("unfinished messages exceed their budget")]
    OverBudget,
}

/// Whether pieces follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    More,
    Last,
}

/// How much may be unfinished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ReassemblyBounds {
    /// Bytes of one message; not above [`MESSAGE_BYTES_MAX`].
    pub message_bytes: usize,
    /// Bytes of all that is unfinished.
    pub total_bytes: usize,
}

impl Default for ReassemblyBounds {
    fn default() -> Self {
        Self { message_bytes: MESSAGE_BYTES, total_bytes: REASSEMBLY_BYTES }
    }
}

#[derive(Debug)]
struct Slot<M> {
    about: M,
    total: usize,
    arrived: Vec<u8>,
}

/// Unfinished content of every class, with what the first piece said about it.
#[derive(Debug)]
pub(crate) struct Reassembly<M> {
    bounds: ReassemblyBounds,
    slots: PerClass<Option<Slot<M>>>,
    /// Bytes allocated.
    held: usize,
}

impl<M> Reassembly<M> {
    pub(crate) fn new(bounds: ReassemblyBounds) -> Self {
        let message_bytes = bounds.message_bytes.min(MESSAGE_BYTES_MAX);
        let bounds = ReassemblyBounds { message_bytes, ..bounds };
        Self { bounds, slots: PerClass::from_fn(|_| None), held: 0 }
    }

    /// Bytes that unfinished content holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held
    }

    /// Whether content of `class` is unfinished.
    pub(crate) fn is_open(&self, class: Class) -> bool {
        self.slots.get(class).is_some()
    }

    /// Takes the first piece of content of `total` bytes.
    ///
    /// # Errors
    ///
    /// [`ChunkError`]; nothing of the class is held any more.
    pub(crate) fn begin(
        &mut self,
        class: Class,
        about: M,
        total: u32,
        data: &[u8],
        end: End,
    ) -> Result<Option<(M, Bytes)>, ChunkError> {
        if self.close(class).is_some() {
            return Err(ChunkError::BegunTwice);
        }
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        if total > self.bounds.message_bytes {
            return Err(ChunkError::TooLarge);
        }
        self.put(class, Slot { about, total, arrived: Vec::new() }, data, end)
    }

    /// Takes a piece that continues at `offset`.
    ///
    /// # Errors
    ///
    /// [`ChunkError`]; nothing of the class is held any more.
    pub(crate) fn extend(
        &mut self,
        class: Class,
        offset: u32,
        data: &[u8],
        end: End,
    ) -> Result<Option<(M, Bytes)>, ChunkError> {
        let slot = self.close(class).ok_or(ChunkError::NotBegun)?;
        match usize::try_from(offset).unwrap_or(usize::MAX).cmp(&slot.arrived.len()) {
            std::cmp::Ordering::Less => Err(ChunkError::Overlap),
            std::cmp::Ordering::Greater => Err(ChunkError::Gap),
            std::cmp::Ordering::Equal => self.put(class, slot, data, end),
        }
    }

    /// The session is gone, and with it all that is unfinished.
    pub(crate) fn reset(&mut self) {
        self.slots = PerClass::from_fn(|_| None);
        self.held = 0;
    }

    fn put(
        &mut self,
        class: Class,
        mut slot: Slot<M>,
        data: &[u8],
        end: End,
    ) -> Result<Option<(M, Bytes)>, ChunkError> {
        let missing = slot.total - slot.arrived.len();
        match (data.len().cmp(&missing), end) {
            _ if data.is_empty() => return Err(ChunkError::Empty),
            (std::cmp::Ordering::Greater, _) => return Err(ChunkError::Longer),
            (std::cmp::Ordering::Less, End::Last) => return Err(ChunkError::Shorter),
            (std::cmp::Ordering::Equal, End::More) => return Err(ChunkError::Endless),
            _ => {}
        }
        let needed = slot.arrived.len() + data.len();
        let budget = self.bounds.total_bytes.saturating_sub(self.held);
        if needed > budget {
            return Err(ChunkError::OverBudget);
        }
        if needed > slot.arrived.capacity() {
            let capacity = grown(needed, slot.total).min(budget);
            slot.arrived.reserve_exact(capacity - slot.arrived.len());
        }
        slot.arrived.extend_from_slice(data);
        if end == End::Last {
            return Ok(Some((slot.about, slot.arrived.into())));
        }
        self.held += slot.arrived.capacity();
        *self.slots.get_mut(class) = Some(slot);
        Ok(None)
    }

    /// Takes what is unfinished out of the sum.
    fn close(&mut self, class: Class) -> Option<Slot<M>> {
        let slot = self.slots.get_mut(class).take()?;
        self.held -= slot.arrived.capacity();
        Some(slot)
    }
}

/// Capacity for `needed` bytes: twice that, so that growing costs one copy of each byte on average,
/// but no more than will come, and at least one piece.
fn grown(needed: usize, total: usize) -> usize {
    needed.saturating_mul(2).max(CHUNK_BYTES).min(total).max(needed)
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::chunk::Chunks;

    const LOW: Class = Class::Low;

    #[test]
    fn pieces_make_the_content_again() {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        assert_eq!(reassembly.begin(LOW, 7, 6, b"ab", End::More), Ok(None));
        assert_eq!(reassembly.extend(LOW, 2, b"cde", End::More), Ok(None));
        assert!(reassembly.is_open(LOW));
        let whole = reassembly.extend(LOW, 5, b"f", End::Last).unwrap();
        assert_eq!(whole, Some((7, Bytes::from_static(b"abcdef"))));
        assert!(!reassembly.is_open(LOW));
        assert_eq!(reassembly.held_bytes(), 0);
    }

    #[test]
    fn a_first_piece_may_be_the_last() {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        let whole = reassembly.begin(LOW, (), 2, b"ab", End::Last).unwrap();
        assert_eq!(whole, Some(((), Bytes::from_static(b"ab"))));
    }

    /// PROTOCOL 8.59: bulk is interrupted.
    #[test]
    fn classes_are_interleaved() {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        let app = [Class::Critical, Class::High, Class::Normal, Class::Low];
        for class in app {
            assert_eq!(reassembly.begin(class, class, 2, b"a", End::More), Ok(None));
        }
        for class in app {
            let whole = reassembly.extend(class, 1, b"b", End::Last).unwrap();
            assert_eq!(whole, Some((class, Bytes::from_static(b"ab"))));
        }
    }

    /// PROTOCOL 8.55.
    #[test]
    fn a_second_chunked_message_of_a_class_is_refused() {
        let mut reassembly = open();
        let second = reassembly.begin(LOW, (), 10, b"ab", End::More);
        assert_eq!(second, Err(ChunkError::BegunTwice));
        assert_nothing_is_held(&mut reassembly);
    }

    /// PROTOCOL 8.56.
    #[test]
    fn an_overlap_is_refused() {
        for offset in [0, 1] {
            let mut reassembly = open();
            assert_eq!(reassembly.extend(LOW, offset, b"c", End::More), Err(ChunkError::Overlap));
            assert_nothing_is_held(&mut reassembly);
        }
    }

    /// PROTOCOL 8.56.
    #[test]
    fn a_gap_is_refused() {
        for offset in [3, u32::MAX] {
            let mut reassembly = open();
            assert_eq!(reassembly.extend(LOW, offset, b"d", End::More), Err(ChunkError::Gap));
            assert_nothing_is_held(&mut reassembly);
        }
    }

    /// PROTOCOL 8.56.
    #[test]
    fn a_lie_about_the_total_is_refused() {
        for (data, end, error) in [
            (&b"cdefghijk"[..], End::Last, ChunkError::Longer),
            (&b"cdefghijk"[..], End::More, ChunkError::Longer),
            (&b"cdefghi"[..], End::Last, ChunkError::Shorter),
            (&b"cdefghij"[..], End::More, ChunkError::Endless),
        ] {
            let mut reassembly = open();
            assert_eq!(reassembly.extend(LOW, 2, data, end), Err(error));
            assert_nothing_is_held(&mut reassembly);
        }
        for (total, end, error) in [
            (1, End::Last, ChunkError::Longer),
            (0, End::Last, ChunkError::Longer),
            (3, End::Last, ChunkError::Shorter),
            (2, End::More, ChunkError::Endless),
        ] {
            let mut reassembly = Reassembly::new(ReassemblyBounds::default());
            assert_eq!(reassembly.begin(LOW, (), total, b"ab", end), Err(error));
            assert_nothing_is_held(&mut reassembly);
        }
    }

    #[test]
    fn a_piece_before_the_first_is_refused() {
        let mut reassembly = Reassembly::<()>::new(ReassemblyBounds::default());
        for offset in [0, 1, u32::MAX] {
            let early = reassembly.extend(LOW, offset, b"a", End::More);
            assert_eq!(early, Err(ChunkError::NotBegun));
        }
        let mut reassembly = open();
        let other = reassembly.extend(Class::High, 2, b"a", End::More);
        assert_eq!(other, Err(ChunkError::NotBegun));
        assert!(reassembly.is_open(LOW));
    }

    #[test]
    fn an_empty_piece_is_refused() {
        for end in [End::More, End::Last] {
            assert_eq!(open().extend(LOW, 2, b"", end), Err(ChunkError::Empty));
            let mut reassembly = Reassembly::new(ReassemblyBounds::default());
            assert_eq!(reassembly.begin(LOW, (), 0, b"", end), Err(ChunkError::Empty));
            assert_eq!(reassembly.begin(LOW, (), 5, b"", end), Err(ChunkError::Empty));
        }
    }

    #[test]
    fn more_than_a_message_may_have_is_refused() {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        let most = 1 << 20;
        assert_eq!(reassembly.begin(LOW, (), most, b"a", End::More), Ok(None));
        reassembly.reset();
        let above = reassembly.begin(LOW, (), most + 1, b"a", End::More);
        assert_eq!(above, Err(ChunkError::TooLarge));
        let bounds = ReassemblyBounds { message_bytes: usize::MAX, total_bytes: usize::MAX };
        let mut reassembly = Reassembly::new(bounds);
        let above = reassembly.begin(LOW, (), (64 << 20) + 1, b"a", End::More);
        assert_eq!(above, Err(ChunkError::TooLarge));
    }

    /// PROTOCOL 8.56: content that is never finished holds what arrived of it and no more.
    #[test]
    fn an_announcement_allocates_nothing() {
        let bounds = ReassemblyBounds { message_bytes: 64 << 20, total_bytes: 256 << 20 };
        let mut reassembly = Reassembly::new(bounds);
        for class in [Class::Critical, Class::High, Class::Normal, Class::Low] {
            assert_eq!(reassembly.begin(class, (), 64 << 20, b"a", End::More), Ok(None));
        }
        assert!(reassembly.held_bytes() <= 4 * CHUNK_BYTES, "{}", reassembly.held_bytes());
    }

    /// PROTOCOL 8.56.
    #[test]
    fn unfinished_messages_stay_inside_their_budget() {
        let bounds = ReassemblyBounds { message_bytes: 100_000, total_bytes: 150_000 };
        let mut reassembly = Reassembly::new(bounds);
        let piece = [0; 10_000];
        let mut refused = None;
        for class in [Class::Critical, Class::High] {
            let mut answer = reassembly.begin(class, (), 100_000, &piece, End::More);
            for offset in (10_000..90_000).step_by(10_000) {
                assert!(reassembly.held_bytes() <= 150_000);
                if answer.is_ok() {
                    answer = reassembly.extend(class, offset, &piece, End::More);
                }
            }
            refused = answer.err();
        }
        assert_eq!(refused, Some(ChunkError::OverBudget));
        assert!(reassembly.is_open(Class::Critical) && !reassembly.is_open(Class::High));
        let whole = reassembly.extend(Class::Critical, 90_000, &piece, End::Last).unwrap();
        assert_eq!(whole.map(|whole| whole.1.len()), Some(100_000));
    }

    #[test]
    fn one_message_in_each_class_fits_the_default_budget() {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        for class in [Class::Critical, Class::High, Class::Normal, Class::Low] {
            let data = vec![0; (1 << 20) - 1];
            assert_eq!(reassembly.begin(class, (), 1 << 20, &data, End::More), Ok(None));
        }
    }

    #[test]
    fn a_reset_forgets_all_that_is_unfinished() {
        let mut reassembly = open();
        reassembly.reset();
        assert_nothing_is_held(&mut reassembly);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_split_is_put_together_again(
            total in 1_usize..100_000,
            rooms in prop::collection::vec(512_usize..20_000, 1..20),
        ) {
            let content: Vec<u8> = (0..total).map(|at| (at * 7 + at / 251) as u8).collect();
            let mut chunks = Chunks::new(total).unwrap();
            let mut reassembly = Reassembly::new(ReassemblyBounds::default());
            let mut whole = None;
            for room in rooms.iter().cycle() {
                let Some(piece) = chunks.next(*room) else { break };
                let data = &content[piece.range];
                let end = if piece.last { End::Last } else { End::More };
                prop_assert!(whole.is_none());
                whole = if piece.first {
                    reassembly.begin(LOW, (), total as u32, data, end).unwrap()
                } else {
                    reassembly.extend(LOW, piece.offset, data, end).unwrap()
                };
                let arrived = piece.offset as usize + data.len();
                prop_assert!(reassembly.held_bytes() <= total.min(CHUNK_BYTES.max(2 * arrived)));
            }
            prop_assert_eq!(whole.map(|whole| whole.1), Some(Bytes::from(content)));
            prop_assert_eq!(reassembly.held_bytes(), 0);
        }

        /// One piece of a good sequence is left out, doubled, exchanged with its neighbour, cut,
        /// lengthened, or ends where it does not.
        #[test]
        fn a_sequence_with_any_one_fault_never_becomes_a_message(
            total in 2_usize..5_000,
            room in 512_usize..1_000,
            at in any::<prop::sample::Index>(),
            fault in 0_u8..6,
        ) {
            let content = vec![1; total];
            let mut chunks = Chunks::new(total).unwrap();
            let mut pieces: Vec<_> = std::iter::from_fn(|| chunks.next(room)).map(|piece| {
                (piece.first, piece.offset, content[piece.range].to_vec(), piece.last)
            }).collect();
            let at = at.index(pieces.len());
            match fault {
                0 => _ = pieces.remove(at),
                1 => pieces.insert(at, pieces[at].clone()),
                2 if at + 1 < pieces.len() => pieces.swap(at, at + 1),
                2 | 3 => _ = pieces[at].2.pop(),
                4 => pieces[at].2.push(1),
                _ => pieces[at].3 = !pieces[at].3,
            }
            let bounds = ReassemblyBounds { message_bytes: 5_000, total_bytes: 5_000 };
            let mut reassembly = Reassembly::new(bounds);
            let (mut errors, mut wholes) = (0, 0);
            for (first, offset, data, last) in pieces {
                let end = if last { End::Last } else { End::More };
                let answer = if first {
                    reassembly.begin(LOW, (), total as u32, &data, end)
                } else {
                    reassembly.extend(LOW, offset, &data, end)
                };
                match answer {
                    Ok(None) => {}
                    Ok(Some(_)) => wholes += 1,
                    Err(_) => errors += 1,
                }
                prop_assert!(reassembly.held_bytes() <= 5_000);
            }
            let doubled = fault == 1 && wholes == 1 && errors > 0;
            let begun_again = fault == 1 && wholes == 2;
            let unfinished = errors == 0 && wholes == 0 && reassembly.is_open(LOW);
            prop_assert!(
                doubled || begun_again || unfinished || (errors > 0 && wholes == 0)
                    || (fault == 0 && wholes == 0),
                "{} errors, {} messages", errors, wholes
            );
        }

        /// Against what is said above, for any calls.
        #[test]
        fn whatever_comes_memory_stays_inside_the_budget(
            calls in prop::collection::vec(
                (0_usize..4, any::<bool>(), 0_u32..4_000, 0_usize..2_000, any::<bool>()), 1..100,
            ),
        ) {
            let bounds = ReassemblyBounds { message_bytes: 3_000, total_bytes: 6_000 };
            let mut reassembly = Reassembly::new(bounds);
            let mut arrived = [0_u32; 4];
            for (index, first, number, bytes, last) in calls {
                let class = Class::ALL[index + 1];
                let (data, end) = (vec![0; bytes], if last { End::Last } else { End::More });
                let answer = if first {
                    reassembly.begin(class, (), number, &data, end)
                } else {
                    reassembly.extend(class, arrived[index], &data, end)
                };
                arrived[index] = match answer {
                    Ok(None) => bytes as u32 + if first { 0 } else { arrived[index] },
                    _ => 0,
                };
                prop_assert_eq!(reassembly.is_open(class), matches!(answer, Ok(None)));
                let sum: u32 = arrived.iter().sum();
                prop_assert!(reassembly.held_bytes() <= 6_000);
                prop_assert!(reassembly.held_bytes() >= sum as usize);
            }
        }
    }

    /// Ten bytes announced, two arrived.
    fn open() -> Reassembly<()> {
        let mut reassembly = Reassembly::new(ReassemblyBounds::default());
        assert_eq!(reassembly.begin(LOW, (), 10, b"ab", End::More), Ok(None));
        reassembly
    }

    fn assert_nothing_is_held(reassembly: &mut Reassembly<()>) {
        assert_eq!(reassembly.held_bytes(), 0);
        assert_eq!(reassembly.extend(LOW, 2, b"c", End::More), Err(ChunkError::NotBegun));
    }
}
