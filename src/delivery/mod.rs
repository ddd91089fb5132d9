//! What waits to be sent, in which order, and how much of it the peer takes.
//!
//! ```text
//! out   overflow::offer ─► queue::Queue ─► credit::Allowances, in_flight::InFlight ─► chunk::Chunks
//! in    reassembly::Reassembly ─► credit::Grants
//! ```
//!
//! Moves content it cannot read. Knows classes, sizes, times and gates; no channel, call or session.

#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod bench;
pub(crate) mod chunk;
pub(crate) mod credit;
mod entries;
mod expiry;
pub(crate) mod in_flight;
mod lanes;
pub(crate) mod overflow;
pub(crate) mod per_class;
pub(crate) mod queue;
pub(crate) mod reassembly;
mod shares;
