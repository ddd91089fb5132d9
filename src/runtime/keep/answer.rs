//! What a link hears of its batches, from the thread that stores them. Knows neither.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::error::KeepError;

/// What of one link is under way, seen from the link.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// The highest batch that is stored, and the one that the link heard of.
    stored: u64,
    told: u64,
    /// The trouble that the link did not hear of yet.
    trouble: Option<Arc<KeepError>>,
    /// The last episode of trouble that it was told of.
    episode: u64,
    /// A batch will never be stored: nobody is left to do it.
    is_over: bool,
    waker: Option<Waker>,
}

impl Desk {
    pub(super) fn under_way(&self) -> usize {
        self.locked().under_way
    }

    /// Hands a batch on; what returns is owed an answer.
    pub(super) fn owe(&self, number: u64) -> Answer {
        self.locked().under_way += 1;
        Answer { desk: self.clone(), number, is_given: false }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<u64, Arc<KeepError>>> {
        let mut state = self.locked();
        if let Some(trouble) = state.trouble.take() {
            return Poll::Ready(Err(trouble));
        }
        if state.stored > state.told {
            state.told = state.stored;
            return Poll::Ready(Ok(state.stored));
        }
        if state.is_over {
            return Poll::Ready(Err(Arc::new(KeepError::Closed)));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.locked();
        change(&mut state);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owed to a link for one batch. Dropped without one, the link hears that the keeper is closed.
#[derive(Debug)]
pub(super) struct Answer {
    desk: Desk,
    number: u64,
    is_given: bool,
}

impl Answer {
    pub(super) fn stored(mut self) {
        self.is_given = true;
        self.desk.change(|state| {
            state.under_way -= 1;
            state.stored = state.stored.max(self.number);
        });
    }

    /// It is tried again. The link hears of each episode once.
    pub(super) fn trouble(&self, episode: u64, cause: &Arc<KeepError>) {
        self.desk.change(|state| {
            if state.episode != episode {
                state.episode = episode;
                state.trouble = Some(Arc::clone(cause));
            }
        });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.is_given {
            self.desk.change(|state| {
                state.under_way -= 1;
                state.is_over = true;
            });
        }
    }
}
