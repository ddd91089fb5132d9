//! Messages that are acknowledged: numbered once, sent until handled, handled once.
//!
//! ```text
//! out   outbox::Outbox::insert ─► (store) ─► poll_ready ─► outgoing, sent ─► on_ack, on_result ─► poll_event
//! in    inbox::Inbox::receive ─► handler ─► handled ─► (store) ─► poll_result, poll_ack
//! both  resume::resumption in each session, before all else
//! ```
//!
//! Moves content it cannot read. Knows classes, numbers, epochs and times; no channel, call or
//! session.

pub(crate) mod dead;
pub(crate) mod inbox;
mod lane;
mod line;
pub(crate) mod outbox;
pub(crate) mod per_class;
pub(crate) mod ranges;
pub(crate) mod resume;
pub(crate) mod word;
