//! What the transport that carries a session promises about order. Knows no keys.

/// Whether records arrive as they were sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// One stream: a record out of order was moved or removed by someone on the path.
    Strict,
    /// Records may be lost or overtake each other, within the replay window.
    Window,
}

/// One transport, for as long as it carries the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attachment {
    order: Order,
    last: Option<u64>,
}

impl Attachment {
    pub(super) fn new(order: Order) -> Self {
        Self { order, last: None }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    /// Whether `seq`, which is authentic, may come next here. Remembers it if so.
    pub(super) fn accepts(&mut self, seq: u64) -> bool {
        let follows = self.last.is_none_or(|last| seq == last + 1);
        let accepted = self.order == Order::Window || follows;
        if accepted {
            self.last = Some(seq);
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proto-spec: after the first, which may be any, each follows the last.
    #[test]
    fn an_ordered_transport_takes_only_the_next() {
        for first in [0, 1, 7, 1 << 40] {
            let mut attachment = Attachment::new(Order::Strict);
            assert!(attachment.accepts(first));
            for other in [first, first + 2, first.saturating_sub(1), 0, first * 2 + 3] {
                assert!(!attachment.accepts(other), "{other} after {first}");
            }
            assert!(attachment.accepts(first + 1));
            assert!(!attachment.accepts(first + 1));
            assert!(attachment.accepts(first + 2));
        }
    }

    #[test]
    fn a_window_transport_takes_any() {
        let mut attachment = Attachment::new(Order::Window);
        for seq in [5, 0, 5, 1_000, 3] {
            assert!(attachment.accepts(seq));
        }
    }

    #[test]
    fn an_attachment_knows_its_order() {
        for order in [Order::Strict, Order::Window] {
            assert_eq!(Attachment::new(order).order(), order);
        }
    }
}
