//! What this process asks of valgrind. Outside valgrind every request is answered with zero.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("valgrind's requests are written for x86_64 here");

const RUNNING_ON_VALGRIND: usize = 0x1001;
const COUNT_ERRORS: usize = 0x1201;
const MAKE_MEM_UNDEFINED: usize = MEMCHECK + 1;
const MAKE_MEM_DEFINED: usize = MEMCHECK + 2;
const GET_VBITS: usize = MEMCHECK + 8;
/// `'M'` and `'C'` above sixteen bits.
const MEMCHECK: usize = 0x4d43_0000;

/// Whether this runs under valgrind.
pub fn is_there() -> bool {
    request(RUNNING_ON_VALGRIND, [0; 3]) > 0
}

/// Reports so far that no suppression names.
pub fn reports() -> usize {
    request(COUNT_ERRORS, [0; 3])
}

/// Marks bytes as a secret to follow.
pub fn hide(secret: &mut [u8]) {
    hide_at(secret.as_ptr(), secret.len());
}

/// The same for bytes of another's making.
pub fn hide_at(place: *const u8, bytes: usize) {
    request(MAKE_MEM_UNDEFINED, [place.addr(), bytes, 0]);
}

/// Marks bytes as public.
pub fn reveal(bytes: &mut [u8]) {
    reveal_at(bytes.as_ptr(), bytes.len());
}

/// The same for bytes of another's making.
pub fn reveal_at(place: *const u8, bytes: usize) {
    request(MAKE_MEM_DEFINED, [place.addr(), bytes, 0]);
}

/// Whether some bit of `result` depends on a secret.
#[must_use]
pub fn depends_on_a_secret(result: &[u8]) -> bool {
    let mut bits = vec![0_u8; result.len()];
    let known = request(GET_VBITS, [result.as_ptr().addr(), bits.as_mut_ptr().addr(), bits.len()]);
    assert_eq!(known, 1, "valgrind does not know these bytes");
    bits.iter().any(|bits| *bits != 0)
}

fn request(code: usize, with: [usize; 3]) -> usize {
    let [first, second, third] = with;
    let message = [code, first, second, third, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: as `valgrind.h` has it. The four rotations make 128 bits together, and a register is
    // exchanged with itself: a processor does nothing, and valgrind answers in `rdx`. The ranges
    // that are named are those of slices, or of a key that is alive.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") message.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}
