//! A session driven by hand: no tokio, no socket, no clock but the one passed in.
//!
//! `cargo run --example no_runtime`

use std::process::ExitCode;
use std::sync::Arc;

use bytes::BytesMut;
use waxwire::session::{ChainBook, Config, Continuity, Greeting, Initiator, Pinned, Progress};
use waxwire::{Identity, Instant, Now, PeerId, Realm, Role, Seed, UnixTime};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    // Entropy and time are arguments. A program draws seeds from its operating system.
    let seed = |number| Seed::dangerous_reproducible([number; 32]);
    let now = Now { instant: Instant::from_nanos(0), unix: UnixTime::from_secs(1_800_000_000) };
    let (agent, backend) = (Identity::from_seed(seed(1)), Identity::from_seed(seed(2)));
    let agent_pin =
        Pinned::one(PeerId::new("edge-1")?, Role::Agent, agent.public_key().fingerprint());
    let backend_pin =
        Pinned::one(PeerId::new("backend")?, Role::Backend, backend.public_key().fingerprint());
    let agent = Arc::new(Config::agent(Realm::new("demo")?, agent).peer(backend_pin));
    let backend = Arc::new(Config::backend(Realm::new("demo")?, backend).peer(agent_pin));
    let mut chains = ChainBook::new();

    // Three messages; each step consumes the one before.
    let (initiator, hello) = Initiator::start(agent, None, &seed(3), now)?;
    println!("HELLO   {:5} bytes", hello.len());
    let greeting = Greeting::receive(backend, &hello, now.instant)?;
    let (answered, reply) = greeting.answer(&chains, &seed(4), now)?;
    println!("REPLY   {:5} bytes", reply.len());
    let Progress::Done(established) = initiator.handle(&mut reply.to_vec(), now)? else {
        return Err("the responder wants a cookie".into());
    };
    println!("FINISH  {:5} bytes", established.finish.len());
    let accepting = answered.finish(&mut established.finish.to_vec(), now)?;
    let generation = chains.advance(accepting.succession(), Continuity::Prefer, now.unix)?;
    let (mut backend, _early) = accepting.accept(generation, now);
    let mut agent = established.session;

    // The backend's first record accepts; then both seal and open.
    let mut record = BytesMut::new();
    while backend.poll_transmit(now.instant, &mut record) {
        println!("ACCEPT  {:5} bytes", record.len());
        agent.open(now.instant, &mut record)?;
        record.clear();
    }
    agent.seal_datagram(now.instant, b"all quiet", &mut record)?;
    println!("DATA    {:5} bytes", record.len());
    for datagram in backend.open(now.instant, &mut record)?.datagrams() {
        println!("edge-1 says {:?}", String::from_utf8_lossy(datagram));
    }
    println!("session {} on both sides: {}", agent.id(), agent.id() == backend.id());
    Ok(())
}
