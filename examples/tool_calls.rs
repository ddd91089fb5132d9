//! A vocabulary in small: an agent that runs tools, for instance for a language model.
//!
//! `tool_call {request_id, tool, params}` is a request on `backend.<id>.tool_call`; its answer is
//! `tool_response {request_id, success, result, error, execution_ms}`. Every call is audited at the backend:
//! who was asked what, what came of it and how long it took; parameters are named, not written down.
//!
//! `cargo run --example tool_calls`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;
use waxwire::body::from_slice;
use waxwire::{Agent, Backend, Body, Context, Link, LinkState, PeerId, Progress};

use crate::pair::{Failure, claim};

#[path = "shared/pair.rs"]
mod pair;

#[derive(Deserialize, Serialize)]
struct ToolCall {
    request_id: u64,
    tool: String,
    params: BTreeMap<String, String>,
}

#[derive(Deserialize, Serialize)]
struct ToolResponse {
    request_id: u64,
    success: bool,
    result: Option<String>,
    error: Option<String>,
    execution_ms: u64,
}

/// One line of the audit.
struct Entry {
    agent: PeerId,
    request_id: u64,
    tool: String,
    params: Vec<String>,
    outcome: String,
    took: Duration,
}

/// The agent's tools.
async fn tool_call(context: Context, Body(call): Body<ToolCall>) -> Body<ToolResponse> {
    let began = Instant::now();
    let done = match call.tool.as_str() {
        "grep" => grep(&context, &call.params).await,
        "uptime" => Ok("3 days".to_owned()),
        _ => Err("no such tool".to_owned()),
    };
    let execution_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (success, request_id) = (done.is_ok(), call.request_id);
    let (result, error) = match done {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    Body(ToolResponse { request_id, success, result, error, execution_ms })
}

async fn grep(context: &Context, params: &BTreeMap<String, String>) -> Result<String, String> {
    let pattern = params.get("pattern").ok_or("pattern is missing")?;
    for part in 1..=3 {
        sleep(Duration::from_millis(40)).await;
        context.progress(part * 333);
    }
    Ok(format!("2 lines with {pattern}"))
}

/// Calls a tool, and writes down what came of it.
async fn call(
    agent: &Link,
    audit: &mut Vec<Entry>,
    tool: &str,
    params: &[(&str, &str)],
    deadline: Duration,
) -> Result<Option<ToolResponse>, Failure> {
    let request_id = u64::try_from(audit.len())? + 1;
    let map = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let asked = Body(ToolCall { request_id, tool: tool.to_owned(), params: map });
    let (progress, mut heard) = watch::channel(None);
    let began = Instant::now();
    let asking = agent.request("tool_call", asked).deadline(deadline).progress_to(progress);
    let mut asking = asking.into_future();
    let answer = loop {
        tokio::select! {
            answer = &mut asking => break answer,
            Ok(()) = heard.changed() => {
                if let Some(Progress::Permille(permille)) = &*heard.borrow_and_update() {
                    println!("{tool}: {} %", permille / 10);
                }
            }
        }
    };
    let response: Option<ToolResponse> =
        answer.as_ref().ok().map(|bytes| from_slice(bytes)).transpose()?;
    let outcome = match (&response, &answer) {
        (Some(response), _) if response.success => "succeeded".to_owned(),
        (Some(response), _) => format!("failed: {}", response.error.as_deref().unwrap_or("?")),
        (None, Err(error)) => error.to_string(),
        (None, Ok(_)) => "no answer".to_owned(),
    };
    audit.push(Entry {
        agent: agent.agent_id().clone(),
        request_id,
        tool: tool.to_owned(),
        params: params.iter().map(|(key, _)| (*key).to_owned()).collect(),
        outcome,
        took: began.elapsed(),
    });
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    pair::ended(run().await)
}

async fn run() -> Result<(), Failure> {
    let id = PeerId::new("runner-1")?;
    let (agent_config, backend_config) = pair::configs(&id)?;
    let agent = Agent::open(id.clone(), agent_config).await?;
    agent.on_request("tool_call", tool_call)?;
    let backend = Backend::open(backend_config).await?;
    let address = backend.listen("tcp://127.0.0.1:0").await?;
    agent.connect(format!("tcp://{address}")).await?;
    let runner = backend.agent(&id)?;
    runner.until(LinkState::Connected).await;

    let mut audit = Vec::new();
    let (long, short) = (Duration::from_secs(10), Duration::from_millis(60));
    let found =
        call(&runner, &mut audit, "grep", &[("pattern", "sshd"), ("path", "/var/log")], long);
    let found = found.await?.ok_or("no answer")?;
    println!("grep: {:?} after {} ms at the agent", found.result, found.execution_ms);
    claim(found.success && found.request_id == 1, "the tool failed")?;
    call(&runner, &mut audit, "uptime", &[], long).await?;
    let none = call(&runner, &mut audit, "rm", &[("path", "/")], long).await?;
    claim(none.is_some_and(|none| !none.success), "a tool that is not there ran")?;
    let late = call(&runner, &mut audit, "grep", &[("pattern", "root")], short).await?;
    claim(late.is_none(), "the deadline did not hold")?;

    println!("\naudit");
    for Entry { agent, request_id, tool, params, outcome, took } in &audit {
        println!("  {agent} {request_id} {tool} {params:?} {} ms {outcome}", took.as_millis());
    }
    claim(audit.len() == 4, "a call is missing in the audit")?;
    agent.close().await?;
    Ok(backend.close().await?)
}
