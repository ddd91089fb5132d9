//! A simulation of up to ten agents and their backend: links, sessions, applications and disks in one
//! thread, under a time of its own, and all of it drawn from one seed.
//!
//! The network loses, delays, throttles, changes, repeats and reorders records, and dies in one
//! direction; connections are taken over; processes crash, sleep and change their clocks; disks are
//! slow and full. A [ledger](ledger) knows what may become of each message. First everything must stay
//! true, then everything is repaired and must come to rest.

mod backend;
mod carry;
mod cast;
mod conn;
mod dice;
mod disk;
mod end;
mod faults;
mod heal;
mod hear;
mod ledger;
mod orders;
mod playing;
mod shelf;
mod trace;
mod work;
mod world;

pub use self::playing::{Played, play};
