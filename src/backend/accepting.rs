//! The road of a backend's link: sessions that its listeners accepted.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::runtime::live::{Fresh, Loss, Road, Shared, Stands};

/// Where the sessions of one agent arrive.
pub(super) struct Accepting(pub(super) mpsc::Receiver<Box<Fresh>>);

impl Road for Accepting {
    fn poll_fresh(&mut self, cx: &mut Context<'_>, _: &Shared, _: Stands) -> Poll<Fresh> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(fresh)) => Poll::Ready(*fresh),
            // Nobody accepts any more; the link goes on with the session that it has.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn lost(&mut self, _: &Shared, _: Loss) {}
}
