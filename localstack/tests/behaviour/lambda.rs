//! Lambda: processes that answer, fail, crash, hang, and end with the local AWS.

use std::time::Duration;

use localstack::{FunctionOptions, Invocations, InvokeError, LocalAws, Options};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use super::client::eventually;
use super::worker::Worker;

async fn started(change: impl FnOnce(&mut FunctionOptions)) -> (LocalAws, Worker) {
    let aws = LocalAws::start(Options::for_test()).await.unwrap();
    let worker = Worker::new();
    let mut function = worker.function();
    change(&mut function);
    aws.function(function);
    (aws, worker)
}

fn pid(answer: &[u8]) -> i64 {
    serde_json::from_slice::<Value>(answer).unwrap()["pid"].as_i64().unwrap()
}

#[tokio::test]
async fn a_warm_process_is_used_again() {
    let (aws, _worker) = started(|_| {}).await;
    let first = pid(&aws.invoke("worker", "{}").await.unwrap());
    assert_eq!(pid(&aws.invoke("worker", "{}").await.unwrap()), first);
}

#[tokio::test]
async fn invocations_at_once_have_a_process_each_and_above_its_concurrency_a_function_is_throttled() {
    let (aws, worker) = started(|function| function.concurrency = 3).await;
    let invocations = futures::future::join_all((0..3).map(|_| aws.invoke("worker", r#"{"do":"wait"}"#)));
    let throttled = async {
        eventually("three processes", async || (aws.processes().len() == 3).then_some(())).await;
        let refused = aws.invoke("worker", "{}").await.unwrap_err();
        assert!(matches!(refused, InvokeError::Throttled), "{refused}");
        let url = format!("{}/2015-03-31/functions/worker/invocations", aws.endpoint());
        let refused = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["x-amzn-errortype"]),
            (429, &"TooManyRequestsException".parse().unwrap())
        );
        worker.go();
    };
    let (answers, ()) = futures::join!(invocations, throttled);
    let pids: std::collections::HashSet<i64> =
        answers.into_iter().map(|answer| pid(&answer.unwrap())).collect();
    assert_eq!(pids.len(), 3);
    aws.invoke("worker", "{}").await.unwrap();
    aws.invoke("worker", r#"{"do":"throw"}"#).await.unwrap_err();
    let expected = Invocations { invocations: 5, errors: 1, timeouts: 0, throttles: 2 };
    assert_eq!(aws.invocations("worker"), expected);
}

#[tokio::test]
async fn the_http_operation_answers_and_names_errors() {
    let (aws, _worker) = started(|_| {}).await;
    let url = format!("{}/2015-03-31/functions/worker/invocations", aws.endpoint());
    let http = reqwest::Client::new();
    let answer = http.post(&url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["function"], "worker");
    let failed = http.post(&url).body(r#"{"do":"throw"}"#).send().await.unwrap();
    assert_eq!(
        (failed.status().as_u16(), &failed.headers()["x-amz-function-error"]),
        (200, &"Unhandled".parse().unwrap())
    );
    assert_eq!(failed.json::<Value>().await.unwrap()["errorMessage"], "it was told to");
    let missing = http.post(url.replace("worker", "nobody")).body("{}").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(aws.counts().of("lambda:Invoke").requests, 3);
}

#[tokio::test]
async fn a_crashed_process_is_replaced() {
    let (aws, _worker) = started(|_| {}).await;
    let first = pid(&aws.invoke("worker", "{}").await.unwrap());
    let crashed = aws.invoke("worker", r#"{"do":"crash-once"}"#).await.unwrap_err();
    assert!(matches!(crashed, InvokeError::Exited(status) if status.code() == Some(7)), "{crashed}");
    assert_ne!(pid(&aws.invoke("worker", r#"{"do":"crash-once"}"#).await.unwrap()), first);
}

#[tokio::test]
async fn a_process_that_is_killed_from_outside_is_off_the_list_and_replaced() {
    let (aws, worker) = started(|_| {}).await;
    assert_eq!(aws.processes(), []);
    let first = pid(&aws.invoke("worker", "{}").await.unwrap());
    let listed = || aws.processes().iter().map(|process| i64::from(process.id)).collect::<Vec<_>>();
    assert_eq!(listed(), [first]);
    kill_process(Pid::from_raw(first.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    let second = pid(&eventually("another one", async || aws.invoke("worker", "{}").await.ok()).await);
    assert_ne!(second, first);
    assert_eq!(listed(), [second]);
    // A second one beside it is listed behind it.
    let waiting = [aws.invoke("worker", r#"{"do":"wait"}"#), aws.invoke("worker", r#"{"do":"wait"}"#)];
    let waiting = futures::future::join_all(waiting);
    let both = async {
        eventually("two processes", async || (listed().len() == 2).then_some(())).await;
        assert_eq!(listed()[0], second);
        worker.go();
    };
    futures::join!(waiting, both);
    aws.shutdown().await;
    assert_eq!(listed(), [0_i64; 0]);
}

#[tokio::test]
async fn a_start_is_timed_and_leaves_no_process_behind() {
    let (aws, _worker) = started(|_| {}).await;
    let begun = tokio::time::Instant::now();
    let time = aws.start_time("worker").await.unwrap();
    assert!(Duration::ZERO < time && time <= begun.elapsed(), "{time:?}");
    assert_eq!((aws.processes(), aws.invocations("worker")), (Vec::new(), Invocations::default()));
    aws.function(FunctionOptions::new("ends", "/bin/true"));
    let ends = aws.start_time("ends").await.unwrap_err();
    assert!(matches!(ends, InvokeError::NotStarted(_)), "{ends}");
}

#[tokio::test]
async fn a_process_that_takes_too_long_is_killed() {
    let (aws, _worker) = started(|function| function.timeout = Duration::from_millis(500)).await;
    let first = pid(&aws.invoke("worker", "{}").await.unwrap());
    let late = aws.invoke("worker", r#"{"do":"sleep-once"}"#).await.unwrap_err();
    assert!(matches!(late, InvokeError::TimedOut(_)), "{late}");
    assert!(!lives(first), "its process is gone");
    assert_ne!(pid(&aws.invoke("worker", r#"{"do":"sleep-once"}"#).await.unwrap()), first);
    let counted = aws.invocations("worker");
    assert_eq!((counted.invocations, counted.errors, counted.timeouts), (3, 1, 1));
}

#[tokio::test]
async fn a_schedule_invokes_at_a_rate_with_eventbridges_event_until_it_is_dropped() {
    let (aws, worker) = started(|_| {}).await;
    let scheduled = || std::fs::read_to_string(worker.directory.path().join("scheduled")).unwrap_or_default();
    let schedule = aws.schedule("worker", Duration::from_millis(20));
    let lines =
        eventually("three invocations", async || Some(scheduled()).filter(|text| text.lines().count() >= 3));
    let first: Value = serde_json::from_str(lines.await.lines().next().unwrap()).unwrap();
    assert_eq!((&first["source"], &first["detail-type"]), (&"aws.events".into(), &"Scheduled Event".into()));
    assert_eq!(first["resources"][0], "arn:aws:events:us-east-1:000000000000:rule/worker");
    drop(schedule);
    aws.invoke("worker", "{}").await.unwrap();
    let ended = scheduled();
    aws.invoke("worker", "{}").await.unwrap();
    assert_eq!(scheduled(), ended);
}

#[tokio::test]
async fn a_throttled_schedule_waits() {
    let (aws, worker) = started(|function| function.concurrency = 0).await;
    let _schedule = aws.schedule("worker", Duration::from_hours(1));
    eventually("it is throttled", async || (aws.invocations("worker").throttles > 1).then_some(())).await;
    aws.function(worker.function());
    let scheduled = worker.directory.path().join("scheduled");
    eventually("its invocation", async || std::fs::read_to_string(&scheduled).ok()).await;
}

#[tokio::test]
async fn what_can_not_be_invoked_is_said() {
    let (aws, _worker) = started(|_| {}).await;
    let large = aws.invoke("worker", vec![b' '; 7 * 1024 * 1024]).await.unwrap_err();
    assert!(matches!(large, InvokeError::PayloadTooLarge { .. }), "{large}");
    aws.function(FunctionOptions::new("absent", "/no/such/program"));
    let absent = aws.invoke("absent", "{}").await.unwrap_err();
    assert!(matches!(absent, InvokeError::NotStarted(_)), "{absent}");
    aws.function(FunctionOptions::new("ends", "/bin/true"));
    let ends = aws.invoke("ends", "{}").await.unwrap_err();
    assert!(matches!(ends, InvokeError::NotStarted(_)), "{ends}");
}

#[tokio::test]
async fn a_shutdown_ends_the_processes_and_their_output_was_logged() {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&lines);
    let (aws, _worker) = started(|function| {
        function.log = Some(std::sync::Arc::new(move |line: &str| log.lock().unwrap().push(line.to_owned())));
    })
    .await;
    let process = pid(&aws.invoke("worker", "{}").await.unwrap());
    assert!(lives(process));
    aws.shutdown().await;
    assert!(!lives(process));
    eventually("its line", async || {
        lines.lock().unwrap().contains(&"the worker begins".to_owned()).then_some(())
    })
    .await;
    assert!(aws.invoke("worker", "{}").await.is_err());
}

fn lives(process: i64) -> bool {
    test_kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap()).is_ok()
}
