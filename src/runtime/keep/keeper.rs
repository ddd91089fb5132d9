//! The handles of an opened store: one for the process, one for each link.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::answer::Desk;
use super::commits::{Commits, Counts, Group, Job, Patience};
use super::error::KeepError;
use super::ledger::{Epochs, Ledger, Restored};
use super::place::Pseudonym;
use super::rows::{ChainSide, Plain, encode_chain};
use super::seal;
use crate::crypto::{AtRest, Fingerprint, Naming, StoreKey};
use crate::delivery::word::Epoch;
use crate::ids::PeerId;
use crate::limits::KEEP_BATCHES;
use crate::link::Batch;
use crate::runtime::clock::Clock;
use crate::session::InitiatorChain;
use crate::store::Store;
use crate::time::Now;

/// An opened store. Cheap to clone; when every clone and every [`LinkKeep`] is gone, what was submitted is
/// tried once more and the store is closed.
#[derive(Clone)]
pub(crate) struct Keeper {
    jobs: Jobs,
    naming: Arc<Naming>,
    counts: Arc<Counts>,
}

/// Who commits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Committer {
    /// A thread of the store's own, which may wait for a disk.
    #[default]
    Thread,
    /// A task of the runtime, each commit so long after it was begun.
    #[cfg(feature = "test-utils")]
    Task(std::time::Duration),
}

/// The way to whoever commits.
#[derive(Clone)]
enum Jobs {
    Thread(Sender<Job>),
    #[cfg(feature = "test-utils")]
    Task(tokio::sync::mpsc::UnboundedSender<Job>),
}

impl Jobs {
    /// # Errors
    ///
    /// [`KeepError::Closed`]: the job is dropped, and with it the answer that it owes.
    fn send(&self, job: Job) -> Result<(), KeepError> {
        match self {
            Self::Thread(jobs) => jobs.send(job).map_err(|_| KeepError::Closed),
            #[cfg(feature = "test-utils")]
            Self::Task(jobs) => jobs.send(job).map_err(|_| KeepError::Closed),
        }
    }
}

/// What a keeper did since it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeeperCounts {
    /// Commits that the store made.
    pub(crate) commits: u64,
    /// Rows that they put or removed.
    pub(crate) rows: u64,
    /// Attempts that failed.
    pub(crate) failures: u64,
}

impl Keeper {
    /// Opens a store: `committer` reads it, and stores from there on. `clock` is the one that the links
    /// are driven by; what expired while nobody ran has expired on it now.
    ///
    /// # Errors
    ///
    /// [`KeepError`]. One row that does not open or cannot be read fails the whole; nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the store is closed once it is read.
    pub(crate) async fn open(
        store: impl Store,
        committer: Committer,
        key: &StoreKey,
        clock: Clock,
    ) -> Result<(Self, Restored), KeepError> {
        match committer {
            Committer::Thread => Self::open_at(store, key, clock.now(), Patience::DEFAULT).await,
            #[cfg(feature = "test-utils")]
            Committer::Task(takes) => Self::open_as_task(store, key, clock.now(), takes),
        }
    }

    pub(super) async fn open_at(
        mut store: impl Store,
        key: &StoreKey,
        now: Now,
        patience: Patience,
    ) -> Result<(Self, Restored), KeepError> {
        let (jobs, waiting) = channel();
        let (naming, counts) = (Arc::new(key.naming()), Arc::new(Counts::default()));
        let jobs = Jobs::Thread(jobs);
        let keeper = Self { jobs, naming: Arc::clone(&naming), counts: Arc::clone(&counts) };
        let sealing = key.sealing();
        let (answer, opened) = oneshot::channel();
        let work = move || {
            match read(&mut store, &sealing, naming, now) {
                Ok((ledger, restored)) => {
                    if answer.send(Ok(restored)).is_ok() {
                        let (jobs, group) = (waiting, Group::default());
                        Commits { store, sealing, ledger, jobs, patience, counts, group }.run();
                    }
                }
                Err(error) => {
                    // Whoever is told may open the same file again.
                    drop(store);
                    let _ = answer.send(Err(error));
                }
            }
        };
        let thread = std::thread::Builder::new().name("waxwire-store".to_owned());
        thread.spawn(work).map_err(KeepError::Thread)?;
        Ok((keeper, opened.await.unwrap_or(Err(KeepError::Closed))?))
    }

    #[cfg(feature = "test-utils")]
    fn open_as_task(
        mut store: impl Store,
        key: &StoreKey,
        now: Now,
        takes: std::time::Duration,
    ) -> Result<(Self, Restored), KeepError> {
        let (jobs, waiting) = tokio::sync::mpsc::unbounded_channel();
        let (naming, counts) = (Arc::new(key.naming()), Arc::new(Counts::default()));
        let jobs = Jobs::Task(jobs);
        let keeper = Self { jobs, naming: Arc::clone(&naming), counts: Arc::clone(&counts) };
        let sealing = key.sealing();
        let (ledger, restored) = read(&mut store, &sealing, naming, now)?;
        let (jobs, patience, group) = (waiting, Patience::DEFAULT, Group::default());
        let commits = Commits { store, sealing, ledger, jobs, patience, counts, group };
        tokio::spawn(commits.run_as_task(takes));
        Ok((keeper, restored))
    }

