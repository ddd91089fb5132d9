//! The crate from outside: one binary, one module a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod rival;
mod support;

#[cfg(feature = "runtime")]
mod acceptance;
mod credential_rules;
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
