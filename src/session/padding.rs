//! How a sender hides the sizes of what it sends.

/// Zeros added to the plaintext of each record. The receiver needs not know the policy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Padding {
    /// None: sizes show. The default; the application knows best which sizes tell something.
    #[default]
    None,
    /// Up to a multiple of this many bytes.
    Block(u16),
    /// Up to the next size of the padmé series: at most 12 % more, and few sizes in all.
    Padme,
    /// To exactly this many bytes, and longer records to a multiple of it.
    Fixed(u16),
}

impl Padding {
    /// Size that `used` bytes are padded to, within `most`.
    pub(super) fn target(self, used: usize, most: usize) -> usize {
        let target = match self {
            Self::None => used,
            Self::Block(block) => used.next_multiple_of(usize::from(block).max(1)),
            Self::Padme => padme(used),
            Self::Fixed(size) => used.max(1).next_multiple_of(usize::from(size).max(1)),
        };
        target.min(most).max(used)
    }
}

fn padme(used: usize) -> usize {
    let exponent = used.checked_ilog2().unwrap_or(0);
    let kept = exponent.checked_ilog2().map_or(0, |bits| bits + 1);
    let mask = (1_usize << exponent.saturating_sub(kept)) - 1;
    (used + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 16_384;

    /// proto-spec 06-frames, 6.1.
    #[test]
    fn no_padding_is_the_default() {
        assert_eq!(Padding::default(), Padding::None);
        for used in [0, 1, 1_000, MOST] {
            assert_eq!(Padding::None.target(used, MOST), used);
        }
    }

    /// proto-spec 06-frames, 6.1: next multiple of n.
    #[test]
    fn a_block_is_filled() {
        let cases = [(0, 0), (1, 100), (99, 100), (100, 100), (101, 200), (16_301, MOST)];
        for (used, target) in cases {
            assert_eq!(Padding::Block(100).target(used, MOST), target, "{used}");
        }
        assert_eq!(Padding::Block(0).target(7, MOST), 7);
        assert_eq!(Padding::Block(1).target(7, MOST), 7);
    }

    /// proto-spec 06-frames, 6.1: n if L <= n, else the next multiple of n.
    #[test]
    fn a_fixed_size_is_reached_even_by_nothing() {
        let cases = [(0, 100), (1, 100), (100, 100), (101, 200), (16_301, MOST)];
        for (used, target) in cases {
            assert_eq!(Padding::Fixed(100).target(used, MOST), target, "{used}");
        }
        assert_eq!(Padding::Fixed(0).target(7, MOST), 7);
        assert_eq!(Padding::Fixed(u16::MAX).target(1, MOST), MOST);
    }

    /// proto-spec 06-frames, 6.1: the lowest E - S bits are zero.
    #[test]
    fn padme_keeps_few_sizes() {
        let cases = [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 4),
            (7, 7),
            (8, 8),
            (9, 10),
            (16, 16),
            (17, 18),
            (33, 36),
            (100, 104),
            (1_000, 1_024),
            (1_025, 1_088),
            (9_999, 10_240),
            (16_384, 16_384),
        ];
        for (used, target) in cases {
            assert_eq!(Padding::Padme.target(used, MOST), target, "{used}");
        }
        for used in 2..MOST {
            let target = Padding::Padme.target(used, usize::MAX);
            let exponent = used.ilog2();
            let free = exponent - (exponent.ilog2() + 1);
            assert_eq!(target % (1 << free), 0, "{used}");
            assert!(target >= used && target - used < 1 << free, "{used}");
            assert!((target - used) * 100 <= used * 12, "{used}");
        }
    }

    /// proto-spec: no policy makes a plaintext longer than the peer takes, nor shorter than
    /// it is.
    #[test]
    fn a_target_lies_between_what_is_used_and_what_fits() {
        let policies =
            [Padding::None, Padding::Block(4_096), Padding::Padme, Padding::Fixed(5_000)];
        for policy in policies {
            for used in [0, 1, 2_047, 2_048, 2_049, 3_000] {
                let target = policy.target(used, 2_048);
                assert!(target >= used && target <= used.max(2_048), "{policy:?} {used}");
            }
        }
    }
}
