//! A question to the peer, and its answers.

use std::collections::VecDeque;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::shared::{Shared, closed};
use crate::call::{Answering, Ask, Correlation, Failure, OnDetach, OnPeerLost, Outcome, Progress};
use crate::channel::ChannelName;
use crate::error::{Error, ErrorKind};
use crate::limits::{REQUEST_TIME, STREAM_ITEMS};
use crate::link::RequestError;
use crate::priority::Class;

/// A request to be made. Awaiting it waits for the answer; dropping that future withdraws the request,
/// and the handler at the other side stops.
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn example(backend: waxwire::Backend) -> Result<(), waxwire::Error> {
/// let agent = backend.agent("edge-7")?;
/// let listing = agent.request("tool_call", "ls /var/log").deadline(Duration::from_secs(2)).await?;
/// # let _ = listing;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is asked before it is awaited"]
pub struct Request {
    link: Arc<Shared>,
    ask: Result<(ChannelName, Ask), Error>,
    progress: Option<watch::Sender<Option<Progress>>>,
}

/// Who waits for what becomes of a request.
pub(super) struct Asking {
    answers: Answers,
    progress: Option<watch::Sender<Option<Progress>>>,
}

enum Answers {
    One(oneshot::Sender<Result<Bytes, Failure>>),
    Stream(Arc<Mutex<Items>>),
}

#[derive(Default)]
struct Items {
    waiting: VecDeque<Bytes>,
    end: Option<Result<Bytes, Failure>>,
    waker: Option<Waker>,
}

impl Asking {
    pub(super) fn item(&self, payload: Bytes) {
        if let Answers::Stream(items) = &self.answers {
            locked(items).waiting.push_back(payload);
            wake(items);
        }
    }

    pub(super) fn progress(&self, progress: Progress) {
        if let Some(sender) = &self.progress {
            sender.send_replace(Some(progress));
        }
    }

    pub(super) fn end(self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Answered(payload) => Ok(payload),
            Outcome::Failed(failure) => Err(failure),
        };
        match self.answers {
            // Whoever waited may be gone.
            Answers::One(told) => drop(told.send(outcome)),
            Answers::Stream(items) => {
                locked(&items).end = Some(outcome);
                wake(&items);
            }
        }
    }
}

impl Request {
    pub(super) fn new(
        link: Arc<Shared>,
        channel: Result<ChannelName, Error>,
        payload: Result<Bytes, Error>,
    ) -> Self {
        let ask = channel.and_then(|channel| {
            let ask = Ask {
                payload: payload?,
                class: Class::Normal,
                time: REQUEST_TIME,
                answering: Answering::One,
                on_detach: OnDetach::Fail,
                on_peer_lost: OnPeerLost::InDoubt,
            };
            Ok((channel, ask))
        });
        Self { link, ask, progress: None }
    }

    fn edit(mut self, edit: impl FnOnce(&mut Ask)) -> Self {
        if let Ok((_, ask)) = &mut self.ask {
            edit(ask);
        }
        self
    }

    /// How urgent request and answer are. Default [`Class::Normal`].
    pub fn priority(self, class: Class) -> Self {
        self.edit(|ask| ask.class = class.max(Class::Critical))
    }

    /// Time for the answer; the other side is told what is left of it. Default 10 s.
    pub fn deadline(self, span: Duration) -> Self {
        self.edit(|ask| ask.time = span)
    }

    /// Has the request wait for a session, and outlive one: request and answer are delivered once the link
    /// is back. Default: without a session it fails at once, and with its session it ends as
    /// [`crate::FailureCode::Detached`].
    pub fn outliving_sessions(self) -> Self {
        self.edit(|ask| ask.on_detach = OnDetach::Redrive)
    }

    /// As [`Request::outliving_sessions`], and asks again a peer that lost its memory: for what may be done
    /// twice.
    pub fn repeatable(self) -> Self {
        self.edit(|ask| {
            ask.on_detach = OnDetach::Redrive;
            ask.on_peer_lost = OnPeerLost::Redrive;
        })
    }

    /// Has the newest word of how far the work is put there.
    pub fn progress_to(mut self, sender: watch::Sender<Option<Progress>>) -> Self {
        self.progress = Some(sender);
        self
    }

