//! Messages that the peer publishes: where they wait for their subscriber, and what it says of each.

use std::collections::{BTreeMap, VecDeque};
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::watch;

use super::link::Link;
use super::shared::{Listener, Return, Shared};
use crate::body::Headers;
use crate::channel::{BadChannel, ChannelName, Pattern};
use crate::delivery::credit::Amount;
use crate::error::{ChannelRefusal, Error, ErrorKind};
use crate::ids::PeerId;
use crate::limits::UNCLAIMED_BYTES;
use crate::link::{self, DeliveryId};
use crate::priority::Class;

/// Where messages wait for one subscriber. Bounded by the credit that its subscription gives each peer.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    waker: Option<Waker>,
    /// Links that feed it end one after the other; a backend's inbox outlives them.
    is_closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, message: Message) {
        let mut waiting = self.lock();
        waiting.messages.push_back(message);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves everything that waits into `into`, which is empty.
    fn poll_all(&self, cx: &Context<'_>, into: &mut VecDeque<Message>) -> Poll<()> {
        let mut waiting = self.lock();
        if !waiting.messages.is_empty() {
            std::mem::swap(&mut waiting.messages, into);
            return Poll::Ready(());
        }
        if waiting.is_closed {
            return Poll::Ready(());
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A message of the peer.
///
/// One that has a number is its sender's until [`Message::done`] says that its effect is safe. Dropped
/// without a word it stays unhandled: it comes again to the next subscription that matches, or once this
/// side restarts. Of such messages 4 MiB are kept, further ones are refused. Dropped in a panic it is refused. To make an effect happen once even across a crash,
/// store [`Message::key`] with it.
///
/// ```no_run
/// # fn store(key: &[u8], effect: &[u8]) -> bool { true }
/// # async fn example(mut anomalies: waxwire::Subscription) {
/// while let Some(message) = anomalies.next().await {
///     match message.key() {
///         Some(key) if store(key, message.payload()) => message.done(),
///         Some(_) => message.refuse(1),
///         None => {} // best effort
///     }
/// }
/// # }
/// ```
pub struct Message {
    parcel: Parcel,
    link: Arc<Shared>,
    /// Whether a word was given, or none is asked for.
    is_settled: bool,
}

/// A message without the link that it came over, so that the link can keep it.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) channel: ChannelName,
    class: Class,
    headers: Option<Bytes>,
    payload: Bytes,
    key: Option<[u8; 25]>,
    again: bool,
    id: DeliveryId,
    /// The subscription whose credit it holds until it is taken.
    subscription: Option<u32>,
    /// Those of this side that have it and gave no word.
    holders: Option<Arc<AtomicUsize>>,
}

impl Message {
    /// Hands a delivery to each subscription that it is for.
    pub(super) fn deliver(
        link: &Arc<Shared>,
        delivery: link::Delivery,
        listeners: &BTreeMap<u32, Listener>,
        unclaimed: &mut Unclaimed,
    ) {
        let link::Delivery {
            id, subscriptions, channel, class, headers, payload, key, again, ..
        } = delivery;
        let key = key.map(|key| key.to_bytes());
        let holders = key.map(|_| Arc::new(AtomicUsize::new(subscriptions.len())));
        let subscription = None;
        let parcel =
            Parcel { channel, class, headers, payload, key, again, id, subscription, holders };
        for subscription in subscriptions.iter().copied() {
            let parcel = Parcel { subscription: Some(subscription), ..parcel.clone() };
            match listeners.get(&subscription) {
                Some(listener) => {
                    let is_settled = parcel.key.is_none();
                    let link = Arc::clone(link);
                    listener.inbox.push(Self { parcel, link, is_settled });
                }
                // It ended meanwhile.
                None if parcel.key.is_none() => link.give(Return::Taken(id, subscription)),
                None => {
                    if !unclaimed.keep(parcel) {
                        link.give(Return::Refused(id, UNCLAIMED));
                    }
                }
            }
        }
    }

    /// Where it was published.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.parcel.channel
    }

    /// What the channel is about: what stands behind `agent.<id>.` or `backend.<id>.`.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.parcel.channel.as_str().splitn(3, '.').nth(2).unwrap_or_default()
    }

    /// The agent of the link that it came over.
    #[must_use]
    pub fn agent(&self) -> &PeerId {
        &self.link.sides.agent
    }

    /// How urgent its sender finds it.
    #[must_use]
    pub fn class(&self) -> Class {
        self.parcel.class
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.parcel.payload
    }

    /// What it says, as MessagePack.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Body`] if it is something else.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(crate::body::from_slice(&self.parcel.payload)?)
    }

    /// What its sender says beside it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Body`] if that is no map from text to text.
    pub fn headers(&self) -> Result<Headers, Error> {
        match &self.parcel.headers {
            Some(bytes) => Ok(Headers::from_slice(bytes)?),
            None => Ok(Headers::default()),
        }
    }

    /// What names a numbered message in every session and process, together with the peer that sent it:
    /// a duplicate has the same key. `None` for one of best effort.
    #[must_use]
    pub fn key(&self) -> Option<&[u8; 25]> {
        self.parcel.key.as_ref()
    }

    /// Whether it was sent before. If this side lost its memory since, it may have been handled.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.parcel.again
    }

    /// The effect is safe: the sender hears that the message was processed, and it never comes again.
    /// Nothing for one of best effort.
    pub fn done(mut self) {
        self.settle(Return::Handled(self.parcel.id));
    }

    /// The application will not handle it, for a reason of its own, which the sender learns. It does not
    /// come again.
    pub fn refuse(mut self, detail: u32) {
        self.settle(Return::Refused(self.parcel.id, detail));
    }

    fn settle(&mut self, word: Return) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let holders = self.parcel.holders.as_ref();
        let is_last = holders.is_some_and(|left| left.fetch_sub(1, Ordering::AcqRel) == 1);
        if is_last || matches!(word, Return::Refused(..)) {
            self.link.give(word);
        }
    }

    fn take(&mut self) {
        if let Some(taken) = self.taking() {
            self.link.give(taken);
        }
    }

    /// What is to be said of a message that leaves its queue.
    fn taking(&mut self) -> Option<Return> {
        let subscription = self.parcel.subscription.take()?;
        Some(Return::Taken(self.parcel.id, subscription))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        if std::thread::panicking() {
            return self.settle(Return::Refused(self.parcel.id, PANICKED));
        }
        self.take();
        if !self.link.lock().unclaimed.keep(self.parcel.clone()) {
            self.settle(Return::Refused(self.parcel.id, UNCLAIMED));
        }
    }
}

