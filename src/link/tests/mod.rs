//! Links under virtual time: one by one, and two over a hostile pipe.

mod asking;
mod commanding;
mod disk;
mod hostile;
pub(crate) mod pair;
mod rules;
mod vectors;
mod waiting;
mod world;
