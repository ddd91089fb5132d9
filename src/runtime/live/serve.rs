//! Handlers: who answers the peer's requests and runs its commands, and what they know of them.

use std::any::Any;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::body::{Body, FromPayload, IntoPayload};
use super::link::{Life, Link};
use super::shared::{Shared, closed};
use crate::call::{AnswerError, CommandId, Correlation, ErrorCode, Executed, Failure, Progress};
use crate::channel::{ChannelName, Pattern};
use crate::error::{Error, ErrorKind};
use crate::ids::PeerId;
use crate::priority::Class;
use crate::session::Peer;
use crate::time::Instant;

/// Handlers, and what they share. One for all links of a backend.
#[derive(Default)]
pub(crate) struct Serving {
    routes: RwLock<Routes>,
    state: RwLock<Option<Arc<dyn Any + Send + Sync>>>,
}

#[derive(Default)]
struct Routes {
    requests: Vec<(Pattern, Route)>,
    commands: Vec<(Pattern, Route)>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, Failure>> + Send>>;
type Route = Arc<dyn Fn(Context, Bytes) -> Answer + Send + Sync>;

/// What a handler's output can be.
pub trait IntoAnswer {
    /// The answer's bytes, or why there are none.
    ///
    /// # Errors
    ///
    /// The failure that the other side learns.
    fn into_answer(self) -> Result<Bytes, Failure>;
}

fn written(answer: impl IntoPayload) -> Result<Bytes, Failure> {
    answer.into_payload().map_err(|error| {
        tracing::warn!(%error, "an answer could not be written");
        Failure::new(ErrorCode::Internal)
    })
}

macro_rules! answers {
    ($($kind:ty),*) => {$(
        impl IntoAnswer for $kind {
            fn into_answer(self) -> Result<Bytes, Failure> {
                written(self)
            }
        }
    )*};
}

answers!(Bytes, Vec<u8>, String, &'static str, &'static [u8], ());

impl<T: serde::Serialize> IntoAnswer for Body<T> {
    fn into_answer(self) -> Result<Bytes, Failure> {
        written(self)
    }
}

impl<T: IntoAnswer, E: Into<Failure>> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Result<Bytes, Failure> {
        self.map_err(Into::into)?.into_answer()
    }
}

/// A function that answers requests, or runs commands: `async fn(Context, In) -> Out`.
///
/// `In` is [`Bytes`] or a [`Body`] of anything that serde reads; `Out` is bytes, text, a [`Body`], or a
/// result of one of them whose error becomes a [`Failure`].
///
/// ```
/// use waxwire::{Body, Context, Failure, FailureCode, Handler};
///
/// #[derive(serde::Deserialize)]
/// struct ToolCall {
///     tool: String,
/// }
///
/// async fn run(_: Context, Body(call): Body<ToolCall>) -> Result<String, Failure> {
///     match call.tool.as_str() {
///         "uptime" => Ok("3 days".to_owned()),
///         _ => Err(Failure::with_text(FailureCode::Application(404), "no such tool")),
///     }
/// }
///
/// fn is_handler<In>(_: impl Handler<In>) {}
/// is_handler(run);
/// ```
pub trait Handler<In>: Send + Sync + 'static {
    /// Handles one call.
    fn handle(&self, context: Context, payload: Bytes) -> Answer;
}

impl<F, Fut, In, Out> Handler<(In, Out)> for F
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Out> + Send + 'static,
    In: FromPayload,
    Out: IntoAnswer,
{
    fn handle(&self, context: Context, payload: Bytes) -> Answer {
        match In::from_payload(payload) {
            Ok(input) => {
                let answer = self(context, input);
                Box::pin(async move { answer.await.into_answer() })
            }
            Err(error) => {
                let failure = Failure::with_text(ErrorCode::BadPayload, &error.to_string());
                Box::pin(std::future::ready(Err(failure)))
            }
        }
    }
}

impl Serving {
    pub(crate) fn with_state(state: Option<Arc<dyn Any + Send + Sync>>) -> Arc<Self> {
        Arc::new(Self { state: RwLock::new(state), ..Self::default() })
    }

