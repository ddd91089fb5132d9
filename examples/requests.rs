//! Requests: typed bodies, progress, a stream of answers, cancelling, deadlines.
//!
//! `cargo run --example requests`

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;
use waxwire::body::from_slice;
use waxwire::{
    Agent, Backend, Body, Context, ErrorKind, Failure as Failed, FailureCode, LinkState, PeerId,
    Progress,
};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

#[derive(Deserialize, Serialize)]
struct Scan {
    folder: String,
    files: u32,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Found {
    file: String,
    sha256: String,
}

const NO_SUCH_FOLDER: u32 = 404;

/// Answers once, with how many files there were; tells how far it is.
async fn scan(context: Context, Body(scan): Body<Scan>) -> Result<Body<u32>, Failed> {
    if scan.folder != "/usr/bin" {
        return Err(Failed::with_text(FailureCode::Application(NO_SUCH_FOLDER), "no such folder"));
    }
    for quarter in 1..=4 {
        sleep(Duration::from_millis(30)).await;
        context.progress(quarter * 250);
    }
    Ok(Body(scan.files))
}

/// Answers with a stream: one item a file, then how many there were.
async fn list(context: Context, Body(scan): Body<Scan>) -> Result<Body<u32>, Failed> {
    for number in 0..scan.files {
        let found = Found { file: format!("tool-{number}"), sha256: format!("{number:064x}") };
        // Waits while the caller is 64 items behind.
        context.item(Body(found)).await.map_err(|_| Failed::new(FailureCode::Cancelled))?;
    }
    Ok(Body(scan.files))
}

/// Says when its handler stops, however it stops.
struct Stops(watch::Sender<bool>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("edge-7")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let (stopped, mut stop) = watch::channel(false);
    let agent = Agent::open(id.clone(), agent_config).await?;
    agent.on_request("scan", scan)?;
    agent.on_request("list", list)?;
    agent.on_request("watch", move |context: Context, Body(_): Body<Scan>| {
        let stops = Stops(stopped.clone());
        async move {
            let _stops = stops;
            let time = context.remaining().unwrap_or_default();
            println!("agent:   watches; the caller waits for {} s", time.as_secs_f32().round());
            std::future::pending::<()>().await;
        }
    })?;
    let backend = Backend::open(backend_config).await?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;
    agent.connect(format!("tcp://{address}")).await?;
    let edge = backend.agent(&id)?;
    edge.until(LinkState::Connected).await;
    let order = |folder: &str, files| Body(Scan { folder: folder.to_owned(), files });

    println!("one answer, with progress");
    let (progress, mut heard) = watch::channel(None);
    let follow = tokio::spawn(async move {
        while heard.changed().await.is_ok() {
            if let Some(Progress::Permille(permille)) = &*heard.borrow_and_update() {
                println!("backend: {} % of /usr/bin", permille / 10);
            }
        }
    });
    let files = edge.request("scan", order("/usr/bin", 1_200)).progress_to(progress).await?;
    follow.await?;
    println!("backend: {} files", from_slice::<u32>(&files)?);

    println!("\na failure of the application, by its own number");
    let failed = edge.request("scan", order("/nowhere", 1)).await.err().ok_or("it succeeded")?;
    let words = failed.source().and_then(|source| source.downcast_ref::<Failed>());
    println!("backend: {failed}: {:?}", words.map(|failure| &failure.text));
    let number = FailureCode::Application(NO_SUCH_FOLDER);
    claim(failed.kind() == ErrorKind::Call(number), "another failure")?;

    println!("\na stream of answers");
    let mut answers = edge.request("list", order("/usr/bin", 1_200)).stream()?;
    let mut count = 0;
    while let Some(item) = answers.next().await {
        let found: Found = from_slice(&item)?;
        claim(found.file == format!("tool-{count}"), "an item is missing")?;
        count += 1;
    }
    let told: u32 = from_slice(&answers.end().await?)?;
    println!("backend: {count} items in order, {told} at the agent");
    claim(count == told, "items are missing")?;

    println!("\na request that is dropped stops its handler");
    let asked = Instant::now();
    let asking = edge.request("watch", order("/etc", 1)).deadline(Duration::from_secs(60));
    let given_up = tokio::time::timeout(Duration::from_millis(100), asking.into_future()).await;
    claim(given_up.is_err(), "the handler answered")?;
    stop.wait_for(|stopped| *stopped).await?;
    println!("backend: gave up after 100 ms; the handler stopped");
    claim(asked.elapsed() < Duration::from_secs(5), "the handler went on")?;

    println!("\na deadline");
    let late = edge.request("watch", order("/etc", 1)).deadline(Duration::from_secs(1)).await;
    let late = late.err().ok_or("the handler answered")?;
    println!("backend: {late}; ask again: {:?}", FailureCode::Deadline.retry());
    claim(late.kind() == ErrorKind::Call(FailureCode::Deadline), "another failure")?;

    agent.close().await?;
    Ok(backend.close().await?)
}
