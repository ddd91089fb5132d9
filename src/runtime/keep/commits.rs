//! The thread of a store: takes what waits, of all links, into one commit; tries again what failed.
//! Knows no link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::answer::Answer;
use super::error::KeepError;
use super::ledger::{Epochs, Ledger};
use super::rows::Plain;
use super::seal::{Changes, seal_all};
use crate::crypto::AtRest;
use crate::ids::PeerId;
use crate::limits::{KEEP_COMMIT_BYTES, STORE_RETRY_TIME, STORE_RETRY_TIME_MAX};
use crate::link::Batch;
use crate::store::{Key, Store, Table};
use crate::time::Now;

/// What the thread is asked for.
pub(super) enum Job {
    Batch {
        peer: PeerId,
        epochs: Epochs,
        now: Now,
        batch: Batch,
        answer: Answer,
    },
    /// Puts the chain there, or removes it.
    Chain(Key, Option<Plain>, ChainAnswer),
    Forget(PeerId, oneshot::Sender<()>),
    Close(oneshot::Sender<Result<(), Arc<KeepError>>>),
}

/// Hears of a chain after one attempt: a handshake does not outwait a full disk.
pub(super) type ChainAnswer = oneshot::Sender<Result<(), Arc<KeepError>>>;

/// The wait before a commit is tried again: the first, and the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

/// What an attempt to store a group came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tried {
    /// It is stored, or is not tried again.
    Over,
    /// It is tried again after a pause.
    Again,
}

impl Patience {
    pub(super) const DEFAULT: Self =
        Self { first: STORE_RETRY_TIME, longest: STORE_RETRY_TIME_MAX };

    /// The wait after one of `pause`.
    pub(super) fn after(self, pause: Duration) -> Duration {
        pause.saturating_mul(2).min(self.longest)
    }
}

/// What a keeper did since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commits: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// `J` gives the jobs.
pub(super) struct Commits<S, J> {
    pub(super) store: S,
    pub(super) sealing: AtRest,
    pub(super) ledger: Ledger,
    pub(super) jobs: J,
    pub(super) patience: Patience,
    pub(super) counts: Arc<Counts>,
    pub(super) group: Group,
}

/// What one commit is to hold.
#[derive(Default)]
pub(super) struct Group {
    changes: Changes,
    bytes: usize,
    batches: Vec<Answer>,
    chains: Vec<ChainAnswer>,
    forgotten: Vec<oneshot::Sender<()>>,
    /// Nothing is taken any more; what is there is tried once.
    pub(super) end: Option<End>,
    /// Counts the spans in which the store failed.
    episode: u64,
    trouble: Option<Arc<KeepError>>,
}

/// Who wants to hear that the thread has ended; nobody if all handles are gone.
pub(super) type End = Option<oneshot::Sender<Result<(), Arc<KeepError>>>>;

impl<S: Store> Commits<S, Receiver<Job>> {
    /// Runs until it is closed, or every handle is gone.
    pub(super) fn run(mut self) {
        while self.group.end.is_none() {
            match self.jobs.recv() {
                Ok(job) => self.take(job),
                Err(_) => break,
            }
            self.gather();
            self.settle();
        }
        self.end();
    }

    /// Takes what waits already.
    fn gather(&mut self) {
        while self.has_room() {
            match self.jobs.try_recv() {
                Ok(job) => self.take(job),
                Err(_) => return,
            }
        }
    }

    /// Stores the group, however often it must be tried.
    fn settle(&mut self) {
        let mut pause = self.patience.first;
        while let Tried::Again = self.attempt() {
            self.wait(pause);
            pause = self.patience.after(pause);
        }
    }

    /// Waits before the next attempt, and takes what comes meanwhile: whoever sent it hears of the
    /// trouble, and an end is not kept waiting.
    fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while self.group.end.is_none() {
            match self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.group.end = Some(None),
            }
        }
    }
}

