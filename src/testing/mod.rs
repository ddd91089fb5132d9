//! For tests of your own handlers: an agent and a backend in one process, over a [`Wire`] that the test
//! cuts, holds up and heals, without sockets and, with tokio's paused clock, without waiting.
//!
//! Needs the feature `test-utils`; switch it on among your `dev-dependencies` only, with tokio's
//! `test-util` for `start_paused`.
//!
//! ```
//! use std::time::Duration;
//!
//! use waxwire::testing::{Parties, Wire};
//! use waxwire::{Context, Failure, LinkState};
//!
//! async fn uptime(_: Context, host: bytes::Bytes) -> Result<&'static str, Failure> {
//!     assert_eq!(host, "edge-7");
//!     Ok("3 days")
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] // in a test: #[tokio::test(start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let parties = Parties::new()?;
//! let (agent, backend) = (parties.agent().open().await?, parties.backend().open().await?);
//! agent.on_request("uptime", uptime)?;
//! let wire = Wire::to(&backend);
//! wire.connect(&agent).await?;
//! let link = backend.agent(Parties::AGENT)?;
//! link.until(LinkState::Connected).await;
//!
//! wire.delay(Duration::from_secs(2));
//! assert_eq!(link.request("uptime", "edge-7").await?, "3 days"); // after 4 s that nobody waits for
//!
//! let command = link.command("uptime", "edge-7").await?;
//! wire.refuse(); // and now nobody can dial
//! agent.on_command("uptime", uptime)?;
//! agent.until(LinkState::Detached).await;
//! wire.heal();
//! assert_eq!(command.result().await?, "3 days");
//! # Ok(())
//! # }
//! ```
//!
//! # What repeats, and what does not
//!
//! With `start_paused = true` a test has one thread, and time moves on only when every task waits: to the
//! next deadline, at once. Keys, ids and the spans between dials are random as ever, so a test awaits what
//! it wants to see, instead of the moment at which it comes. A store given by
//! [`AgentBuilder::with_store`](crate::AgentBuilder::with_store) has a thread that does not know that time is
//! paused; [`with_store_on_runtime`](crate::AgentBuilder::with_store_on_runtime) has none. A [`Disk`] keeps
//! what it was given for the next agent or backend, as after a crash, and fills up when told to.

mod disk;
mod parties;
mod relay;
mod wire;

pub use self::disk::Disk;
pub use self::parties::Parties;
pub use self::wire::{Toward, Wire};
