//! Links under virtual time: one by one, and two over a hostile pipe.

mod asking;
mod commanding;
mod disk;
mod hostile;
mod pair;
mod rules;
mod vectors;
mod world;
