//! A command to the peer: issued once, followed to its end.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::shared::{Following, Shared, closed};
use crate::call::{self, CommandId, Effect, ErrorCode, Failure, IssueError, OnPeerLost, Status};
use crate::channel::ChannelName;
use crate::error::{Error, ErrorKind};
use crate::limits::COMMAND_TIME;
use crate::link::CommandError;
use crate::priority::Class;
use crate::runtime::entropy::random;

/// A command to be issued. Awaiting it waits until the command is safe: in the store if the link has one,
/// else in memory.
///
/// ```no_run
/// # async fn example(backend: waxwire::Backend) -> Result<(), waxwire::Error> {
/// let agent = backend.agent("edge-7")?; // online or not
/// let command = agent.command("rollbacks", "kernel-6.1").await?;
/// let result = command.result().await?; // once it ran
/// # let _ = result;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is commanded before it is awaited"]
pub struct CommandBuilder {
    link: Arc<Shared>,
    command: Result<(ChannelName, call::Command), Error>,
}

impl CommandBuilder {
    pub(super) fn new(
        link: Arc<Shared>,
        channel: Result<ChannelName, Error>,
        payload: Result<Bytes, Error>,
    ) -> Self {
        let command = channel.and_then(|channel| {
            let command = call::Command {
                id: CommandId(random()?),
                payload: payload?,
                class: Class::Normal,
                time: COMMAND_TIME,
                on_peer_lost: OnPeerLost::InDoubt,
            };
            Ok((channel, command))
        });
        Self { link, command }
    }

    fn edit(mut self, edit: impl FnOnce(&mut call::Command)) -> Self {
        if let Ok((_, command)) = &mut self.command {
            edit(command);
        }
        self
    }

    /// How urgent it is. Default [`Class::Normal`].
    pub fn priority(self, class: Class) -> Self {
        self.edit(|command| command.class = class.max(Class::Critical))
    }

    /// Time in which it must begin. Default 24 h.
    pub fn begin_within(self, span: Duration) -> Self {
        self.edit(|command| command.time = span)
    }

    /// Issues it again to a peer that lost its memory: for what may be done twice. Default: its status is
    /// unknown then.
    pub fn repeatable(self) -> Self {
        self.edit(|command| command.on_peer_lost = OnPeerLost::Redrive)
    }

    /// Under an id of the caller's, for instance one that it stored before: the same id is issued once.
    pub fn with_id(self, id: CommandId) -> Self {
        self.edit(|command| command.id = id)
    }

    async fn run(self) -> Result<Command, Error> {
        let (channel, command) = self.command?;
        let (link, id) = (self.link, command.id);
        let (state, status) = watch::channel((Status::Queued, Effect::None));
        let (told, stored) = oneshot::channel();
        let issued = link.with(|core| {
            core.link.command(link.now(), channel, command)?;
            let stored = link.is_durable.then_some(told);
            core.commands.insert(id, Following { state, stored });
            Ok(())
        });
        issued.map_err(|error: CommandError| match error {
            CommandError::Closed => closed(),
            CommandError::Unauthorized(error) => error.into(),
            CommandError::TooLarge(..) => Error::with(ErrorKind::TooLarge, error),
            CommandError::Issue(IssueError::TooMany) => Error::with(ErrorKind::Full, error),
            CommandError::Issue(IssueError::Known) => Error::with(ErrorKind::Config, error),
        })?;
        if link.is_durable && stored.await.is_err() {
            return Err(closed());
        }
        Ok(Command { link, id, status })
    }
}

impl IntoFuture for CommandBuilder {
    type Output = Result<Command, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Issues the command.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Channel`], [`ErrorKind::Unauthorized`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Body`], [`ErrorKind::Full`] beyond 1 024 commands, [`ErrorKind::Closed`],
    /// [`ErrorKind::Config`] for an id that was issued before: nothing was issued.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the command was issued or was not.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for CommandBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandBuilder").finish_non_exhaustive()
    }
}

/// A command that was issued. Dropping it changes nothing: [`super::Link::find_command`] has it again.
///
/// ```no_run
/// # async fn example(edge: waxwire::Link) -> Result<(), waxwire::Error> {
/// use waxwire::CommandStatus;
///
/// let mut command = edge.command("tests", "smoke").await?;
/// while !command.status().is_settled() {
///     println!("{:?}", command.changed().await?);
/// }
/// if command.status() == CommandStatus::Succeeded {
///     println!("{:?}", command.result().await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Command {
    link: Arc<Shared>,
    id: CommandId,
    status: watch::Receiver<(Status, Effect)>,
}

impl Command {
    pub(super) fn find(link: &Arc<Shared>, id: CommandId) -> Option<Self> {
        let mut core = link.lock();
        let now = core.link.command_status(id)?;
        let effect = core.link.command_effect(id).unwrap_or(Effect::None);
        let following = core.commands.entry(id).or_insert_with(|| Following {
            state: watch::Sender::new((now, effect)),
            stored: None,
        });
        let status = following.state.subscribe();
        drop(core);
        Some(Self { link: Arc::clone(link), id, status })
    }

    /// Names the command at both sides, for good.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// Where it stands, as far as this side knows.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().0
    }

    /// Waits until it stands elsewhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] once nothing can change any more, or the link is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn changed(&mut self) -> Result<Status, Error> {
        self.status.changed().await.map_err(|_| closed())?;
        Ok(self.status.borrow_and_update().0)
    }

    /// Waits for its end, and returns the result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Call`] with the failure; [`ErrorKind::Undelivered`] if it expired before it began or
    /// nobody can tell whether it ran, as [`crate::Undelivered::Expired`] and
    /// [`crate::Undelivered::InDoubt`]; [`ErrorKind::Closed`] if the link was closed before.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the command goes on.
    pub async fn result(&self) -> Result<Bytes, Error> {
        let mut status = self.status.clone();
        let settled = status.wait_for(|(status, _)| status.is_settled()).await;
        let (status, effect) = settled.map_err(|_| closed())?.clone();
        use crate::error::Undelivered;
        let undelivered = |why| Err(Error::new(ErrorKind::Undelivered(why)));
        match (status, effect) {
            (_, Effect::Result(result)) => Ok(result),
            (_, Effect::Failure(failure)) => Err(failure.into()),
            (Status::Expired, _) => undelivered(Undelivered::Expired { sent: false }),
            (Status::Cancelled, _) => Err(Failure::new(ErrorCode::Cancelled).into()),
            (Status::Failed, _) => Err(Failure::new(ErrorCode::Internal).into()),
            (Status::Succeeded, _) => Ok(Bytes::new()),
            _ => undelivered(Undelivered::InDoubt),
        }
    }

    /// Withdraws it: at once while it waits here, else its handler is asked to stop. How it ended is told
    /// as ever.
    pub fn cancel(&self) {
        self.link.with(|core| core.link.cancel_command(self.link.now(), self.id));
    }

    /// Forgets it, if it is settled; one that is not stays. Else it is forgotten after seven days.
    pub fn forget(self) {
        self.link.with(|core| {
            core.link.forget_command(self.id);
            core.commands.remove(&self.id);
        });
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("id", &self.id).field("status", &self.status()).finish()
    }
}
