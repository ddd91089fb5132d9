//! Links under virtual time: one by one, and two over a hostile pipe.

mod asking;
mod hostile;
mod pair;
mod rules;
mod waiting;
mod world;
