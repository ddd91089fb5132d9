//! What the examples begin with: two sides that pinned each other's key, and an exit code.

use std::process::ExitCode;

use waxwire::runtime::new_identity;
use waxwire::session::{Config, Pinned};
use waxwire::{PeerId, Realm, Role};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Configurations of one agent and of the backend that admits it, with keys made for this run. A program
/// loads its key from a file: `examples/echo_agent.rs` does.
pub(crate) fn configs(agent: &PeerId) -> Result<(Config, Config), Failure> {
    let realm = Realm::new("demo")?;
    let (agent_key, backend_key) = (new_identity()?, new_identity()?);
    let agent_pin = agent_key.public_key().fingerprint();
    let backend_pin = backend_key.public_key().fingerprint();
    let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, backend_pin);
    let agents = Pinned::one(agent.clone(), Role::Agent, agent_pin);
    Ok((
        Config::agent(realm.clone(), agent_key).peer(backend),
        Config::backend(realm, backend_key).peer(agents),
    ))
}

/// Fails with `why` unless what the example claims is so.
pub(crate) fn claim(holds: bool, why: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(why.into()) }
}

/// Prints why an example failed, if it did.
pub(crate) fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
