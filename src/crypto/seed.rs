//! Entropy, as the core is given it.

use zeroize::Zeroizing;

use super::schedule::{Secret, extract};

/// Thirty-two random bytes for one use: one handshake, one rekey, one key.
///
/// The core draws no entropy of its own; its caller does, from the operating system. Everything
/// random in the use it is spent on is derived from it, so the same seed gives the same bytes.
pub struct Seed {
    root: Secret,
    origin: Origin,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Origin {
    Fresh,
    Reproducible,
}

impl Seed {
    /// A seed of bytes that were drawn for it and are used for nothing else.
    ///
    /// With feature `aws-lc`, ML-KEM keys and ciphertexts of a fresh seed take their randomness
    /// from AWS-LC's own generator instead, which offers no other way.
    #[must_use]
    pub fn fresh(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { root: extract(b"waxwire/1 seed", &*bytes), origin: Origin::Fresh }
    }

    /// A seed for tests, vectors and simulation: the same bytes give the same handshake with every
    /// provider.
    #[must_use]
    pub fn dangerous_reproducible(bytes: [u8; 32]) -> Self {
        Self { root: extract(b"waxwire/1 seed", &bytes), origin: Origin::Reproducible }
    }

    /// Random bytes for one purpose.
    pub(crate) fn draw<const N: usize>(&self, purpose: &str) -> Zeroizing<[u8; N]> {
        Zeroizing::new(self.root.derive_bytes(purpose, b""))
    }

    /// Whether two runs must give the same bytes.
    #[cfg_attr(
        not(feature = "aws-lc"),
        allow(dead_code, reason = "one provider has no choice to make")
    )]
    pub(super) fn is_reproducible(&self) -> bool {
        self.origin == Origin::Reproducible
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_other_bytes_for_each_purpose_and_the_same_for_one() {
        let seed = Seed::dangerous_reproducible([1; 32]);
        let again = Seed::fresh(Zeroizing::new([1; 32]));
        let other = Seed::fresh(Zeroizing::new([2; 32]));
        assert_eq!(*seed.draw::<32>("a"), *again.draw::<32>("a"));
        assert_ne!(*seed.draw::<32>("a"), *seed.draw::<32>("b"));
        assert_ne!(*seed.draw::<32>("a"), *other.draw::<32>("a"));
        assert_ne!(*seed.draw::<32>("a"), [1; 32]);
        assert_ne!(seed.draw::<64>("a")[..32], seed.draw::<32>("a")[..]);
    }

    #[test]
    fn only_a_seed_that_says_so_is_reproducible() {
        assert!(Seed::dangerous_reproducible([1; 32]).is_reproducible());
        assert!(!Seed::fresh(Zeroizing::new([1; 32])).is_reproducible());
    }

    #[test]
    fn a_seed_is_never_printed() {
        assert_eq!(format!("{:?}", Seed::dangerous_reproducible([0xab; 32])), "Seed(..)");
    }
}
