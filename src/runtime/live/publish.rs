//! A message on its way out: what its sender asks for, and waits for.

use std::future::IntoFuture;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;

use super::news::Level;
use super::shared::{Confirm, Shared, closed};
use crate::body::Headers;
use crate::channel::ChannelName;
use crate::delivery::outbox::Doubt;
use crate::error::{ChannelRefusal, Error, ErrorKind};
use crate::link::{self, MessageId, PublishError, Reliability};
use crate::priority::Class;

/// A message to be published. Awaiting it waits until it reached the level asked for.
///
/// It is numbered: kept and sent again until the peer's application is done with it, whatever happens to
/// sessions in between, and handled once. [`Publish::best_effort`] asks for less.
///
/// ```no_run
/// use std::time::Duration;
/// use waxwire::{Class, Level, topics};
///
/// # async fn example(agent: waxwire::Agent) -> Result<(), waxwire::Error> {
/// let receipt = agent
///     .publish(topics::ANOMALIES, b"sshd listens on 0.0.0.0".as_slice())
///     .priority(Class::Critical)
///     .ttl(Duration::from_secs(3600))
///     .confirm(Level::Processed)
///     .await?;
/// assert_eq!(receipt.level, Level::Processed);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is published before it is awaited"]
pub struct Publish {
    link: Arc<Shared>,
    message: Result<link::Publish, Error>,
    confirm: Level,
    waits: bool,
}

/// What is known of a message that was published.
///
/// ```no_run
/// # async fn example(link: waxwire::Link) -> Result<(), waxwire::Error> {
/// let receipt = link.publish("status", "all quiet").await?;
/// println!("message {} is {:?}", receipt.message, receipt.level);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// Names the message in [`super::LinkEvent::Undelivered`], as long as this process lives.
    pub message: u64,
    /// How far it had come.
    pub level: Level,
}

impl Publish {
    pub(super) fn new(
        link: Arc<Shared>,
        channel: Result<ChannelName, Error>,
        payload: Result<Bytes, Error>,
    ) -> Self {
        let message = channel.and_then(|channel| {
            Ok(link::Publish {
                channel,
                payload: payload?,
                headers: None,
                class: Class::Normal,
                ttl: None,
                reliability: Reliability::AtLeastOnce,
                doubt: Doubt::SendAgain,
            })
        });
        Self { link, message, confirm: Level::Queued, waits: true }
    }

    fn edit(mut self, edit: impl FnOnce(&mut link::Publish)) -> Self {
        if let Ok(message) = &mut self.message {
            edit(message);
        }
        self
    }

    /// How urgent it is. Default [`Class::Normal`]. Control is the link's own: it counts as critical.
    pub fn priority(self, class: Class) -> Self {
        self.edit(|message| message.class = class.max(Class::Critical))
    }

    /// How long it is worth something. What is over is not sent, and its publisher learns it. Default:
    /// for ever.
    pub fn ttl(self, span: Duration) -> Self {
        self.edit(|message| message.ttl = Some(span))
    }

    /// What is said beside it: a map from text to text of 65 535 bytes at most.
    pub fn headers(self, headers: &Headers) -> Self {
        let bytes = headers.to_bytes();
        self.edit(|message| message.headers = bytes)
    }

    /// Sends it once, if there is room and a session by then. It has no number: nothing is told of it but
    /// that it was queued, and [`Publish::confirm`] can ask for no more.
    pub fn best_effort(self) -> Self {
        self.edit(|message| message.reliability = Reliability::BestEffort)
    }

    /// Reports it as in doubt if the peer loses its memory, and may have handled it. Default: it is sent
    /// again, marked as [`Message::is_again`](super::Message::is_again).
    pub fn report_doubt(self) -> Self {
        self.edit(|message| message.doubt = Doubt::Surface)
    }

    /// The level to wait for. Default [`Level::Queued`].
    pub fn confirm(mut self, level: Level) -> Self {
        self.confirm = level;
        self
    }

    /// As it is, but that it never waits for room.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.waits = false;
        self
    }

    /// Publishes if there is room now, and waits for nothing.
    ///
    /// # Errors
    ///
    /// As awaiting it, and [`ErrorKind::Full`] if there is no room.
    pub fn try_now(self) -> Result<Receipt, Error> {
        let message = self.message?;
        let taken = self.link.lock().link.publish(self.link.now(), &message);
        self.link.bell.ring();
        let id = taken.map_err(refused)?;
        Ok(Receipt { message: id.0, level: Level::Queued })
    }

    /// Hands the message to the link once. `None`: there is no room, and it waits for some.
    fn begin(&mut self) -> Result<Option<Taken>, Error> {
        let message = match &mut self.message {
            Ok(message) => message,
            Err(refused) => return Err(std::mem::replace(refused, closed())),
        };
        let is_numbered = message.reliability == Reliability::AtLeastOnce;
        if self.confirm > Level::Queued && !is_numbered {
            return Err(Error::with(ErrorKind::Config, "best effort is not confirmed"));
        }
        if self.confirm == Level::Stored && !self.link.is_durable {
            return Err(Error::with(ErrorKind::Config, "the link has no store"));
        }
        match take(&self.link, message, self.confirm)? {
            None if !self.waits => Err(Error::new(ErrorKind::Full)),
            taken => Ok(taken),
        }
    }

    /// Waits for room.
    async fn wait(mut self) -> Result<Taken, Error> {
        let link = Arc::clone(&self.link);
        loop {
            let mut room = pin!(link.room.notified());
            // Before asking again, so that no word is missed between the two.
            room.as_mut().enable();
            if let Some(taken) = self.begin()? {
                return Ok(taken);
            }
            room.await;
        }
    }
}

