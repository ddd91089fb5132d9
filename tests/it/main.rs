//! The crate from outside: one binary, one module a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

mod session_smoke;
