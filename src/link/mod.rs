//! One link to one peer, without I/O: a session while there is one, and what outlives it. Bytes,
//! time and a seed come in; records, events and changes for a store come out.
//!
//! ```text
//!                 attach                 peer's RESUME
//!   Detached ────────────► Connecting ────────────────► Connected
//!      ▲                        │                         │    │ drain
//!      └── cut, dead, CLOSE ────┴─────────────────────────┘    ▼
//!      └── cut, dead ─────────────────────────────────────  Draining
//!                          (still draining once it is back)    │ nothing waits, or time is over
//!   any ── close ────────────────────────────────────────►  Closed
//! ```
//!
//! The straight line of a message:
//!
//! ```text
//! out   publish ─► outbox (numbered) ─► (store) ─► queue ─► credit, flight ─► MSG or CHUNK ─► record
//!                └ best effort ────────────────────┘
//! in    record ─► frames ─► reassembly ─► credit ─► policy ─► inbox ─► Event::Message
//!       taken: credit goes back · handled, refused: the sender hears it
//! calls request ─► Requests ─► MSG ─► Answers ─► Event::Call · answer ─► MSG ─► Event::Request
//!       command ─► Issuer ─► (store) ─► MSG ─► Executor ─► (store) ─► Event::Run
//!       finish ─► Executor ─► (store) ─► MSG ─► Issuer ─► Event::Command
//! ```
//!
//! Whoever drives a link calls, after each call that changes it and in this order:
//! [`Link::poll_changes`] for the store, [`Link::poll_record`] for the transport until it has none,
//! [`Link::poll_event`] for the application, and sleeps until [`Link::poll_timeout`].
//!
//! A link needs a transport that keeps order: credit of subscriptions, names and pieces rest on it.
//! Numbers and handled marks do not, and survive every session.

mod calls;
mod commands;
mod config;
mod error;
mod event;
#[cfg(feature = "__fuzz")]
mod gauges;
mod heartbeat;
mod inbound;
mod life;
mod notices;
mod outbound;
mod packing;
mod parting;
mod reading;
#[cfg(feature = "__fuzz")]
mod staged;
mod storing;
mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::config::{Config, Kept, Who};
pub(crate) use self::error::{CommandError, LinkError, PublishError, RequestError, SubscribeError};
#[cfg(feature = "__fuzz")]
pub(crate) use self::event::MessageKey;
pub(crate) use self::event::{
    ChannelChange, Delivery, DeliveryId, DetachCause, Event, Fate, MessageId, Resumption, State,
    Undelivered,
};
#[cfg(feature = "__fuzz")]
pub(crate) use self::gauges::Gauges;
pub(crate) use self::life::Link;
pub(crate) use self::outbound::{Publish, Reliability};
pub(crate) use self::reading::result;
pub(crate) use self::storing::{
    About, Batch, CallPart, CommandPart, ExecutedCommand, IssuedCommand, Token,
};
pub(crate) use crate::call::Change as CommandChange;