impl<S: Store, J> Commits<S, J> {
    /// Closes the store.
    pub(super) fn end(self) {
        let Self { store, jobs, mut group, .. } = self;
        let outcome = group.trouble.take().map_or(Ok(()), Err);
        if let Err(cause) = &outcome {
            tracing::error!(%cause, "the store was closed before everything was stored");
        }
        // Whoever closed it may open the same file again.
        drop((store, jobs));
        if let Some(Some(closer)) = group.end.take() {
            let _ = closer.send(outcome);
        }
    }

    /// Whether the commit that is gathered may hold more.
    pub(super) fn has_room(&self) -> bool {
        self.group.end.is_none() && self.group.bytes < KEEP_COMMIT_BYTES
    }

    pub(super) fn take(&mut self, job: Job) {
        let Self { ledger, group, .. } = self;
        match job {
            Job::Batch { peer, epochs, now, batch, answer } => {
                group.bytes += batch.outbox.iter().map(content_bytes).sum::<usize>();
                ledger.apply((&peer, epochs), now, batch, &mut group.changes);
                if let Some(trouble) = &group.trouble {
                    answer.trouble(group.episode, trouble);
                }
                group.batches.push(answer);
            }
            Job::Chain(_, _, answer) if group.trouble.is_some() => {
                let _ = answer.send(group.trouble.clone().map_or(Ok(()), Err));
            }
            Job::Chain(key, row, answer) => {
                group.changes.insert(key, row);
                group.chains.push(answer);
            }
            Job::Forget(peer, answer) => {
                ledger.forget(&peer, &mut group.changes);
                group.forgotten.push(answer);
            }
            Job::Close(answer) => group.end = Some(Some(answer)),
        }
    }

    /// Stores the group, if it can be.
    pub(super) fn attempt(&mut self) -> Tried {
        if self.group.is_empty() {
            // Chains alone are not tried again: the next job finds out how the store is.
            self.group.trouble = None;
            return Tried::Over;
        }
        match self.commit() {
            Ok(()) => self.group.stored(),
            Err(cause) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                self.group.failed(cause);
                if self.group.end.is_none() {
                    return Tried::Again;
                }
                if self.group.is_empty() {
                    self.group.trouble = None;
                }
            }
        }
        Tried::Over
    }

    fn commit(&mut self) -> Result<(), KeepError> {
        if self.group.changes.is_empty() {
            return Ok(());
        }
        let changes = seal_all(&self.sealing, &self.group.changes)?;
        self.store.commit(&changes)?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        let rows = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        self.counts.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.batches.is_empty() && self.forgotten.is_empty()
    }

    fn stored(&mut self) {
        self.changes.clear();
        self.bytes = 0;
        self.batches.drain(..).for_each(Answer::stored);
        // Who does not wait any more needs no answer.
        self.chains.drain(..).for_each(|answer| _ = answer.send(Ok(())));
        self.forgotten.drain(..).for_each(|answer| _ = answer.send(()));
        if self.trouble.take().is_some() {
            tracing::info!("the store works again");
        }
    }

    fn failed(&mut self, cause: KeepError) {
        let cause = Arc::new(cause);
        if self.trouble.is_none() {
            self.episode += 1;
            tracing::warn!(%cause, "the store failed; what waits for it is tried again");
        }
        self.batches.iter().for_each(|answer| answer.trouble(self.episode, &cause));
        // Their handshakes end here. What they would have stored was never said to the peer.
        self.changes.retain(|key, _| key.table() != Table::Chain);
        self.chains.drain(..).for_each(|answer| _ = answer.send(Err(Arc::clone(&cause))));
        self.trouble = Some(cause);
    }
}

fn content_bytes(change: &crate::delivery::outbox::Change<crate::link::Token>) -> usize {
    match change {
        crate::delivery::outbox::Change::Put(row) => row.message.content.len(),
        _ => 0,
    }
}