type Taken = (MessageId, Option<(ChannelName, oneshot::Receiver<Told>)>);
type Told = Result<Level, crate::error::Undelivered>;

/// Hands the message to the link. `None`: there is no room.
fn take(
    link: &Arc<Shared>,
    message: &link::Publish,
    confirm: Level,
) -> Result<Option<Taken>, Error> {
    let mut core = link.lock();
    let id = match core.link.publish(link.now_for(message.ttl), message) {
        Ok(id) => id,
        Err(PublishError::Full) if link.options.waits(message) => {
            core.is_starved = true;
            return Ok(None);
        }
        Err(error) => return Err(refused(error)),
    };
    let mut confirmed = None;
    if confirm > Level::Queued {
        let (told, receiver) = oneshot::channel();
        core.confirms.insert(id, Confirm { level: confirm, told });
        confirmed = Some((message.channel.clone(), receiver));
    }
    drop(core);
    link.bell.ring();
    Ok(Some((id, confirmed)))
}

fn refused(error: PublishError) -> Error {
    match error {
        PublishError::Closed => closed(),
        PublishError::Unauthorized(error) => error.into(),
        PublishError::TooLarge(..) | PublishError::Headers(_) => {
            Error::with(ErrorKind::TooLarge, error)
        }
        PublishError::Full => Error::new(ErrorKind::Full),
    }
}

impl IntoFuture for Publish {
    type Output = Result<Receipt, Error>;
    type IntoFuture = Publishing;

    /// Publishes, and waits for the level asked for; for room too, where the overflow policy of the class
    /// says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`], [`ErrorKind::Unauthorized`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Body`], [`ErrorKind::Full`], [`ErrorKind::Closed`]: nothing was taken.
    /// [`ErrorKind::Undelivered`]: it will not arrive, or may have arrived.
    /// [`ErrorKind::Config`] for a level that the link cannot name.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the message was taken or was not; one that was is still sent.
    fn into_future(self) -> Self::IntoFuture {
        Publishing(Stage::Fresh(self))
    }
}

/// What awaiting a [`Publish`] waits for.
#[must_use = "nothing is published before it is awaited"]
pub struct Publishing(Stage);

enum Stage {
    Fresh(Publish),
    Waiting(Pin<Box<dyn Future<Output = Result<Taken, Error>> + Send>>),
    Confirming(MessageId, ChannelName, oneshot::Receiver<Told>),
    Over,
}

impl Future for Publishing {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let taken = match &mut self.0 {
                Stage::Fresh(publish) => {
                    // Who publishes in a loop gives others of its thread their turn.
                    ready!(pin!(consume_budget()).poll(cx));
                    publish.begin().transpose()
                }
                Stage::Waiting(waiting) => Some(ready!(waiting.as_mut().poll(cx))),
                Stage::Confirming(id, channel, confirmed) => {
                    let (message, told) = (id.0, ready!(Pin::new(confirmed).poll(cx)));
                    let refusal = ChannelRefusal { channel: channel.to_string(), code: None };
                    self.0 = Stage::Over;
                    return Poll::Ready(match told {
                        Ok(Ok(level)) => Ok(Receipt { message, level }),
                        Ok(Err(why)) => Err(Error::with(ErrorKind::Undelivered(why), refusal)),
                        Err(_) => Err(closed()),
                    });
                }
                Stage::Over => unreachable!("polled after it was ready"),
            };
            self.0 = match (taken, std::mem::replace(&mut self.0, Stage::Over)) {
                (None, Stage::Fresh(publish)) => Stage::Waiting(Box::pin(publish.wait())),
                (Some(Ok((id, Some((channel, confirmed))))), _) => {
                    Stage::Confirming(id, channel, confirmed)
                }
                (Some(Ok((id, None))), _) => {
                    return Poll::Ready(Ok(Receipt { message: id.0, level: Level::Queued }));
                }
                (Some(Err(error)), _) => return Poll::Ready(Err(error)),
                (None, _) => unreachable!("only what is fresh finds no room"),
            };
        }
    }
}

impl std::fmt::Debug for Publishing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publishing(..)")
    }
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish").field("confirm", &self.confirm).finish_non_exhaustive()
    }
}
