//! Messages on their way: what waits to be sent and in which order, how much of it the peer takes,
//! and what is kept until the peer is done with it.
//!
//! ```text
//! out   overflow::offer ─► queue::Queue ─► credit::Allowances, in_flight::InFlight ─► chunk::Chunks
//!       outbox::Outbox::insert ─► (store) ─► poll_ready ─► outgoing, sent ─► on_ack, on_result ─► poll_event
//! in    reassembly::Reassembly ─► credit::Grants
//!       inbox::Inbox::receive ─► handler ─► handled ─► (store) ─► poll_result, poll_ack
//! both  resume::resumption in each session, before all else
//! ```
//!
//! Moves content it cannot read. Knows classes, sizes, numbers, epochs, times and gates; no channel,
//! call or session.

pub(crate) mod chunk;
pub(crate) mod credit;
pub(crate) mod dead;
mod entries;
mod expiry;
pub(crate) mod in_flight;
pub(crate) mod inbox;
mod lane;
mod lanes;
mod line;
pub(crate) mod outbox;
pub(crate) mod overflow;
pub(crate) mod per_class;
pub(crate) mod queue;
pub(crate) mod ranges;
pub(crate) mod reassembly;
pub(crate) mod resume;
mod shares;
pub(crate) mod word;