    /// Asks for a stream of answers: items, then a last answer.
    ///
    /// # Errors
    ///
    /// As awaiting it, but for those of the answer.
    pub fn stream(self) -> Result<Responses, Error> {
        let items = Arc::new(Mutex::default());
        let this = self.edit(|ask| ask.answering = Answering::Stream { allowed: STREAM_ITEMS });
        let asked = this.begin(Answers::Stream(Arc::clone(&items)))?;
        Ok(Responses { asked, items, taken: 0, allowed: STREAM_ITEMS, end: None })
    }

    fn begin(self, answers: Answers) -> Result<Asked, Error> {
        let (channel, ask) = self.ask?;
        let link = self.link;
        let made = link.with(|core| {
            let correlation = core.link.request(link.now(), channel, ask)?;
            core.requests.insert(correlation, Asking { answers, progress: self.progress });
            Ok(correlation)
        });
        let correlation = made.map_err(|error: RequestError| match error {
            RequestError::Closed => closed(),
            RequestError::Unauthorized(error) => error.into(),
            RequestError::TooLarge(..) => Error::with(ErrorKind::TooLarge, error),
            RequestError::Ask(crate::call::AskError::TooMany) => {
                Error::with(ErrorKind::Full, error)
            }
            RequestError::Ask(crate::call::AskError::Detached) => {
                Failure::new(crate::call::ErrorCode::Detached).into()
            }
        })?;
        Ok(Asked { link, correlation })
    }
}

/// Withdraws a request that nobody waits for any more.
struct Asked {
    link: Arc<Shared>,
    correlation: Correlation,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut core = self.link.lock();
        if core.requests.remove(&self.correlation).is_some() {
            core.link.cancel(self.link.now(), self.correlation);
            drop(core);
            self.link.bell.ring();
        }
    }
}

impl IntoFuture for Request {
    type Output = Result<Bytes, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`], [`ErrorKind::Unauthorized`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Body`], [`ErrorKind::Full`], [`ErrorKind::Closed`]: nothing was asked.
    /// [`ErrorKind::Call`] with the code of the failure; [`crate::FailureCode::retry`] says what it is
    /// worth to ask again.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the request is withdrawn; it may have been done.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (told, answer) = oneshot::channel();
            let _asked = self.begin(Answers::One(told))?;
            match answer.await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(closed()),
            }
        })
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// The answers to a request for a stream. Dropping it withdraws the request.
///
/// The other side may be 64 items ahead of what was taken here.
///
/// ```no_run
/// # async fn example(agent: waxwire::Link) -> Result<(), waxwire::Error> {
/// let mut lines = agent.request("tail", "/var/log/syslog").stream()?;
/// while let Some(line) = lines.next().await {
///     println!("{line:?}");
/// }
/// let summary = lines.end().await?; // or why it ended
/// # let _ = summary;
/// # Ok(())
/// # }
/// ```
pub struct Responses {
    asked: Asked,
    items: Arc<Mutex<Items>>,
    taken: u64,
    allowed: u64,
    end: Option<Result<Bytes, Failure>>,
}

impl Responses {
    /// The next item; `None` once there are no more: [`Responses::end`] has the last answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: an item that arrived stays until the next call.
    pub async fn next(&mut self) -> Option<Bytes> {
        let item = poll_fn(|cx| {
            let mut items = locked(&self.items);
            if let Some(item) = items.waiting.pop_front() {
                return Poll::Ready(Some(item));
            }
            if self.end.is_some() || items.end.is_some() {
                self.end = self.end.take().or(items.end.take());
                return Poll::Ready(None);
            }
            items.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await?;
        self.taken += 1;
        if self.allowed - self.taken <= STREAM_ITEMS / 2 {
            self.allowed = self.taken + STREAM_ITEMS;
            let Asked { link, correlation } = &self.asked;
            link.with(|core| core.link.allow(link.now(), *correlation, self.allowed));
        }
        Some(item)
    }

    /// The last answer, once every item was taken or given up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Call`] if the stream failed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the request is withdrawn.
    pub async fn end(mut self) -> Result<Bytes, Error> {
        while self.next().await.is_some() {}
        match self.end.take() {
            Some(end) => Ok(end?),
            None => Err(closed()),
        }
    }
}

impl std::fmt::Debug for Responses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responses").field("taken", &self.taken).finish_non_exhaustive()
    }
}

fn locked(items: &Mutex<Items>) -> std::sync::MutexGuard<'_, Items> {
    items.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(items: &Mutex<Items>) {
    let waker = locked(items).waker.take();
    if let Some(waker) = waker {
        waker.wake();
    }
}
