//! Wipes what work with secrets leaves on the stack. A compiler keeps copies of what it moves there,
//! which no destructor knows.

/// What a hash or a cipher reaches.
pub(super) const SHALLOW: usize = 4 * 1024;
/// The same from some frames further down: a record is sealed deeper in the calls than its key is
/// dropped.
pub(super) const FROM_BELOW: usize = 16 * 1024;
/// What key exchange and signatures reach in AWS-LC.
#[cfg(feature = "aws-lc")]
pub(super) const DEEP: usize = 24 * 1024;
/// What they reach in Rust, above all where it was not optimised.
#[cfg(not(feature = "aws-lc"))]
pub(super) const DEEP: usize = 64 * 1024;

/// Runs `work` in a frame of its own, then wipes so many bytes of stack from there on.
pub(super) fn wiped<const BYTES: usize, T>(work: impl FnOnce() -> T) -> T {
    let done = in_own_frame(work);
    wipe::<BYTES>();
    done
}

#[inline(never)]
fn in_own_frame<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Wipes the stack below the caller's frame, where the frames of what it called before were.
#[inline(never)]
pub(super) fn wipe<const BYTES: usize>() {
    let mut stack = [0_u8; BYTES];
    std::hint::black_box(&mut stack);
}
