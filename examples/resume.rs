//! An agent loses its socket and its process at any moment, and no message is lost or handled twice.
//!
//! This process is the backend. The agent is a child process of the same program, with a store in a
//! temporary folder. It publishes readings without end, and says of each that it is stored. Its socket is
//! cut by a wire in between, and it is killed with SIGKILL and started again.
//!
//! `cargo run --features store-redb --example resume`

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use waxwire::session::{Config, Pinned};
use waxwire::store::RedbStore;
use waxwire::{Agent, Backend, Identity, Level, PeerId, Presence, Realm, Reconnect, Role};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

/// Processes that are killed.
const KILLS: u32 = 5;
/// Readings that the backend handles of a process before that is killed. Its socket is cut on the way.
const READINGS: usize = 60;
/// Readings of the last process, which ends by itself.
const LAST: u32 = 40;
const AGENT: &str = "edge-7";
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(20);

type Readings = BTreeSet<String>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    pair::ended(match arguments.as_slice() {
        [folder, address, backend, process, readings] => {
            agent(Path::new(folder), address, backend, process, readings).await
        }
        _ => backend().await,
    })
}

/// The child: publishes readings, and says which are stored.
async fn agent(
    folder: &Path,
    address: &str,
    backend: &str,
    process: &str,
    readings: &str,
) -> Result<(), Failure> {
    let key = Identity::load(folder.join("agent.pem"))?;
    let backend = Pinned::one(PeerId::new("backend")?, Role::Backend, backend.parse()?);
    let soon = Duration::from_millis(20);
    let agent =
        Agent::builder(PeerId::new(AGENT)?, Config::agent(Realm::new("demo")?, key).peer(backend))
            .with_reconnect(Reconnect::new().with_first(soon).with_backoff(soon, soon * 4))
            .with_store(RedbStore::open(folder.join("store"))?)
            .open()
            .await?;
    agent.connect(address).await?;
    let count = readings.parse::<u32>()?;
    for number in 0..count {
        let reading = format!("process {process}, reading {number}");
        // A link that is closed without a session leaves what it stored to the next process, and after
        // the last there is none.
        let level = if number + 1 == count { Level::Processed } else { Level::Stored };
        agent.publish("readings", reading.clone()).confirm(level).await?;
        println!("{reading}");
    }
    Ok(agent.close().await?)
}

async fn backend() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (agent_config, backend_config) = pair::configs(&PeerId::new(AGENT)?)?;
    agent_config.identity().store(folder.path().join("agent.pem"))?;
    let pin = backend_config.identity().public_key().fingerprint().to_string();
    let backend = Backend::open(backend_config).await?;
    let mut readings = backend.subscribe("agent.*.readings").await?;
    let mut presence = backend.presence();
    let (address, cut) = wire(backend.listen("tcp://127.0.0.1:0").await?).await?;
    let address = format!("tcp://{address}");

    let promised = Arc::new(Mutex::new(Readings::new()));
    let (mut handled, mut keys) = (Readings::new(), HashSet::new());
    let (mut cuts, mut sessions, mut twice) = (0, 0, 0);
    for process in 1..=KILLS + 1 {
        let is_last = process > KILLS;
        let count = if is_last { LAST } else { u32::MAX };
        let mut child = Command::new(std::env::current_exe()?);
        child
            .arg(folder.path())
            .args([&address, &pin])
            .args([process, count].map(|n| n.to_string()));
        let mut child = child.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let listening = note(&mut child, &promised)?;
        online(&mut presence).await?;
        sessions += 1;
        let last = format!("process {process}, reading {}", count - 1);
        for number in 1.. {
            let message = timeout(PATIENCE, readings.next()).await;
            let message = message.map_err(|_| "nothing comes any more")?.ok_or("it is closed")?;
            let reading = String::from_utf8_lossy(message.payload()).into_owned();
            let is_end = if is_last { reading == last } else { number == READINGS };
            // Two ways to find a duplicate: what names the message, and what it says.
            let is_new = keys.insert(*message.key().ok_or("a reading without a number")?);
            twice += u32::from(!(handled.insert(reading) && is_new));
            message.done();
            if is_end {
                break;
            }
            if number % 25 == 0 {
                cuts += 1;
                cut.send_replace(cuts);
                online(&mut presence).await?;
                sessions += 1;
            }
        }
        let how = if is_last { "ends" } else { "is killed" };
        if is_last {
            claim(child.wait().await?.success(), "the last process failed")?;
        } else {
            // SIGKILL: nothing is flushed, nobody says goodbye.
            child.kill().await?;
        }
        listening.await??;
        let promised = promised.lock().map_err(|_| "a task failed")?.len();
        println!("process {process} {how}: {promised} readings stored, {} handled", handled.len());
    }
    backend.close().await?;

    let promised = promised.lock().map_err(|_| "a task failed")?;
    let lost = promised.difference(&handled).count();
    println!(
        "\n{KILLS} kills and {cuts} cuts make {sessions} sessions. Of {} readings that were stored, {lost} are lost and \
         {twice} were handled twice.",
        promised.len()
    );
    claim(lost == 0, "readings are lost")?;
    claim(twice == 0, "readings were handled twice")
}

/// Waits for the next session.
async fn online(presence: &mut broadcast::Receiver<Presence>) -> Result<(), Failure> {
    let come = async {
        while let Presence::Offline { .. } = presence.recv().await? {}
        Ok(())
    };
    timeout(PATIENCE, come).await.map_err(|_| "the agent does not come back")?
}

/// Notes what a process says is stored.
fn note(
    child: &mut Child,
    promised: &Arc<Mutex<Readings>>,
) -> Result<JoinHandle<std::io::Result<()>>, Failure> {
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let promised = Arc::clone(promised);
    Ok(tokio::spawn(async move {
        while let Some(line) = lines.next_line().await? {
            if let Ok(mut promised) = promised.lock() {
                promised.insert(line);
            }
        }
        Ok(())
    }))
}

/// A wire to `backend` that is cut whenever the number changes.
async fn wire(backend: SocketAddr) -> Result<(SocketAddr, watch::Sender<u32>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (orders, order) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut agent, _)) = listener.accept().await {
            let mut cut = order.clone();
            cut.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut backend) = TcpStream::connect(backend).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut agent, &mut backend) => {}
                    _ = cut.changed() => {}
                }
            });
        }
    });
    Ok((address, orders))
}
