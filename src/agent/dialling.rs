//! The road of an agent: dials, waits, dials again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use super::reconnect::{Reconnect, part};
use crate::error::Error;
use crate::limits::{RECONNECT_REPLACED, RECONNECT_STABLE};
use crate::runtime::live::{Fresh, LinkEvent, Loss, Road, Shared, Stands};
use crate::session::CloseCode;
use crate::time::Instant;

/// One attempt.
pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<Fresh, Error>> + Send>>;
/// Makes an attempt.
pub(super) type Target = Arc<dyn Fn() -> Attempt + Send + Sync>;

/// What the last attempt came to.
#[derive(Clone, Debug, Default)]
pub(super) enum Dialled {
    /// There was none yet, or one is under way.
    #[default]
    Trying,
    Up,
    /// There will be no other.
    GaveUp(Arc<Error>),
}

/// Where the sessions of one agent come from.
pub(super) struct Dialling {
    plan: Reconnect,
    orders: watch::Receiver<Option<Target>>,
    told: watch::Sender<Dialled>,
    target: Option<Target>,
    step: Step,
    /// Failures in a row.
    failures: u32,
    seed: u64,
    /// When the last session began.
    began: Option<Instant>,
}

enum Step {
    Idle,
    Waiting(Pin<Box<Sleep>>),
    Dialling(Attempt),
}

impl Dialling {
    pub(super) fn new(
        plan: Reconnect,
        orders: watch::Receiver<Option<Target>>,
        told: watch::Sender<Dialled>,
        seed: u64,
    ) -> Self {
        let step = Step::Idle;
        Self { plan, orders, told, target: None, step, failures: 0, seed, began: None }
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    fn wait(&mut self, shared: &Shared, span: Duration, code: &'static str) {
        shared.announce(LinkEvent::Retrying { code, after: span });
        self.step = Step::Waiting(Box::pin(sleep(span)));
    }

    fn give_up(&mut self, shared: &Shared, error: Error) {
        let code = error.code();
        tracing::warn!(%error, "link gives up");
        self.step = Step::Idle;
        self.told.send_replace(Dialled::GaveUp(Arc::new(error)));
        shared.announce(LinkEvent::GaveUp { code });
    }

    /// An attempt failed, or a session broke.
    fn fail(&mut self, shared: &Shared, error: Error) {
        let seed = self.draw();
        match self.plan.wait(self.failures, seed).filter(|_| error.is_retryable()) {
            Some(span) => {
                tracing::debug!(%error, ?span, "dials again later");
                self.wait(shared, span, error.code());
            }
            None => self.give_up(shared, error),
        }
    }
}

impl Road for Dialling {
    fn poll_fresh(&mut self, cx: &mut Context<'_>, shared: &Shared, stands: Stands) -> Poll<Fresh> {
        if self.orders.has_changed().unwrap_or(false) {
            self.target = self.orders.borrow_and_update().clone();
            self.failures = 0;
            self.step = match &self.target {
                Some(target) if stands == Stands::Detached => Step::Dialling(target()),
                _ => Step::Idle,
            };
        }
        if stands == Stands::Attached || shared.is_ending() {
            return Poll::Pending;
        }
        loop {
            match &mut self.step {
                Step::Idle => return Poll::Pending,
                Step::Waiting(pause) => {
                    std::task::ready!(pause.as_mut().poll(cx));
                    self.step = match &self.target {
                        Some(target) => Step::Dialling(target()),
                        None => Step::Idle,
                    };
                }
                Step::Dialling(attempt) => match std::task::ready!(attempt.as_mut().poll(cx)) {
                    Ok(fresh) => {
                        self.step = Step::Idle;
                        self.began = Some(shared.clock.instant());
                        self.told.send_replace(Dialled::Up);
                        return Poll::Ready(fresh);
                    }
                    Err(error) => {
                        self.failures = self.failures.saturating_add(1);
                        self.fail(shared, error);
                    }
                },
            }
        }
    }

    fn lost(&mut self, shared: &Shared, loss: Loss) {
        if self.target.is_none() || shared.is_ending() {
            return;
        }
        self.told.send_replace(Dialled::Trying);
        let lived = self.began.take().map(|began| shared.clock.instant().since(began));
        self.failures = match lived {
            Some(lived) if lived >= RECONNECT_STABLE => 0,
            _ => self.failures.saturating_add(1).saturating_sub(u32::from(self.failures == 0)),
        };
        match loss {
            Loss::Broken => self.fail(shared, Error::new(crate::ErrorKind::Detached)),
            Loss::Away { retry_after, spread } => {
                let span = retry_after.saturating_add(part(spread, self.draw()));
                self.wait(shared, span, "going_away");
            }
            Loss::Closed { code: CloseCode::Replaced, .. } => {
                shared.announce(LinkEvent::Replaced);
                self.wait(shared, RECONNECT_REPLACED, "replaced");
            }
            Loss::Closed { code, retry_after } if code.is_retryable() => {
                let seed = self.draw();
                match self.plan.wait(self.failures, seed) {
                    Some(span) => self.wait(shared, retry_after.saturating_add(span), "closed"),
                    None => self.give_up(shared, Error::closed(code)),
                }
            }
            Loss::Closed { code, .. } => self.give_up(shared, Error::closed(code)),
        }
        // The driver looks at the road again before it sleeps.
        shared.wake();
    }
}
