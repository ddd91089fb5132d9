//! Questions and answers: requests with a deadline, streams of answers, durable commands.
//!
//! ```text
//!   Requests::ask ──── request ────► Answers::handle ──► Opened
//!                ◄─ item, progress ─ Answers::item, progress
//!                ─ demand, CANCEL ─►
//!   Ended        ◄ response, failure Answers::answer, fail
//!
//!   Issuer::issue ──── command ────► Executor::handle ─► Put ─► stored ─► Run
//!   Changed      ◄──── status ────── Executor::finish ─► Put ─► stored
//! ```
//!
//! Nothing here sends: contents come in parsed, [`Say`]s and events come out. Whoever drives a machine
//! drains its changes before its outputs, and both after every call. Knows no message number, channel,
//! session or store.

mod answers;
mod executor;
mod failure;
mod issuer;
mod payload;
mod requests;
mod say;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use self::answers::{AnswerError, AnswerEvent, Answers, Caller, Stop};
pub(crate) use self::executor::{
    Executed, ExecutedRow, Executor, ExecutorError, ExecutorEvent, OnCrash, Stage,
};
pub use self::failure::{ErrorCode, Failure, Retry};
pub(crate) use self::issuer::{Command, IssueError, IssuedRow, Issuer, IssuerEvent};
pub use self::payload::Progress;
pub(crate) use self::payload::{
    CommandBody, CommandOp, Demand, DemandMode, Item, Opening, StatusBody, StreamEnd,
};
pub(crate) use self::requests::{
    Answering, Ask, AskError, OnDetach, OnPeerLost, Outcome, RequestEvent, Requests,
};
pub use self::say::CommandId;
pub(crate) use self::say::{
    Cancel, CancelReason, Change, Correlation, Heard, Kind, Output, Reliability, Say, Shape,
    Subject, Violation,
};
pub(crate) use self::status::Effect;
pub use self::status::Status;
