//! Joins links to a store: what a link wants kept becomes sealed rows, and rows become links again.
//!
//! ```text
//! Link::poll_changes ─► LinkKeep::submit ─► one thread ─► rows ─► sealed ─► Store::commit
//! Link::stored       ◄─ LinkKeep::poll_stored ◄──── for each batch that the commit held
//! Link::restore      ◄─ Restored ◄─ Keeper::open ◄─ opened ◄─ Store::load
//! ```
//!
//! One thread for each store takes everything that waits, of all links, into one commit: a disk needs
//! milliseconds for each, whatever its size. A link has at most
//! [`KEEP_BATCHES`](crate::limits::KEEP_BATCHES) batches under way; while it has them, its driver leaves
//! changes in the link, where the next batch gathers them.
//!
//! Each row is sealed for its place. Whoever has the disk without the key learns how many rows there are,
//! how long they are, their class and number, and which of them belong together; not whose they are. He can
//! put back an older form of a row, or of the whole store, unseen: against that helps only what the peer
//! remembers. A key that follows from an identity hides nothing from whoever takes its key file too.
//!
//! Times in rows are of the wall clock, to the second. If that was set while nobody ran, what waits expires
//! that much earlier or later.

mod answer;
mod commands;
mod commits;
mod error;
mod keeper;
mod ledger;
mod place;
mod rows;
mod seal;
#[cfg(feature = "test-utils")]
mod task;
#[cfg(test)]
mod tests;

pub(crate) use self::error::KeepError;
pub(crate) use self::keeper::{Committer, Keeper, LinkKeep};
