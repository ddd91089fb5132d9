//! A store without a thread of its own: a task of the runtime commits, so that time that is paused or
//! simulated does not run away from the disk. As `commits`, step by step.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout_at};

use super::commits::{Commits, Job, Tried};
use crate::store::Store;

impl<S: Store> Commits<S, UnboundedReceiver<Job>> {
    /// Runs until it is closed, or every handle is gone. Each commit comes `takes` after it was begun.
    pub(super) async fn run_as_task(mut self, takes: Duration) {
        while self.group.end.is_none() {
            match self.jobs.recv().await {
                Some(job) => self.take(job),
                None => break,
            }
            while self.has_room() {
                match self.jobs.try_recv() {
                    Ok(job) => self.take(job),
                    Err(_) => break,
                }
            }
            let mut pause = self.patience.first;
            loop {
                sleep(takes).await;
                if self.attempt() == Tried::Over {
                    break;
                }
                self.pass(pause).await;
                pause = self.patience.after(pause);
            }
        }
        self.end();
    }

    /// Waits before the next attempt, and takes what comes meanwhile.
    async fn pass(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.group.end.is_none() {
            match timeout_at(until, self.jobs.recv()).await {
                Ok(Some(job)) => self.take(job),
                Ok(None) => self.group.end = Some(None),
                Err(_) => return,
            }
        }
    }
}
