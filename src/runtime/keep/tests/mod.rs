//! Links and stores joined: rows, commits, and restarts.

mod commits;
mod links;
mod rig;
mod rows;
mod sealed;
