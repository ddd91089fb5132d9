//! How handles wake the driver of their link: rung by many, heard by one. Knows no link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

/// Wakes one task. Ringing it again before the task listened costs one atomic operation.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Has the driver look at what changed. Call it after the change.
    pub(super) fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What was changed before this is looked at from here on.
    pub(super) fn hear(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Listens for the next ring. `false`: it rang since it was heard, so look again first.
    pub(super) fn listen(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *waker = Some(cx.waker().clone());
        drop(waker);
        !self.rung.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_ring_between_hearing_and_listening_is_not_lost() {
        let (bell, count) = (Bell::default(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        assert!(bell.listen(&cx));
        bell.ring();
        bell.ring();
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "one wake-up for many rings");
        bell.hear();
        bell.ring();
        assert!(!bell.listen(&cx), "it rang meanwhile");
        bell.hear();
        assert!(bell.listen(&cx));
        bell.ring();
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
