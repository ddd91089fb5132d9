//! Messages that survive a crash of their publisher, against rows that do.

use std::path::Path;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::task::JoinSet;
use waxwire::store::RedbStore;
use waxwire::{Level, LinkOptions};

use crate::measure::Report;
use crate::ours::Ends;
use crate::{disk, rates};

const NAME: &str = "durable_publish_vs_sqlite_full";
const TASKS: u64 = 64;

/// Prints the comparison of durable messages.
pub async fn run(report: &Report) {
    if !report.wants(NAME) {
        return;
    }
    let folder = disk::folder();
    let kind = disk::kind(folder.path());
    println!("durable: 64 bytes, {TASKS} tasks, each until its message is synced to a redb store;");
    println!("  SQLite, WAL and synchronous=FULL, one insert a transaction; both on {kind}");
    let store = RedbStore::open(folder.path().join("agent.redb")).unwrap();
    let ends = Ends::with_store(LinkOptions::new(), Some(store)).await;
    let address = ends.listen("ws").await;
    let pair = ends.link("ws", address).await;
    let mut heard = pair.backend.subscribe("agent.*.logs").await.unwrap();
    tokio::spawn(async move {
        while let Some(message) = heard.next().await {
            message.done();
        }
    });
    let payload = Bytes::from_static(&[7; 64]);
    let ours = async |count| {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (agent, payload) = (pair.agent.clone(), payload.clone());
            tasks.spawn(async move {
                for _ in 0..count / TASKS {
                    let publish = agent.publish("logs", payload.clone());
                    let receipt = publish.confirm(Level::Stored).await.unwrap();
                    assert!(receipt.level >= Level::Stored);
                }
            });
        }
        tasks.join_all().await;
    };
    let mut table = Some(table(folder.path()));
    let peer = async |count| {
        let taken = table.take().unwrap();
        let insert = move || {
            insert(&taken, count);
            taken
        };
        table = Some(tokio::task::spawn_blocking(insert).await.unwrap());
    };
    rates::print(NAME, rates::race(ours, peer).await);
}

fn table(folder: &Path) -> Connection {
    let table = Connection::open(folder.join("peer.sqlite")).unwrap();
    table.pragma_update(None, "journal_mode", "WAL").unwrap();
    table.pragma_update(None, "synchronous", "FULL").unwrap();
    let layout = "CREATE TABLE messages (number INTEGER PRIMARY KEY, payload BLOB NOT NULL)";
    table.execute(layout, ()).unwrap();
    table
}

fn insert(table: &Connection, count: u64) {
    let mut insert = table.prepare("INSERT INTO messages (payload) VALUES (?1)").unwrap();
    for _ in 0..count {
        insert.execute([&[7_u8; 64][..]]).unwrap();
    }
}
