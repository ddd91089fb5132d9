//! The five classes of urgency. Knows no queue: `delivery` decides what waits for what.

/// How urgent a message is. Earlier variants go first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// The protocol's own frames; not for applications.
    Control,
    /// Must overtake everything an application sends.
    Critical,
    /// Before ordinary work.
    High,
    /// Ordinary work; what a message is unless told otherwise.
    Normal,
    /// Bulk that may wait.
    Low,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Self; 5] = [Self::Control, Self::Critical, Self::High, Self::Normal, Self::Low];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ordered_by_urgency() {
        assert!(Class::ALL.windows(2).all(|pair| matches!(pair, [a, b] if a < b)));
    }
}
