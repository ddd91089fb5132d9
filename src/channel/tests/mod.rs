//! The module as a whole, against matchers that are slow and plain.

mod growth;
mod isolation;
mod naive;
mod names;
mod patterns;
mod registry;
mod router;
