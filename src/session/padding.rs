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
    let Some(exponent) = used.checked_ilog2().filter(|exponent| *exponent >= 1) else {
        return used;
    };
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent.saturating_sub(kept))) - 1;
    (used + mask) & !mask
}