    /// The way to the store of the link with `peer`, whose epochs these are: those it was restored with,
    /// or those of a new one. Under other epochs than before, its first batch takes the place of all that
    /// was kept. A peer has one link at a time.
    pub(crate) fn link(&self, peer: &PeerId, outbox: Epoch, inbox: Epoch) -> LinkKeep {
        let epochs = Epochs { outbox, inbox };
        LinkKeep { peer: peer.clone(), epochs, jobs: self.jobs.clone(), desk: Desk::default() }
    }

    /// Removes everything of a peer but its chains. Drop its [`LinkKeep`] before: what that submits later
    /// is kept anew.
    ///
    /// # Errors
    ///
    /// [`KeepError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it is done all the same.
    pub(crate) async fn forget(&self, peer: &PeerId) -> Result<(), KeepError> {
        let (answer, done) = oneshot::channel();
        self.jobs.send(Job::Forget(peer.clone(), answer))?;
        done.await.map_err(|_| KeepError::Closed)
    }

    /// Stores the chain with a responder, in place of the one before. Sent when it returns, stored when
    /// that is ready; tried once.
    pub(crate) fn keep_dialled(&self, chain: &InitiatorChain) -> Storing {
        let value = encode_chain(ChainSide::Dialled, &chain.to_bytes());
        self.chain(self.dialled(&chain.peer()), Some(value))
    }

    /// Removes the chain with a responder.
    pub(crate) fn drop_dialled(&self, peer: &Fingerprint) -> Storing {
        self.chain(self.dialled(peer), None)
    }

    /// Stores the chain that an initiator of this key has here, as [`crate::session::ChainBook`] wrote
    /// it; as [`Self::keep_dialled`].
    pub(crate) fn keep_answered(&self, peer: &[u8; 32], chain: Option<&[u8]>) -> Storing {
        let value = chain.map(|chain| encode_chain(ChainSide::Answered, chain));
        self.chain(Pseudonym::answered(&self.naming, peer), value)
    }

    fn dialled(&self, peer: &Fingerprint) -> Pseudonym {
        Pseudonym::dialled(&self.naming, &peer.0)
    }

    fn chain(&self, place: Pseudonym, value: Option<Plain>) -> Storing {
        let (answer, done) = oneshot::channel();
        // If nobody takes it, the answer is dropped with it.
        let _ = self.jobs.send(Job::Chain(place.chain(), value, answer));
        Storing(done)
    }

    /// Stores what was submitted before, and closes the store. Links that submit later hear that it is
    /// closed, and so does a second call.
    ///
    /// # Errors
    ///
    /// [`KeepError`] of the last attempt if something could not be stored.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the store is closed all the same.
    pub(crate) async fn close(&self) -> Result<(), Arc<KeepError>> {
        let (answer, done) = oneshot::channel();
        let closed = || Arc::new(KeepError::Closed);
        self.jobs.send(Job::Close(answer)).map_err(Arc::new)?;
        done.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) fn counts(&self) -> KeeperCounts {
        let Counts { commits, rows, failures } = &*self.counts;
        let [commits, rows, failures] =
            [commits, rows, failures].map(|count| count.load(Ordering::Relaxed));
        KeeperCounts { commits, rows, failures }
    }
}

/// Reads a store.
fn read(
    store: &mut impl Store,
    sealing: &AtRest,
    naming: Arc<Naming>,
    now: Now,
) -> Result<(Ledger, Restored), KeepError> {
    let rows = store.load()?.into_iter().map(|(key, sealed)| {
        let value = seal::open(sealing, &key, &sealed)?;
        Ok((key, value))
    });
    Ledger::restore(naming, now, rows)
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// A chain on its way to the store.
#[must_use]
pub(crate) struct Storing(oneshot::Receiver<Result<(), Arc<KeepError>>>);

impl Storing {
    /// Waits until it is stored.
    ///
    /// # Errors
    ///
    /// [`KeepError`]. The row is what it was before.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the row may be stored all the same.
    pub(crate) async fn done(self) -> Result<(), Arc<KeepError>> {
        self.0.await.unwrap_or_else(|_| Err(Arc::new(KeepError::Closed)))
    }
}

/// One link's way to the store.
///
/// Whoever drives the link polls its changes only while [`Self::has_room`]: so it has at most
/// [`KEEP_BATCHES`] batches under way, and what happens meanwhile is one batch.
pub(crate) struct LinkKeep {
    peer: PeerId,
    epochs: Epochs,
    jobs: Jobs,
    desk: Desk,
}

impl LinkKeep {
    /// Whether the next batch may be submitted. [`Self::poll_stored`] wakes when it may.
    pub(crate) fn has_room(&self) -> bool {
        self.desk.under_way() < KEEP_BATCHES
    }

    /// Hands a batch on. Batches of a link are stored in the order in which they are submitted.
    pub(crate) fn submit(&mut self, now: Now, batch: Batch) {
        let answer = self.desk.owe(batch.number);
        let (peer, epochs) = (self.peer.clone(), self.epochs);
        // If nobody takes it, the answer is dropped with it, which the link hears.
        let _ = self.jobs.send(Job::Batch { peer, epochs, now, batch, answer });
    }

    /// The highest batch that is stored, once it is a higher one than before.
    ///
    /// # Errors
    ///
    /// [`KeepError`] when the store fails, once until it works again: what was submitted is kept and
    /// tried again, after 1 s at first and 30 s at most, and nothing of it counts as stored meanwhile.
    /// [`KeepError::Closed`], each time, if a batch will never be stored.
    pub(crate) fn poll_stored(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Arc<KeepError>>> {
        self.desk.poll(cx)
    }
}

impl std::fmt::Debug for LinkKeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkKeep").field("peer", &self.peer).finish_non_exhaustive()
    }
}
