//! Links and stores joined: rows, commits, and restarts.

mod chains;
mod commits;
mod links;
mod rig;
mod rows;
mod sealed;