/// Messages after which a link is told that they were taken, so that credit goes back.
const TAKEN: usize = 32;
/// Detail of a refused message whose handler panicked.
const PANICKED: u32 = u32::MAX;
/// Detail of a refused message that found no room among those that nobody gave a word about.
const UNCLAIMED: u32 = u32::MAX - 1;

/// Messages without a word, up to [`UNCLAIMED_BYTES`].
#[derive(Default)]
pub(super) struct Unclaimed {
    parcels: Vec<Parcel>,
    bytes: usize,
}

impl Unclaimed {
    /// Keeps one, if there is room.
    pub(super) fn keep(&mut self, parcel: Parcel) -> bool {
        let bytes = self.bytes + parcel.payload.len();
        if bytes > UNCLAIMED_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.parcels.push(parcel);
        true
    }

    fn claim(&mut self, pattern: &Pattern) -> Vec<Parcel> {
        let matches = |parcel: &mut Parcel| pattern.matches(&parcel.channel);
        let claimed: Vec<_> = self.parcels.extract_if(.., matches).collect();
        self.bytes -= claimed.iter().map(|parcel| parcel.payload.len()).sum::<usize>();
        claimed
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("channel", &self.parcel.channel)
            .field("class", &self.parcel.class)
            .field("bytes", &self.parcel.payload.len())
            .finish_non_exhaustive()
    }
}

/// What this side listens to, until it is dropped. It outlives sessions.
///
/// Messages that nobody takes use up the credit of the subscription, 512 messages or 2 MiB from each
/// peer; then the peer waits with those of this subscription, and with nothing else.
///
/// ```no_run
/// # async fn example(agent: waxwire::Link) -> Result<(), waxwire::Error> {
/// let mut policies = agent.subscribe("policies").await?;
/// while let Some(policy) = policies.next().await {
///     println!("{}: {:?}", policy.topic(), policy.payload());
///     policy.done();
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    inbox: Arc<Inbox>,
    ready: VecDeque<Message>,
    /// What was taken of the link of the next message, and not said yet.
    taken: Vec<Return>,
    _ends: Box<dyn Send + Sync>,
}

