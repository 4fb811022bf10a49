//! A function for the tests, on the real Lambda runtime: it does what the records tell it.
//!
//! | data of a record | what happens |
//! |---|---|
//! | `poison…` | the record is reported as a batch item failure |
//! | `fail-once…` | so too, the first time |
//! | `throw…` | the invocation fails |
//! | `crash-once…` | the process ends in the middle, the first time |
//! | `sleep-once…` | the invocation takes for ever, the first time |
//! | `wait…` | the invocation waits for the file `go` |
//! | anything else | nothing |
//!
//! Every batch is a line of the file `batches`, its data joined by commas, before anything else is done. An event of a
//! schedule is a line of the file `scheduled`. A payload without records is answered with the process id, and may itself say `{"do": "throw"}` and so on. The files are in
//! the directory `WORKER_DIRECTORY`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    println!("the worker begins");
    lambda_runtime::run(service_fn(work)).await
}

async fn work(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let directory = PathBuf::from(std::env::var("WORKER_DIRECTORY")?);
    let Some(records) = event.payload["Records"].as_array() else {
        if event.payload["source"] == "aws.events" {
            let mut file = OpenOptions::new().create(true).append(true).open(directory.join("scheduled"))?;
            file.write_all(format!("{}\n", event.payload).as_bytes())?;
        }
        act(event.payload["do"].as_str().unwrap_or_default(), &directory).await?;
        return Ok(json!({ "pid": std::process::id(), "function": event.context.env_config.function_name }));
    };
    let mut batch = Vec::new();
    for record in records {
        let data = STANDARD.decode(record["kinesis"]["data"].as_str().unwrap_or_default())?;
        batch.push((record["kinesis"]["sequenceNumber"].clone(), String::from_utf8(data)?));
    }
    let data: Vec<&str> = batch.iter().map(|(_, data)| data.as_str()).collect();
    let mut file = OpenOptions::new().create(true).append(true).open(directory.join("batches"))?;
    file.write_all(format!("{}\n", data.join(",")).as_bytes())?;
    let mut failures = Vec::new();
    for (sequence, data) in &batch {
        let fails_once = data.starts_with("fail-once") && first_time(&directory, data)?;
        if fails_once || data.starts_with("poison") {
            failures.push(json!({ "itemIdentifier": sequence }));
        }
        act(data, &directory).await?;
    }
    Ok(json!({ "batchItemFailures": failures }))
}

async fn act(what: &str, directory: &std::path::Path) -> Result<(), Error> {
    if what.starts_with("throw") {
        return Err("it was told to".into());
    }
    if what.starts_with("crash-once") && first_time(directory, what)? {
        std::process::exit(7);
    }
    if what.starts_with("sleep-once") && first_time(directory, what)? {
        std::future::pending::<()>().await;
    }
    if what.starts_with("wait") {
        while !directory.join("go").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

fn first_time(directory: &std::path::Path, what: &str) -> std::io::Result<bool> {
    match OpenOptions::new().create_new(true).write(true).open(directory.join(what)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
