//! RFC 6455 as the Autobahn suite tests it, against the WebSocket transport: `./ci.sh autobahn`.
//!
//! `tests/autobahn/spec.json` says which servers are asked, and which cases are not run for what
//! reason; `tests/autobahn/expected.txt` holds the results.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "it stops and tells")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use waxwire::fuzzing::accept_messages;
use waxwire::limits::HANDSHAKE_TIME;
use waxwire::transport::websocket::{AcceptOptions, SUBPROTOCOL, accept};
use waxwire::transport::{Arrival, Transport};

const SPEC: &str = include_str!("autobahn/spec.json");
const EXPECTED: &str = include_str!("autobahn/expected.txt");
const RUN: &str = "import os, site; site.addsitedir(os.environ['AUTOBAHN_SUITE']); \
                   from autobahntestsuite import wstest; wstest.run()";
/// Far above the time of a whole run.
const RUN_TIME: Duration = Duration::from_secs(600);

/// The suite stands in the folder `AUTOBAHN_SUITE`, `AUTOBAHN_PYTHON` runs it, and what it finds goes
/// to the folder `AUTOBAHN_REPORTS`.
#[tokio::test]
#[ignore = "needs Python 2.7 and the suite: ./ci.sh autobahn"]
async fn the_suite_finds_what_is_expected() {
    let reports = PathBuf::from(env::var_os("AUTOBAHN_REPORTS").expect("run ./ci.sh autobahn"));
    fs::create_dir_all(&reports).expect("a folder for the reports");
    let messages = listen().await;
    let records = listen().await;
    let addresses = [("messages", messages.local_addr()), ("records", records.local_addr())]
        .map(|(server, address)| (server, format!("ws://{}", address.expect("a bound socket"))));
    tokio::spawn(serve(messages, hand_messages_back));
    tokio::spawn(serve(records, take_records));

    run(&reports, &addresses).await;

    let found = found(&reports, addresses.len());
    let path = reports.join("found.txt");
    fs::write(&path, comments() + &found).expect("the results");
    let differences = differences(&found);
    assert!(
        differences.is_empty(),
        "{differences}- tests/autobahn/expected.txt, + {}; the suite's own account is beside it",
        path.display()
    );
    println!("autobahn: {} results as expected", found.lines().count());
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    with: fn(TcpStream) -> F,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(with(stream));
    }
}

/// Closes with a code where a message was taken and is too long to send, so that the results tell it
/// from a message that was refused.
async fn hand_messages_back(stream: TcpStream) {
    let Ok(mut messages) = accept_messages(stream).await else { return };
    while let Some(Ok(message)) = messages.next().await {
        let is_data = message.is_binary() || message.is_text();
        if is_data && messages.send(message).await.is_err() {
            let too_long = CloseFrame { code: CloseCode::Size, reason: "".into() };
            let _ = messages.close(Some(too_long)).await;
        }
    }
}

/// Reads to the end and drops the pipe, as the runtime does.
async fn take_records(stream: TcpStream) {
    let Ok(mut pipe) = accept(stream, &AcceptOptions::new(), HANDSHAKE_TIME).await else { return };
    let mut record = BytesMut::new();
    while poll_fn(|cx| pipe.poll_record(cx, &mut record)).await == Ok(Arrival::Record) {
        record.clear();
    }
}

async fn run(reports: &Path, addresses: &[(&str, String)]) {
    let spec: Value = serde_json::from_str(SPEC).expect("tests/autobahn/spec.json is JSON");
    let excluded = |of: &Value| -> Vec<String> {
        of.get("excluded").and_then(Value::as_object).expect("`excluded`").keys().cloned().collect()
    };
    let (mut servers, mut excluded_of) = (Vec::new(), Map::new());
    for (server, url) in addresses {
        let of = spec.pointer(&format!("/servers/{server}")).expect("the server");
        excluded_of.insert((*server).to_owned(), excluded(of).into());
        servers.push(json!({ "agent": server, "url": url, "protocols": [SUBPROTOCOL] }));
    }
    let theirs = json!({
        "outdir": reports,
        "servers": servers,
        "cases": ["*"],
        "exclude-cases": excluded(&spec),
        "exclude-agent-cases": excluded_of,
    });
    let path = reports.join("fuzzingclient.json");
    fs::write(&path, theirs.to_string()).expect("the suite's spec");
    let log = fs::File::create(reports.join("log.txt")).expect("the log");
    let mut suite = Command::new(env::var_os("AUTOBAHN_PYTHON").expect("run ./ci.sh autobahn"))
        .args(["-c", RUN, "-m", "fuzzingclient", "-s"])
        .arg(&path)
        .stderr(log.try_clone().expect("the log"))
        .stdout(log)
        .kill_on_drop(true)
        .spawn()
        .expect("Python starts");
    let status = timeout(RUN_TIME, suite.wait()).await.expect("the suite ends").expect("a status");
    assert!(status.success(), "{status}; see log.txt in {}", reports.display());
}

/// A line for each server and case: the result, that of the close, and the code that the server sent
/// with its close.
fn found(reports: &Path, servers: usize) -> String {
    let index = fs::read_to_string(reports.join("index.json")).expect("the suite's results");
    let index: Map<String, Value> = serde_json::from_str(&index).expect("results in JSON");
    assert_eq!(index.len(), servers, "a server has no results");
    let mut lines = String::new();
    for (server, cases) in &index {
        let mut in_order = BTreeMap::new();
        for (case, result) in cases.as_object().expect("cases") {
            let numbers: Vec<u32> =
                case.split('.').map(|number| number.parse().expect("a number")).collect();
            in_order.insert(numbers, (case, result));
        }
        for (case, result) in in_order.values() {
            let said = |key| result.get(key).and_then(Value::as_str).expect("a result");
            let (behavior, close) = (said("behavior"), said("behaviorClose"));
            let code = result.get("remoteCloseCode").and_then(Value::as_u64);
            let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
            writeln!(lines, "{server} {case}: {behavior}, close {close}, {code}")
                .expect("a string");
        }
    }
    lines
}

fn is_comment(line: &str) -> bool {
    line.starts_with('#')
}

/// What `expected.txt` says about its lines, to go on saying it in a new one.
fn comments() -> String {
    EXPECTED
        .lines()
        .filter(|line| is_comment(line))
        .fold(String::new(), |all, line| all + line + "\n")
}

fn differences(found: &str) -> String {
    let expected: Vec<&str> = EXPECTED.lines().filter(|line| !is_comment(line)).collect();
    let found: Vec<&str> = found.lines().collect();
    let missing =
        expected.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}\n"));
    let new =
        found.iter().filter(|line| !expected.contains(line)).map(|line| format!("+ {line}\n"));
    missing.chain(new).collect()
}