impl Subscription {
    /// A subscription that is over once `ends` is dropped.
    pub(crate) fn new(inbox: Arc<Inbox>, ends: impl Send + Sync + 'static) -> Self {
        Self { inbox, ready: VecDeque::new(), taken: Vec::new(), _ends: Box::new(ends) }
    }

    /// The next message; `None` once the link is closed and every message was taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a message that arrived stays until the next call.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`], for streams of one's own.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.ready.is_empty() {
            std::task::ready!(self.inbox.poll_all(cx, &mut self.ready));
        }
        let mut message = self.ready.pop_front();
        if let Some(message) = &mut message
            && let Some(taken) = message.taking()
        {
            // Of one link's together, as long as more are ready.
            let next = self.ready.front();
            let goes_on = next.is_some_and(|next| Arc::ptr_eq(&next.link, &message.link));
            self.taken.push(taken);
            if !goes_on || self.taken.len() >= TAKEN {
                message.link.give_all(&mut self.taken);
            }
        }
        Poll::Ready(message)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(next) = self.ready.front() {
            next.link.give_all(&mut self.taken);
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

/// A subscription to be made. Awaiting it waits until the peer has confirmed it, so that nothing that
/// is published afterwards is missed; while there is no session it waits for one.
#[must_use = "nothing is subscribed to before it is awaited"]
pub struct Subscribe {
    pub(super) link: Link,
    pub(super) pattern: Result<Pattern, BadChannel>,
}

/// Ends one subscription of one link.
pub(crate) struct Ending {
    link: Weak<Shared>,
    number: u32,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            let listener = link.with(|core| {
                core.link.unsubscribe(self.number);
                core.listeners.remove(&self.number)
            });
            // Its messages lock the link when they are dropped.
            drop(listener);
        }
    }
}

/// The peer's answer to a subscription, once there is one.
pub(crate) type Answered = watch::Receiver<Option<Result<(), u16>>>;

/// Listens on one link; what arrives goes to `inbox`.
pub(crate) fn listen(
    link: &Arc<Shared>,
    pattern: Pattern,
    inbox: &Arc<Inbox>,
) -> Result<(Ending, Answered), Error> {
    let (answer, answered) = watch::channel(None);
    let number = link.with(|core| {
        let number = core.link.subscribe(pattern.clone(), Amount::SUBSCRIPTION_WINDOW);
        if let Ok(number) = &number {
            // What nobody claimed comes first.
            for parcel in core.unclaimed.claim(&pattern) {
                inbox.push(Message { parcel, link: Arc::clone(link), is_settled: false });
            }
            core.listeners.insert(*number, Listener { inbox: Arc::clone(inbox), answer });
        }
        number
    });
    let number = number.map_err(|error| match error {
        link::SubscribeError::Closed => super::shared::closed(),
        link::SubscribeError::TooMany(_) => Error::with(ErrorKind::Full, error),
        link::SubscribeError::Pattern(bad) => bad.into(),
    })?;
    Ok((Ending { link: Arc::downgrade(link), number }, answered))
}

impl Subscribe {
    /// Listens without waiting for the peer's word.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`], [`ErrorKind::Full`] beyond 50 subscriptions, [`ErrorKind::Closed`].
    pub fn unconfirmed(self) -> Result<Subscription, Error> {
        self.begin().map(|(subscription, _)| subscription)
    }

    fn begin(self) -> Result<(Subscription, Answered), Error> {
        let inbox = Arc::new(Inbox::default());
        let (ending, answered) = listen(self.link.shared(), self.pattern?, &inbox)?;
        Ok((Subscription::new(inbox, (ending, self.link)), answered))
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// # Errors
    ///
    /// As [`Subscribe::unconfirmed`]; [`ErrorKind::Channel`] with a [`crate::ChannelRefusal`] if the peer refused
    /// it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is subscribed to.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let channel = self.pattern.as_ref().map_or(String::new(), Pattern::to_string);
            let (subscription, mut answered) = self.begin()?;
            let answer = answered.wait_for(Option::is_some).await;
            match answer.map(|answer| *answer) {
                Ok(Some(Err(code))) => Err(Error::with(
                    ErrorKind::Channel,
                    ChannelRefusal { channel, code: Some(code) },
                )),
                Ok(_) => Ok(subscription),
                Err(_) => Err(super::shared::closed()),
            }
        })
    }
}

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribe").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}
