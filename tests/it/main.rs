//! The crate from outside: one binary, one module a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

mod credential_rules;
mod epochs;
mod frames;
mod handshake_attacks;
mod handshake_rules;
mod hygiene;
mod model_session;
mod records;
mod refresh;
mod rekey;
mod resumption;
mod session_smoke;
mod talk;