    pub(crate) fn add_request<In: 'static>(&self, channels: Pattern, handler: impl Handler<In>) {
        self.routes().requests.insert(0, (channels, route(handler)));
    }

    pub(crate) fn add_command<In: 'static>(&self, channels: Pattern, handler: impl Handler<In>) {
        self.routes().commands.insert(0, (channels, route(handler)));
    }

    fn routes(&self) -> std::sync::RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, kind: Kind, channel: &ChannelName) -> Option<Route> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let routes = match kind {
            Kind::Call(_) => &routes.requests,
            Kind::Command(_) => &routes.commands,
        };
        let found = routes.iter().find(|(channels, _)| channels.matches(channel));
        found.map(|(_, route)| Arc::clone(route))
    }
}

fn route<In: 'static>(handler: impl Handler<In>) -> Route {
    Arc::new(move |context, payload| handler.handle(context, payload))
}

/// What a handler works on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Call(Correlation),
    Command(CommandId),
}

/// A handler at work, as its link knows it.
pub(super) struct Running {
    stop: watch::Sender<bool>,
    /// The caller can take another item.
    room: Arc<Notify>,
}

impl Running {
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn room(&self) {
        self.room.notify_waiters();
    }
}

/// What a handler has to know to begin.
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) channel: ChannelName,
    pub(super) class: Class,
    pub(super) deadline: Option<Instant>,
    pub(super) payload: Bytes,
    pub(super) is_again: bool,
}

/// Runs the handler for a job in a task of its own. `None`: there is no handler.
pub(super) fn start(
    link: &Arc<Shared>,
    life: &Weak<Life>,
    peer: Option<Peer>,
    job: Job,
) -> Option<Running> {
    let route = link.serving.find(job.kind, &job.channel)?;
    let (stop, stopped) = watch::channel(false);
    let room = Arc::new(Notify::new());
    let Job { kind, channel, class, deadline, payload, is_again } = job;
    let context = Context {
        link: Arc::clone(link),
        life: Weak::clone(life),
        peer,
        kind,
        channel,
        class,
        deadline,
        is_again,
        stopped: stopped.clone(),
        room: Arc::clone(&room),
    };
    let owed = Owed { link: Arc::clone(link), kind: Some(kind) };
    tokio::spawn(work(route, context, payload, owed, stopped));
    Some(Running { stop, room })
}

async fn work(
    route: Route,
    context: Context,
    payload: Bytes,
    owed: Owed,
    mut stopped: watch::Receiver<bool>,
) {
    let kind = context.kind;
    let mut answer = pin!(async { route(context, payload).await });
    let answer = match kind {
        // Nobody waits for the answer of a request that was withdrawn: its handler ends where it waits.
        Kind::Call(_) => tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = stopped.wait_for(|stopped| *stopped) => Err(Failure::new(ErrorCode::Cancelled)),
        },
        // A command's effect is not left half done: its handler is asked to stop.
        Kind::Command(_) => answer.await,
    };
    owed.pay(answer);
}

/// The answer that a handler owes; one that panics fails.
struct Owed {
    link: Arc<Shared>,
    kind: Option<Kind>,
}

impl Owed {
    fn pay(mut self, answer: Result<Bytes, Failure>) {
        self.settle(answer);
    }

    fn settle(&mut self, answer: Result<Bytes, Failure>) {
        let Some(kind) = self.kind.take() else { return };
        let link = &self.link;
        let now = link.now();
        link.with(|core| match kind {
            Kind::Call(correlation) => {
                core.calls.remove(&correlation);
                // One that was stopped takes no answer.
                let _ = match answer {
                    Ok(payload) => core.link.answer(now, correlation, payload),
                    Err(failure) => core.link.fail(now, correlation, &failure),
                };
            }
            Kind::Command(id) => {
                core.running.remove(&id);
                let executed = match answer {
                    Ok(result) => Executed::Succeeded(result),
                    Err(failure) if failure.code == ErrorCode::Cancelled => Executed::Cancelled,
                    Err(failure) => Executed::Failed(failure),
                };
                let _ = core.link.finish(now, id, executed);
            }
        });
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        // A task that the runtime drops on its way down fails nothing: a command is judged when the
        // process is back.
        if std::thread::panicking() {
            self.settle(Err(Failure::new(ErrorCode::Internal)));
        }
    }
}

