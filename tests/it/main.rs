//! The crate from outside: one binary, one module a subject.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test stops where it fails, and its modules are its own"
)]

mod rival;
mod support;

#[cfg(feature = "runtime")]
mod acceptance;
mod credential_rules;
#[cfg(feature = "runtime")]
mod dialling;
#[cfg(all(feature = "websocket", feature = "store-redb"))]
mod durable;
mod epochs;
mod frames;
mod handshake_attacks;
mod handshake_bytes;
mod handshake_flood;
mod handshake_rules;
mod handshake_sequences;
#[cfg(feature = "runtime")]
mod hostile;
mod hygiene;
#[cfg(feature = "websocket")]
mod links;
mod model_session;
#[cfg(feature = "runtime")]
mod overload;
mod own_frames;
mod records;
mod refresh;
mod rekey;
mod resumption;
#[cfg(feature = "runtime")]
mod runtime;
mod session_smoke;
mod talk;
mod transport_fixtures;
mod transport_framed;
mod transport_memory;
mod transport_upgrade;
mod transport_websocket;
#[cfg(feature = "test-utils")]
mod wires;
