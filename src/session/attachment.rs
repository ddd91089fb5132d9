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