/// What a handler knows of the call that it handles.
///
/// ```no_run
/// use waxwire::{Context, Failure, FailureCode};
///
/// async fn scan(context: Context, path: bytes::Bytes) -> Result<String, Failure> {
///     for step in 0..10 {
///         context.progress(step * 100);
///         if context.remaining().is_some_and(|left| left.is_zero()) {
///             return Err(Failure::new(FailureCode::Deadline));
///         }
///     }
///     Ok(format!("{} asked for {path:?}", context.agent()))
/// }
/// # fn example(agent: waxwire::Link) -> Result<(), waxwire::Error> {
/// agent.on_request("scan", scan)
/// # }
/// ```
#[derive(Clone)]
pub struct Context {
    link: Arc<Shared>,
    life: Weak<Life>,
    peer: Option<Peer>,
    kind: Kind,
    channel: ChannelName,
    class: Class,
    deadline: Option<Instant>,
    is_again: bool,
    stopped: watch::Receiver<bool>,
    room: Arc<Notify>,
}

impl Context {
    /// The agent of the link.
    #[must_use]
    pub fn agent(&self) -> &PeerId {
        &self.link.sides.agent
    }

    /// Who calls, as the session proved it.
    #[must_use]
    pub fn caller(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The channel that was called.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// What stands behind `agent.<id>.` or `backend.<id>.` in it.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.channel.as_str().splitn(3, '.').nth(2).unwrap_or_default()
    }

    /// How urgent the caller finds it.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What is left of the caller's time; `None` for a command, which has begun.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(self.link.clock.instant()))
    }

    /// The command's id, the same in every process that meets it; `None` for a request. With
    /// [`Context::is_again`] it is what an effect that must happen once is stored under.
    #[must_use]
    pub fn command(&self) -> Option<CommandId> {
        match self.kind {
            Kind::Command(id) => Some(id),
            Kind::Call(_) => None,
        }
    }

    /// Whether the command may have run before this process began.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.is_again
    }

    /// Ready once the caller wants no answer any more. The handler of a request is dropped then; that of a
    /// command goes on unless it heeds this.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn cancelled(&self) {
        let mut stopped = self.stopped.clone();
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells the caller how far the work is, in thousandths. Nothing for a command.
    pub fn progress(&self, permille: u32) {
        self.say(&Progress::Permille(permille));
    }

    /// Tells the caller how the work goes, in bytes of the handler's own. Nothing for a command.
    pub fn note(&self, payload: impl Into<Bytes>) {
        self.say(&Progress::Payload(payload.into()));
    }

    fn say(&self, progress: &Progress) {
        if let Kind::Call(correlation) = self.kind {
            let now = self.link.now();
            // Of a call that ended nobody wants to know.
            let _ = self.link.with(|core| core.link.progress(now, correlation, progress));
        }
    }

    /// Sends one item of a stream, once the caller can take it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the caller wants one answer, [`ErrorKind::Call`] once the call has ended,
    /// [`ErrorKind::TooLarge`], [`ErrorKind::Body`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropped before it is ready, the item was not taken.
    pub async fn item(&self, item: impl IntoPayload) -> Result<(), Error> {
        let payload = item.into_payload()?;
        let Kind::Call(correlation) = self.kind else {
            return Err(Error::with(ErrorKind::Config, "a command has no items"));
        };
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            let now = self.link.now();
            let offered = self.link.with(|core| core.link.item(now, correlation, payload.clone()));
            match offered {
                Ok(()) => return Ok(()),
                Err(AnswerError::NoRoom) => room.await,
                Err(AnswerError::NotAStream) => {
                    return Err(Error::with(ErrorKind::Config, AnswerError::NotAStream));
                }
                Err(AnswerError::TooLarge) => {
                    return Err(Error::with(ErrorKind::TooLarge, AnswerError::TooLarge));
                }
                Err(AnswerError::Ended) => return Err(Failure::new(ErrorCode::Cancelled).into()),
            }
        }
    }

    /// What the application gave to all its handlers, if it is of this type.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let state = self.link.serving.state.read().unwrap_or_else(PoisonError::into_inner);
        state.clone()?.downcast().ok()
    }

    /// The link that the call came over, to call back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] once the application let go of it.
    pub fn link(&self) -> Result<Link, Error> {
        Link::of(&self.link, &self.life).ok_or_else(closed)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("channel", &self.channel).finish_non_exhaustive()
    }
}
