//! A vocabulary in small: an agent that fetches secrets for the programs beside it.
//!
//! | asked of the backend | channel | pushed by the backend | channel |
//! |---|---|---|---|
//! | `secrets:get_static` | `agent.<id>.secrets.get_static` | `secret:rotated` | `backend.<id>.secret.rotated` |
//! | `secrets:get_dynamic` | `agent.<id>.secrets.get_dynamic` | `policy:updated` | `backend.<id>.policy.updated` |
//! | `lease:renew` | `agent.<id>.lease.renew` | `cert:expiring` | `backend.<id>.cert.expiring` |
//! | | | `lease:revoked` | `backend.<id>.lease.revoked` |
//!
//! A channel holds no `:`, so that each of these names is a topic of two tokens.
//!
//! `cargo run --example secrets_agent`

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use waxwire::body::from_slice;
use waxwire::{
    Agent, Backend, Body, Class, Context, ErrorKind, Failure as Failed, FailureCode, Level,
    LinkState, PeerId,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

const NO_SUCH_SECRET: FailureCode = FailureCode::Application(404);
const NO_SUCH_LEASE: FailureCode = FailureCode::Application(410);

#[derive(Deserialize, Serialize)]
struct Named {
    name: String,
}

#[derive(Deserialize, Serialize)]
struct Static {
    value: String,
    version: u32,
}

#[derive(Deserialize, Serialize)]
struct Lease {
    id: u64,
    user: String,
    password: String,
    seconds: u32,
}

#[derive(Deserialize, Serialize)]
struct Renew {
    lease: u64,
}

#[derive(Deserialize, Serialize)]
struct Renewed {
    seconds: u32,
}

/// What the backend keeps.
struct Vault {
    secrets: Mutex<HashMap<String, Static>>,
    leases: Mutex<HashMap<u64, PeerId>>,
    last_lease: AtomicU64,
}

fn vault(context: &Context) -> Result<std::sync::Arc<Vault>, Failed> {
    context.state().ok_or(Failed::new(FailureCode::Internal))
}

async fn get_static(context: Context, Body(wanted): Body<Named>) -> Result<Body<Static>, Failed> {
    let vault = vault(&context)?;
    let secrets = vault.secrets.lock().map_err(|_| Failed::new(FailureCode::Internal))?;
    // Who asks was proven by the handshake: the place to ask a policy of one's own.
    println!("backend: {} asks for {}", context.agent(), wanted.name);
    let found =
        secrets.get(&wanted.name).ok_or(Failed::with_text(NO_SUCH_SECRET, "no such secret"))?;
    Ok(Body(Static { value: found.value.clone(), version: found.version }))
}

async fn get_dynamic(context: Context, Body(wanted): Body<Named>) -> Result<Body<Lease>, Failed> {
    let vault = vault(&context)?;
    let id = vault.last_lease.fetch_add(1, Ordering::Relaxed) + 1;
    let mut leases = vault.leases.lock().map_err(|_| Failed::new(FailureCode::Internal))?;
    leases.insert(id, context.agent().clone());
    println!("backend: {} leases {}", context.agent(), wanted.name);
    let user = format!("{}-{}-{id}", wanted.name, context.agent());
    Ok(Body(Lease { id, user, password: "drawn for this lease".to_owned(), seconds: 3600 }))
}

async fn renew(context: Context, Body(renew): Body<Renew>) -> Result<Body<Renewed>, Failed> {
    let vault = vault(&context)?;
    let leases = vault.leases.lock().map_err(|_| Failed::new(FailureCode::Internal))?;
    // A lease is renewed by its holder only.
    if leases.get(&renew.lease) != Some(context.agent()) {
        return Err(Failed::with_text(NO_SUCH_LEASE, "no such lease"));
    }
    Ok(Body(Renewed { seconds: 3600 }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("sidecar-3")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let password = Static { value: "correct horse".to_owned(), version: 1 };
    let vault = Vault {
        secrets: Mutex::new(HashMap::from([("db/password".to_owned(), password)])),
        leases: Mutex::default(),
        last_lease: AtomicU64::new(0),
    };
    let backend = Backend::builder(backend_config).with_state(vault).open().await?;
    backend.on_request("agent.*.secrets.get_static", get_static)?;
    backend.on_request("agent.*.secrets.get_dynamic", get_dynamic)?;
    backend.on_request("agent.*.lease.renew", renew)?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;

    let agent = Agent::open(id.clone(), agent_config).await?;
    let mut pushed = agent.subscribe(">").unconfirmed()?;
    agent.connect(format!("tcp://{address}")).await?;
    let sidecar = backend.agent(&id)?;
    sidecar.until(LinkState::Connected).await;
    let named = |name: &str| Body(Named { name: name.to_owned() });

    let secret = agent.request("secrets.get_static", named("db/password")).await?;
    let secret: Static = from_slice(&secret)?;
    println!("agent:   db/password, version {}, {} bytes", secret.version, secret.value.len());
    let none = agent.request("secrets.get_static", named("db/root")).await;
    let none = none.err().ok_or("a secret that nobody has")?;
    println!("agent:   db/root: {none}");
    claim(none.kind() == ErrorKind::Call(NO_SUCH_SECRET), "another failure")?;

    let lease: Lease = from_slice(&agent.request("secrets.get_dynamic", named("orders")).await?)?;
    println!("agent:   {} for {} s", lease.user, lease.seconds);
    let renewed = agent.request("lease.renew", Body(Renew { lease: lease.id })).await?;
    println!("agent:   renewed for {} s", from_slice::<Renewed>(&renewed)?.seconds);
    let foreign = agent.request("lease.renew", Body(Renew { lease: lease.id + 1 })).await;
    claim(foreign.is_err(), "a lease of somebody else was renewed")?;

    println!();
    let pushes = [
        ("secret.rotated", "db/password", Class::High),
        ("policy.updated", "sidecars", Class::Normal),
        ("cert.expiring", "api.example.com", Class::Normal),
        ("lease.revoked", &lease.user, Class::Critical),
    ];
    for (topic, name, class) in pushes {
        let push = sidecar.publish(topic, named(name)).priority(class);
        let told = tokio::spawn(push.confirm(Level::Processed).into_future());
        let message = pushed.next().await.ok_or("the link is closed")?;
        let what: Named = message.read()?;
        println!("agent:   {} {} ({:?})", message.topic(), what.name, message.class());
        claim(message.topic() == topic, "another push came first")?;
        message.done();
        told.await??;
    }
    agent.close().await?;
    Ok(backend.close().await?)
}
