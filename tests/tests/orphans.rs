//! `headwater up` is killed, as by a machine that runs out of memory: what it started ends with it, services and Lambdas alike, and the next
//! `up` finds its ports free.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "a test")]

use std::{fs, process::Stdio};

use headwater_tests::{PATIENCE, until};
use headwater_tool::cluster::{SERVICES, binaries::Binaries};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

/// A process as the system tells it: its id, its parent's, and whether it has ended and only waits to be asked how.
struct Process {
    id: u32,
    parent: u32,
    ended: bool,
}

fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses, and may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    Some(Process { id, parent: fields.next()?.parse().ok()?, ended })
}

/// The processes that this one has started and that have not ended.
fn children(parent: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc")
        .expect("processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(process)
        .filter(|child| child.parent == parent && !child.ended)
        .map(|child| child.id)
        .collect()
}

#[tokio::test]
async fn what_a_killed_up_started_ends_with_it() {
    let binary = Binaries::ready().expect("the binaries").path("headwater");
    let mut command = Command::new(binary);
    command.args(["up", "--any-port", "--shards", "1"]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut up = command.spawn().expect("it starts");
    let id = up.id().expect("it runs");
    let mut lines = BufReader::new(up.stdout.take().expect("an output")).lines();
    let mut accounts = None;
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line") {
        if let Some(url) = line.trim_start().strip_prefix("accounts ") {
            accounts = Some(url.trim().to_owned());
        }
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    let accounts = accounts.expect("where the service is");

    // An event makes a process of each Lambda that reads it.
    let opened = Client::new().post(format!("{accounts}/accounts")).json(&json!({"id": "1"})).send().await;
    assert_eq!(opened.expect("an answer").status(), StatusCode::CREATED);
    until("the Lambdas run beside the services", async || children(id).len() > SERVICES.len()).await;
    let started = children(id);

    up.kill().await.expect("it is killed");
    until("everything has ended", async || {
        started.iter().all(|id| process(*id).is_none_or(|process| process.ended))
    })
    .await;
    assert!(Client::new().get(accounts).send().await.is_err(), "nothing listens any more");
}
